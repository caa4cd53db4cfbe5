"""Settings: read once from `DRIO_…` environment variables, then frozen. No other module reads the environment."""

import os
import re
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from drio_mcp.errors import StartupError
from drio_mcp.opaque import Secret

CommaSeparated = Annotated[tuple[str, ...], NoDecode]

RESEMBLANCE = 0.85
"""How alike (`difflib`, the common prefix included) the names of a variable and of the setting that it means are."""
LIKE_A_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
OF_KUBERNETES = re.compile(r"DRIO_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)")

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback_name(host: str) -> bool:
    """Whether a host, in lower case, names this computer: also every name below `localhost` (RFC 6761 section 6.3)."""
    return host in LOOPBACK_HOSTS or host.endswith(".localhost")


EXAMPLES = {
    "public_url": "https://drio.example.com",
    "host": "127.0.0.1",
    "port": "8000",
    "data_dir": "./drio-data",
    "database_url": "postgresql://drio@localhost/drio",
    "registration": "open",
    "registration_limit": "100",
    "client_documents": "off",
    "signup": "closed",
    "oidc_issuer": "https://login.example.com",
    "oidc_client_id": "client_123",
    "oidc_client_secret": "the secret that the provider shows",
    "oidc_allowed_domains": "example.com",
    "oidc_operator_claim": "groups=drio-admins",
    "outbound_allow": "localhost:9000,10.0.0.5:8443",
    "secret_dir": "/run/secrets",
    "redirect_schemes": "myapp,com.example.app",
    "allowed_origins": "https://inspector.example.com",
    "trusted_proxies": "10.0.0.0/8",
    "mcp_secrets": "link",
    "access_token_ttl": "3600",
    "refresh_token_ttl": "2592000",
    "log": "json",
    "metrics": "127.0.0.1:9464",
}
"""A right value for each setting, shown when a wrong one stops the start."""


class Settings(BaseSettings):
    """Every setting of the contract's section 1; field descriptions are the help text and the README's table."""

    model_config = SettingsConfigDict(env_prefix="DRIO_", frozen=True, extra="ignore", env_ignore_empty=True)

    public_url: str = Field(
        default="",
        description="The one origin: issuer, resource and links are derived from it. https unless loopback. "
        "Default `http://127.0.0.1:PORT`.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on.")
    data_dir: Path = Field(default=Path("drio-data"), description="Folder (mode 0700) of the database and the keys.")
    database_url: str = Field(
        default="",
        description="`sqlite:///PATH` or `postgresql://…` (extra `postgres`). Default `sqlite:///DATA_DIR/drio.db`.",
    )
    keys: Secret | None = Field(
        default=None, description="Key-encryption keyring as JSON. Default: the file `DATA_DIR/keys.json`, generated."
    )
    registration: Literal["open", "token", "off"] = Field(
        default="open", description="Dynamic client registration: `open`, `token` (initial access token) or `off`."
    )
    registration_limit: int = Field(
        default=100, ge=1, le=1_000_000_000, description="Registrations that one address may make in 10 minutes."
    )
    client_documents: Literal["on", "off"] = Field(
        default="on",
        description="`off`: client ID metadata documents are neither offered nor fetched, for a server that cannot "
        "reach the outside.",
    )
    signup: Literal["open", "closed"] = Field(
        default="closed", description="`open` lets anyone create an account at `/sign-up`."
    )
    oidc_issuer: str | None = Field(default=None, description="Issuer of the OpenID provider that signs people in.")
    oidc_client_id: str | None = Field(default=None, description="Our client id at that provider.")
    oidc_client_secret: Secret | None = Field(default=None, description="Our client secret at that provider.")
    oidc_allowed_domains: CommaSeparated = Field(
        default=(),
        description="Domains of verified e-mail addresses that may sign in there. Default: all that it signs in.",
    )
    oidc_operator_claim: str | None = Field(
        default=None,
        description="`claim=value` that makes an operator of whoever has it at sign-in, such as `groups=drio-admins`.",
    )
    outbound_allow: CommaSeparated = Field(
        default=(), description="`host:port,…` of private or loopback addresses that outbound calls may reach."
    )
    secret_dir: Path | None = Field(
        default=None,
        description="Folder of secrets that `file:` references may name. A reference works only at the origins that "
        "stand beside it: in the variable `DRIO_SECRET_…_ORIGINS`, or the file of its name and `.origins`.",
    )
    redirect_schemes: CommaSeparated = Field(
        default=(), description="Further private-use schemes allowed in redirect URIs."
    )
    allowed_origins: CommaSeparated = Field(
        default=(), description="Origins of browser-based MCP clients that may call `/mcp`."
    )
    trusted_proxies: CommaSeparated = Field(default=(), description="CIDRs whose `X-Forwarded-*` headers are believed.")
    mcp_secrets: Literal["link", "accept"] = Field(
        default="link",
        description="`link`: tools take no secret values and answer with a page; `accept`: tools take them.",
    )
    access_token_ttl: int = Field(default=3600, ge=1, le=86_400, description="Seconds that an access token lives.")
    refresh_token_ttl: int = Field(
        default=2_592_000, ge=60, le=315_360_000, description="Seconds that a refresh token lives unused."
    )
    log: Literal["text", "json"] = Field(default="text", description="Form of the log lines.")
    metrics: str | None = Field(
        default=None,
        description="`public` serves `/metrics` on the public port, `host:port` on one of its own; unset: nowhere.",
    )

    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Processes that serve the one port; about as many as there are cores. One of them does the work in "
        "the background.",
    )

    @field_validator(
        "outbound_allow",
        "redirect_schemes",
        "allowed_origins",
        "trusted_proxies",
        "oidc_allowed_domains",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("public_url", "oidc_issuer")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if not value:
            return value
        parts = urlsplit(value)
        if (
            parts.scheme not in {"http", "https"}
            or not parts.hostname
            or not _has_good_port(parts)
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise ValueError("is not an http or https URL")
        if parts.scheme == "http" and not _is_loopback_address(parts.hostname):
            raise ValueError("must be https unless its host is loopback")
        return value

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        if value.endswith("/"):
            raise ValueError("must not end with a slash")
        if value and urlsplit(value).path:
            raise ValueError("must be an origin, without a path")
        return _as_browsers_write(value)

    @field_validator("metrics")
    @classmethod
    def _check_metrics(cls, value: str | None) -> str | None:
        if value not in {None, "public"}:
            host, _, port = value.rpartition(":")
            if not host or not port.isdigit() or int(port) > 65535:
                raise ValueError("must be public, or host:port")
        return value

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        return value

    @field_validator("outbound_allow")
    @classmethod
    def _check_outbound_allow(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            host, _, port = entry.rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise ValueError("each entry must be host:port")
        return value

    @field_validator("secret_dir")
    @classmethod
    def _check_secret_dir(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("is not a folder that exists")
        return value

    @field_validator("oidc_allowed_domains")
    @classmethod
    def _check_domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        domains = tuple(entry.lower().removeprefix("@") for entry in value)
        if any("@" in entry or "/" in entry or "." not in entry.strip(".") for entry in domains):
            raise ValueError("each entry must be a domain")
        return domains

    @field_validator("oidc_operator_claim")
    @classmethod
    def _check_operator_claim(cls, value: str | None) -> str | None:
        if value is not None and not all(value.partition("=")):
            raise ValueError("must be claim=value")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            try:
                IPv6Network(entry) if ":" in entry else IPv4Network(entry)
            except ValueError as error:
                raise ValueError("each entry must be an address range in CIDR form") from error
        return value

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            parts = urlsplit(entry)
            if (
                parts.scheme not in {"http", "https"}
                or not parts.hostname
                or f"{parts.scheme}://{parts.netloc}" != entry
            ):
                raise ValueError("each entry must be an origin such as https://host, without a path")
        return value

    @field_validator("redirect_schemes")
    @classmethod
    def _check_schemes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            well_formed = entry[:1].isalpha() and all(c.isalnum() or c in "+-." for c in entry)
            if not well_formed or entry.lower() in {
                "http",
                "https",
                "javascript",
                "data",
                "file",
                "blob",
                "vbscript",
                "about",
            }:
                raise ValueError("each entry must be a private-use scheme without '://'")
        return tuple(entry.lower() for entry in value)

    @model_validator(mode="after")
    def _check_together(self) -> "Settings":
        given = {"oidc_issuer": self.oidc_issuer, "oidc_client_id": self.oidc_client_id}
        if any((*given.values(), self.oidc_client_secret)):
            for name in (name for name, value in given.items() if value is None):
                raise ValueError(
                    f"DRIO_{name.upper()} is missing: sign-in through a provider needs both issuer and client id; "
                    f"a right value is {EXAMPLES[name]}"
                )
        return self

    @property
    def origin(self) -> str:
        """The public URL: the issuer of RFC 8414 and the base of every link."""
        return self.public_url or f"http://127.0.0.1:{self.port}"

    @property
    def resource(self) -> str:
        """The protected resource's identifier (RFC 9728, RFC 8707)."""
        return f"{self.origin}/mcp"

    @property
    def database(self) -> str:
        """The database URL with its default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'drio.db'}"

    @property
    def is_https(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def is_loopback(self) -> bool:
        """Whether the public URL points at this computer."""
        return _is_loopback_address(urlsplit(self.origin).hostname or "")


def _as_browsers_write(origin: str) -> str:
    """The one spelling that browsers send in `Origin` and clients compare: lower case, no default port."""
    if not origin:
        return origin
    parts = urlsplit(origin)
    host = parts.hostname or ""
    bracketed = f"[{host}]" if ":" in host else host
    port = "" if parts.port in {None, 443 if parts.scheme == "https" else 80} else f":{parts.port}"
    return f"{parts.scheme}://{bracketed}{port}"


def _is_loopback_address(host: str) -> bool:
    """As `is_loopback_name`, and any address of 127.0.0.0/8: a server may listen at each of them."""
    try:
        return is_loopback_name(host) or ip_address(host).is_loopback
    except ValueError:
        return False


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0
    except ValueError:
        return False


def secret_variables() -> dict[str, str]:
    """The variables that references of the form `env:DRIO_SECRET_…` may name, as they are at this moment."""
    return {name: value for name, value in os.environ.items() if name.startswith("DRIO_SECRET_")}


def unknown_variables() -> dict[str, str | None]:
    """Variables that look like settings and are none, each with the setting that it resembles.

    Those of secrets are other ones, and so are those that Kubernetes sets for a service of the name `drio`.
    """
    known = {f"DRIO_{name.upper()}" for name in Settings.model_fields}
    unknown = [name for name in os.environ if name.upper().startswith("DRIO_") and name.upper() not in known]
    return {
        name: next(iter(get_close_matches(name.upper(), known, 1, RESEMBLANCE)), None)
        for name in sorted(unknown)
        if not name.startswith("DRIO_SECRET_") and not OF_KUBERNETES.fullmatch(name)
    }


def load_settings(**overrides: Any) -> Settings:
    """The settings from the environment, `overrides` first.

    Raises `StartupError` with one sentence that names the variable, the value's problem and a right example, also for
    a variable whose name is nearly that of a setting.
    """
    for name, meant in unknown_variables().items():
        if meant is not None:
            shown = name if LIKE_A_NAME.fullmatch(name) else "A variable"
            raise StartupError(f"{shown} is no setting of drio-mcp: {meant} is; rename it, or unset it")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        problem = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise StartupError(problem) from None
        name = str(first["loc"][0])
        example = EXAMPLES.get(name, "…")
        raise StartupError(
            f"DRIO_{name.upper()} is wrong: {problem[:1].lower()}{problem[1:]}; a right value is {example}"
        ) from None

"""The kinds of authorization a connection can have, and what each needs (contract section 3, `config.type`)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class ConfigType(StrEnum):
    """How calls through a connection are authorized."""

    OAUTH = "oauth"
    OAUTH_CLIENT_CREDENTIALS = "oauth_client_credentials"
    MCP_OAUTH = "mcp_oauth"
    API_KEY_HEADER = "api_key_header"
    API_KEY_QUERY = "api_key_query"
    BEARER = "bearer"
    BASIC = "basic"
    NONE = "none"
    OAUTH_JWT_BEARER = "oauth_jwt_bearer"
    GITHUB_APP = "github_app"
    AWS_SIGV4 = "aws_sigv4"
    OAUTH1 = "oauth1"


SELF_GRANTED = frozenset({ConfigType.OAUTH_CLIENT_CREDENTIALS, ConfigType.OAUTH_JWT_BEARER, ConfigType.GITHUB_APP})
"""The types whose tokens are granted to what the connection itself holds: no consent, and each grant is made anew."""
ASSERTED = frozenset({ConfigType.OAUTH_JWT_BEARER, ConfigType.GITHUB_APP})
"""Those among them that prove themselves by a JWT, signed with a private key."""
SIGNED = frozenset({ConfigType.AWS_SIGV4, ConfigType.OAUTH1})
"""The types that sign each call; what they sign with goes nowhere."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a type cannot work without, by the names of the model's fields.

    `credential` is the secret that `secretRef` may stand for. `asked` are the fields of the page on which a person
    enters it.
    """

    settings: tuple[str, ...] = ()
    credential: str | None = None
    is_secret_required: bool = False
    asked: tuple[str, ...] = ()
    further_credentials: tuple[str, ...] = ()
    """The other secrets that are needed: the second part of a key, a token beside its client."""
    optional: tuple[str, ...] = ()
    """What of `asked` may be left empty."""


CLIENT = ("client_id", "client_secret")
INITIAL_TOKEN = "registration_initial_access_token"  # noqa: S105
"""What some servers want to see before they register a client (RFC 7591 section 3)."""

NEEDS: Mapping[ConfigType, Needs] = {
    ConfigType.OAUTH: Needs(
        settings=("authorization_endpoint", "token_endpoint", "client_id"), credential="client_secret", asked=CLIENT
    ),
    ConfigType.OAUTH_CLIENT_CREDENTIALS: Needs(
        settings=("token_endpoint", "client_id"), credential="client_secret", is_secret_required=True, asked=CLIENT
    ),
    ConfigType.MCP_OAUTH: Needs(credential="client_secret"),
    ConfigType.API_KEY_HEADER: Needs(
        settings=("header_name",), credential="api_key", is_secret_required=True, asked=("api_key",)
    ),
    ConfigType.API_KEY_QUERY: Needs(
        settings=("query_param_name",), credential="api_key", is_secret_required=True, asked=("api_key",)
    ),
    ConfigType.BEARER: Needs(credential="access_token", is_secret_required=True, asked=("access_token",)),
    ConfigType.BASIC: Needs(
        settings=("username",), credential="password", is_secret_required=True, asked=("username", "password")
    ),
    ConfigType.NONE: Needs(),
    ConfigType.OAUTH_JWT_BEARER: Needs(
        settings=("token_endpoint", "client_id"),
        credential="private_key",
        is_secret_required=True,
        asked=("client_id", "private_key", "passphrase"),
        optional=("passphrase",),
    ),
    ConfigType.GITHUB_APP: Needs(
        settings=("client_id", "installation_id"),
        credential="private_key",
        is_secret_required=True,
        asked=("client_id", "installation_id", "private_key"),
    ),
    ConfigType.AWS_SIGV4: Needs(
        settings=("access_key_id", "region", "service"),
        credential="secret_access_key",
        is_secret_required=True,
        asked=("access_key_id", "secret_access_key", "session_token", "region", "service"),
        optional=("session_token",),
    ),
    ConfigType.OAUTH1: Needs(
        settings=("client_id",),
        credential="client_secret",
        is_secret_required=True,
        asked=("client_id", "client_secret", "access_token", "token_secret"),
        further_credentials=("access_token", "token_secret"),
    ),
}


def needs_of(config: Mapping[str, Any]) -> Needs:
    """What a connection with this configuration needs: its type's, by how its provider makes a credential of the parts.

    `key_parts` is what the catalog says of them, kept with the configuration from its beginning on.
    """
    kind = ConfigType(config["type"])
    needs, parts = NEEDS[kind], config.get("key_parts")
    if parts is None:
        return needs
    if kind is ConfigType.BASIC:
        texts = parts.get("username", "{username}") + parts.get("password", "{password}")
        asked = tuple(name for name in needs.asked if f"{{{name}}}" in texts)
        # a key that stands as user name may have been written there, as the protocol has it
        is_entered = "password" in asked and ("username" in asked or not config.get("username"))
        return replace(
            needs,
            settings=tuple(name for name in needs.settings if name in asked),
            asked=asked,
            is_secret_required=is_entered,
        )
    if kind in {ConfigType.API_KEY_HEADER, ConfigType.API_KEY_QUERY}:
        has_second = bool(parts.get("second_header_name") or parts.get("second_query_param_name"))
        return replace(
            needs,
            settings=() if "path_prefix" in parts else needs.settings,
            asked=(*needs.asked, "api_key_secret") if has_second else needs.asked,
            further_credentials=("api_key_secret",) if has_second else (),
        )
    if kind in ASSERTED:
        is_bearer = parts.get("is_bearer", False)
        return replace(
            needs,
            settings=tuple(name for name in needs.settings if not (is_bearer and name == "token_endpoint")),
            asked=tuple(parts.get("asked", needs.asked)),
            optional=tuple(parts.get("optional", needs.optional)),
            further_credentials=("client_secret",) if "client_secret" in parts.get("file", ()) else (),
        )
    return needs

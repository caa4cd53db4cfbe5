"""The settings of a connection as a form: which fields a type has, and what was typed as a merge patch.

Secrets are not among them: they are entered on their own page and never rendered.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.schemas import AuthConfig
from drio_mcp.errors import Problem, ValidationFailed
from drio_mcp.middleware.validation import problems_of
from drio_mcp.pages.forms import Form

MOST_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of the form; `attribute` is its name in `AuthConfig`, `name` in the form and in `config`."""

    attribute: str
    label: str
    hint: str = ""
    kind: Literal["text", "url", "list"] = "text"

    @property
    def name(self) -> str:
        return to_camel(self.attribute)

    def shown(self, config: AuthConfig) -> str:
        """The present value as text."""
        value = getattr(config, self.attribute)
        return "\n".join(value) if isinstance(value, tuple) else value or ""

    def read(self, text: str) -> str | list[str] | None:
        """What was typed as JSON has it; empty means not set. A prefix keeps the space that ends it."""
        if self.kind == "list":
            return text.replace(",", " ").split() or None
        return (text if self.attribute == "header_prefix" else text.strip()) or None


AUTHORIZATION = Setting("authorization_endpoint", "Authorization endpoint", "Where people allow the access.", "url")
TOKEN = Setting("token_endpoint", "Token endpoint", "Where tokens are issued and refreshed.", "url")
CLIENT_ID = Setting("client_id", "Client ID", "As the provider shows it where you registered your app.")
SCOPES = Setting("scopes", "Scopes", "One to a line, or with spaces between them.", "list")
AUDIENCE = Setting("audience", "Audience", "Only where the provider asks for one.")

ISSUER = Setting("client_id", "Issuer", "Whose key it is: the account or the client that the provider knows.")
SUBJECT = "On whose behalf; only where that is somebody else."
KEY_ID = Setting("key_id", "Key ID", "Only where the provider asks for one.")

BY_TYPE: Mapping[ConfigType, tuple[Setting, ...]] = {
    ConfigType.OAUTH: (AUTHORIZATION, TOKEN, CLIENT_ID, SCOPES, AUDIENCE),
    ConfigType.OAUTH_CLIENT_CREDENTIALS: (TOKEN, CLIENT_ID, SCOPES, AUDIENCE),
    ConfigType.MCP_OAUTH: (SCOPES,),
    ConfigType.API_KEY_HEADER: (
        Setting("header_name", "Header", "The header that carries the key, for example X-Api-Key."),
        Setting("header_prefix", "Before the key", "For example “Bearer ”, with the space; often nothing."),
    ),
    ConfigType.API_KEY_QUERY: (Setting("query_param_name", "Query parameter", "For example api_key."),),
    ConfigType.BEARER: (),
    ConfigType.BASIC: (Setting("username", "User name"),),
    ConfigType.NONE: (),
    ConfigType.OAUTH_JWT_BEARER: (TOKEN, ISSUER, Setting("subject", "Subject", SUBJECT), KEY_ID, SCOPES, AUDIENCE),
    ConfigType.GITHUB_APP: (
        Setting("client_id", "App ID or client ID", "As GitHub shows it on the app's page."),
        Setting("installation_id", "Installation ID", "The number at the end of the installation's address."),
    ),
    ConfigType.AWS_SIGV4: (
        Setting("access_key_id", "Access key ID"),
        Setting("region", "Region", "For which calls are signed, for example us-east-1."),
        Setting("service", "Service", "As AWS calls it in signatures, for example lambda."),
    ),
    ConfigType.OAUTH1: (
        Setting("client_id", "Consumer key"),
        Setting("realm", "Realm", "Only where the provider asks for one."),
    ),
}
EVERYWHERE = (
    Setting("api_base_url", "API address", "Where calls through this connection go.", "url"),
    Setting(
        "allowed_origins",
        "Where the secret may be sent",
        "Origins such as https://api.example.com, one to a line. Empty: those of the addresses above. Admitting "
        "another one forgets the stored secret.",
        "list",
    ),
)


def settings_of(kind: ConfigType) -> tuple[Setting, ...]:
    """The fields that a connection of this type has."""
    return (*BY_TYPE[kind], *EVERYWHERE)


def shown(config: AuthConfig) -> dict[str, str]:
    """The present settings as the form shows them."""
    return {each.name: each.shown(config) for each in settings_of(config.type)}


def typed_into(form: Form, kind: ConfigType) -> dict[str, str]:
    """What was typed, to be shown again."""
    names = ["name", *(each.name for each in settings_of(kind))]
    typed = {name: form[name][:MOST_CHARACTERS] for name in names}
    return typed | {"isDefault": "on" if "isDefault" in form else ""}


def config_of(form: Form, kind: ConfigType, before: AuthConfig | None = None) -> dict[str, Any]:
    """The part of `config` that a form says otherwise than `before`, as a merge patch (RFC 7396)."""
    config: dict[str, Any] = {}
    for each in settings_of(kind):
        text = form[each.name].replace("\r\n", "\n")
        if text != ("" if before is None else each.shown(before)):
            config[each.name] = each.read(text)
    if ("isDefault" in form) != bool(before and before.is_default):
        config["isDefault"] = "isDefault" in form
    return config


def fields_at_fault(error: ValidationError | ValidationFailed, *more: str) -> dict[str, str]:
    """The sentences by the name of the field that they are about; what has no field of its own stands under ``""``.

    `more` are fields of the form that are no settings.
    """
    known = {"name", *more, *(each.name for settings in BY_TYPE.values() for each in (*settings, *EVERYWHERE))}
    found: dict[str, str] = {}
    for problem in error.problems if isinstance(error, ValidationFailed) else problems_of(error):
        name = problem.path.removeprefix("config.").partition("[")[0]
        found.setdefault(name if name in known else "", _sentence(problem, name in known))
    return found


def _sentence(problem: Problem, is_beside: bool) -> str:
    words = problem.message.partition("; null ")[0]
    return f"This {words}" if is_beside else f"{problem.path}: {words}" if problem.path else words

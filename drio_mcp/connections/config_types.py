"""The kinds of authorization a connection can have, and what each needs (contract section 3, `config.type`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


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


CLIENT = ("client_id", "client_secret")

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
}

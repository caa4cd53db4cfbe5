"""What a connection still needs of its person: a click, values that only they should type, or both."""

from drio_mcp.connections.config_types import CLIENT, INITIAL_TOKEN, ConfigType, needs_of
from drio_mcp.connections.diagnosis_codes import CODES, NEXT_STEPS, Code, Remedy
from drio_mcp.connections.record.clients import CONSENTED, ClientInUse
from drio_mcp.connections.record.config_rules import named_as_needed, path_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.next_step import is_registrable
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import error_of, is_proven
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN

CLIENT_FAULTS = frozenset(
    {
        Code.CLIENT_UNKNOWN,
        Code.CLIENT_SECRET_WRONG,
        Code.CLIENT_SECRET_EXPIRED,
        Code.MISSING_CONFIGURATION,
        Code.ORIGIN_CHANGED,
        Code.SECRET_UNAVAILABLE,
    }
)
"""What is mended by another client id or secret."""


def asks_consent(connection: Connection) -> bool:
    """Whether the page leads on to the provider, for consent there."""
    return connection.config["type"] in CONSENTED and "authorization_endpoint" in connection.config


def fields_to_enter(connection: Connection) -> tuple[str, ...]:
    """The fields of the page. Where we have a client, or get one ourselves, none is asked for."""
    config, error = connection.config, error_of(connection)
    if not asks_consent(connection):
        return needs_of(config).asked
    is_ours_to_get = "registration_endpoint" in config and error is not Code.REGISTRATION_REFUSED
    if connection.client is not None and "client_id" not in config:
        return _of_client(connection.client, error, is_ours_to_get=is_ours_to_get)
    if "client_id" not in config:
        return CLIENT if not is_ours_to_get else (INITIAL_TOKEN,) if _wants_initial_token(connection) else ()
    has_secret = "client_secret" in connection.secrets or connection.row.secret_ref is not None
    is_open = error in CLIENT_FAULTS or (connection.row.status == Status.DRAFT and not has_secret)
    return CLIENT if is_open else ()


def _wants_initial_token(connection: Connection) -> bool:
    """Whether the server registers nobody without a token that its people hand out (RFC 7591 section 3)."""
    is_asked = connection.config.get("registration_auth_mode") == "initial_access_token"
    return is_asked and INITIAL_TOKEN not in connection.secrets


def _of_client(client: ClientInUse, error: Code | None, *, is_ours_to_get: bool) -> tuple[str, ...]:
    """What a page asks for about a provider client: nothing, unless it is the app's or ours and was refused."""
    if client.is_operators:
        return ()
    is_refused = error in CLIENT_FAULTS or client.row.last_error is not None
    return CLIENT if is_refused and (client.is_manual or not is_ours_to_get) else ()


def is_client_for_app(connection: Connection) -> bool:
    """Whether a client that is entered on the page is kept for the whole app, rather than for the connection."""
    return (
        "client_id" in fields_to_enter(connection) and asks_consent(connection) and "client_id" not in connection.config
    )


def needs_person(connection: Connection) -> bool:
    """Whether a link gets the connection further now."""
    status = connection.row.status
    if is_proven(connection) or status == Status.DISABLED or connection.config["type"] == ConfigType.NONE:
        return False
    if asks_consent(connection):
        return not (error_of(connection) is Code.UNSUPPORTED_AUTH and ACCESS_TOKEN in connection.secrets)
    return status != Status.PENDING and bool(fields_to_enter(connection)) and not is_discovery_failed(connection)


def is_mended_on_page(connection: Connection, code: Code, sentence: str) -> bool:
    """Whether the connection's page asks for what the code finds wrong; `sentence` names what is missing."""
    if CODES[code].remedy is Remedy.LINK:
        return True
    asked = {path_of(field) for field in fields_to_enter(connection)}
    if code is Code.MISSING_CONFIGURATION:
        named = named_as_needed(sentence)
        return bool(named) and named <= asked
    if code is Code.REGISTRATION_REFUSED:
        return path_of("client_id") in asked
    return code in CLIENT_FAULTS and not is_registrable(connection) and needs_person(connection)


def is_discovery_failed(connection: Connection) -> bool:
    """Whether it ended with its discovery, so that no click helps: only looking again, or entering it all by hand."""
    error = error_of(connection)
    return error in NEXT_STEPS and connection.row.status == Status.INVALID and not connection.secrets

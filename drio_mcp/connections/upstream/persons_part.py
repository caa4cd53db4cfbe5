"""What a connection still needs of its person: a click, values that only they should type, or both."""

from drio_mcp.connections.config_types import CLIENT, ConfigType, needs_of
from drio_mcp.connections.diagnosis_codes import NEXT_STEPS, Code
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.record.status import error_of, is_proven
from drio_mcp.connections.upstream.client_identity import is_document_of

CONSENTED = frozenset({ConfigType.OAUTH, ConfigType.MCP_OAUTH})
"""The types that a person allows at the provider."""
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


def leads_on(connection: Connection) -> bool:
    """Whether the page leads on to the provider, for consent there."""
    return connection.config["type"] in CONSENTED and "authorization_endpoint" in connection.config


def is_registered_by_us(connection: Connection) -> bool:
    """Whether the client is one that we registered dynamically, so that we can do it again."""
    return "last_registered_at" in connection.config and "registration_endpoint" in connection.config


def is_document_client(connection: Connection) -> bool:
    """Whether the client is named by the URL of our own metadata document."""
    return is_document_of(connection.config.get("client_id", ""), connection.id)


def fields_to_enter(connection: Connection) -> tuple[str, ...]:
    """The fields of the page. Where we have a client, or get one ourselves, none is asked for."""
    config, error = connection.config, error_of(connection)
    if not leads_on(connection):
        return needs_of(config).asked
    is_ours_to_get = "registration_endpoint" in config and error is not Code.REGISTRATION_REFUSED
    if "client_id" not in config:
        return () if is_ours_to_get else CLIENT
    if is_registered_by_us(connection) or is_document_client(connection):
        return () if is_ours_to_get or error not in CLIENT_FAULTS else CLIENT
    has_secret = "client_secret" in connection.secrets or connection.row.secret_ref is not None
    is_open = error in CLIENT_FAULTS or (connection.row.status == Status.DRAFT and not has_secret)
    return CLIENT if is_open else ()


def needs_person(connection: Connection) -> bool:
    """Whether a link gets the connection further now."""
    status = connection.row.status
    if is_proven(connection) or status == Status.DISABLED or connection.config["type"] == ConfigType.NONE:
        return False
    if leads_on(connection):
        return True
    return status != Status.PENDING and bool(fields_to_enter(connection)) and not is_lost(connection)


def is_lost(connection: Connection) -> bool:
    """Whether it ended with its discovery, so that no click helps: only looking again, or entering it all by hand."""
    error = error_of(connection)
    is_hopeless = error in NEXT_STEPS and error is not Code.UNSUPPORTED_AUTH
    return is_hopeless and connection.row.status == Status.INVALID and not connection.secrets

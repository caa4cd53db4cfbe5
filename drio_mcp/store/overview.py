"""The statements of what operators see of the whole server. No secrets, nothing that a connection can be used with."""

from dataclasses import dataclass

from drio_mcp.store.database import Query
from drio_mcp.store.users import COLUMNS as USER_COLUMNS
from drio_mcp.store.users import UserRow


@dataclass(frozen=True, slots=True)
class ConnectionCount:
    """How many connections there are of one status at one provider."""

    status: str
    provider_key: str
    count: int


@dataclass(frozen=True, slots=True)
class ConnectionSummary:
    """One connection: whose it is and how it is; `last_error` as it stands there, times in milliseconds."""

    id: str
    name: str
    last_error: str | None
    created_at: int
    updated_at: int
    app_name: str
    email: str


@dataclass(frozen=True, slots=True)
class GrantOfSomebody:
    """What somebody allowed a client; `client_id` is None for a token of their own."""

    id: str
    client_id: str | None
    client_name: str
    scopes: str
    created_at: int
    used_at: int | None
    expires_at: int
    user_id: str
    email: str


@dataclass(frozen=True, slots=True)
class DocumentSummary:
    """A client that is named by the URL of its document."""

    client_id: str
    fetched_at: int
    used_at: int
    failure: str | None


MOST_KINDS = 10_000

COUNT_CONNECTIONS = Query(
    f"""SELECT status, provider_key, count(*) FROM connections
        GROUP BY status, provider_key ORDER BY status, provider_key LIMIT {MOST_KINDS}""",  # noqa: S608
    ConnectionCount,
)
LIST_CONNECTIONS = Query(
    """SELECT c.id, c.name, c.last_error, c.created_at, c.updated_at, apps.name, users.email FROM connections c
       JOIN apps ON apps.id = c.app_id JOIN users ON users.id = apps.user_id
       WHERE c.status = :status AND c.provider_key = :provider_key AND (c.created_at, c.id) > (:created_at, :id)
       ORDER BY c.created_at, c.id LIMIT :limit""",
    ConnectionSummary,
)
LIST_PEOPLE = Query(
    f"""SELECT {USER_COLUMNS} FROM users WHERE (created_at, id) > (:created_at, :id)
        ORDER BY created_at, id LIMIT :limit""",  # noqa: S608
    UserRow,
)
FIND_PEOPLE = Query(
    f"""SELECT {USER_COLUMNS} FROM users WHERE email >= :prefix AND email < :beyond
        ORDER BY email LIMIT :limit""",  # noqa: S608
    UserRow,
)
LIST_GRANTS = Query(
    """SELECT g.id, g.client_id, g.client_name, g.scopes, g.created_at, g.used_at, g.expires_at, g.user_id, u.email
       FROM grants g JOIN users u ON u.id = g.user_id
       WHERE g.state = 'active' AND (g.created_at, g.id) < (:created_at, :id) AND g.expires_at > :now
       ORDER BY g.created_at DESC, g.id DESC LIMIT :limit""",
    GrantOfSomebody,
)
LIST_DOCUMENTS = Query(
    "SELECT client_id, fetched_at, used_at, failure FROM client_documents ORDER BY used_at DESC LIMIT :limit",
    DocumentSummary,
)
COUNT_CHECKS_DUE = Query("SELECT count(*) FROM validations WHERE due_at <= :now", int)
COUNT_CLIENTS_DUE = Query("SELECT count(*) FROM provider_clients WHERE due_at <= :now", int)
COUNT_REMOVALS_DUE = Query("SELECT count(*) FROM removals WHERE due_at <= :now", int)
COUNT_MESSAGES_DUE = Query("SELECT count(*) FROM outbox WHERE due_at <= :now", int)

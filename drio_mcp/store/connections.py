"""The statements of the table `connections`."""

from collections.abc import Sequence
from dataclasses import dataclass

from drio_mcp.store import upstreams, validations
from drio_mcp.store.database import ChangedRow, Query, Statement, Transaction, about_to_change, columns_of


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One auth connection; `config` is its JSON without secrets, `grants` a JSON array, `is_default` None until set.

    `use_rules` is the JSON of what clients of the app's MCP server may use.
    """

    id: str
    app_id: str
    key: str
    name: str
    provider_key: str
    status: str
    config: str
    is_default: int | None
    secret_ref: str | None
    grants: str
    last_validated_at: int | None
    last_error: str | None
    version: int
    created_at: int
    updated_at: int
    provider_client_id: str | None = None
    """The client that it uses; None while it has one of its own, or none yet."""
    has_own_callback: int = 0
    """1 where its redirect URI was made for it alone, before authorization servers had one each."""
    use_rules: str = "{}"


@dataclass(frozen=True, slots=True)
class Owner:
    """The app's owner, as far as a connection's rules ask."""

    user_id: str
    is_operator: int


@dataclass(frozen=True, slots=True)
class ShareRow:
    """Whose share work on a connection is of, and what tells the host that it will ask."""

    user_id: str
    config: str
    is_disabled: int


COLUMNS = (
    "id, app_id, key, name, provider_key, status, config, is_default, secret_ref, grants, last_validated_at, "
    "last_error, version, created_at, updated_at, provider_client_id, has_own_callback, use_rules"
)

FIND_OWNER = Query(
    """SELECT users.id, users.is_operator FROM apps JOIN users ON users.id = apps.user_id
       WHERE apps.id = :app_id AND apps.user_id = :user_id""",
    Owner,
)
HOLD_APP = Statement("UPDATE apps SET updated_at = updated_at WHERE id = :app_id")
FIND = Query(f"SELECT {COLUMNS} FROM connections WHERE app_id = :app_id AND id = :id", ConnectionRow)  # noqa: S608
FIND_BY_KEY = Query(
    f"SELECT {COLUMNS} FROM connections WHERE app_id = :app_id AND key = :key",  # noqa: S608
    ConnectionRow,
)
FIND_BY_ID = Query(f"SELECT {COLUMNS} FROM connections WHERE id = :id", ConnectionRow)  # noqa: S608
FIND_OWNED = Query(
    f"""SELECT {", ".join("connections." + name for name in COLUMNS.split(", "))}
        FROM connections JOIN apps ON apps.id = connections.app_id
        WHERE connections.id = :id AND apps.user_id = :user_id""",  # noqa: S608
    ConnectionRow,
)
LIST_OF_USER = Query(
    f"""SELECT {", ".join("connections." + name for name in COLUMNS.split(", "))}
        FROM apps JOIN connections ON connections.app_id = apps.id
        WHERE apps.user_id = :user_id
          AND (CAST(:status AS TEXT) IS NULL OR connections.status = :status)
          AND (CAST(:provider_key AS TEXT) IS NULL OR connections.provider_key = :provider_key)
        ORDER BY apps.created_at, apps.id, connections.created_at, connections.id LIMIT :limit""",  # noqa: S608
    ConnectionRow,
)
LIST = Query(
    f"""SELECT {COLUMNS} FROM connections
        WHERE app_id = :app_id AND (created_at, id) > (:after_created_at, :after_id)
          AND (CAST(:status AS TEXT) IS NULL OR status = :status)
          AND (CAST(:provider_key AS TEXT) IS NULL OR provider_key = :provider_key)
        ORDER BY created_at, id LIMIT :limit""",  # noqa: S608
    ConnectionRow,
)
COUNT = Query("SELECT count(*) FROM connections WHERE app_id = :app_id", int)
LIST_PROVIDERS = Query(
    "SELECT DISTINCT provider_key FROM connections WHERE app_id = :app_id ORDER BY provider_key", str
)
LIST_KEYS = Query(
    "SELECT key FROM connections WHERE app_id = :app_id AND key >= :slug AND key < :beyond ORDER BY key", str
)
INSERT = Statement(
    f"""INSERT INTO connections ({COLUMNS})
        VALUES ({", ".join(":" + name for name in COLUMNS.split(", "))})"""  # noqa: S608
)
UPDATE = Statement(
    """UPDATE connections SET name = :name, provider_key = :provider_key, status = :status, config = :config,
              is_default = :is_default, secret_ref = :secret_ref, grants = :grants,
              last_validated_at = :last_validated_at, last_error = :last_error, version = :version,
              updated_at = :updated_at, provider_client_id = :provider_client_id, use_rules = :use_rules
       WHERE id = :id AND version = :version - 1"""
)
UPDATE_STATE = Statement(
    """UPDATE connections SET grants = :grants, last_validated_at = :last_validated_at, last_error = :last_error,
              version = :version, updated_at = :updated_at
       WHERE id = :id AND version = :version - 1"""
)
"""The same where nothing else changes, which is what a job does each time: it names no column that an index holds, and
so writes none of them anew."""
_OF_STATE = frozenset({"grants", "last_validated_at", "last_error", "version", "updated_at"})
FIND_SHARE = Query(
    """SELECT apps.user_id, connections.config, users.is_disabled
       FROM connections JOIN apps ON apps.id = connections.app_id JOIN users ON users.id = apps.user_id
       WHERE connections.id = :id""",
    ShareRow,
)
CLEAR_DEFAULT = Query(
    """UPDATE connections SET is_default = 0, version = version + 1, updated_at = :now
       WHERE app_id = :app_id AND is_default = 1 AND id <> :id RETURNING id""",
    str,
)
DELETE = Query("DELETE FROM connections WHERE id = :id RETURNING discovery", lambda discovery: discovery)

KIND = "connections"
"""What the changes of connections are followed as."""


def hold_app(tx: Transaction, app_id: str) -> None:
    """Let nobody else decide about this app's connections until the transaction ends."""
    tx.run(HOLD_APP, app_id=app_id)


def find(tx: Transaction, app_id: str, id_or_key: str) -> ConnectionRow | None:
    """The app's connection of that id, or else of that key."""
    return tx.one(FIND, app_id=app_id, id=id_or_key) or tx.one(FIND_BY_KEY, app_id=app_id, key=id_or_key)


def list_after(
    tx: Transaction,
    app_id: str,
    after: tuple[int, str],
    limit: int,
    status: str | None = None,
    provider_key: str | None = None,
) -> list[ConnectionRow]:
    """Up to `limit` connections in the order they were made, from behind `after` (time of creation, id)."""
    return tx.all(
        LIST,
        app_id=app_id,
        after_created_at=after[0],
        after_id=after[1],
        limit=limit,
        status=status,
        provider_key=provider_key,
    )


def keys_like(tx: Transaction, app_id: str, slug: str) -> Sequence[str]:
    """The app's keys that begin with `slug`."""
    return tx.all(LIST_KEYS, app_id=app_id, slug=slug, beyond=slug + "\x7f")


def insert(tx: Transaction, row: ConnectionRow) -> None:
    """Add a connection; raises `UniqueViolation` when its key is taken."""
    about_to_change(tx, ChangedRow(KIND, row.id, row.app_id))
    tx.run(INSERT, **columns_of(row))
    validations.follow(tx, row.id, row.status, row.updated_at)


def update(tx: Transaction, row: ConnectionRow, before: ConnectionRow | None = None) -> bool:
    """Write what can change; False when another change came first. `row.version` is one more than the stored one.

    `before` is the row as it was read, where that is at hand.
    """
    about_to_change(tx, ChangedRow(KIND, row.id, row.app_id))
    if before is not None and _differs_in_state_alone(before, row):
        return tx.run(UPDATE_STATE, id=row.id, **{name: getattr(row, name) for name in _OF_STATE}) == 1
    is_changed = (
        tx.run(
            UPDATE,
            id=row.id,
            name=row.name,
            provider_key=row.provider_key,
            status=row.status,
            config=row.config,
            is_default=row.is_default,
            secret_ref=row.secret_ref,
            grants=row.grants,
            last_validated_at=row.last_validated_at,
            last_error=row.last_error,
            version=row.version,
            updated_at=row.updated_at,
            provider_client_id=row.provider_client_id,
            use_rules=row.use_rules,
        )
        == 1
    )
    if is_changed:
        validations.follow(tx, row.id, row.status, row.updated_at)
    return is_changed


def _differs_in_state_alone(before: ConnectionRow, row: ConnectionRow) -> bool:
    return all(getattr(before, name) == getattr(row, name) for name in ConnectionRow.__slots__ if name not in _OF_STATE)


def delete(tx: Transaction, row: ConnectionRow) -> None:
    """Delete the connection with everything that belongs to it."""
    about_to_change(tx, ChangedRow(KIND, row.id, row.app_id))
    discovery = tx.one(DELETE, id=row.id)
    if discovery is not None:
        upstreams.forget(tx, discovery)

"""The statements of the table `token_sets`: the life of upstream tokens, and who may renew them.

A refresher takes the lease, which raises `lease_fence`; only the holder of the present fence may store an answer for
the generation it began with. A lease that has run out is taken by the next, and its former holder is fenced out.
"""

from dataclasses import asdict, dataclass

from drio_mcp.store.database import Query, Statement, Transaction


@dataclass(frozen=True, slots=True)
class TokenSetRow:
    """Times are milliseconds; `scopes` is a JSON array, or None where the provider did not say."""

    connection_id: str
    generation: int
    token_type: str
    scopes: str | None
    obtained_at: int
    expires_at: int | None
    is_renewable: int
    due_at: int | None
    failures: int
    lease_fence: int
    lease_until: int | None
    attempted_at: int | None


COLUMNS = (
    "connection_id, generation, token_type, scopes, obtained_at, expires_at, is_renewable, due_at, failures, "
    "lease_fence, lease_until, attempted_at"
)

FIND = Query(f"SELECT {COLUMNS} FROM token_sets WHERE connection_id = :connection_id", TokenSetRow)  # noqa: S608
CLAIM_DUE = Query(
    """UPDATE token_sets SET due_at = :until
       WHERE connection_id IN (SELECT connection_id FROM token_sets WHERE due_at <= :now ORDER BY due_at LIMIT :limit)
         AND due_at <= :now
       RETURNING connection_id""",
    str,
)
"""Takes what is due and moves it on in one statement: who claims at the same moment finds it not due any more."""
COUNT_DUE = Query("SELECT count(*) FROM token_sets WHERE due_at <= :now", int)
PUT = Statement(
    f"""INSERT INTO token_sets ({COLUMNS})
        VALUES (:connection_id, 1, :token_type, :scopes, :obtained_at, :expires_at, :is_renewable, :due_at, 0, 0,
                NULL, NULL)
        ON CONFLICT (connection_id) DO UPDATE SET generation = token_sets.generation + 1,
            token_type = excluded.token_type, scopes = excluded.scopes, obtained_at = excluded.obtained_at,
            expires_at = excluded.expires_at, is_renewable = excluded.is_renewable, due_at = excluded.due_at,
            failures = 0, lease_fence = token_sets.lease_fence + 1, lease_until = NULL, attempted_at = NULL"""  # noqa: S608
)
TAKE_LEASE = Query(
    """UPDATE token_sets SET lease_fence = lease_fence + 1, lease_until = :until, attempted_at = :now
       WHERE connection_id = :connection_id AND (lease_until IS NULL OR lease_until <= :now)
       RETURNING lease_fence""",
    int,
)
RENEW = Statement(
    """UPDATE token_sets SET generation = generation + 1, token_type = :token_type, scopes = :scopes,
              obtained_at = :obtained_at, expires_at = :expires_at, is_renewable = :is_renewable, due_at = :due_at,
              failures = 0, lease_until = NULL, attempted_at = NULL
       WHERE connection_id = :connection_id AND generation = :generation
         AND (lease_fence = :fence OR lease_until IS NULL)"""
)
GIVE_UP = Statement(
    """UPDATE token_sets SET failures = failures + 1, due_at = :due_at, is_renewable = :is_renewable,
              lease_until = NULL, attempted_at = NULL
       WHERE connection_id = :connection_id AND generation = :generation AND lease_fence = :fence"""
)
RELEASE = Statement(
    """UPDATE token_sets SET lease_until = NULL, attempted_at = NULL
       WHERE connection_id = :connection_id AND generation = :generation AND lease_fence = :fence"""
)
"""Gives a lease back under which nothing was sent."""
FORGET_DUE = Statement("UPDATE token_sets SET due_at = NULL WHERE connection_id = :connection_id")
POSTPONE = Statement(
    "UPDATE token_sets SET due_at = :due_at WHERE connection_id = :connection_id AND due_at IS NOT NULL"
)
WAKE = Statement("UPDATE token_sets SET due_at = :now, failures = 0 WHERE connection_id = :connection_id")
"""What it waited for has come: the next refresh may be now."""
REMOVE = Statement("DELETE FROM token_sets WHERE connection_id = :connection_id")


@dataclass(frozen=True, slots=True)
class Renewed:
    """What an answer changes of the row."""

    token_type: str
    scopes: str | None
    obtained_at: int
    expires_at: int | None
    is_renewable: int
    due_at: int | None


def put(tx: Transaction, connection_id: str, renewed: Renewed) -> None:
    """A first set, or one of a new consent: whoever still renews the former one is fenced out."""
    tx.run(PUT, connection_id=connection_id, **asdict(renewed))


def renew(tx: Transaction, connection_id: str, generation: int, fence: int, renewed: Renewed) -> bool:
    """Store the answer to a refresh of `generation`; False when somebody else holds the lease or was faster."""
    return tx.run(RENEW, connection_id=connection_id, generation=generation, fence=fence, **asdict(renewed)) == 1

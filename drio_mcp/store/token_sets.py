"""The statements of the table `token_sets`: the life of upstream tokens, and who may refresh them.

A set is what one consent gave. It has an identity (`set_id`), and generations: each refresh makes the next one. Whoever
refreshes takes the lease, which raises `lease_fence` and notes when (`attempted_at`) and by which process (`lease_by`);
only the holder of the present fence may store an answer, and only for the set and the generation that it began with.
A lease is taken over by who knows that the one with that fence has ended; `lease_until` says when that was expected.
`blocked_until` is the time before which nobody asks the token endpoint, with the reason beside it.
"""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction, columns_of

FOREVER = 2**62
"""`blocked_until` of a grant that was refused: nothing but a new set ends that."""


@dataclass(frozen=True, slots=True)
class TokenSetRow:
    """Times are milliseconds; `scopes` is a JSON array, or None where the provider did not say.

    `refresh_expires_at` is when the refresh token lapses unless it is used, `grant_ends_at` when it does in any case.
    """

    connection_id: str
    set_id: str
    generation: int
    token_type: str
    scopes: str | None
    obtained_at: int
    expires_at: int | None
    refresh_expires_at: int | None
    grant_ends_at: int | None
    is_refreshable: int
    due_at: int | None
    failures: int
    blocked_until: int | None
    fault_code: str | None
    fault_sentence: str | None
    lease_fence: int
    lease_until: int | None
    lease_by: str | None
    attempted_at: int | None


COLUMNS = (
    "connection_id, set_id, generation, token_type, scopes, obtained_at, expires_at, refresh_expires_at, "
    "grant_ends_at, is_refreshable, due_at, failures, blocked_until, fault_code, fault_sentence, "
    "lease_fence, lease_until, lease_by, attempted_at"
)
_FREE = "lease_until = NULL, lease_by = NULL, attempted_at = NULL"
_NO_FAULT = "failures = 0, blocked_until = NULL, fault_code = NULL, fault_sentence = NULL"

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
        VALUES (:connection_id, :set_id, 1, :token_type, :scopes, :obtained_at, :expires_at, :refresh_expires_at,
                :grant_ends_at, :is_refreshable, :due_at, 0, NULL, NULL, NULL, 0, NULL, NULL, NULL)
        ON CONFLICT (connection_id) DO UPDATE SET set_id = excluded.set_id, generation = token_sets.generation + 1,
            token_type = excluded.token_type, scopes = excluded.scopes, obtained_at = excluded.obtained_at,
            expires_at = excluded.expires_at, refresh_expires_at = excluded.refresh_expires_at,
            grant_ends_at = excluded.grant_ends_at, is_refreshable = excluded.is_refreshable, due_at = excluded.due_at,
            lease_fence = token_sets.lease_fence + 1, {_NO_FAULT}, {_FREE}"""  # noqa: S608
)
TAKE_LEASE = Query(
    """UPDATE token_sets SET lease_fence = lease_fence + 1, lease_until = :until, lease_by = :by, attempted_at = :now
       WHERE connection_id = :connection_id
         AND (lease_until IS NULL OR lease_by = :retaken_by OR (set_id = :ended_set AND lease_fence = :ended_fence))
       RETURNING lease_fence""",
    int,
)
REFRESH = Statement(
    f"""UPDATE token_sets SET generation = generation + 1, token_type = :token_type, scopes = :scopes,
              obtained_at = :obtained_at, expires_at = :expires_at, refresh_expires_at = :refresh_expires_at,
              grant_ends_at = :grant_ends_at, is_refreshable = :is_refreshable, due_at = :due_at, {_NO_FAULT}, {_FREE}
       WHERE connection_id = :connection_id AND set_id = :set_id AND generation = :generation
         AND (lease_fence = :fence OR lease_until IS NULL)"""  # noqa: S608
)
GIVE_UP = Statement(
    """UPDATE token_sets SET failures = failures + 1, due_at = :due_at, blocked_until = :blocked_until,
              fault_code = :fault_code, fault_sentence = :fault_sentence, lease_until = NULL, lease_by = NULL,
              attempted_at = :now
       WHERE connection_id = :connection_id AND set_id = :set_id AND generation = :generation
         AND lease_fence = :fence"""
)
"""`attempted_at` stays: how long a block was meant to last can be told from it once the clock has been set back."""
RELEASE = Statement(
    f"""UPDATE token_sets SET {_FREE}
        WHERE connection_id = :connection_id AND set_id = :set_id AND lease_fence = :fence"""  # noqa: S608
)
UNBLOCK = Statement(
    f"""UPDATE token_sets
       SET due_at = CASE WHEN is_refreshable = 1 AND fault_code IS NOT NULL THEN :now ELSE due_at END,
           {_NO_FAULT}
       WHERE connection_id = :connection_id AND (blocked_until IS NULL OR blocked_until < {FOREVER})"""  # noqa: S608
)
MOVE_BACK = Statement(
    f"""UPDATE token_sets SET attempted_at = :now, lease_until = lease_until - attempted_at + :now,
              blocked_until = CASE WHEN blocked_until < {FOREVER}
                              THEN blocked_until - attempted_at + :now ELSE blocked_until END
       WHERE connection_id = :connection_id AND attempted_at > :now"""  # noqa: S608
)
"""The clock was set back: what was to last a minute from then lasts a minute from now."""
FORGET_DUE = Statement("UPDATE token_sets SET due_at = NULL WHERE connection_id = :connection_id")
POSTPONE = Statement(
    "UPDATE token_sets SET due_at = :due_at WHERE connection_id = :connection_id AND due_at IS NOT NULL"
)
WAKE = Statement(f"UPDATE token_sets SET due_at = :now, {_NO_FAULT} WHERE connection_id = :connection_id")  # noqa: S608
"""What it waited for has come: the next refresh may be now."""
REMOVE = Statement("DELETE FROM token_sets WHERE connection_id = :connection_id")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What an answer changes of the row."""

    token_type: str
    scopes: str | None
    obtained_at: int
    expires_at: int | None
    refresh_expires_at: int | None
    is_refreshable: int
    due_at: int | None
    grant_ends_at: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease: the set and the generation that are being refreshed, and the fence that the lease was given."""

    set_id: str
    generation: int
    fence: int


def put(tx: Transaction, connection_id: str, set_id: str, refreshed: Refreshed) -> None:
    """The set of a new consent, in place of a former one: whoever still refreshes that is fenced out."""
    tx.run(PUT, connection_id=connection_id, set_id=set_id, **columns_of(refreshed))


def refresh(tx: Transaction, connection_id: str, held: Lease, refreshed: Refreshed) -> bool:
    """Store the answer to a refresh; False when somebody else holds the lease, was faster, or the set is gone."""
    return tx.run(REFRESH, connection_id=connection_id, **columns_of(held), **columns_of(refreshed)) == 1


def release(tx: Transaction, connection_id: str, held: Lease) -> None:
    """Give the lease back."""
    tx.run(RELEASE, connection_id=connection_id, set_id=held.set_id, fence=held.fence)


def is_over(tx: Transaction, connection_id: str, set_id: str) -> bool:
    """Whether the connection's set was ended: by another consent, or with its connection."""
    row = tx.one(FIND, connection_id=connection_id)
    return row is None or row.set_id != set_id

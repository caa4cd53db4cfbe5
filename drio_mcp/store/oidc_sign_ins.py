"""The statements of the table `upstream_sign_ins`, and those of `users` that an upstream identity needs."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of
from drio_mcp.store.users import COLUMNS, UserRow


@dataclass(frozen=True, slots=True)
class OidcSignInRow:
    """A sign-in that waits for its return; `max_age` is in seconds."""

    return_to: str
    max_age: int | None


INSERT = Statement(
    """INSERT INTO upstream_sign_ins (state_hash, binding_hash, return_to, max_age, started_at, expires_at)
       VALUES (:state_hash, :binding_hash, :return_to, :max_age, :now, :expires_at)"""
)
CONSUME = Query(
    """DELETE FROM upstream_sign_ins
       WHERE state_hash = :state_hash AND binding_hash = :binding_hash AND expires_at > :now
       RETURNING return_to, max_age""",
    OidcSignInRow,
)
DELETE_EXPIRED = sweep_of("upstream_sign_ins", "state_hash", "expires_at <= :now")

FIND_USER = Query(
    f"SELECT {COLUMNS} FROM users WHERE issuer = :issuer AND subject = :subject",  # noqa: S608
    UserRow,
)
UPDATE_PROFILE = Statement("UPDATE users SET name = :name, image = :image WHERE id = :id")
UPDATE_EMAIL = Statement(
    """UPDATE users SET email = :email, is_email_verified = :is_email_verified
       WHERE id = :id AND NOT EXISTS (SELECT 1 FROM users other WHERE other.email = :email AND other.id <> :id)"""
)

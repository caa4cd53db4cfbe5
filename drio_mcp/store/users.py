"""The statements of the table `users`."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement, Transaction


@dataclass(frozen=True, slots=True)
class UserRow:
    """One person; `password_hash` is None for those who sign in elsewhere."""

    id: str
    email: str
    name: str
    image: str | None
    password_hash: str | None
    issuer: str | None
    subject: str | None
    is_operator: int
    is_disabled: int
    created_at: int
    signed_in_at: int | None
    is_self_registered: int = 0
    """Whether nobody but themselves vouches for the address."""
    is_email_verified: int = 0
    """Whether an OpenID provider has verified the address."""
    is_operator_by_claim: int = 0
    """Whether a claim of the OpenID provider made an operator of them, so that its absence ends it."""


COLUMNS = (
    "id, email, name, image, password_hash, issuer, subject, is_operator, is_disabled, created_at, signed_in_at, "
    "is_self_registered, is_email_verified, is_operator_by_claim"
)

FIND = Query(f"SELECT {COLUMNS} FROM users WHERE id = :id", UserRow)  # noqa: S608
FIND_BY_EMAIL = Query(f"SELECT {COLUMNS} FROM users WHERE email = :email", UserRow)  # noqa: S608
LIST = Query(f"SELECT {COLUMNS} FROM users ORDER BY created_at, id", UserRow)  # noqa: S608
FIRST = Query("SELECT id FROM users ORDER BY created_at, id LIMIT 1", str)
INSERT = Statement(
    """INSERT INTO users (id, email, name, image, password_hash, issuer, subject, is_operator, is_disabled,
                          created_at, signed_in_at, is_self_registered, is_email_verified, is_operator_by_claim)
       VALUES (:id, :email, :name, :image, :password_hash, :issuer, :subject, :is_operator, 0, :created_at, NULL,
               :is_self_registered, :is_email_verified, :is_operator_by_claim)"""
)
RECORD_SIGN_IN = Statement("UPDATE users SET signed_in_at = :now WHERE id = :id AND is_disabled = 0")
REHASH = Statement("UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :old")
SET_PASSWORD = Statement("UPDATE users SET password_hash = :password_hash WHERE id = :id")
SET_NAME = Statement("UPDATE users SET name = :name WHERE id = :id")
SET_DISABLED = Statement("UPDATE users SET is_disabled = :is_disabled WHERE id = :id")
SET_OPERATOR = Statement(
    "UPDATE users SET is_operator = :is_operator, is_operator_by_claim = :is_operator_by_claim WHERE id = :id"
)
JOIN = Statement(
    """UPDATE users SET issuer = :issuer, subject = :subject, is_email_verified = 1
       WHERE id = :id AND issuer IS NULL AND subject IS NULL"""
)
"""An account that was made before single sign-on begins to be that of an upstream identity, once."""
DROP_PASSWORD = Statement("UPDATE users SET password_hash = NULL WHERE id = :id")
DELETE = Statement("DELETE FROM users WHERE id = :id")


def insert(tx: Transaction, user: UserRow) -> None:
    """Add a person; raises `UniqueViolation` when the e-mail address or the upstream identity is taken."""
    tx.run(
        INSERT,
        id=user.id,
        email=user.email,
        name=user.name,
        image=user.image,
        password_hash=user.password_hash,
        issuer=user.issuer,
        subject=user.subject,
        is_operator=user.is_operator,
        created_at=user.created_at,
        is_self_registered=user.is_self_registered,
        is_email_verified=user.is_email_verified,
        is_operator_by_claim=user.is_operator_by_claim,
    )

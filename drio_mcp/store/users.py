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


COLUMNS = "id, email, name, image, password_hash, issuer, subject, is_operator, is_disabled, created_at, signed_in_at"

FIND = Query(f"SELECT {COLUMNS} FROM users WHERE id = :id", UserRow)  # noqa: S608
FIND_BY_EMAIL = Query(f"SELECT {COLUMNS} FROM users WHERE email = :email", UserRow)  # noqa: S608
LIST = Query(f"SELECT {COLUMNS} FROM users ORDER BY created_at, id", UserRow)  # noqa: S608
FIRST = Query("SELECT id FROM users ORDER BY created_at, id LIMIT 1", str)
INSERT = Statement(
    """INSERT INTO users (id, email, name, image, password_hash, issuer, subject, is_operator, is_disabled,
                          created_at, signed_in_at)
       VALUES (:id, :email, :name, :image, :password_hash, :issuer, :subject, :is_operator, 0, :created_at, NULL)"""
)
RECORD_SIGN_IN = Statement("UPDATE users SET signed_in_at = :now WHERE id = :id AND is_disabled = 0")
REHASH = Statement("UPDATE users SET password_hash = :new WHERE id = :id AND password_hash = :old")
SET_PASSWORD = Statement("UPDATE users SET password_hash = :password_hash WHERE id = :id")
SET_NAME = Statement("UPDATE users SET name = :name WHERE id = :id")
SET_DISABLED = Query("UPDATE users SET is_disabled = :is_disabled WHERE email = :email RETURNING id", str)


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
    )

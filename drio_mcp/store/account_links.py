"""The statements of the table `account_links`: invitations and password resets, each good for one use."""

from dataclasses import dataclass

from drio_mcp.store.database import Query, Statement
from drio_mcp.store.sweeping import sweep_of


@dataclass(frozen=True, slots=True)
class AccountLinkRow:
    """What a link is for: an invitation names no user yet, a reset names one."""

    kind: str
    user_id: str | None
    email: str | None
    is_operator: int
    made_by: str | None
    """The operator; None for the command line."""


COLUMNS = "kind, user_id, email, is_operator, made_by"

INSERT = Statement(
    f"""INSERT INTO account_links (token_hash, {COLUMNS}, created_at, expires_at)
        VALUES (:token_hash, :kind, :user_id, :email, :is_operator, :made_by, :now, :expires_at)"""  # noqa: S608
)
FIND = Query(
    f"""SELECT {COLUMNS} FROM account_links
        WHERE token_hash = :token_hash AND kind = :kind AND expires_at > :now""",  # noqa: S608
    AccountLinkRow,
)
CONSUME = Query(
    f"""DELETE FROM account_links WHERE token_hash = :token_hash AND kind = :kind AND expires_at > :now
        RETURNING {COLUMNS}""",  # noqa: S608
    AccountLinkRow,
)
DELETE_OF_USER = Statement("DELETE FROM account_links WHERE user_id = :user_id")
DELETE_MADE_BY = Statement("DELETE FROM account_links WHERE made_by = :user_id")
DELETE_EXPIRED = sweep_of("account_links", "token_hash", "expires_at <= :now")

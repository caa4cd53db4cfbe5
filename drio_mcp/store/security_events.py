"""The statements of the table `security_events`: sign-ins, consents, revocations and reuse, for the audit log.

They are written in the transaction of the deed. Ids and an address are all that they hold: nothing that was submitted.
"""

import uuid
from dataclasses import dataclass
from enum import StrEnum

from drio_mcp.clock import DAY
from drio_mcp.store.database import Query, Statement, Transaction
from drio_mcp.store.sweeping import sweep_of

KEPT_MS = 400 * DAY
"""A year, and time to export it."""


class SecurityEvent(StrEnum):
    """What is noted."""

    ACCOUNT_CREATED = "account_created"
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_ENABLED = "account_enabled"
    ACCOUNT_RENAMED = "account_renamed"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_JOINED = "account_joined"
    OPERATOR_GRANTED = "operator_granted"
    OPERATOR_WITHDRAWN = "operator_withdrawn"
    OPERATOR_LOOKED = "operator_looked"
    INVITATION_MADE = "invitation_made"
    RESET_LINK_MADE = "reset_link_made"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SESSION_REVOKED = "session_revoked"
    CONSENT_GIVEN = "consent_given"
    CONSENT_DENIED = "consent_denied"
    TOKEN_CREATED = "token_created"  # noqa: S105
    GRANT_REVOKED = "grant_revoked"
    CLIENT_REVOKED = "client_revoked"
    REUSE_DETECTED = "reuse_detected"
    PROVIDER_CLIENT_CREATED = "provider_client_created"
    PROVIDER_CLIENT_CHANGED = "provider_client_changed"
    PROVIDER_CLIENT_DELETED = "provider_client_deleted"


@dataclass(frozen=True, slots=True)
class SecurityEventRow:
    """One event; `at` in milliseconds."""

    id: str
    at: int
    event: str
    user_id: str | None
    client_id: str | None
    grant_id: str | None
    address: str | None
    detail: str | None


COLUMNS = "id, at, event, user_id, client_id, grant_id, address, detail"

INSERT = Statement(
    f"""INSERT INTO security_events ({COLUMNS})
        VALUES (:id, :at, :event, :user_id, :client_id, :grant_id, :address, :detail)"""  # noqa: S608
)
LIST_AFTER = Query(
    f"""SELECT {COLUMNS} FROM security_events
        WHERE at > :at OR (at = :at AND id > :id) ORDER BY at, id LIMIT :limit""",  # noqa: S608
    SecurityEventRow,
)
DELETE_ANONYMOUS = sweep_of("security_events", "id", "user_id IS NULL AND event = 'sign_in_failed' AND at <= :before")
"""What strangers tried on nobody's account; an index holds those alone."""
DELETE_OLD = sweep_of("security_events", "id", "at <= :before")


def record(
    tx: Transaction,
    event: SecurityEvent,
    now: int,
    *,
    user_id: str | None = None,
    client_id: str | None = None,
    grant_id: str | None = None,
    address: str | None = None,
    detail: str | None = None,
) -> None:
    """Note what happened. The id only tells apart what happened in one millisecond; nothing rests on it."""
    tx.run(
        INSERT,
        id=uuid.uuid4().hex,
        at=now,
        event=event,
        user_id=user_id,
        client_id=client_id,
        grant_id=grant_id,
        address=address,
        detail=detail,
    )

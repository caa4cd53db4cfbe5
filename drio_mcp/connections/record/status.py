"""The one place that decides a connection's status. Everything here is a pure function; `repository` stores it.

The states (contract section 3) and what leads from one to another:

- `draft`: something that its type needs is missing, or was voided. With all of it there, while the person's consent is
  to come or the first check, it is `pending`.
- `valid`: evidence says that it works: tokens that a provider has just issued, or a check. `expiring`: it works, and
  ends soon unless a person acts. `degraded`: it works in part, or its provider has trouble that passes.
- `needs_reauth`: the person must allow it anew. `invalid`: somebody must mend its settings, its client or its secret.
- `disabled`: switched off; nothing but its owner leads out of it.

What passes (`CODES[code].passes`) never ends a connection, and what is proven to work is not ended by an attempt at
something else.
"""

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import CODES, Code, last_error
from drio_mcp.connections.record.config_rules import STILL_NEEDED, missing, named_as_needed, path_of, still_needed
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.schemas import SECRET_FIELDS, Status

WORKING = frozenset({Status.VALID, Status.EXPIRING, Status.DEGRADED})
PERSON_MUST_ALLOW = frozenset({Code.CONSENT_DENIED, Code.CONSENT_EXPIRED, Code.REAUTHORIZATION_REQUIRED})
BROKEN_GRANT = frozenset({Code.REAUTHORIZATION_REQUIRED, Code.TOKEN_EXPIRED})
WAITING = frozenset({Code.AWAITING_CONSENT, Code.CONSENT_DENIED, Code.CONSENT_EXPIRED})
NO_OAUTH_ERROR = frozenset({Code.REDIRECT_REFUSED, Code.PERMISSION_DENIED, Code.RESPONSE_TOO_LARGE})
"""A firewall's page, a redirect, an answer without end: from a token endpoint they pass like an outage."""
WORKS_PARTLY = frozenset({Code.SCOPE_MISSING, Code.PERMISSION_DENIED})
MENDED_BY_ENTRY = (Code.ORIGIN_CHANGED, Code.MISSING_CONFIGURATION, Code.SECRET_UNAVAILABLE)
"""What is over once the missing secret is there."""


def error_of(connection: Connection) -> Code | None:
    """The code of `lastError`."""
    text = connection.row.last_error
    return None if text is None else Code(text.partition(":")[0])


def is_proven(connection: Connection) -> bool:
    """Whether it works by evidence; a client may also have written `valid`, which proves nothing."""
    return connection.row.status in WORKING and connection.row.last_validated_at is not None


def unless_disabled(connection: Connection, status: Status) -> Status:
    """`status`, which nothing but its owner brings upon a disabled connection."""
    return Status.DISABLED if connection.row.status == Status.DISABLED else status


def at_start(problem: Code | None, kind: ConfigType, *, has_client: bool, can_be_entered: bool) -> Status:
    """Where a connection stands that discovery has just made."""
    if problem is not None:
        return Status.DRAFT if can_be_entered else Status.INVALID
    if kind is ConfigType.NONE:
        return Status.VALID  # it has just answered without a credential
    return Status.PENDING if has_client else Status.DRAFT


def after_attempt(code: Code, before: Status) -> Status:
    """After a consent or a registration that failed."""
    if code in PERSON_MUST_ALLOW:
        return Status.NEEDS_REAUTH
    return before if CODES[code].passes else Status.INVALID


def after_refusal(code: Code, before: Status) -> Status:
    """After a refresh that the token endpoint refused, or did not answer."""
    if before is Status.DISABLED:
        return before
    if code in BROKEN_GRANT:
        return Status.NEEDS_REAUTH
    return Status.DEGRADED if passes_at_refresh(code) else Status.INVALID


def passes_at_refresh(code: Code) -> bool:
    """Whether asking again may help: what is no OAuth error says nothing about the grant or our client."""
    return CODES[code].passes or code in NO_OAUTH_ERROR


def after_check(code: Code, before: Status) -> Status:
    """After a check that ended in `code`, which is not `ok`."""
    if code in WAITING:
        return Status.NEEDS_REAUTH if before in WORKING else before
    if code in {Code.MISSING_CONFIGURATION, Code.ORIGIN_CHANGED}:
        return Status.DRAFT
    if code in WORKS_PARTLY:
        return Status.DEGRADED
    if CODES[code].passes and before not in WORKING:
        return before  # an outage mends nothing and breaks nothing
    return after_refusal(code, before)


def after_change(
    before: Connection, after: Connection, wanted: Status | None, *, is_voided: bool, has_new_secret: bool
) -> tuple[Status, str | None]:
    """Status and `lastError` once its settings were changed; `wanted` is the status that the client wrote."""
    status, error = Status(after.row.status), after.row.last_error
    if wanted is not None and wanted != status:
        status, error = wanted, None
    if is_voided:
        return status if status is Status.DISABLED else Status.DRAFT, last_error(Code.ORIGIN_CHANGED)
    if status is Status.VALID and (blocking := _blocking(before, after, is_claimed=wanted is Status.VALID)):
        return Status.DRAFT, last_error(Code.MISSING_CONFIGURATION, still_needed(*blocking))
    error = _still_true(error, after)
    is_refused = error is not None and error.partition(":")[0] == Code.REGISTRATION_REFUSED
    if is_refused and "client_id" in after.config and not lacking(after):
        return unless_disabled(after, Status.PENDING), None
    if error is not None and has_new_secret and not lacking(after) and error.partition(":")[0] in MENDED_BY_ENTRY:
        return status, None
    return status, error


def _still_true(error: str | None, after: Connection) -> str | None:
    """What `lastError` says is needed, without what has been given since."""
    code, _, sentence = (error or "").partition(": ")
    named = named_as_needed(sentence) if code == Code.MISSING_CONFIGURATION else frozenset()
    given = {path_of(field) for field in (*after.config_in_use, *after.secrets)}
    if not named & given:
        return error
    left = ", ".join(sorted(named - given))
    return last_error(Code.MISSING_CONFIGURATION, STILL_NEEDED + left) if left else None


def after_entry(after: Connection) -> tuple[Status, str | None]:
    """The same once a person entered the secret on a page: with all that is needed it waits for its proof."""
    if lacking(after):
        return Status(after.row.status), after.row.last_error
    return unless_disabled(after, Status.PENDING), None


def lacking(connection: Connection) -> list[str]:
    """The fields without which it cannot work."""
    return missing(connection.config_in_use, connection.secrets, connection.row.secret_ref is not None)


def _blocking(before: Connection, after: Connection, *, is_claimed: bool) -> list[str]:
    """What keeps a connection from being valid: a secret that is missing, or a setting that this change took away."""
    lacked = lacking(after if is_claimed else before)
    return [name for name in lacking(after) if name in SECRET_FIELDS or name not in lacked]

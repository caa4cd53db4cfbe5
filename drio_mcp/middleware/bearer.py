"""Who is calling: the bearer token of RFC 6750 section 2.1, from the Authorization header and nowhere else."""

from drio_mcp.errors import Forbidden, Unauthorized
from drio_mcp.models import DEFAULT_SCOPES, Principal, reach

FULL_ACCESS = " ".join(DEFAULT_SCOPES)
"""What a call needs that no narrower scope covers."""


def bearer_token(headers: list[tuple[bytes, bytes]]) -> str | None:
    """The presented token, or None. Raises `Unauthorized` for two Authorization headers or an unreadable one."""
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        return None
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    token = token.strip()
    if len(values) > 1 or not token or not token.isascii():
        raise Unauthorized(token_sent=True)
    return token.decode("ascii")


def require_scope(principal: Principal, scope: str) -> None:
    """Raises `Forbidden` unless the token carries every scope named in the space-separated `scope`."""
    if not reach(principal.scopes).issuperset(scope.split()):
        raise Forbidden(scope)


def may_do_all(principal: Principal) -> bool:
    """Whether no tool is closed to this token, so that nobody needs to look which one it calls."""
    return principal.scopes.issuperset(DEFAULT_SCOPES)

"""The successful answer of the token endpoint (RFC 6749 section 5.1)."""

from typing import Any, NamedTuple

from drio_mcp.clock import SECOND
from drio_mcp.models import Scope
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.tokens import Kind, Tokens
from drio_mcp.store.grants import GrantRow


class Issue(NamedTuple):
    """What to issue for a grant; times in milliseconds."""

    grant: GrantRow
    generation: int
    scopes: frozenset[Scope]
    """Of the access token; the refresh token keeps all of the grant's (RFC 6749 section 6)."""
    access_expires_at: int
    refresh_expires_at: int | None
    """None when the client does not refresh."""


def token_answer(tokens: Tokens, issue: Issue, now: int) -> dict[str, Any]:
    """The members of the answer, in the order of the API reference."""
    grant, generation = issue.grant, issue.generation
    answer: dict[str, Any] = {
        "access_token": tokens.make(
            Kind.ACCESS,
            grant.id,
            grant.secret,
            generation=generation,
            expires_at=issue.access_expires_at,
            scopes=scope_list.to_bits(issue.scopes),
        )
    }
    if issue.refresh_expires_at is not None:
        answer["refresh_token"] = tokens.make(
            Kind.REFRESH,
            grant.id,
            grant.secret,
            generation=generation,
            expires_at=issue.refresh_expires_at,
            scopes=scope_list.to_bits(scopes_of(grant)),
        )
    answer["expires_in"] = -(-(issue.access_expires_at - now) // SECOND)
    answer["token_type"] = "Bearer"  # noqa: S105
    answer["scope"] = scope_list.to_text(issue.scopes)
    return answer


def scopes_of(grant: GrantRow) -> frozenset[Scope]:
    """What the person allowed."""
    return scope_list.of_grant(grant.scopes)

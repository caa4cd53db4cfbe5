"""`/api/v1/me/tokens`: a person's tokens for their own scripts, listed and ended.

None is made here. A bearer token proves no more than that somebody has it: what it could make would outlive it, and the
end of the client that holds it. A new one asks for the password at `/account`, or for the server: `drio-mcp tokens`.
"""

from collections.abc import Iterable

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.answers import DeletedAnswer
from drio_mcp.api.requests import DryRun, NoQuery, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.clock import rfc3339
from drio_mcp.middleware.context import address_of, principal_of, services_of
from drio_mcp.models import Model, Moment, Scope
from drio_mcp.oauth.grants import PersonalToken


class OwnToken(Model):
    """A personal token; what it is worth is told only when it is made. `usedAt` is to the hour."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: Moment
    used_at: Moment | None
    expires_at: Moment

    @classmethod
    def of(cls, token: PersonalToken) -> "OwnToken":
        return cls(
            id=token.id,
            name=token.name,
            scopes=tuple(scope for scope in Scope if scope in token.scopes),
            created_at=rfc3339(token.created_at),
            used_at=None if token.used_at is None else rfc3339(token.used_at),
            expires_at=rfc3339(token.expires_at),
        )


class OwnTokensAnswer(Model):
    """Those that work, oldest first."""

    tokens: tuple[OwnToken, ...]

    @classmethod
    def of(cls, tokens: Iterable[PersonalToken]) -> "OwnTokensAnswer":
        return cls(tokens=tuple(OwnToken.of(each) for each in tokens))


async def list_tokens(request: Request) -> Response:
    read_query(request, NoQuery)
    return json_response(OwnTokensAnswer.of(await services_of(request).grants.personal(principal_of(request).user_id)))


async def revoke_token(request: Request) -> Response:
    """DELETE; the token that asks may be the one that ends."""
    dry_run = read_query(request, DryRun).dry_run
    user_id, token_id = principal_of(request).user_id, request.path_params["tokenId"]
    await services_of(request).grants.revoke_own(user_id, token_id, address_of(request), dry_run=dry_run)
    return json_response(DeletedAnswer(dry_run=dry_run or None))

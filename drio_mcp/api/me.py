"""`GET /api/v1/me`."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.answers import User, UserAnswer
from drio_mcp.api.requests import NoQuery, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.errors import Unauthorized
from drio_mcp.middleware.context import principal_of, services_of


async def get_me(request: Request) -> Response:
    """The person behind the token."""
    read_query(request, NoQuery)
    principal = principal_of(request)
    person = await services_of(request).people.get(principal.user_id)
    if person is None:
        raise Unauthorized(token_sent=True)
    return json_response(UserAnswer(user=User.of(person, principal.scopes)))

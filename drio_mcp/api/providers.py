"""`/api/v1/providers` and `/api/v1/providers/{key}`."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.requests import read_query
from drio_mcp.api.responses import json_response
from drio_mcp.connections.record.schemas import ProviderAnswer, ProvidersAnswer
from drio_mcp.middleware.context import principal_of, services_of
from drio_mcp.models import Model


class ProviderQuery(Model):
    """Which providers to list: those that match all words of `q`."""

    q: str | None = Field(default=None, max_length=200)
    app_id: str | None = Field(default=None, max_length=100, description="The app that a client would be for.")


class OneProviderQuery(Model):
    """For which app to look."""

    app_id: str | None = Field(default=None, max_length=100)


async def list_auth_providers(request: Request) -> Response:
    query = read_query(request, ProviderQuery)
    listing, user_id = services_of(request).provider_listing, principal_of(request).user_id
    return json_response(ProvidersAnswer(providers=await listing.list(user_id, query.app_id, query.q)))


async def get_auth_provider(request: Request) -> Response:
    query = read_query(request, OneProviderQuery)
    listing, user_id = services_of(request).provider_listing, principal_of(request).user_id
    provider = await listing.get(user_id, query.app_id, request.path_params["key"])
    return json_response(ProviderAnswer(provider=provider))

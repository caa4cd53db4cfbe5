"""`/api/v1/providers` and `/api/v1/providers/{key}`."""

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.requests import NoQuery, read_query
from drio_mcp.api.responses import json_response
from drio_mcp.connections.record.schemas import ProviderAnswer, ProvidersAnswer
from drio_mcp.middleware.context import services_of
from drio_mcp.models import Model


class ProviderQuery(Model):
    """Which providers to list: those that match all words of `q`."""

    q: str | None = Field(default=None, max_length=200)


async def list_auth_providers(request: Request) -> Response:
    query = read_query(request, ProviderQuery)
    return json_response(ProvidersAnswer(providers=tuple(services_of(request).providers.list(query.q))))


async def get_auth_provider(request: Request) -> Response:
    read_query(request, NoQuery)
    return json_response(ProviderAnswer(provider=services_of(request).providers.get(request.path_params["key"])))

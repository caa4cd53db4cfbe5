"""The tool about the provider catalog."""

from pydantic import Field

from drio_mcp.connections.catalog.providers import Provider
from drio_mcp.connections.record.schemas import ProvidersAnswer
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call

MOST_NAMED = 30


class ListProviders(Model):
    """The query of the REST call."""

    q: str | None = Field(default=None, max_length=200, description="Words to look for, e.g. github")
    app_id: str | None = Field(default=None, max_length=100)


async def list_auth_providers(call: Call, arguments: ListProviders) -> Answer:
    found = await call.services.provider_listing.list(call.user_id, arguments.app_id, arguments.q)
    lines = [f"- {each.key}: {each.name} ({', '.join(each.config_schema.types)}{_client(each)})" for each in found]
    del lines[MOST_NAMED:]
    if len(found) > MOST_NAMED:
        lines.append(f"… and {len(found) - MOST_NAMED} more; narrow it with q.")
    return Answer(ProvidersAnswer(providers=found), "\n".join([f"{len(found)} providers:", *lines]))


def _client(provider: Provider) -> str:
    return "" if provider.client is None else f"; client: {provider.client}"

"""The tool about the provider catalog."""

from pydantic import Field

from drio_mcp.connections.record.schemas import ProvidersAnswer
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call

MOST_NAMED = 30


class ListProviders(Model):
    """The query of the REST call."""

    q: str | None = Field(default=None, max_length=200, description="Words to look for, e.g. github")


async def list_auth_providers(call: Call, arguments: ListProviders) -> Answer:
    found = tuple(call.services.providers.list(arguments.q))
    lines = [f"- {each.key}: {each.name} ({', '.join(each.config_schema.types)})" for each in found[:MOST_NAMED]]
    if len(found) > MOST_NAMED:
        lines.append(f"… and {len(found) - MOST_NAMED} more; narrow it with q.")
    return Answer(ProvidersAnswer(providers=found), "\n".join([f"{len(found)} providers:", *lines]))

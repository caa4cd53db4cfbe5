"""The tool about the provider catalog."""

from pydantic import Field

from drio_mcp.connections.catalog.providers import Provider, ProviderClientState
from drio_mcp.connections.record.schemas import ProvidersAnswer
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call

MOST_NAMED = 30
MOST_POPULAR = 15
"""How many are named to a model that looks for nothing in particular."""


class ListProviders(Model):
    """The query of the REST call."""

    q: str | None = Field(default=None, max_length=200, description="Words to look for, e.g. github")
    app_id: str | None = Field(default=None, max_length=100)


class ProviderName(Model):
    """A provider in short: enough to connect it, or to look it up by its key."""

    key: str
    name: str
    client: ProviderClientState | None = Field(default=None, exclude_if=lambda value: value is None)


class ProviderNames(Model):
    """What there is in short: those that somebody made a client for, then the most used ones."""

    providers: tuple[ProviderName, ...]
    more: int
    """How many there are beside these."""


async def list_auth_providers(call: Call, arguments: ListProviders) -> Answer:
    if not (arguments.q or "").strip():
        return await _in_short(call, arguments.app_id)
    found = await call.services.provider_listing.list(call.user_id, arguments.app_id, arguments.q)
    lines = [f"- {each.key}: {each.name} ({', '.join(each.config_schema.types)}{_client(each)})" for each in found]
    del lines[MOST_NAMED:]
    if len(found) > MOST_NAMED:
        lines.append(f"… and {len(found) - MOST_NAMED} more; narrow it with q.")
    return Answer(ProvidersAnswer(providers=found), "\n".join([f"{len(found)} providers:", *lines]))


async def _in_short(call: Call, app_id: str | None) -> Answer:
    found = [each for each in await call.services.provider_listing.list(call.user_id, app_id) if not _is_generic(each)]
    ready = [each for each in found if each.client in {"app", "server"}][:MOST_POPULAR]
    popular = [each for each in found if each not in ready][: MOST_POPULAR - len(ready)]
    shown = tuple(ProviderName(key=each.key, name=each.name, client=each.client) for each in (*ready, *popular))
    lines = [
        *([f"Ready, one click: {', '.join(each.key for each in ready)}"] if ready else []),
        f"Popular: {', '.join(each.key for each in popular)}",
        f"{len(found) - len(shown)} more: look with q, or call connect_auth with a name or a URL.",
    ]
    return Answer(ProviderNames(providers=shown, more=len(found) - len(shown)), "\n".join(lines))


def _is_generic(provider: Provider) -> bool:
    return provider.key.startswith("custom-")


def _client(provider: Provider) -> str:
    return "" if provider.client is None else f"; client: {provider.client}"

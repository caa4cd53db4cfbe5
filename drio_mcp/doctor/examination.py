"""The whole examination, in the order in which a fault makes the next ones meaningless."""

import asyncio
from collections.abc import Iterator

from drio_mcp.config import Settings, load_settings
from drio_mcp.doctor import database, machine, network, provider
from drio_mcp.doctor.finding import Finding, failed, ok
from drio_mcp.errors import StartupError


def examine() -> list[Finding]:
    """Everything that was found. Wrong settings end it at once, since all else depends on them."""
    try:
        settings = load_settings()
    except StartupError as error:
        problem, _, change = error.message.partition("; ")
        return [failed("settings", problem, change or "correct the variable and run doctor again")]
    return asyncio.run(examine_running(settings))


async def examine_running(settings: Settings) -> list[Finding]:
    """The same for settings that were taken already, from a program that runs."""
    found = await asyncio.to_thread(lambda: list(_inside(settings)))
    return [ok("settings", f"the public URL is {settings.origin}"), *found, *await _outside(settings)]


def _inside(settings: Settings) -> Iterator[Finding]:
    yield machine.data_folder(settings)
    yield machine.key_file(settings)
    yield database.database(settings)
    yield machine.disk(settings)
    yield machine.password_cost()


async def _outside(settings: Settings) -> list[Finding]:
    reached = await network.reach(settings)
    found = [network.port(settings, reached), network.public_url(settings, reached)]
    if reached.public.answer is not None:
        found += [await network.metadata(settings, reached), await network.proxy(settings, reached)]
    asked = await provider.ask(settings)
    found.append(asked.finding)
    found.append(network.clock([reached.public, asked.exchange], database.clock(settings)))
    return found

"""How a command reaches the capabilities: settings from the environment, services built, their database open."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from drio_mcp.config import Settings
    from drio_mcp.services import Services

T = TypeVar("T")


def with_services(work: "Callable[[Services], Awaitable[T]]", settings: "Settings | None" = None) -> T:
    """Run `work` on services with an open, migrated database.

    Raises `StartupError` when settings, keys or database do not allow it.
    """
    from drio_mcp.config import load_settings
    from drio_mcp.services import build_services

    services = build_services(settings or load_settings())

    async def run() -> T:
        async with services.running():
            return await work(services)

    return asyncio.run(run())

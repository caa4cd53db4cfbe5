"""Ending what holds very much, an account or an app, in parts.

They may have very many, and nobody else writes while a decision runs: so they end in parts, each a decision of its own.
Few, as nearly everybody has, are one part. Who is stopped between two parts leaves an app or an account that is
switched off, has fewer connections, and can be ended by the same call again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from drio_mcp.store.database import Database, Transaction

AfterCommit = Callable[[], Awaitable[None]]
"""What is left to do, best effort, once a decision stands."""
PATIENCE_SECONDS = 15.0
"""How long an operator, or whoever deletes an app, waits for all providers together."""
MOST_GIVEN_BACK = 32
"""Parts whose grants are given back at once; no part ends meanwhile."""


async def nothing_left() -> None:
    """The `after` of a part that left nothing at any provider."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one decision did: what is to be given back after its commit, and whether there is nothing more to end."""

    after: AfterCommit
    is_last: bool
    place: Any = None
    """Where the next part begins, for those that find by it what is left."""


async def end_in_parts(db: Database, decide: Callable[[Transaction, Any], Part]) -> None:
    """Decide part by part, with pauses as long as the parts; then wait for the providers, but not for ever.

    `decide` is told the place that the part before left.
    """
    clock = asyncio.get_running_loop().time
    until, place = clock() + PATIENCE_SECONDS, None
    given_back: set[asyncio.Task[None]] = set()
    try:
        while True:
            began = clock()
            part = await db.write(decide, place)
            if clock() < until:
                given_back.add(asyncio.ensure_future(part.after()))
            if part.is_last:
                break
            place = part.place
            await asyncio.sleep(clock() - began)
            if len(given_back) >= MOST_GIVEN_BACK:
                _, given_back = await asyncio.wait(
                    given_back, timeout=until - clock(), return_when=asyncio.FIRST_COMPLETED
                )
        if given_back:
            await asyncio.wait(given_back, timeout=max(until - clock(), 0))
    finally:
        for each in given_back:
            each.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*given_back, return_exceptions=True)

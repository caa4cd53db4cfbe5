"""Noticing that a caller hung up: what is done for nobody ends, and gives back what it holds."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Message, Receive


class Listener:
    """A request's `receive` that is listened to once the body has been read."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_ended = asyncio.Event()
        self._has_hung_up = False

    async def receive(self) -> Message:
        """The next message, for whoever reads the body."""
        if self._has_ended.is_set():
            await self.hung_up()
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            self._has_hung_up = message["type"] == "http.disconnect"
            self._has_ended.set()
        return message

    def expect_no_body(self) -> None:
        """Nobody will read the body, so that it need not be waited for."""
        self._has_ended.set()

    async def hung_up(self) -> None:
        """Wait until the caller has hung up."""
        await self._has_ended.wait()
        while not self._has_hung_up:
            self._has_hung_up = (await self._receive())["type"] == "http.disconnect"


async def while_listened_to(work: Coroutine[Any, Any, None], caller: Listener) -> None:
    """Do `work`, or stop it when the caller hangs up."""
    task = asyncio.ensure_future(work)
    end = asyncio.ensure_future(caller.hung_up())
    try:
        await asyncio.wait({task, end}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (task, end):
            each.cancel()
        await asyncio.gather(task, end, return_exceptions=True)
    if not task.cancelled():
        task.result()

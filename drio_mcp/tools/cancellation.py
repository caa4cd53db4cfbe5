"""Calls that are under way, so that their clients can cancel them (MCP, cancellation).

Up to 2025-11-25 a client sends `notifications/cancelled` with the request's id, in an HTTP request of its own; later
ones close the stream of the answer. There are no sessions here, so that a call is known by its grant and its id.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from mcp_types import RequestId

T = TypeVar("T")

CANCELLED = "notifications/cancelled"
Key = tuple[str, str, RequestId]


class Cancelled(Exception):
    """The client does not want the answer any more."""


class CallsUnderWay:
    """The calls of this process, by grant, app and id. Types of ids are told apart: "1" is not 1 (JSON-RPC 2.0)."""

    def __init__(self) -> None:
        self._tasks: dict[Key, list[asyncio.Task[Any]]] = {}

    def of(self, grant_id: str, app_id: str) -> "ClientCalls":
        """Those that are made with the grant at the app."""
        return ClientCalls(self, grant_id, app_id)

    async def run(self, key: Key, work: Awaitable[T]) -> T:
        """The result of `work`. Raises `Cancelled` when the client cancels it."""
        task = asyncio.ensure_future(work)
        with self._noted(key, task):
            try:
                return await task
            except asyncio.CancelledError:
                current = asyncio.current_task()
                if current is None or current.cancelling():
                    raise
                raise Cancelled from None

    def cancel(self, key: Key) -> None:
        """End the call.

        Two copies of a client that share a grant number their calls alike: where two calls are meant, none is ended,
        as a cancellation is a wish that may be passed over.
        """
        tasks = [task for task in self._tasks.get(key, []) if not task.cancelling()]
        if len(tasks) == 1:
            tasks[0].cancel()

    @contextmanager
    def _noted(self, key: Key, task: "asyncio.Task[Any]") -> Iterator[None]:
        tasks = self._tasks.setdefault(key, [])
        tasks.append(task)
        try:
            yield
        finally:
            tasks.remove(task)
            if not tasks:
                self._tasks.pop(key, None)


@dataclass(frozen=True, slots=True)
class ClientCalls:
    """The calls of one client at one app."""

    _calls: CallsUnderWay
    _grant_id: str
    _app_id: str

    async def run(self, request_id: RequestId, work: Awaitable[T]) -> T:
        """The result of `work`. Raises `Cancelled` when the client cancels it."""
        return await self._calls.run((self._grant_id, self._app_id, request_id), work)

    def cancel(self, request_id: RequestId) -> None:
        """End the call, where it is clear which one is meant."""
        self._calls.cancel((self._grant_id, self._app_id, request_id))


def cancelled_by(message: Any) -> RequestId | None:
    """The id of the request that the message cancels; None for any other message."""
    if not isinstance(message, dict) or message.get("method") != CANCELLED or "id" in message:
        return None
    params = message.get("params")
    named = params.get("requestId") if isinstance(params, dict) else None
    return named if isinstance(named, str | int) and not isinstance(named, bool) else None

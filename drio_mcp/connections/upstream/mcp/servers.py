"""The MCP servers behind connections: their sessions, shared by all calls, and the lists of their tools.

Everything here is kept in memory and can be lost at any time: the next call greets the server again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from drio_mcp.clock import MINUTE, SECOND, Clock
from drio_mcp.connections.upstream.credentials import Credential
from drio_mcp.connections.upstream.mcp.handshake import greet
from drio_mcp.connections.upstream.mcp.mirrored import parameter_headers
from drio_mcp.connections.upstream.mcp.tools import LIST_SECONDS, Listing, UpstreamTool, list_tools
from drio_mcp.connections.upstream.mcp.wire import (
    LIST_CHANGED,
    McpPeer,
    OnProgress,
    Refused,
    RpcAnswer,
    RpcError,
    RpcRequest,
    Wire,
)
from drio_mcp.errors import Unavailable
from drio_mcp.opaque import Secret
from drio_mcp.outbound import OutboundError

T = TypeVar("T")
MaskOf = Callable[[Sequence[Secret]], Callable[[str], str]]
"""Makes of secrets what masks them in a text."""

LONGEST_HELD_MS = 10 * MINUTE
SHORTEST_HELD_MS = SECOND
MOST_LISTENING = 50
"""Servers that are listened to at once; the others are asked again after a while."""
MOST_HELD = 500
"""Servers whose session and list are kept; those that were not used for longest give way."""
CALL_SECONDS = 120.0
UNSUPPORTED_VERSION = -32022
"""MCP 2026-07-28: the server speaks other revisions than it did."""


@dataclass(frozen=True, slots=True)
class ConnectedServer:
    """A connection's MCP server and the credential for it. `id` is the connection's."""

    id: str
    url: str
    credential: Credential = Credential()  # noqa: RUF009 - it is frozen

    def admit(self, server: McpPeer) -> McpPeer:
        """The server as it is spoken to with the credential."""
        url, headers = self.credential.address(self.url), tuple(self.credential.header_pairs())
        return replace(server, url=url, credential=headers)


@dataclass(frozen=True, slots=True)
class _Held:
    listing: Listing
    expires_at: int


class McpServers:
    """Calls tools and lists them."""

    def __init__(self, wire: Wire, clock: Clock, mask_of: MaskOf) -> None:
        self._wire = wire
        self._mask_of = mask_of
        self._clock = clock
        self._servers: OrderedDict[tuple[str, str], McpPeer] = OrderedDict()
        self._lists: OrderedDict[tuple[str, str], _Held] = OrderedDict()
        self._listening: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._under_way: dict[tuple[str, str], asyncio.Task[Listing]] = {}

    def held(self, connection_id: str, url: str) -> Listing | None:
        """The list as far as it is known and holds."""
        held = self._lists.get((connection_id, url))
        return held.listing if held is not None and self._clock.now() < held.expires_at else None

    def last(self, connection_id: str, url: str) -> Listing | None:
        """The list as it was last, however long ago."""
        held = self._lists.get((connection_id, url))
        return None if held is None else held.listing

    async def listing(self, place: ConnectedServer) -> Listing:
        """The server's tools. Raises `RpcError`, `Refused` and `OutboundError` when they cannot be had."""
        return self.held(place.id, place.url) or await self.refresh(place)

    async def refresh(self, place: ConnectedServer) -> Listing:
        """The server's tools, asked for anew; whoever asks meanwhile gets the same answer."""
        key = (place.id, place.url)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(place), name="list the tools of an MCP server")
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._ended(key, done))
        return await asyncio.shield(task)

    async def call(
        self,
        place: ConnectedServer,
        tool: UpstreamTool,
        arguments: Mapping[str, Any],
        on_progress: OnProgress | None = None,
    ) -> dict[str, Any]:
        """The result of a tool call, as the server gave it. Raises `RpcError`, `Refused` and `OutboundError`."""
        request = RpcRequest(
            "tools/call",
            {"name": tool.name, "arguments": dict(arguments)},
            name=tool.name,
            mirrored=parameter_headers(tool.definition["inputSchema"], arguments),
            on_progress=on_progress,
        )

        async def send(server: McpPeer) -> RpcAnswer:
            return await self._wire.request(server, request, CALL_SECONDS)

        answer = await self._in_session(place, send)
        if answer.tools_changed:
            self._expire((place.id, place.url))
        return answer.result

    def forget(self, connection_id: str) -> None:
        """Ask for the tools of this connection anew next time."""
        for key in [key for key in self._lists if key[0] == connection_id]:
            self._expire(key)

    async def aclose(self) -> None:
        """End every session, as far as the servers let us."""
        servers, self._servers = list(self._servers.values()), OrderedDict()
        for task in [*self._under_way.values(), *self._listening.values()]:
            task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.gather(*(self._wire.close(server) for server in servers), return_exceptions=True)

    async def _fetch(self, place: ConnectedServer) -> Listing:
        try:
            async with asyncio.timeout(LIST_SECONDS + 5):
                mask = self._mask_of(place.credential.values)
                listing = await self._in_session(place, lambda server: list_tools(self._wire, server, mask))
        except TimeoutError:
            raise OutboundError("timeout", f"The list did not end within {LIST_SECONDS:g} seconds") from None
        ttl = LONGEST_HELD_MS if listing.ttl_ms is None else min(listing.ttl_ms, LONGEST_HELD_MS)
        key = (place.id, place.url)
        self._lists[key] = _Held(listing, self._clock.now() + max(ttl, SHORTEST_HELD_MS))
        self._lists.move_to_end(key)
        while len(self._lists) > MOST_HELD:
            self._lists.popitem(last=False)
        self._listen(place)
        return listing

    def _listen(self, place: ConnectedServer) -> None:
        """Hear of changes of the list, for as long as it is held, where the server tells them."""
        key = (place.id, place.url)
        peer = self._servers.get(key)
        if peer is None or not peer.announces_changes or key in self._listening:
            return
        if len(self._listening) < MOST_LISTENING:
            task = asyncio.create_task(self._hear(key, place.admit(peer)), name="listen to an MCP server")
            self._listening[key] = task
            task.add_done_callback(lambda _: self._listening.pop(key, None))

    async def _hear(self, key: tuple[str, str], peer: McpPeer) -> None:
        with suppress(OutboundError, Unavailable):
            async with aclosing(self._wire.listen(peer, LONGEST_HELD_MS / SECOND)) as heard:
                async for method in heard:
                    if method == LIST_CHANGED:
                        self._expire(key)

    async def _in_session(self, place: ConnectedServer, work: Callable[[McpPeer], Awaitable[T]]) -> T:
        """Do `work` with the server. One that has forgotten the session, or changed its revision, is greeted again."""
        server = await self._greeted(place)
        try:
            return await work(server)
        except Refused as error:
            if server.session_id is None or error.response.status not in {400, 404}:
                raise
        except RpcError as error:
            if error.code != UNSUPPORTED_VERSION:
                raise
        self._servers.pop((place.id, place.url), None)
        return await work(await self._greeted(place))

    async def _greeted(self, place: ConnectedServer) -> McpPeer:
        key = (place.id, place.url)
        server = self._servers.get(key)
        if server is None:
            greeted = await greet(self._wire, place.admit(McpPeer(place.url)))
            # A credential is never kept beside its connection.
            server = self._servers[key] = replace(greeted, url=place.url, credential=())
            while len(self._servers) > MOST_HELD:
                self._servers.popitem(last=False)
        self._servers.move_to_end(key)
        return place.admit(server)

    def _expire(self, key: tuple[str, str]) -> None:
        if (held := self._lists.get(key)) is not None:
            self._lists[key] = replace(held, expires_at=0)

    def _ended(self, key: tuple[str, str], task: asyncio.Task[Listing]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody may have waited to the end

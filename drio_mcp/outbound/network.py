"""Connecting: names are resolved once, every address is judged, and the judged address is the one that is dialled.

This sits below the connection pool, so nothing above it can reach an address that was not judged, and a name whose
answer changes between check and use (DNS rebinding) gains nothing. TLS still verifies the name: the pool asks for the
URL's host, whatever address was dialled.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Protocol

import httpcore2

from drio_mcp.outbound.addresses import is_public_text
from drio_mcp.outbound.error import OutboundError
from drio_mcp.outbound.shares import OutboundBusy, current_caller
from drio_mcp.outbound.sockets import Sockets

LOOKUPS = 64
"""Names that are looked up at a time; each takes a thread."""
LOOKUPS_OF_ACCOUNT = 16
MAX_ADDRESSES = 4
"""How many addresses of one name are tried, one after the other."""


def address_blocked() -> OutboundError:
    """The refusal of an address that is not public."""
    return OutboundError(
        "address_blocked", "The address is private, local or reserved; the operator can admit it in DRIO_OUTBOUND_ALLOW"
    )


class Resolver(Protocol):
    """Where the addresses of a name come from."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """The addresses of `host` in text form, in the order to try them. Raises `OSError` when it has none."""
        ...


class SystemResolver:
    """The operating system's resolver, in threads of its own so that slow name servers delay nobody else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=LOOKUPS, thread_name_prefix="resolve")
        self._under_way: dict[tuple[str, int], asyncio.Future[list[str]]] = {}
        self._of: Counter[str] = Counter()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """As `Resolver`. All who ask for one name share one lookup. Raises `OutboundBusy` beyond an account's share.

        A lookup cannot be stopped: one that hangs has its thread until the system gives up, so no more are begun than
        there are threads. None waits in a queue, where our want of room would look like a dead name server.
        """
        lookup = self._under_way.get((host, port))
        if lookup is None:
            account = current_caller().account
            if len(self._under_way) >= LOOKUPS or self._of[account] >= LOOKUPS_OF_ACCOUNT:
                raise OutboundBusy
            loop = asyncio.get_running_loop()
            lookup = loop.run_in_executor(self._threads, self._lookup, host, port)
            self._under_way[host, port] = lookup
            self._of[account] += 1
            lookup.add_done_callback(lambda done: self._ended(host, port, account, done))
        return await asyncio.shield(lookup)

    def _ended(self, host: str, port: int, account: str, lookup: "asyncio.Future[list[str]]") -> None:
        del self._under_way[host, port]
        self._of[account] -= 1
        if not self._of[account]:
            del self._of[account]
        if not lookup.cancelled():
            lookup.exception()  # taken note of, where nobody waited to the end

    @staticmethod
    def _lookup(host: str, port: int) -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class GuardedNetwork(httpcore2.AsyncNetworkBackend):
    """A network in which only public addresses exist, and those that the operator named."""

    def __init__(
        self, allowed: Collection[str], resolver: Resolver, network: httpcore2.AsyncNetworkBackend | None = None
    ) -> None:
        self._allowed = frozenset(allowed)
        self._resolver = resolver
        self._network = network or Sockets()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """A connection to a judged address of `host`. Raises `OutboundError`, or httpcore2's connect errors."""
        addresses = await self._judged_addresses(host, port, timeout)
        each = None if timeout is None else timeout / len(addresses)
        last: Exception | None = None
        for address in addresses:
            try:
                return await self._network.connect_tcp(address, port, timeout=each, socket_options=socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        assert last is not None
        raise last

    async def judge(self, host: str, port: int, seconds: float) -> None:
        """Look the name up and judge its addresses, without connecting. Raises `OutboundError`."""
        await self._judged_addresses(host, port, seconds)

    async def _judged_addresses(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        addresses = await self._addresses(host, port, seconds)
        bracketed = f"[{host}]" if ":" in host else host
        # One bad address among good ones condemns the name: no honest public name points into a private network.
        if f"{bracketed}:{port}" not in self._allowed and not all(is_public_text(each) for each in addresses):
            raise address_blocked()
        return addresses[:MAX_ADDRESSES]

    async def _addresses(self, host: str, port: int, seconds: float | None) -> Sequence[str]:
        try:
            return [str(ip_address(host))]
        except ValueError:
            pass
        try:
            async with asyncio.timeout(seconds):
                addresses = await self._resolver.resolve(host, port)
        except TimeoutError:
            raise OutboundError("dns_failure", f"The name server did not answer in time for {host}") from None
        except (OSError, UnicodeError):
            raise OutboundError("dns_failure", f"The host name {host} could not be found") from None
        if not addresses:
            raise OutboundError("dns_failure", f"The host name {host} has no address")
        return addresses

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise OutboundError("address_blocked", "Local sockets are never called")

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

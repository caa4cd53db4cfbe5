"""What the tests of the way out share: names that resolve as told, and a network in which public addresses are ours."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import httpcore2
import pytest

from drio_mcp.config import Settings
from drio_mcp.outbound import Outbound, Purpose
from drio_mcp.outbound.brake import LookLimit
from drio_mcp.outbound.shares import SHARES, Share
from drio_mcp.outbound.sockets import Sockets
from tests.upstreams.tls import CertificateAuthority

PUBLIC = "93.184.215.14"
"""A public address. Nothing is ever sent there: `Elsewhere` leads connections to loopback."""


@dataclass
class Names:
    """A resolver with an answer per name; a list of answers is given out one by one, the last one for ever."""

    answers: dict[str, list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.answers.get(host)
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Elsewhere(Sockets):
    """A network that notes which address is dialled and connects to a loopback port in its place."""

    port: int = 0
    dialled: list[tuple[str, int]] = field(default_factory=list)
    dead: frozenset[str] = frozenset()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.dialled.append((host, port))
        if host in self.dead:
            raise httpcore2.ConnectError("refused")
        return await super().connect_tcp("127.0.0.1", self.port or port, timeout=timeout)


@dataclass
class World:
    """A client, with what it asked and dialled."""

    outbound: Outbound
    names: Names
    network: Elsewhere


MakeWorld = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture(scope="session")
def authority() -> CertificateAuthority:
    return CertificateAuthority()


@pytest.fixture
def world(authority: CertificateAuthority) -> MakeWorld:
    """`async with world(allow=("localhost:9000",), names={"example.com": [["93.184.215.14"]]}) as w: …`"""

    @asynccontextmanager
    async def make(
        *,
        allow: Sequence[str] = (),
        names: dict[str, list[Sequence[str]]] | None = None,
        port: int = 0,
        dead: frozenset[str] = frozenset(),
        share: Share = SHARES[Purpose.SERVER],
        brake: LookLimit | None = None,
    ) -> AsyncIterator[World]:
        resolver = Names(names or {"example.com": [[PUBLIC]], "localhost": [["127.0.0.1"]]})
        network = Elsewhere(port=port, dead=dead)
        settings = Settings(outbound_allow=tuple(allow))
        tls = authority.client_context()
        shares = dict.fromkeys(Purpose, share)
        async with Outbound(
            settings, resolver=resolver, network=network, tls=tls, shares=shares, brake=brake
        ) as outbound:
            yield World(outbound, resolver, network)

    return make

"""Providers and connections that are broken, each in one way, with what a diagnosis has to say."""

import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.repository import store
from drio_mcp.connections.record.schemas import AuthConnection, Status
from drio_mcp.store import Query, Statement, Transaction, connections, secrets
from tests.conftest import FakeClock
from tests.connections.place import Place, place_at
from tests.upstreams import AuthorizationServer, KeyedApi, McpServer, Upstream, upstream
from tests.upstreams.api import KEY

Break = Callable[["Scene"], Awaitable[None]]


@dataclass
class Scene:
    """A connection that works, until the case breaks something."""

    here: Place
    auth: AuthConnection
    provider: Upstream
    server: AuthorizationServer
    mcp: McpServer
    api: KeyedApi

    @property
    def clock(self) -> FakeClock:
        return self.here.clock

    async def patch(self, **patch: Any) -> None:
        self.auth = await self.here.update(self.auth, **patch)

    async def mark(self, status: Status, last_error: str | None) -> None:
        """As the last attempt to connect left it."""

        def decide(tx: Transaction) -> None:
            row = tx.one(connections.FIND_BY_ID, id=self.auth.id)
            assert row is not None
            connection = Connection.of(row, secrets.fields_of(tx, row.id))
            store(tx, connection.with_config(connection.config, status=status, last_error=last_error), self.clock.now())

        await self.here.services.db.write(decide)

    async def run(self, sql: str) -> None:
        await self.here.services.db.write(lambda tx: tx.run(Statement(sql)))

    async def one(self, sql: str) -> Any:
        return await self.here.services.db.read(lambda tx: tx.one(Query(sql, lambda value: value)))


Stage = Callable[[Path, FakeClock], AbstractAsyncContextManager[Scene]]


@asynccontextmanager
async def keyed(
    folder: Path, clock: FakeClock, *, api: KeyedApi | None = None, base: str = "/v1/me", **body: Any
) -> AsyncIterator[Scene]:
    """An API behind a key in a header, and the connection that holds the key."""
    api = api or KeyedApi()
    with upstream(api) as provider:
        async with place_at(folder, clock, provider) as here:
            config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": provider.origin + base}
            auth = await here.create(
                providerKey="custom-api-key", config=config | body.pop("config", {}), **({"status": "valid"} | body)
            )
            yield Scene(here, auth, provider, AuthorizationServer(), McpServer(), api)


@asynccontextmanager
async def mcp(
    folder: Path,
    clock: FakeClock,
    *,
    connected: bool = True,
    scopes: tuple[str, ...] = ("read", "write"),
    **habits: Any,
) -> AsyncIterator[Scene]:
    """An MCP server with its authorization server, connected by one call and one click."""
    server = AuthorizationServer(registration="open", **habits)
    tools = McpServer(accepts=server.accepts)
    with upstream(server, tools) as provider:
        async with place_at(folder, clock, provider) as here:
            auth = (await here.connect(target=tools.url, scopes=list(scopes))).auth
            if connected:
                auth = await here.consent(auth)
                assert auth.status in {Status.VALID, Status.DEGRADED}, auth.last_error
            yield Scene(here, auth, provider, server, tools, KeyedApi())


@asynccontextmanager
async def oauth(folder: Path, clock: FakeClock, *, config: Any = None, **habits: Any) -> AsyncIterator[Scene]:
    """An API for which the person's own client was entered, connected by a click."""
    server = AuthorizationServer(**habits)
    api = KeyedApi(style="bearer", accepts=server.accepts)
    with upstream(server, api) as provider:
        async with place_at(folder, clock, provider) as here:
            client = server.add_client("to be known")
            settings = {
                "type": "oauth",
                **client.config(provider.origin),
                "scopes": ["read", "write"],
                "apiBaseUrl": f"{provider.origin}/v1/me",
            }
            auth = await here.create(providerKey="custom-oauth", config=settings | (config or {}))
            client.redirect_uris = [
                f"{here.services.settings.origin}/connect/callback/{(await here.stored(auth)).callback}"
            ]
            auth = await here.consent(auth)
            assert auth.status == Status.VALID, auth.last_error
            yield Scene(here, auth, provider, server, McpServer(), api)


@asynccontextmanager
async def machine(folder: Path, clock: FakeClock) -> AsyncIterator[Scene]:
    """A client with credentials of its own."""
    server = AuthorizationServer()
    api = KeyedApi(style="bearer", accepts=server.accepts)
    with upstream(server, api) as provider:
        async with place_at(folder, clock, provider) as here:
            client = server.add_client("none")
            config = {
                "type": "oauth_client_credentials",
                "tokenEndpoint": f"{provider.origin}/token",
                "clientId": client.id,
                "clientSecret": client.secret,
                "apiBaseUrl": f"{provider.origin}/v1/me",
            }
            auth = await here.create(providerKey="custom-oauth", config=config, status="valid")
            yield Scene(here, auth, provider, server, McpServer(), api)


def token_for(audience: str) -> str:
    """An access token that can be read (RFC 9068) and names its audience."""
    parts: tuple[dict[str, Any], ...] = ({"alg": "none"}, {"aud": audience, "exp": int(time.time()) + 600}, {})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)


@dataclass(frozen=True)
class Broken:
    """One case: how it is set up and broken, and the finding."""

    name: str
    stage: Stage
    breaks: Break
    code: str
    actor: str
    tool: str | None = None
    has_link: bool = False
    says: str = ""

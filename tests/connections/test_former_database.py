"""A database that an early version wrote: it is migrated at the start, and what stood in it goes on working.

`tests/data/database-of-version-12.json` holds the rows of such a database, written by the program of that time, with
its key ring and what the provider knew: a key, a client of a connection's own, a client that was registered, a draft.
"""

import copy
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from drio_mcp.config import Settings
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.services import Services, admission
from drio_mcp.store import Database, Statement, Transaction, migrate, open_database
from drio_mcp.vault import Keyring, Vault
from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.helpers.server import cheap_passwords
from tests.simulators.world import EveryName, Loopback
from tests.upstreams import AuthorizationServer, KeyedApi, Upstream, allow, upstream
from tests.upstreams.authorization import Client, Family

FORMER = json.loads((Path(__file__).parents[1] / "data" / "database-of-version-12.json").read_text(encoding="utf-8"))
ORDER = ("users", "apps", "connections", "secrets", "token_sets", "registrations", "history", "key_checks")
AS = "https://as.former.example"


class Notes:
    """An API that takes whatever token comes, and tells which."""

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        return [upstream.route("/notes", "notes", self._notes)]

    async def _notes(self, request: Request) -> Response:
        return JSONResponse({"ok": True})


@pytest.fixture
def provider() -> Iterator[tuple[Upstream, AuthorizationServer]]:
    """The provider of that time, with the clients and grants that it knew."""
    server = AuthorizationServer(registration="open")
    with upstream(server, KeyedApi(), Notes()) as running:
        server.origin = AS
        for each in FORMER["clients"]:
            server.clients[each["id"]] = Client(**copy.deepcopy(each))
        server.families += [Family(**copy.deepcopy(each)) for each in FORMER["families"]]
        yield running, server


async def write_former(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema of that time, and its rows."""
    early = [each for each in migrate.known_migrations() if each.version <= FORMER["version"]]
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "known_migrations", lambda: early)
        async with db:
            await db.write(_fill)


def _fill(tx: Transaction) -> None:
    for table in ORDER:
        for row in FORMER["tables"][table]:
            values = {name: bytes.fromhex(v["hex"]) if isinstance(v, dict) else v for name, v in row.items()}
            named = ", ".join(f":{name}" for name in row)
            tx.run(Statement(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({named})"), **values)


@asynccontextmanager
async def upgraded(
    folder: Path, url: str, clock: FakeClock, port: int, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """The server of today on that database."""
    (folder / "keys.json").write_text(json.dumps(FORMER["keys"]), encoding="utf-8")
    (folder / "keys.json").chmod(0o600)
    settings, randomness = Settings(data_dir=folder, database_url=url), SystemRandomness()
    await write_former(open_database(settings, clock), monkeypatch)
    keyring = Keyring.find(settings, randomness)
    db = open_database(settings, clock, admission(keyring))
    outbound = Outbound(settings, resolver=EveryName(), network=Loopback(port))
    foundations = Foundations(settings, clock, randomness, db, keyring, Vault(keyring, randomness), outbound)
    services = Services(foundations, cheap_passwords())
    async with services.running():
        yield Place(services, clock, Actor(FORMER["user"], "client", "Tests"), FORMER["app"])


@pytest.fixture
async def here(
    tmp_path: Path,
    database_url: str,
    clock: FakeClock,
    provider: tuple[Upstream, AuthorizationServer],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Place]:
    port = int(provider[0].host_port.rpartition(":")[2])
    clock.milliseconds = FORMER["now"]
    async with upgraded(tmp_path, database_url, clock, port, monkeypatch) as place:
        yield place


async def call(here: Place, name: str, path: str) -> int:
    """The status of a call through one of the connections."""
    wanted = ProxiedCall("GET", path, "", [], None)
    async with here.services.proxy.call(here.actor, here.app_id, FORMER["connections"][name], wanted) as answer:
        async for _ in answer.chunks:
            pass
        return answer.status


async def auth_of(here: Place, name: str) -> Any:
    return (await here.services.connections.get(here.actor.user_id, here.app_id, FORMER["connections"][name])).auth


async def test_connections_read_as_they_did(here: Place) -> None:
    stood = {row["id"]: row["status"] for row in FORMER["tables"]["connections"]}
    for name, auth_id in FORMER["connections"].items():
        auth = await auth_of(here, name)
        assert (auth.name, auth.status) == (name, stood[auth_id])
    assert (await auth_of(here, "Weather")).config.api_key == "********"
    own = await auth_of(here, "Own")
    assert (own.config.client_id, own.config.client_secret) == (FORMER["clients"][0]["id"], "********")
    assert [each.event for each in await here.history(own)]


async def test_keys_and_tokens_go_on_working(here: Place, provider: tuple[Upstream, AuthorizationServer]) -> None:
    """What was sealed then opens now: the key, tokens that live, and refresh tokens once these have run out."""
    assert await call(here, "Weather", "v1/me") == 200
    for _ in range(2):
        for name in ("Own", "Registered"):
            assert await call(here, name, "notes") == 200
            assert (await auth_of(here, name)).status == "valid"
        here.clock.advance(hours=2)
    sent = [parse_qs(each.body.decode()) for each in provider[0].log.of("token")]
    assert [each["grant_type"] for each in sent] == [["refresh_token"], ["refresh_token"]]


async def test_a_registered_client_becomes_a_provider_client_and_keeps_its_address(
    here: Place, provider: tuple[Upstream, AuthorizationServer]
) -> None:
    """Contract section 7: a connection made before keeps its client and its redirect URI, at new consents too."""
    registered = await auth_of(here, "Registered")
    found = await here.stored(registered)
    assert found.client is not None
    assert (found.client.row.client_id, found.client.row.origin) == (FORMER["clients"][1]["id"], "dynamic_registration")
    for name in ("Registered", "Own"):
        auth = await auth_of(here, name)
        url = await here.begin(auth)
        address = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        assert address == f"http://127.0.0.1:8000/connect/callback/{auth.id}"
        back = await allow(url.replace(AS, provider[0].origin))
        assert (await here.finish(auth, back)).status == "valid"
    assert provider[0].log.count("register") == 0


async def test_everything_new_shares_one_client(here: Place, provider: tuple[Upstream, AuthorizationServer]) -> None:
    endpoints = {"authorizationEndpoint": f"{AS}/authorize", "tokenEndpoint": f"{AS}/token"}
    config = {**endpoints, "registrationEndpoint": f"{AS}/register", "scopes": ["read"]}
    for name in ("New", "Newer"):
        auth = await here.create(name=name, providerKey="custom-oauth", config=config)
        back = await allow((await here.begin(auth)).replace(AS, provider[0].origin))
        assert (await here.finish(auth, back)).status == "valid"
    assert provider[0].log.count("register") == 1


async def test_deleting_takes_everything_along(here: Place, provider: tuple[Upstream, AuthorizationServer]) -> None:
    """The grant is revoked and the client deregistered at the provider, with what was sealed then (RFC 7009, 7592)."""
    registered = await auth_of(here, "Registered")
    await here.services.deletion.delete(here.actor, here.app_id, registered.id)
    assert FORMER["clients"][1]["id"] not in provider[1].clients
    assert len(await here.all()) == len(FORMER["connections"]) - 1

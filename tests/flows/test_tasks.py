"""docs/tasks.md: what the usual things cost, done against a running server and counted."""

import asyncio
import io
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.accounts import Passwords
from drio_mcp.accounts.apps import CreateApp
from drio_mcp.cli import run
from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.entries import raw_entries
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.connections.upstream.provider_client import CreateProviderClient
from drio_mcp.services import Services
from drio_mcp.store import Statement, Transaction
from tests.helpers.browser import Browser
from tests.helpers.mcp import ACCEPT, META, MODERN, message
from tests.helpers.server import PASSWORD, RunningServer, Someone, running_server
from tests.simulators.flows import services_in
from tests.simulators.provider import CLIENT_ID, CLIENT_SECRET, SimulatedProvider
from tests.simulators.world import World, running_world

TASKS = Path(__file__).parents[2] / "docs" / "tasks.md"
BREAK = Statement("UPDATE connections SET status = :status, last_error = :last_error WHERE id = :id")
LINK = re.compile(r"https?://\S+/connect/\S+")
KEY = "sk_test_entered_by_the_person"


@dataclass(slots=True)
class Cost:
    """What was needed so far."""

    clicks: int = 0
    calls: int = 0
    polls: int = 0
    pages: int = 0
    commands: int = 0


def promised(task: str) -> dict[str, int]:
    """The row of the table."""
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in TASKS.read_text().splitlines()]
    heads = next(cells for cells in rows if cells[0] == "task")
    (row,) = (cells for cells in rows if cells[0] == task)
    return {head: int(cell) for head, cell in zip(heads[1:], row[1:], strict=True)}


class Person:
    """Somebody at a browser, signed in; every page that they open and every button that they press is counted."""

    def __init__(self, browser: Browser, cost: Cost, world: World | None) -> None:
        self._browser = browser
        self._cost = cost
        self._world = world

    def open(self, url: str) -> str:
        self._cost.pages += 1
        return self._browser.open(url).text

    def press(self, **typed: str) -> str:
        """The page's button, and where that leads to a provider the button there; back here what the page says."""
        self._cost.clicks += 1
        self._browser.submit(button=None, form_with=next(iter(typed), "csrf"), **typed)
        if self._browser.left_to is not None:
            assert self._world is not None
            self._cost.clicks += 1
            self._browser.open(asyncio.run(self._world.visit(self._browser.left_to)))
        return self._browser.text


@contextmanager
def person_at(server: RunningServer, someone: Someone, cost: Cost, world: World | None = None) -> Iterator[Person]:
    with Browser(server.url) as browser:
        browser.open("/sign-in").sign_in(someone.email, PASSWORD)
        yield Person(browser, cost, world)


class Model:
    """A model with nothing but the tools. A call that its client sends again by itself is one call of the model's."""

    def __init__(self, api: httpx2.Client, cost: Cost, *, opens_pages: bool = False) -> None:
        self._api = api
        self._cost = cost
        self._capabilities: dict[str, Any] = {"elicitation": {"url": {}}} if opens_pages else {}

    def call(self, tool: str, answered: dict[str, Any] | None = None, **arguments: Any) -> Any:
        if answered is None:
            self._cost.calls += 1
        meta = {**META, "io.modelcontextprotocol/clientCapabilities": self._capabilities}
        params: dict[str, Any] = {"name": tool, "arguments": arguments, "_meta": meta}
        if answered is not None:
            params["inputResponses"] = answered
        headers = {"Accept": ACCEPT, "MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
        answer = self._api.post("/mcp", json=message("tools/call", params), headers=headers)
        assert answer.status_code == 200, answer.text
        result = answer.json()["result"]
        assert not result.get("isError"), result
        return result


@dataclass(frozen=True, slots=True)
class Place:
    """A server in the world of one simulated provider, and who is on it."""

    server: RunningServer
    world: World
    ada: Someone
    api: httpx2.Client
    cost: Cost

    def person(self) -> AbstractContextManager[Person]:
        return person_at(self.server, self.ada, self.cost, self.world)

    def model(self, *, opens_pages: bool = False) -> Model:
        return Model(self.api, self.cost, opens_pages=opens_pages)


@contextmanager
def place_with(folder: Path, provider_key: str) -> Iterator[Place]:
    with running_world() as world:

        def build(settings: Settings, clock: Clock | None, passwords: Passwords | None) -> Services:
            return services_in(world, settings, clock, passwords)

        raw = next(each for each in raw_entries() if each["key"] == provider_key)
        with running_server(folder, build=build) as server:
            ada = server.add_person()
            world.provider = SimulatedProvider(raw, {}, server.services.clock.now)
            world.provider.keys = {"access_token": KEY}
            with server.client(headers=ada.headers) as api:
                yield Place(server, world, ada, api, Cost())


def test_gmail_is_connected_by_its_name_with_the_servers_client(tmp_path: Path) -> None:
    with place_with(tmp_path, "google-gmail") as here:
        operator = here.server.add_person(is_operator=True)
        body = CreateProviderClient.model_validate(
            {"providerKey": "google-gmail", "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
        )
        clients, actor = here.server.services.provider_clients, Actor(operator.person.id, "client", "Tests")
        client = here.server.run(clients.create(actor, None, body)).client
        assert here.world.provider is not None
        here.world.provider.redirect_uri = client.redirect_uri
        result = here.model().call("connect_auth", target="Gmail")
        (link,) = LINK.findall(result["content"][0]["text"])
        with here.person() as person:
            person.open(link)
            assert "Connected" in person.press()
        auth = result["structuredContent"]["auth"]
        assert state(here, auth) == "valid"
        assert asdict(here.cost) == promised("Connect Gmail with the server's client, by its name")


def test_a_model_connects_by_a_word_where_its_client_opens_pages(tmp_path: Path) -> None:
    """MCP 2026-07-28, elicitation in URL mode: the client opens the page and sends the call again, which waits."""
    with place_with(tmp_path, "stripe") as here, ThreadPoolExecutor(1) as elsewhere:
        model = here.model(opens_pages=True)
        asked = model.call("connect_auth", target="stripe", waitSeconds=55)
        (request,) = asked["inputRequests"].values()
        waiting = elsewhere.submit(
            model.call, "connect_auth", {"connect": {"action": "accept"}}, target="stripe", waitSeconds=55
        )
        with here.person() as person:
            person.open(request["params"]["url"])
            person.press(accessToken=KEY)
        assert waiting.result(30)["structuredContent"]["auth"]["status"] == "valid"
        assert asdict(here.cost) == promised("Connect a service with a key, by its name, in a client that opens pages")


def test_a_model_connects_by_a_word_where_links_are_shown(tmp_path: Path) -> None:
    with place_with(tmp_path, "stripe") as here, ThreadPoolExecutor(1) as elsewhere:
        model = here.model()
        made = model.call("connect_auth", target="stripe")
        auth_id = made["structuredContent"]["auth"]["id"]
        waiting = elsewhere.submit(model.call, "get_auth_connection", authId=auth_id, waitSeconds=55)
        with here.person() as person:
            person.open(made["structuredContent"]["connect"]["url"])
            person.press(accessToken=KEY)
        assert waiting.result(30)["structuredContent"]["auth"]["status"] == "valid"
        assert asdict(here.cost) == promised("The same in a client that shows links")


def test_a_key_is_replaced(tmp_path: Path) -> None:
    with place_with(tmp_path, "stripe") as here:
        body = {"name": "Stripe", "providerKey": "stripe", "config": {"type": "bearer", "accessToken": KEY}}
        actor = Actor(here.ada.person.id, "client", "Tests")
        (app,) = here.server.run(here.server.services.apps.list(here.ada.person.id))
        create = here.server.services.connections.create
        made = here.server.run(create(actor, app.id, CreateAuthConnection.model_validate(body))).auth
        assert here.world.provider is not None
        here.world.provider.keys = {"access_token": "sk_test_the_new_one"}
        renewed = here.model().call("update_auth_connection", authId=made.id, renewSecret=True)
        with here.person() as person:
            person.open(renewed["structuredContent"]["connect"]["url"])
            assert "Connected" in person.press(accessToken="sk_test_the_new_one")
        assert asdict(here.cost) == promised("Replace the key of a connection")


def test_an_operator_resets_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost, new = Cost(), "another long password"
    with running_server(tmp_path) as server:
        ada = server.add_person()
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("DRIO_PORT", port)
        monkeypatch.setattr(sys, "stdin", io.StringIO(""))
        capsys.readouterr()
        cost.commands += 1
        assert run(["users", "reset-password", "--email", ada.email]) == 0
        link = capsys.readouterr().out.strip()
        with Browser(server.url) as browser:
            cost.pages += 1
            browser.open(link)
            cost.clicks += 1
            browser.submit(password=new)
            assert "Apps" in browser.open("/sign-in").sign_in(ada.email, new).text
    assert asdict(cost) == promised("Reset somebody's password, as an operator")


def set_status(tx: Transaction, auth_id: str, status: str) -> None:
    tx.run(BREAK, id=auth_id, status=status, last_error=None)


def broken_in(server: RunningServer, someone: Someone) -> list[str]:
    """Two that do not work, in two apps, and one that does."""
    services, actor = server.services, Actor(someone.person.id, "client", "Tests")
    (first,) = server.run(services.apps.list(someone.person.id))
    second = server.run(services.apps.create(someone.person.id, CreateApp(name="Second")))
    names = []
    for app, name, status in (
        (first, "Calendar", "needs_reauth"),
        (second, "Ledger", "invalid"),
        (second, "Weather", "valid"),
    ):
        body = CreateAuthConnection.model_validate({"name": name, "providerKey": "custom-bearer"})
        auth = server.run(services.connections.create(actor, app.id, body)).auth
        server.run(services.db.write(set_status, auth.id, status))
        names.append(name)
    return names[:2]


def test_all_that_does_not_work_is_on_one_page(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        ada, operator = server.add_person(), server.add_person(is_operator=True)
        names, cost = broken_in(server, ada), Cost()
        with person_at(server, ada, cost) as person:
            text = person.open("/apps")
        assert all(name in text for name in names)
        assert "Weather" not in text
        assert asdict(cost) == promised("See all of your connections that do not work, of all apps")
        cost = Cost()
        with person_at(server, operator, cost) as person:
            text = person.open("/operator/connections?broken=1")
        assert all(f"<bdi>{name}</bdi>" in text for name in names)
        assert "Weather" not in text
        assert asdict(cost) == promised("See all of the server's connections that do not work, as an operator")


def test_every_row_is_measured() -> None:
    rows = re.findall(r"^\| (?!task|-)([^|]+?) \|", TASKS.read_text(), re.M)
    measured = re.findall(r'promised\(\s*"([^"]+)"\s*\)', Path(__file__).read_text())
    assert sorted(rows) == sorted(measured)


def state(here: Place, auth: dict[str, Any]) -> str:
    """As it is stored, without a call of the model's."""
    answer = here.api.get(f"/api/v1/apps/{auth['appId']}/auth/{auth['id']}")
    status: str = answer.json()["auth"]["status"]
    return status

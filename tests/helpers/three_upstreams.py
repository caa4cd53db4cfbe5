"""One app with three services behind it, and a conversation about them that every client can have (contract section 8).

An open server of the official SDK as it was in the days of sessions and events, one of the newest revision behind
OAuth, and a REST API behind a key. What writes is set to `ask`.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from tests.helpers.gateway import App, first_app
from tests.helpers.server import RunningServer, running_server
from tests.upstreams import Upstream, upstream
from tests.upstreams.sdk_server import SdkServer, sdk_server
from tests.upstreams.tool_server import ToolServer, tool_server

OLD_REVISION = "2025-03-26"
KEY = "key-of-the-person"
Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """What a client's model is shown of a tool call."""

    is_error: bool
    text: str


class Conversation(Protocol):
    """A client with its model."""

    def tools(self) -> set[str]:
        """The names that its model is shown."""
        ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome: ...


@dataclass
class ThingsApi:
    """`GET` and `POST /v1/things`, behind a key."""

    written: list[str] = field(default_factory=list)

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        return [upstream.route("/v1/things", "things", self._answer, ["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        if request.headers.get("x-api-key") != KEY:
            return JSONResponse({"message": "Bad credentials"}, 401)
        if request.method == "GET":
            return JSONResponse({"things": ["things of the API"]})
        self.written.append((await request.json())["name"])
        return JSONResponse({"wrote": self.written[-1]}, 201)


@dataclass(frozen=True)
class ThreeUpstreams:
    """The services, connected to one app."""

    app: App
    old: ToolServer
    new: SdkServer
    api: ThingsApi
    lifetime: contextlib.ExitStack
    """Of the new server."""

    @property
    def written(self) -> list[str]:
        """What all three have written, in any order."""
        return sorted([*self.old.written, *self.new.written, *self.api.written])

    def click(self, url: str) -> str:
        """Open a link to a provider as the app's owner, go on, and come back; gives what the page says then."""
        with self.app.browser() as browser:
            browser.open(url).submit(form_with="csrf")
            assert browser.left_to is not None, browser.text
            return browser.open(_sent_back_to(browser.left_to)).text

    def stop_new(self) -> None:
        """The new server is gone: nobody listens where it was."""
        self.lifetime.close()

    def converse(self, client: Conversation) -> None:
        """See the tools of all three, read, write after asking, and mend what was withdrawn meanwhile."""
        assert {name for name, _ in (*READS, *WRITES)} <= client.tools()
        for name, arguments in READS:
            read = client.call(name, arguments)
            assert not read.is_error, read
            assert "things of" in read.text
        for name, arguments in WRITES:
            before = self.written
            asked = client.call(name, arguments)
            assert asked.is_error, asked
            assert self.written == before
            self.app.decide(self._link(asked), "allow")
            assert self.written == before, "an approval sends nothing by itself"
            written = client.call(name, arguments)
            assert not written.is_error, written
            assert "wrote" in written.text
        assert self.written == ["a", "b", "c"]

        self.new.provider.withdraw()
        name, arguments = READS[1]
        broken = client.call(name, arguments)
        assert broken.is_error, broken
        self.click(self._link(broken))
        assert "things of kind blue" in client.call(name, arguments).text
        assert self.written == ["a", "b", "c"]

    def _link(self, outcome: Outcome) -> str:
        """The one page of ours that the model is shown, to give it to the person."""
        found: set[str] = set(re.findall(re.escape(self.app.server.url) + r"/[\w/.-]*[\w-]", outcome.text))
        assert len(found) == 1, outcome
        return found.pop()


READS: tuple[Call, ...] = (
    ("old__list_things", {"kind": "red"}),
    ("new__list_things", {"kind": "blue"}),
    ("call_api", {"connection": "api", "method": "GET", "path": "/things"}),
)
WRITES: tuple[Call, ...] = (
    ("old__write_thing", {"name": "a"}),
    ("new__write_thing", {"name": "b"}),
    ("call_api", {"connection": "api", "method": "POST", "path": "/things", "body": {"name": "c"}}),
)


@contextlib.contextmanager
def three_upstreams(folder: Path, **settings: Any) -> Iterator[ThreeUpstreams]:
    """The services and an app that they are connected to, while the block lasts."""
    api = ThingsApi()
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(tool_server(revision=OLD_REVISION))
        lifetime = stack.enter_context(contextlib.ExitStack())
        new = lifetime.enter_context(sdk_server())
        behind_key = stack.enter_context(upstream(api))
        reached = ",".join(each.host_port for each in (old, new, behind_key))
        server: RunningServer = stack.enter_context(running_server(folder, outbound_allow=reached, **settings))
        stage = ThreeUpstreams(first_app(server, server.add_person()), old, new, api, lifetime)
        _connect(stage, behind_key.origin)
        yield stage


def _connect(stage: ThreeUpstreams, api_origin: str) -> None:
    app = stage.app
    asks = {"mode": "all", "tools": {"write_thing": "ask"}}
    old = app.connect(stage.old.url, name="Old")
    assert (old["status"], old["config"]["type"]) == ("valid", "none")
    app.patch(old["id"], use=asks)
    with app.api() as http:
        made = http.post(f"{app.path}/connect", json={"target": stage.new.url, "name": "New"}).json()
    stage.click(made["connect"]["url"])
    app.patch(made["auth"]["id"], use=asks)
    config = {"type": "api_key_header", "headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"{api_origin}/v1"}
    api = app.create(name="Api", providerKey="custom-api-key", config=config)
    app.patch(api["id"], use={"mode": "all", "tools": {"POST": "ask"}})


def _sent_back_to(authorization_url: str) -> str:
    """Where the SDK's server sends the browser: its provider allows everything at once."""
    answer = httpx2.get(authorization_url, trust_env=False)
    assert answer.has_redirect_location, answer.text
    return str(answer.headers["location"])

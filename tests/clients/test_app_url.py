"""An app's URL in the clients as they are published: one URL, three services (contract, section 8).

Each adds the URL, is allowed by the app's owner, and has the conversation of `tests/helpers/three_upstreams.py`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import ClaudeCode, Codex
from tests.clients.driven import DrivenClient, driven_client
from tests.clients.person import Person
from tests.clients.scripted_model import scripted_model
from tests.helpers.oauth import walk_through
from tests.helpers.three_upstreams import WRITES, Outcome, ThreeUpstreams, three_upstreams

pytestmark = pytest.mark.slow


class Owner(Person):
    """The app's owner, who allows everything of every connection."""

    def __init__(self, stage: ThreeUpstreams) -> None:
        super().__init__(stage.app.server.url)
        self._someone = stage.app.owner

    def decide(self, url: str, decision: str = "allow") -> str:
        return walk_through(self.browser, url, self._someone, decision, "all")


class Sdk:
    """A client of one of the SDKs, in a process of its own."""

    def __init__(self, client: DrivenClient) -> None:
        self._client = client

    def tools(self) -> set[str]:
        return set(self._client.do("tools"))

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        told = self._client.do("outcome", name=name, input=dict(arguments))
        return Outcome(told["isError"], told["text"])


SDKS = {
    "Python SDK": ("python_sdk.py", "auto"),
    "TypeScript SDK 1": ("typescript_1.mjs",),
    "TypeScript SDK 2": ("typescript_2.mjs", "auto"),
}


@contextmanager
def sdk(stage: ThreeUpstreams, script: tuple[str, ...]) -> Iterator[Sdk]:
    """The client, connected to the app's URL."""
    with Owner(stage) as owner, driven_client(owner, *script) as client:
        client.do("connect", url=stage.app.url)
        yield Sdk(client)


@contextmanager
def agent(stage: ThreeUpstreams, home: Path, program: type[ClaudeCode | Codex]) -> Iterator[ClaudeCode | Codex]:
    """The program, with the URL added and the conversation begun."""
    home.mkdir()
    with scripted_model() as model:
        running = program(home, stage.app, model)
        running.add()
        with running.talking():
            yield running


@pytest.mark.parametrize("script", SDKS.values(), ids=SDKS)
def test_an_sdk(tmp_path: Path, script: tuple[str, ...]) -> None:
    with three_upstreams(tmp_path) as stage, sdk(stage, script) as client:
        stage.converse(client)


@pytest.mark.parametrize("program", [ClaudeCode, Codex])
def test_an_agent(tmp_path: Path, program: type[ClaudeCode | Codex]) -> None:
    with three_upstreams(tmp_path / "data") as stage, agent(stage, tmp_path / "home", program) as client:
        stage.converse(client)


def test_claude_code_opens_the_page_itself(tmp_path: Path) -> None:
    """URL elicitation (MCP 2026-07-28): the person allows it there, and the model is never told that it had to wait."""
    with three_upstreams(tmp_path / "data") as stage, agent(stage, tmp_path / "home", ClaudeCode) as client:
        assert isinstance(client, ClaudeCode)
        client.when_opened = lambda url: stage.app.decide(url, "allow")
        for name, arguments in WRITES:
            assert not client.call(name, arguments).is_error
    assert stage.written == ["a", "b", "c"]
    assert len(client.opened) == 3


def test_a_server_that_is_gone_is_told_where_output_schemas_are_checked(tmp_path: Path) -> None:
    """TypeScript SDK 1 holds failures against the tool's `outputSchema`, and would throw them away."""
    with three_upstreams(tmp_path) as stage, sdk(stage, SDKS["TypeScript SDK 1"]) as client:
        assert "things of" in client.call("new__list_things", {}).text
        stage.stop_new()
        told = client.call("new__list_things", {})
        assert told.is_error
        assert "endpoint_unreachable" in told.text
        assert "things of" in client.call("old__list_things", {}).text

"""An app's URL in the TypeScript SDK 1.x client: OAuth, tools, an approval (contract, section 8)."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.driven import driven_client
from tests.clients.person import Person
from tests.conftest import FakeClock
from tests.helpers.gateway import first_app
from tests.helpers.server import PASSWORD, running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import ECHO, RevisionServer

pytestmark = pytest.mark.slow

WRITE: dict[str, Any] = {"name": "write", "inputSchema": {"type": "object"}, "description": "Writes."}


class Owner(Person):
    """The app's owner, who allows everything of every connection."""

    def decide(self, url: str, decision: str = "allow") -> str:
        self.browser.open("/sign-in").sign_in("ada@example.com", PASSWORD)
        form = next(form for form in self.browser.open(url).forms if ("decision", decision) in form.buttons)
        chosen = {name: "all" for name in form.fields if name.startswith("use:")}
        self.browser.submit(button=("decision", decision), password=PASSWORD, **chosen)
        assert self.browser.left_to is not None, self.browser.text
        return self.browser.left_to


def test_the_apps_url_in_a_typescript_client(tmp_path: Path) -> None:
    server = RevisionServer(tools=[ECHO, WRITE])
    with ExitStack() as stack:
        host_port = stack.enter_context(upstream(server)).host_port
        running = stack.enter_context(running_server(tmp_path, FakeClock(), outbound_allow=host_port))
        app = first_app(running, running.add_person("ada@example.com"))
        auth = app.connect(server.url, name="S")
        app.patch(auth["id"], use={"mode": "all", "tools": {"write": "ask"}})
        owner = stack.enter_context(Owner(running.url))
        client = stack.enter_context(driven_client(owner, "typescript_1.mjs"))

        client.do("connect", url=app.url)
        assert {"s__echo", "s__write"} <= set(client.do("tools"))
        assert client.do("outcome", name="s__echo", input={"text": "a"}) == {
            "isError": False,
            "text": "a",
            "code": None,
        }

        asked = client.do("outcome", name="s__write", input={})
        assert asked["isError"] is True
        assert asked["code"] == "approval_required"
        link = next(word for word in asked["text"].split() if word.startswith(running.url)).rstrip(".,)")
        app.decide(link, "allow")
        assert client.do("outcome", name="s__write", input={})["isError"] is False

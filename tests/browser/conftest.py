"""One Chromium per test module, one server with a provider that it may reach, and somebody who is signed in."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.scene import Scene, build_scene
from tests.helpers.server import PASSWORD, RunningServer, running_server
from tests.upstreams import AuthorizationServer, KeyedApi, McpServer, Upstream, upstream

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SERVER = AuthorizationServer(registration="open")
MCP = McpServer(accepts=SERVER.accepts)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without Playwright, which `make test-all` installs, the fast tests do without reading the slow ones here."""
    is_wanted = config.option.markexpr != "not slow" or find_spec("playwright") is not None
    return None if is_wanted else True


@pytest.fixture(scope="session")
def provider() -> Iterator[Upstream]:
    """An MCP server whose authorization server registers everybody, and an API behind a key."""
    with upstream(SERVER, MCP, KeyedApi()) as started:
        yield started


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, provider: Upstream) -> Iterator[RunningServer]:
    """A server on which anyone may sign up."""
    folder = tmp_path_factory.mktemp("browser")
    with running_server(folder, outbound_allow=(provider.host_port,), signup="open") as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Not for the whole session: Playwright's own event loop would be in the way of tests with one."""
    from playwright.sync_api import sync_playwright

    from tests.browser.window import launch

    with sync_playwright() as playwright:
        launched = launch(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def scene(server: RunningServer) -> Scene:
    return build_scene(server, server.add_person())


@pytest.fixture(scope="module")
def signed_in(browser: "Browser", scene: Scene) -> Any:
    """The cookies of the person in the scene."""
    from tests.browser.window import LIGHT, window

    with window(browser, LIGHT) as opened:
        opened.page.goto(f"{scene.server.url}/sign-in")
        opened.page.fill("[name=email]", scene.someone.email)
        opened.page.fill("[name=password]", PASSWORD)
        opened.page.click("button:has-text('Sign in')")
        opened.page.wait_for_url("**/apps")
        return opened.page.context.storage_state()


@pytest.fixture(scope="module")
def operator(browser: "Browser", scene: Scene) -> Any:
    """The cookies of an operator."""
    from tests.browser.window import LIGHT, window

    boss = scene.server.add_person(is_operator=True)
    with window(browser, LIGHT) as opened:
        opened.page.goto(f"{scene.server.url}/sign-in")
        opened.page.fill("[name=email]", boss.email)
        opened.page.fill("[name=password]", PASSWORD)
        opened.page.click("button:has-text('Sign in')")
        opened.page.wait_for_url("**/apps")
        return opened.page.context.storage_state()

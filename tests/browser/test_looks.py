"""Every page in every look: accessible (WCAG 2.2 AA by axe-core), within the window, and within its own policy."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser

from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from drio_mcp.opaque import hash_of
from drio_mcp.store import Transaction, links
from tests.browser.scene import ARABIC, EMOJI, HOSTILE_CLIENT, LONG, Scene, authorize_path
from tests.browser.window import LOOKS, Window, window
from tests.helpers.oauth import CALLBACK, register

pytestmark = pytest.mark.slow

Address = Callable[[Scene], str]


def consent(name: str, redirect_uri: str = CALLBACK, scope: str = "openid profile email offline_access") -> Address:
    """The consent page of a client with that name."""

    def path(scene: Scene) -> str:
        with scene.server.client() as http:
            client = register(http, client_name=name, redirect_uris=[redirect_uri])
        return authorize_path(client["client_id"], redirect_uri, scope=scope)

    return path


def setup(scene: Scene) -> str:
    """A fresh setup link."""
    path: str = scene.server.run(scene.server.services.setup_links.create())
    return path


def invitation(scene: Scene) -> str:
    """A fresh invitation."""
    path: str = scene.server.run(scene.server.services.account_links.invite())
    return path


def entry_of_a_key(scene: Scene) -> str:
    """The page for the key of a provider that says where its keys are made."""
    actor = Actor.person(scene.someone.person.id, scene.someone.person.name)
    wish = ConnectAuth.model_validate({"providerKey": "trello"})
    connected = scene.server.run(scene.server.services.connect.connect(actor, scene.app_id, wish))
    scene.connections["Trello"] = connected.auth.id
    return scene.link("Trello")


def used_link(scene: Scene) -> str:
    """A link that was used, of a connection that still waits."""
    path = scene.link("Weather")

    def use(tx: Transaction) -> None:
        token_hash = hash_of(path.rpartition("/")[2])
        tx.one(
            links.CONSUME, token_hash=token_hash, user_id=scene.someone.person.id, now=scene.server.services.clock.now()
        )

    scene.server.run(scene.server.services.db.write(use))
    return path


OUTSIDE: Mapping[str, Address] = {
    "start": lambda scene: "/",
    "setup": setup,
    "invitation": invitation,
    "setup-ended": lambda scene: "/setup?token=used",
    "sign-in": lambda scene: "/sign-in",
    "sign-in-for-client": consent("Claude"),
    "sign-up": lambda scene: "/sign-up",
    "not-found": lambda scene: "/nowhere",
    "consent-unknown-client": lambda scene: authorize_path("nobody", CALLBACK),
}
INSIDE: Mapping[str, Address] = {
    "start-signed-in": lambda scene: "/",
    "account": lambda scene: "/account",
    "sign-out": lambda scene: "/sign-out",
    "consent": consent("Claude"),
    "consent-loopback": consent("Claude Code", "http://localhost:9999/callback"),
    "consent-hostile": consent(HOSTILE_CLIENT, scope="openid profile email connections:use"),
    "apps": lambda scene: "/apps",
    "app": lambda scene: scene.app,
    "app-filtered": lambda scene: f"{scene.app}?status=invalid",
    "app-empty": lambda scene: f"/apps/{scene.empty_app_id}",
    "app-settings": lambda scene: f"{scene.app}/settings",
    "app-delete": lambda scene: f"{scene.app}/delete",
    "connect": lambda scene: f"{scene.app}/connect",
    "connect-category": lambda scene: f"{scene.app}/connect?category=crm",
    "connect-found": lambda scene: f"{scene.app}/connect?q=google",
    "connect-not-found": lambda scene: f"{scene.app}/connect?q={LONG}",
    "new-known": lambda scene: f"{scene.app}/new?provider=linear",
    "new-variables": lambda scene: f"{scene.app}/new?provider=zendesk",
    "new-by-hand": lambda scene: f"{scene.app}/new?provider=custom-oauth",
    "connection-valid": lambda scene: scene.auth("HubSpot"),
    "connection-draft": lambda scene: scene.auth("Weather"),
    "connection-needs-you": lambda scene: scene.auth("Calendar"),
    "connection-long": lambda scene: scene.auth(LONG),
    "connection-arabic": lambda scene: scene.auth(ARABIC),
    "connection-emoji": lambda scene: scene.auth(EMOJI),
    "history": lambda scene: f"{scene.auth('HubSpot')}/history",
    "connection-edit": lambda scene: f"{scene.auth('HubSpot')}/edit",
    "connection-delete": lambda scene: f"{scene.auth(LONG)}/delete",
    "webhooks": lambda scene: f"{scene.app}/webhooks",
    "webhooks-none": lambda scene: f"/apps/{scene.empty_app_id}/webhooks",
    "webhook": lambda scene: scene.webhook,
    "webhook-new": lambda scene: f"{scene.app}/webhooks/new",
    "webhook-delete": lambda scene: f"{scene.webhook}/delete",
    "enter-key": lambda scene: scene.link("Weather"),
    "enter-key-of-provider": entry_of_a_key,
    "enter-client": lambda scene: scene.link("HubSpot"),
    "result": lambda scene: f"/connect/result/{scene.connections['HubSpot']}",
    "result-not-yet": lambda scene: f"/connect/result/{scene.connections['Calendar']}",
    "enter-used": used_link,
    "enter-ended": lambda scene: "/connect/used",
}


OPERATORS: Mapping[str, Address] = {
    "operator": lambda scene: "/operator",
    "operator-people": lambda scene: "/operator/people",
    "operator-person": lambda scene: f"/operator/people/{scene.someone.person.id}",
    "operator-connections": lambda scene: "/operator/connections",
    "operator-connection-list": lambda scene: "/operator/connections?status=valid&provider=custom-oauth",
    "operator-broken": lambda scene: "/operator/connections?broken=1",
    "operator-clients": lambda scene: "/operator/clients",
    "operator-grants": lambda scene: "/operator/grants",
    "operator-provider-clients": lambda scene: "/operator/provider-clients",
    "operator-jobs": lambda scene: "/operator/jobs",
    "operator-doctor": lambda scene: "/operator/doctor?run=1",
}


@pytest.fixture(scope="module")
def strangers(browser: Browser) -> Iterator[list[Window]]:
    """A window of each look, in which nobody is signed in."""
    with ExitStack() as opened:
        yield [opened.enter_context(window(browser, look)) for look in LOOKS]


@pytest.fixture(scope="module")
def windows(browser: Browser, signed_in: Any) -> Iterator[list[Window]]:
    """A window of each look, in which the person of the scene is signed in."""
    with ExitStack() as opened:
        yield [opened.enter_context(window(browser, look, signed_in)) for look in LOOKS]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_page_before_sign_in(strangers: list[Window], scene: Scene, name: str) -> None:
    url = scene.server.url + OUTSIDE[name](scene)
    for each in strangers:
        each.open(url)
        each.check(name)


@pytest.mark.parametrize("name", INSIDE)
def test_a_page_of_somebody(windows: list[Window], scene: Scene, name: str) -> None:
    url = scene.server.url + INSIDE[name](scene)
    for each in windows:
        each.open(url)
        each.check(name)


@pytest.fixture(scope="module")
def desks(browser: Browser, operator: Any) -> Iterator[list[Window]]:
    """A window of each look, in which an operator is signed in."""
    with ExitStack() as opened:
        yield [opened.enter_context(window(browser, look, operator)) for look in LOOKS]


@pytest.mark.parametrize("name", OPERATORS)
def test_a_page_of_operators(desks: list[Window], scene: Scene, name: str) -> None:
    url = scene.server.url + OPERATORS[name](scene)
    for each in desks:
        each.open(url)
        each.check(name)

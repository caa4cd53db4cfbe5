"""The pages of webhooks."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drio_mcp.events.schemas import NewWebhook, Webhook
from tests.conftest import FakeClock
from tests.events.receiver import Receiver
from tests.pages.conftest import Site, form_to, make_site
from tests.pages.console import KEY, Console, open_console
from tests.upstreams.serving import upstream

URL = "https://receiver.example/hook"


@pytest.fixture
async def receiver(tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[Console, Receiver, str]]:
    """A console whose server reaches a receiver."""
    taking = Receiver()
    with upstream(taking) as running:
        site = make_site(tmp_path, clock, outbound_allow=(running.host_port,))
        async with site.services.db, site.services.outbound:
            yield await open_console(site, site.visitor()), taking, f"{running.origin}/hook"


async def make(console: Console, url: str = URL) -> Webhook:
    body = NewWebhook(url=url)
    return (await console.site.services.webhooks.create(console.person.id, console.app_id, body)).webhook


async def all_of(console: Console) -> tuple[Webhook, ...]:
    return (await console.site.services.webhooks.list(console.person.id, console.app_id)).webhooks


async def test_a_webhook_is_made_and_its_secret_shown_once(site: Site) -> None:
    console = await open_console(site, site.visitor())
    page = await console.visitor.get(f"{console.path}/webhooks")
    assert "There is none yet" in page.text
    page = await console.visitor.get(f"{console.path}/webhooks/new")
    answer = await console.visitor.submit(page, f"{console.path}/webhooks/new", url=URL, description="For <b>us</b>")
    assert answer.status_code == 200
    assert len(set(re.findall(r"whsec_[A-Za-z0-9+/=]+", answer.text))) == 1
    assert "For &lt;b&gt;us&lt;/b&gt;" in answer.text
    [made] = await all_of(console)
    assert len(made.events) == 9
    again = await console.visitor.get(f"{console.path}/webhooks/{made.id}")
    assert "whsec_" not in again.text
    assert made.id in (await console.visitor.get(f"{console.path}/webhooks")).text


async def test_some_events_are_chosen(site: Site) -> None:
    console = await open_console(site, site.visitor())
    page = await console.visitor.get(f"{console.path}/webhooks/new")
    csrf = form_to(page, f"{console.path}/webhooks/new").fields["csrf"]
    data = {
        "csrf": csrf,
        "url": URL,
        "told": "some",
        "event-connection.deleted": "on",
        "event-connection.degraded": "on",
    }
    await console.visitor.post(f"{console.path}/webhooks/new", data)
    [made] = await all_of(console)
    assert made.events == ("connection.degraded", "connection.deleted")
    page = await console.visitor.get(f"{console.path}/webhooks/{made.id}")
    assert re.findall(r'name="event-([^"]+)" checked', page.text) == ["connection.degraded", "connection.deleted"]
    assert 'value="some" checked' in page.text


@pytest.mark.parametrize(
    ("typed", "field"), [({"url": "https://10.0.0.1/"}, "url"), ({"url": URL, "description": "x" * 201}, "description")]
)
async def test_a_mistake_stands_beside_its_field(site: Site, typed: dict[str, str], field: str) -> None:
    console = await open_console(site, site.visitor())
    path = f"{console.path}/webhooks/new"
    answer = await console.visitor.submit(await console.visitor.get(path), path, **typed)
    assert answer.status_code == 400
    form = form_to(answer, path)
    assert form.attributes[field]["aria-invalid"] == "true"
    assert form.fields["url"] == typed["url"]
    made = await make(console)
    shown = f"{console.path}/webhooks/{made.id}"
    data = {"csrf": form.fields["csrf"], "url": URL, "told": "all", **typed}
    assert (await console.visitor.post(shown, data)).status_code == 400


async def test_nothing_chosen_is_said(site: Site) -> None:
    console = await open_console(site, site.visitor())
    path = f"{console.path}/webhooks/new"
    csrf = form_to(await console.visitor.get(path), path).fields["csrf"]
    answer = await console.visitor.post(path, {"csrf": csrf, "url": URL, "told": "some"})
    assert answer.status_code == 400
    assert "Choose at least one of them, or everything" in answer.text


async def test_a_webhook_is_changed_disabled_enabled_and_deleted(site: Site) -> None:
    console = await open_console(site, site.visitor())
    made = await make(console)
    path = f"{console.path}/webhooks/{made.id}"
    page = await console.visitor.get(path)
    data = {"csrf": re.findall(r'name="csrf" value="([^"]+)"', page.text)[0], "told": "all"}
    answer = await console.visitor.post(path, {**data, "url": f"{URL}/other", "description": "Mine"})
    assert answer.headers["location"] == f"{path}?done=saved"
    assert "Your changes were saved." in (await console.visitor.get(f"{path}?done=saved")).text
    [after] = await all_of(console)
    assert (after.url, after.description) == (f"{URL}/other", "Mine")
    assert (await console.visitor.press(page, "disable")).headers["location"] == f"{path}?done=disabled"
    page = await console.visitor.get(path)
    assert (await console.visitor.press(page, "enable")).headers["location"] == f"{path}?done=enabled"
    page = await console.visitor.get(f"{path}/delete")
    answer = await console.visitor.submit(page, f"{path}/delete")
    assert answer.headers["location"] == f"{console.path}/webhooks?done=deleted"
    assert await all_of(console) == ()
    assert (await console.visitor.get(path)).status_code == 404


async def test_a_new_secret_is_shown_once(site: Site) -> None:
    console = await open_console(site, site.visitor())
    made = await make(console)
    path = f"{console.path}/webhooks/{made.id}"
    answer = await console.visitor.press(await console.visitor.get(path), "rotate")
    assert "whsec_" in answer.text
    assert made.secret is not None
    assert made.secret not in answer.text


async def test_a_test_tells_what_became_of_it(receiver: tuple[Console, Receiver, str]) -> None:
    console, taking, url = receiver
    made = await make(console, url)
    path = f"{console.path}/webhooks/{made.id}"
    answer = await console.visitor.press(await console.visitor.get(path), "test")
    assert "The test was taken: the receiver answered 204" in answer.text
    taking.refuses = {"webhook.test"}
    answer = await console.visitor.press(answer, "test")
    assert "The test was not taken. The receiver answered 500." in answer.text
    for _ in range(8):
        answer = await console.visitor.press(answer, "test")
    assert (await console.visitor.press(answer, "test")).status_code == 429


async def test_what_waits_and_what_was_tried_is_shown(receiver: tuple[Console, Receiver, str]) -> None:
    console, taking, url = receiver
    taking.refuses = {"connection.created"}
    made = await make(console, url)
    await console.create(KEY)
    services = console.site.services
    await services.deliveries.deliver_due(services.clock.now())
    page = await console.visitor.get(f"{console.path}/webhooks/{made.id}")
    assert "1 message waiting" in page.text
    assert "The receiver answered 500. It is tried again." in page.text
    page = await console.visitor.get(f"{console.path}/webhooks/{made.id}/delete")
    assert "the 1 message that waits for it" in page.text


async def test_somebody_elses_webhook_is_nothing(site: Site) -> None:
    console = await open_console(site, site.visitor())
    made = await make(console)
    await site.person("bob@example.com", "Bob")
    bob = site.visitor()
    await bob.sign_in("bob@example.com")
    for path in ("", "/new", f"/{made.id}", f"/{made.id}/delete"):
        assert (await bob.get(f"{console.path}/webhooks{path}")).status_code == 404

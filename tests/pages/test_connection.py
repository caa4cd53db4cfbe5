"""One connection's page: what it tells, and what its buttons and forms do."""

import asyncio
from typing import Any

import pytest

from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.removal.undo import WINDOW_MS
from drio_mcp.errors import NotFound
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, forms_of
from tests.pages.console import KEY, OAUTH, Console, open_console

SECRET = "sk-canary-0123456789"


@pytest.fixture
async def console(site: Site, visitor: Visitor) -> Console:
    return await open_console(site, visitor)


def with_key(body: dict[str, Any] = KEY) -> dict[str, Any]:
    return {**body, "config": {**body["config"], "apiKey": SECRET}}


async def test_the_page_shows_the_settings_and_never_the_secret(console: Console) -> None:
    auth = await console.create(with_key())
    page = await console.visitor.get(console.at(auth))
    assert page.status_code == 200
    for text in ("Weather", "X-Api-Key", "https://api.weather.example", "Stored sealed", auth.id):
        assert text in page.text
    for path in (console.at(auth), f"{console.at(auth)}/edit", console.path, f"{console.at(auth)}/history"):
        assert SECRET not in (await console.visitor.get(path)).text


async def test_what_is_missing_is_entered_next(console: Console) -> None:
    auth = await console.create(KEY)
    page = await console.visitor.get(console.at(auth))
    assert "Its secret has not been entered yet" in page.text
    answer = await console.visitor.press(page, "enter")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/connect/")
    entry = await console.visitor.get(answer.headers["location"])
    assert "apiKey" in form_to(entry, "").fields


async def test_a_missing_client_leads_to_the_page_that_has_its_fields(console: Console) -> None:
    auth = await console.create({**OAUTH, "status": "valid"})
    await console.change(auth, config={"clientId": None})
    page = await console.visitor.get(console.at(auth))
    assert "A setting is missing" in page.text
    entry = await console.visitor.get((await console.visitor.press(page, "enter")).headers["location"])
    assert {"clientId", "clientSecret"} <= set(form_to(entry, "").fields)


async def test_a_missing_setting_leads_to_its_field_and_the_reason_goes_with_it(console: Console) -> None:
    auth = await console.create({**OAUTH, "status": "valid"})
    await console.change(auth, config={"tokenEndpoint": None})
    assert f'href="{console.at(auth)}/edit"' in (await console.visitor.get(console.at(auth))).text
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    assert form_to(page, console.at(auth)).attributes["tokenEndpoint"]["aria-invalid"] == "true"
    assert "This is missing" in page.text
    await console.visitor.submit(page, console.at(auth), tokenEndpoint="https://accounts.example.com/token")
    after = await console.read(auth)
    assert (after.status, after.last_error) == (Status.DRAFT, None)


async def test_what_was_wrong_is_looked_at_again_when_its_settings_are_saved(console: Console) -> None:
    auth = await console.create(with_key({**KEY, "config": {**KEY["config"], "apiBaseUrl": "https://127.0.0.1:9"}}))
    await console.record(auth, Status.INVALID, "dns_failure: The host name does not resolve")
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    await console.visitor.submit(page, console.at(auth), headerPrefix="")
    assert "dns_failure" not in (await console.read(auth)).last_error  # type: ignore[operator]


async def test_a_secret_is_replaced_on_its_own_page(console: Console) -> None:
    auth = await console.create(with_key())
    page = await console.visitor.get(console.at(auth))
    assert "Replace the key" in page.text
    entry = await console.visitor.press(page, "enter")
    assert entry.headers["location"].startswith("/connect/")


async def test_disabled_and_enabled_again(console: Console) -> None:
    auth = await console.create(with_key())
    page = await console.visitor.get(console.at(auth))
    answer = await console.visitor.press(page, "disable")
    assert (await console.read(auth)).status is Status.DISABLED
    page = await console.visitor.get(answer.headers["location"])
    assert "nothing can use it" in page.text
    await console.visitor.press(page, "enable")
    assert (await console.read(auth)).status is Status.DRAFT


async def test_enabling_also_undoes_what_the_configuration_says(console: Console) -> None:
    auth = await console.create({**OAUTH, "config": {**OAUTH["config"], "enabled": False}})
    await console.visitor.press(await console.visitor.get(console.at(auth)), "enable")
    assert (await console.read(auth)).config.enabled is True


async def test_another_becomes_the_default(console: Console) -> None:
    first = await console.create({**OAUTH, "config": {**OAUTH["config"], "isDefault": True}})
    second = await console.create(with_key())
    await console.visitor.press(await console.visitor.get(console.at(second)), "default")
    assert (await console.read(second)).config.is_default is True
    assert (await console.read(first)).config.is_default is False


async def test_checking_tells_what_was_found_where(console: Console) -> None:
    auth = await console.create(KEY)
    answer = await console.visitor.press(await console.visitor.get(console.at(auth)), "check")
    assert answer.status_code == 200
    assert "Just checked" in answer.text


async def test_what_cannot_be_renewed_says_why(console: Console) -> None:
    auth = await console.create({**OAUTH, "status": "valid"})
    page = await console.visitor.get(console.at(auth))
    answer = await console.visitor.press(page, "renew")
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text


async def test_an_unknown_button_does_nothing(console: Console) -> None:
    auth = await console.create(OAUTH)
    csrf = forms_of(await console.visitor.get(console.at(auth)))[-1].fields["csrf"]
    answer = await console.visitor.post(console.at(auth), {"csrf": csrf, "action": "drop"})
    assert answer.status_code == 404
    assert await console.read(auth) == auth


async def test_editing_changes_what_was_changed_and_nothing_else(console: Console) -> None:
    auth = await console.create({**with_key(), "status": "valid"})
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    answer = await console.visitor.submit(page, console.at(auth), name="Weather service", headerName="X-API-KEY")
    assert answer.headers["location"] == f"{console.at(auth)}?done=saved"
    after = await console.read(auth)
    assert (after.name, after.config.header_name) == ("Weather service", "X-API-KEY")
    assert after.config.header_prefix == "Key ", "the space that ends it is part of it"
    assert after.config.api_key == "********"
    assert after.status is Status.VALID


async def test_saving_without_a_change_changes_nothing(console: Console) -> None:
    auth = await console.create({**OAUTH, "config": {**OAUTH["config"], "isDefault": True}})
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    assert (await console.visitor.submit(page, console.at(auth))).status_code == 303
    assert await console.read(auth) == auth


async def test_lists_are_read_line_by_line(console: Console) -> None:
    auth = await console.create(OAUTH)
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    await console.visitor.submit(page, console.at(auth), scopes="deals:read\r\ncontacts:read, contacts:write")
    assert (await console.read(auth)).config.scopes == ("deals:read", "contacts:read", "contacts:write")
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    await console.visitor.submit(page, console.at(auth), scopes=" ")
    assert (await console.read(auth)).config.scopes is None


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("name", ""),
        ("name", "x" * 121),
        ("tokenEndpoint", "http://accounts.example.com/token"),
        ("tokenEndpoint", "javascript:alert(1)"),
        ("clientId", "cliént"),
        ("scopes", 'a "b"'),
        ("allowedOrigins", "https://elsewhere.example"),
    ],
)
async def test_a_mistake_is_marked_with_what_was_typed(console: Console, field: str, typed: str) -> None:
    auth = await console.create(OAUTH)
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    answer = await console.visitor.submit(page, console.at(auth), **{"audience": "kept", field: typed})
    assert answer.status_code == 400
    form = form_to(answer, console.at(auth))
    assert form.attributes[field]["aria-invalid"] == "true"
    problem = str(form.attributes[field]["aria-describedby"]).split()[0]
    assert f'id="{problem}"' in answer.text
    assert form.fields[field] == typed
    assert form.fields["audience"] == "kept"
    assert await console.read(auth) == auth


async def test_two_who_edit_at_once_do_not_overwrite_each_other(console: Console) -> None:
    auth = await console.create(OAUTH)
    page = await console.visitor.get(f"{console.at(auth)}/edit")
    await console.change(auth, name="Changed elsewhere")
    answer = await console.visitor.submit(page, console.at(auth), name="Mine")
    assert answer.status_code == 412
    assert form_to(answer, console.at(auth)).fields["name"] == "Changed elsewhere"
    assert (await console.visitor.submit(answer, console.at(auth), name="Mine")).status_code == 303


async def test_deleting_asks_and_can_be_taken_back(console: Console) -> None:
    auth = await console.create({**OAUTH, "status": "valid"})
    page = await console.visitor.get(f"{console.at(auth)}/delete")
    assert "10 minutes" in page.text
    assert (await console.read(auth)).status is Status.VALID, "looking deletes nothing"
    await console.visitor.submit(page, console.at(auth))
    assert (await console.read(auth)).status is Status.DISABLED
    page = await console.visitor.get(console.path)
    assert "Being deleted" in page.text
    answer = await console.visitor.press(page, "keep")
    assert "It stays" in (await console.visitor.get(answer.headers["location"])).text
    assert await console.read(auth) == auth


async def test_deleting_ends_when_the_time_is_up_or_somebody_hurries(console: Console, clock: FakeClock) -> None:
    auth = await console.create(OAUTH)
    await console.visitor.submit(await console.visitor.get(f"{console.at(auth)}/delete"), console.at(auth))
    clock.advance(milliseconds=WINDOW_MS)
    await console.site.services.removals.sweep(clock.now())
    assert (await console.visitor.get(console.at(auth))).status_code == 404

    other = await console.create(with_key())
    await console.visitor.submit(await console.visitor.get(f"{console.at(other)}/delete"), console.at(other))
    answer = await console.visitor.press(await console.visitor.get(console.at(other)), "delete-now")
    assert "was deleted" in (await console.visitor.get(answer.headers["location"])).text
    with pytest.raises(NotFound):
        await console.read(other)


async def test_nothing_is_deleted_at_once_that_nobody_asked_to_delete(console: Console) -> None:
    auth = await console.create(OAUTH)
    csrf = forms_of(await console.visitor.get(console.at(auth)))[-1].fields["csrf"]
    answer = await console.visitor.post(console.at(auth), {"csrf": csrf, "action": "delete-now"})
    assert answer.headers["location"] == f"{console.at(auth)}/delete"
    assert await console.read(auth) == auth


async def test_the_history_says_who_did_what(console: Console) -> None:
    auth = await console.create(OAUTH)
    await console.visitor.press(await console.visitor.get(console.at(auth)), "disable")
    page = await console.visitor.get(f"{console.at(auth)}/history")
    for text in ("Created", "Changed", "status", "Ada", "on a page"):
        assert text in page.text


async def test_a_long_history_is_read_page_by_page(console: Console) -> None:
    auth = await console.create(OAUTH)
    for number in range(55):
        await console.change(auth, name=f"HubSpot {number}")
    page = await console.visitor.get(console.at(auth))
    assert f"{console.at(auth)}/history" in page.text
    first = await console.visitor.get(f"{console.at(auth)}/history")
    assert first.text.count("<time") == 50
    (older,) = [part.partition('"')[0] for part in first.text.split('href="') if "cursor=" in part.partition('"')[0]]
    rest = await console.visitor.get(older.replace("&amp;", "&"))
    assert rest.text.count("<time") == 6
    assert "Created" in rest.text


PATHS = ("", "/edit", "/delete", "/history")


@pytest.mark.parametrize("path", PATHS)
async def test_somebody_elses_connection_is_nothing(console: Console, path: str) -> None:
    auth = await console.create({**OAUTH, "name": "Private"})
    await console.site.person("bob@example.com", "Bob")
    bob = console.site.visitor()
    await bob.sign_in("bob@example.com")
    answer = await bob.get(console.at(auth) + path)
    assert answer.status_code == 404
    assert "Private" not in answer.text
    csrf = form_to(await bob.get("/account"), "/account/profile").fields["csrf"]
    if path != "/history":
        answer = await bob.post(console.at(auth) + path, {"csrf": csrf, "action": "disable", "name": "Taken"})
        assert answer.status_code == 404
    assert await console.read(auth) == auth


@pytest.mark.parametrize("path", PATHS)
async def test_who_is_not_signed_in_signs_in_first_and_comes_back(console: Console, path: str) -> None:
    auth = await console.create(OAUTH)
    stranger = console.site.visitor()
    page = await stranger.get(console.at(auth) + path, follow_redirects=True)
    answer = await stranger.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert answer.headers["location"] == console.at(auth) + path


async def test_a_form_of_another_browser_changes_nothing(console: Console) -> None:
    auth = await console.create(OAUTH)
    foreign = form_to(await console.site.visitor().get("/sign-in"), "/sign-in").fields["csrf"]
    for path in ("", "/edit", "/delete"):
        for csrf in ("", foreign):
            data = {"csrf": csrf, "action": "disable", "name": "Taken"}
            assert (await console.visitor.post(console.at(auth) + path, data)).status_code == 403
    assert await console.read(auth) == auth


async def test_pressing_twice_at_once_is_harmless(console: Console) -> None:
    auth = await console.create(OAUTH)
    page = await console.visitor.get(console.at(auth))
    answers = await asyncio.gather(*(console.visitor.press(page, "disable") for _ in range(4)))
    assert {answer.status_code for answer in answers} == {303}
    assert (await console.read(auth)).status is Status.DISABLED


async def test_names_from_elsewhere_are_text(console: Console) -> None:
    auth = await console.create({**OAUTH, "name": "<script>alert(1)</script>"})
    for path in (console.path, *(console.at(auth) + path for path in PATHS)):
        assert "<script>alert" not in (await console.visitor.get(path)).text

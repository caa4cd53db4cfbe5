"""The operators' pages: 404 for others, a line of the audit log for each look, and no secret on any of them."""

import re
from typing import Any

import httpx2
import pytest

from drio_mcp.accounts import Person
from drio_mcp.pages.operator_area import AREAS
from tests.pages.conftest import PASSWORD, Site, Visitor, forms_of
from tests.pages.console import KEY, open_console

PATHS = [path for _, path in AREAS.values()]


@pytest.fixture
async def boss(site: Site) -> Visitor:
    """An operator, signed in."""
    await site.person("boss@example.com", "Boss", is_operator=True)
    visitor = site.visitor()
    await visitor.sign_in("boss@example.com")
    return visitor


@pytest.fixture
async def ada(site: Site) -> Person:
    return await site.person()


async def audit(site: Site) -> list[dict[str, Any]]:
    return [line async for line in site.services.audit.lines() if line["kind"] == "security"]


async def act(visitor: Visitor, page: httpx2.Response, action: str, **typed: str) -> httpx2.Response:
    """Send the form of that act."""
    form = next(
        each for each in forms_of(page) if each.fields.get("action") == action or ("action", action) in each.buttons
    )
    return await visitor.post(form.action, {**form.fields, "action": action, **typed})


async def invite(visitor: Visitor, page: httpx2.Response, **typed: str) -> httpx2.Response:
    """Send the form of invitations."""
    form = next(each for each in forms_of(page) if each.method == "post" and "email" in each.fields)
    return await visitor.post(form.action, {**form.fields, **typed})


@pytest.mark.parametrize("path", [*PATHS, "/operator/people/user_none", "/operator/nothing"])
async def test_for_others_they_do_not_exist(site: Site, ada: Person, path: str) -> None:
    visitor = site.visitor()
    assert (await visitor.get(path)).status_code in {303, 404}
    await visitor.sign_in()
    answer = await visitor.get(path)
    assert answer.status_code == 404
    assert "/operator" not in answer.text
    assert all(line["event"] != "operator_looked" for line in await audit(site))


async def test_others_cannot_act(site: Site, ada: Person) -> None:
    visitor = site.visitor()
    await visitor.sign_in()
    page = await visitor.get("/account")
    csrf = forms_of(page)[0].fields["csrf"]
    for path in ("/operator/people", f"/operator/people/{ada.id}"):
        answer = await visitor.post(path, {"csrf": csrf, "action": "promote", "password": PASSWORD})
        assert answer.status_code == 404
    person = await site.services.people.get(ada.id)
    assert person is not None
    assert not person.is_operator


@pytest.mark.parametrize("word", AREAS)
async def test_every_look_is_audited(site: Site, boss: Visitor, word: str) -> None:
    answer = await boss.get(AREAS[word][1])
    assert answer.status_code == 200
    [line] = [line for line in await audit(site) if line["event"] == "operator_looked"]
    assert line["detail"] == word
    assert line["userId"] is not None


async def test_connections_are_counted_and_listed_without_what_they_hold(site: Site, boss: Visitor) -> None:
    console = await open_console(site, site.visitor())
    body = {**KEY, "config": {**KEY["config"], "apiKey": "sk_live_never_shown"}}
    auth = await console.create(body)
    assert "1" in (await boss.get("/operator")).text
    page = await boss.get("/operator/connections")
    [link] = re.findall(r'href="(/operator/connections\?[^"]+)"', page.text)
    listed = await boss.get(link.replace("&amp;", "&"))
    assert auth.id in listed.text
    assert "ada@example.com" in listed.text
    for answer in (page, listed):
        assert "sk_live_never_shown" not in answer.text
        assert "api.weather.example" not in answer.text


async def test_many_connections_come_in_pages(site: Site, boss: Visitor) -> None:
    console = await open_console(site, site.visitor())
    for number in range(52):
        await console.create({**KEY, "name": f"Number {number}"})
    page = await boss.get("/operator/connections?status=draft&provider=custom-api-key")
    assert page.text.count("<code>auth_") == 50
    [more] = re.findall(r'href="(/operator/connections\?after[^"]+)"', page.text)
    assert (await boss.get(more.replace("&amp;", "&"))).text.count("<code>auth_") == 2


@pytest.mark.parametrize(
    "query", ["status=nonsense&provider=linear", "status=valid&provider=%00", "after=x.y", "q=%00"]
)
async def test_hostile_queries_are_harmless(boss: Visitor, query: str) -> None:
    for path in ("/operator/connections", "/operator/people", "/operator/grants"):
        assert (await boss.get(f"{path}?{query}")).status_code == 200


async def test_people_are_found_by_the_beginning_of_their_address(site: Site, boss: Visitor, ada: Person) -> None:
    assert ada.id in (await boss.get("/operator/people")).text
    found = await boss.get("/operator/people?q=BOSS")
    assert "boss@example.com" in found.text
    assert ada.id not in found.text


async def test_somebody_is_invited_with_the_password(site: Site, boss: Visitor) -> None:
    page = await boss.get("/operator/people")
    refused = await invite(boss, page, email="eve@example.com", password="wrong wrong wrong")
    assert refused.status_code == 400
    assert "/invite?token=" not in refused.text
    answer = await invite(boss, page, email="eve@example.com", password=PASSWORD, isOperator="on")
    [link] = set(re.findall(r"http://\S+/invite\?token=[\w-]+", answer.text))
    guest = site.visitor()
    path = link.removeprefix(site.origin)
    await guest.submit(await guest.get(path), "/invite", name="Eve", password="a long enough password")
    eve = await site.services.directory.find("eve@example.com")
    assert eve.is_operator


async def test_a_bad_address_is_said_beside_its_field(boss: Visitor) -> None:
    page = await boss.get("/operator/people")
    answer = await invite(boss, page, email="nobody", password=PASSWORD)
    assert answer.status_code == 400
    assert "aria-invalid" in answer.text


async def test_an_account_is_renamed_promoted_demoted_disabled_and_enabled(
    site: Site, boss: Visitor, ada: Person
) -> None:
    path = f"/operator/people/{ada.id}"

    async def now() -> Person:
        person = await site.services.people.get(ada.id)
        assert person is not None
        return person

    await act(boss, await boss.get(path), "rename", name="Ada <L>")
    assert (await now()).name == "Ada <L>"
    page = await boss.get(path)
    assert "Ada &lt;L&gt;" in page.text
    assert (await act(boss, page, "promote", password="")).status_code == 400
    assert not (await now()).is_operator
    answer = await act(boss, page, "promote", password=PASSWORD)
    assert answer.headers["location"] == f"{path}?done=promote"
    assert (await now()).is_operator
    await act(boss, await boss.get(path), "demote")
    assert not (await now()).is_operator
    await act(boss, await boss.get(path), "disable")
    assert (await now()).is_disabled
    await act(boss, await boss.get(path), "enable")
    assert not (await now()).is_disabled
    events = [line["event"] for line in await audit(site)]
    for event in ("account_renamed", "operator_granted", "operator_withdrawn", "account_disabled", "account_enabled"):
        assert event in events


async def test_a_forgotten_password_is_replaced_by_a_link(site: Site, boss: Visitor, ada: Person) -> None:
    page = await boss.get(f"/operator/people/{ada.id}")
    assert "/reset?token=" not in (await act(boss, page, "reset", password="no")).text
    answer = await act(boss, page, "reset", password=PASSWORD)
    [link] = set(re.findall(r"http://\S+/reset\?token=[\w-]+", answer.text))
    visitor = site.visitor()
    await visitor.submit(await visitor.get(link.removeprefix(site.origin)), "/reset", password="another long password")
    assert (await visitor.sign_in(password="another long password")).status_code == 303


async def test_an_account_is_deleted_by_typing_its_address(site: Site, boss: Visitor, ada: Person) -> None:
    path = f"/operator/people/{ada.id}"
    page = await boss.get(path)
    assert (await act(boss, page, "delete", email="ada@example.com", password="no")).status_code == 400
    assert (await act(boss, page, "delete", email="bob@example.com", password=PASSWORD)).status_code == 400
    answer = await act(boss, page, "delete", email="ada@example.com", password=PASSWORD)
    assert answer.headers["location"] == "/operator/people?done=delete"
    assert await site.services.people.get(ada.id) is None
    assert (await boss.get(path)).status_code == 404


async def test_an_operator_does_not_end_their_own_rights(site: Site, boss: Visitor) -> None:
    me = await site.services.directory.find("boss@example.com")
    page = await boss.get(f"/operator/people/{me.id}")
    assert 'value="demote"' not in page.text
    csrf = forms_of(page)[0].fields["csrf"]
    for action in ("demote", "disable", "delete"):
        data = {"csrf": csrf, "action": action, "email": me.email, "password": PASSWORD}
        assert (await boss.post(f"/operator/people/{me.id}", data)).status_code == 409


async def test_clients_of_all_kinds_and_grants_are_listed(site: Site, boss: Visitor, ada: Person) -> None:
    services = site.services
    await services.clients.create({"client_name": "By hand", "redirect_uris": ["https://app.example.com/back"]})
    await services.grants.issue_personal(ada.id, frozenset({"openid"}), 3600, "For a script")
    page = await boss.get("/operator/clients")
    assert "By hand" in page.text
    assert "Named by the address of their document" in page.text
    page = await boss.get("/operator/grants")
    assert "For a script" in page.text
    assert "drio_at_" not in page.text


async def test_the_doctor_speaks_when_asked(site: Site, boss: Visitor) -> None:
    assert "the public URL is" not in (await boss.get("/operator/doctor")).text
    examined = await boss.get("/operator/doctor?run=1")
    assert f"the public URL is {site.origin}" in examined.text


async def test_a_form_of_another_page_is_refused(site: Site, boss: Visitor, ada: Person) -> None:
    answer = await boss.post(f"/operator/people/{ada.id}", {"csrf": "x", "action": "disable"})
    assert answer.status_code == 403
    assert await site.services.people.get(ada.id) == ada

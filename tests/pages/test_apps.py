import re

import pytest

from drio_mcp.accounts import CreateApp
from drio_mcp.accounts.apps import App
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection
from tests.pages.conftest import Site, Visitor, form_to


@pytest.fixture
async def ada(site: Site, visitor: Visitor) -> Visitor:
    await site.person()
    await visitor.sign_in()
    return visitor


async def apps_of(site: Site) -> list[App]:
    """The apps of the one who was first."""
    people = await site.services.people.list()
    return await site.services.apps.list(people[0].id)


async def test_apps_are_listed_and_created(ada: Visitor) -> None:
    page = await ada.get("/apps")
    assert "My app" in page.text
    answer = await ada.submit(page, "/apps", name="Sales <desk>")
    assert answer.headers["location"].startswith("/apps/app_")
    page = await ada.get(answer.headers["location"])
    assert "Sales &lt;desk&gt;" in page.text
    assert "Nothing is connected yet" in page.text


async def test_many_apps_are_shown_page_by_page(site: Site, ada: Visitor) -> None:
    people = await site.services.people.list()
    for number in range(100):
        await site.services.apps.create(people[0].id, CreateApp(name=f"Made {number}"))
    page = await ada.get("/apps")
    more = re.search(r'href="(/apps\?cursor=[^"]+)">More apps', page.text)
    assert more is not None
    last = await ada.get(more[1])
    shown = [re.findall(r"<code>(app_[^<]+)</code>", each.text) for each in (page, last)]
    assert [len(each) for each in shown] == [100, 1]
    assert {*shown[0], *shown[1]} == {app.id for app in await apps_of(site)}
    assert "More apps" not in last.text
    assert (await ada.get("/apps?cursor=nonsense")).status_code == 400


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b"])
async def test_a_bad_name_is_marked_and_shown_again(ada: Visitor, name: str) -> None:
    answer = await ada.submit(await ada.get("/apps"), "/apps", name=name)
    assert answer.status_code == 400
    assert form_to(answer, "/apps").attributes["name"]["aria-invalid"] == "true"


async def test_somebody_elses_app_is_nothing(site: Site, ada: Visitor) -> None:
    bob = await site.person("bob@example.com", "Bob")
    app = await site.services.apps.create(bob.id, CreateApp(name="Private"))
    for path in (f"/apps/{app.id}", "/apps/app_none", "/apps/%00"):
        answer = await ada.get(path)
        assert answer.status_code == 404
        assert "Private" not in answer.text


async def test_an_app_is_renamed_described_and_disabled(site: Site, ada: Visitor) -> None:
    (app,) = await apps_of(site)
    page = await ada.get(f"/apps/{app.id}/settings")
    form = form_to(page, f"/apps/{app.id}/settings")
    assert (form.fields["name"], form.fields["isEnabled"]) == ("My app", "on")
    data = {"csrf": form.fields["csrf"], "name": "Sales desk", "description": "Leads\r\nand invoices"}
    answer = await ada.post(f"/apps/{app.id}/settings", data)
    assert answer.headers["location"] == f"/apps/{app.id}?done=saved"
    (after,) = await apps_of(site)
    assert (after.name, after.description, after.is_enabled) == ("Sales desk", "Leads\nand invoices", False)
    page = await ada.get(f"/apps/{app.id}/settings")
    assert form_to(page, f"/apps/{app.id}/settings").fields["description"] == "Leads\nand invoices"


@pytest.mark.parametrize(("field", "typed"), [("name", " "), ("name", "x" * 101), ("description", "x" * 2_001)])
async def test_bad_settings_are_marked_with_what_was_typed(site: Site, ada: Visitor, field: str, typed: str) -> None:
    (app,) = await apps_of(site)
    path = f"/apps/{app.id}/settings"
    answer = await ada.submit(await ada.get(path), path, **{"description": "kept", field: typed})
    assert answer.status_code == 400
    form = form_to(answer, path)
    assert form.attributes[field]["aria-invalid"] == "true"
    assert form.fields[field] == typed
    assert await apps_of(site) == [app]


async def test_an_app_is_deleted_by_typing_its_name(site: Site, ada: Visitor) -> None:
    (app,) = await apps_of(site)
    path = f"/apps/{app.id}/delete"
    answer = await ada.submit(await ada.get(path), path, name="Another name")
    assert answer.status_code == 400
    assert form_to(answer, path).attributes["name"]["aria-invalid"] == "true"
    assert await apps_of(site) == [app]
    answer = await ada.submit(answer, path, name="My app")
    page = await ada.get(answer.headers["location"])
    assert "was deleted" in page.text
    assert "No app yet" in page.text
    assert await apps_of(site) == []


async def test_connections_are_filtered_by_status(site: Site, ada: Visitor) -> None:
    (app,) = await apps_of(site)
    body = CreateAuthConnection.model_validate({"name": "Weather", "providerKey": "custom-bearer"})
    await site.services.connections.create(Actor.person((await site.services.people.list())[0].id, "Ada"), app.id, body)
    assert "Weather" in (await ada.get(f"/apps/{app.id}?status=draft")).text
    page = await ada.get(f"/apps/{app.id}?status=valid")
    assert "Weather" not in page.text
    assert "Show all connections" in page.text
    assert "Weather" in (await ada.get(f"/apps/{app.id}?status=nonsense")).text


async def test_somebody_elses_app_has_no_settings_and_no_end(site: Site, ada: Visitor) -> None:
    bob = await site.person("bob@example.com", "Bob")
    app = await site.services.apps.create(bob.id, CreateApp(name="Private"))
    csrf = form_to(await ada.get("/account"), "/account/profile").fields["csrf"]
    for path in ("settings", "delete", "connect", "new?provider=custom-bearer"):
        assert (await ada.get(f"/apps/{app.id}/{path}")).status_code == 404
        assert (await ada.post(f"/apps/{app.id}/{path}", {"csrf": csrf, "name": "Private"})).status_code == 404
    assert (await site.services.apps.get(bob.id, app.id)) == app

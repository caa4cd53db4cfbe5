import pytest

from drio_mcp.accounts import CreateApp
from tests.pages.conftest import Site, Visitor, form_to


@pytest.fixture
async def ada(site: Site, visitor: Visitor) -> Visitor:
    await site.person()
    await visitor.sign_in()
    return visitor


async def test_apps_are_listed_and_created(ada: Visitor) -> None:
    page = await ada.get("/apps")
    assert "My app" in page.text
    answer = await ada.submit(page, "/apps", name="Sales <desk>")
    assert answer.headers["location"].startswith("/apps/app_")
    page = await ada.get(answer.headers["location"])
    assert "Sales &lt;desk&gt;" in page.text
    assert "Nothing is connected yet" in page.text


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

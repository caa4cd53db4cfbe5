import asyncio

import pytest

from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to

ADA = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}


async def test_the_setup_link_creates_the_operator_and_signs_in(site: Site, visitor: Visitor) -> None:
    page = await visitor.get(await site.services.setup_links.create())
    answer = await visitor.submit(page, "/setup", **ADA)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Signed in as ada@example.com" in (await visitor.get("/")).text
    (person,) = await site.services.people.list()
    assert person.is_operator
    assert [app.name for app in await site.services.apps.list(person.id)] == ["My app"]


async def test_opening_the_link_uses_nothing_up(site: Site, visitor: Visitor) -> None:
    """A mail scanner or a prefetch opens links too."""
    link = await site.services.setup_links.create()
    for _ in range(3):
        page = await site.visitor().get(link)
        assert page.status_code == 200
    page = await visitor.get(link)
    assert (await visitor.submit(page, "/setup", **ADA)).status_code == 303


async def test_a_link_makes_one_account_however_many_send_it_at_once(site: Site) -> None:
    link = await site.services.setup_links.create()
    visitors = [site.visitor() for _ in range(6)]
    pages = [await visitor.get(link) for visitor in visitors]
    sent = [
        visitor.submit(page, "/setup", **{**ADA, "email": f"ada{number}@example.com"})
        for number, (visitor, page) in enumerate(zip(visitors, pages, strict=True))
    ]
    statuses = sorted([answer.status_code for answer in await asyncio.gather(*sent)])
    assert statuses == [303, 410, 410, 410, 410, 410]
    assert len(await site.services.people.list()) == 1


@pytest.mark.parametrize("link", ["/setup", "/setup?token=", "/setup?token=made-up", "/setup?token=%00%ff"])
async def test_a_dead_link_says_how_to_get_another(visitor: Visitor, link: str) -> None:
    answer = await visitor.get(link)
    assert answer.status_code == 410
    assert "drio-mcp setup-link" in answer.text


async def test_a_link_older_than_a_day_is_dead(site: Site, visitor: Visitor, clock: FakeClock) -> None:
    link = await site.services.setup_links.create()
    page = await visitor.get(link)
    clock.advance(hours=24)
    assert (await visitor.submit(page, "/setup", **ADA)).status_code == 410
    assert await site.services.people.list() == []


async def test_a_used_link_leads_to_the_sign_in_page(site: Site, visitor: Visitor) -> None:
    link = await site.services.setup_links.create()
    await visitor.submit(await visitor.get(link), "/setup", **ADA)
    answer = await site.visitor().get(link)
    assert answer.status_code == 410
    assert 'href="/sign-in"' in answer.text


async def test_the_form_needs_its_token(site: Site, visitor: Visitor) -> None:
    link = await site.services.setup_links.create()
    form = form_to(await visitor.get(link), "/setup")
    assert (await visitor.post("/setup", {**form.fields, **ADA, "csrf": "x"})).status_code == 403
    assert await site.services.people.list() == []


async def test_sending_the_form_twice_ends_on_the_page_that_follows(site: Site, visitor: Visitor) -> None:
    page = await visitor.get(await site.services.setup_links.create())
    first = await visitor.submit(page, "/setup", **ADA)
    second = await visitor.submit(page, "/setup", **ADA)
    assert (first.status_code, second.status_code) == (303, 303)
    assert len(await site.services.people.list()) == 1


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("email", "no address", "Enter an e-mail address"),
        ("name", "  ", "Enter a name"),
        ("name", "x" * 101, "Use at most 100 characters"),
        ("password", "too short", "Use at least 12 characters"),
        ("password", "x" * 257, "Use at most 256 characters"),
    ],
)
async def test_a_mistake_is_marked_in_the_form_and_nothing_is_lost(
    site: Site, visitor: Visitor, field: str, value: str, sentence: str
) -> None:
    page = await visitor.get(await site.services.setup_links.create())
    answer = await visitor.submit(page, "/setup", **{**ADA, field: value})
    assert answer.status_code == 400
    form = form_to(answer, "/setup")
    assert form.attributes[field]["aria-invalid"] == "true"
    assert f'id="{form.attributes[field]["aria-describedby"].split()[0]}"' in answer.text  # type: ignore[union-attr]
    assert sentence in answer.text
    assert form.fields["password"] == ""
    assert PASSWORD not in answer.text
    typed = {**ADA, field: value}
    assert (form.fields["name"], form.fields["email"]) == (typed["name"], typed["email"])
    assert (await visitor.submit(answer, "/setup", **ADA)).status_code == 303


async def test_sign_up_is_closed_unless_opened(site: Site, visitor: Visitor) -> None:
    answer = await visitor.get("/sign-up")
    assert answer.status_code == 403
    assert "drio-mcp users create" in answer.text
    form = form_to(await visitor.get("/sign-in"), "/sign-in")
    assert (await visitor.post("/sign-up", {**form.fields, **ADA})).status_code == 403
    assert await site.services.people.list() == []
    assert "/sign-up" not in (await visitor.get("/sign-in")).text


async def test_where_sign_up_is_open_a_stranger_gets_a_plain_account(open_site: Site) -> None:
    visitor = open_site.visitor()
    page = await visitor.get("/sign-up?next=/account")
    answer = await visitor.submit(page, "/sign-up", **ADA)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    (person,) = await open_site.services.people.list()
    assert not person.is_operator


async def test_an_address_that_has_an_account_is_marked(open_site: Site) -> None:
    await open_site.person()
    visitor = open_site.visitor()
    answer = await visitor.submit(await visitor.get("/sign-up"), "/sign-up", **ADA)
    assert answer.status_code == 400
    assert form_to(answer, "/sign-up").attributes["email"]["aria-invalid"] == "true"
    assert len(await open_site.services.people.list()) == 1


async def test_one_address_signs_up_a_bounded_number_of_people(open_site: Site) -> None:
    visitor = open_site.visitor()
    for number in range(20):
        page = await visitor.get("/sign-up")
        answer = await visitor.submit(page, "/sign-up", **{**ADA, "email": f"person{number}@example.com"})
        assert answer.status_code == 303
        visitor = open_site.visitor()
    answer = await visitor.submit(await visitor.get("/sign-up"), "/sign-up", **ADA)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")


async def test_sign_up_sends_nobody_elsewhere(open_site: Site) -> None:
    visitor = open_site.visitor()
    page = await visitor.get("/sign-up", params={"next": "//evil.example"})
    assert (await visitor.submit(page, "/sign-up", **ADA)).headers["location"] == "/apps"

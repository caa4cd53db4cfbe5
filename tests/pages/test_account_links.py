"""The pages behind an operator's links: `/invite` and `/reset`."""

from pathlib import Path

import pytest

from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, make_site


async def test_an_invitation_creates_the_account_and_signs_in(site: Site, visitor: Visitor) -> None:
    link = await site.services.account_links.invite("ada@example.com")
    page = await visitor.get(link)
    assert form_to(page, "/invite").fields["email"] == "ada@example.com"
    assert "ada@example.com" in page.text
    answer = await visitor.submit(page, "/invite", name="Ada", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert "Signed in as ada@example.com" in (await visitor.get("/")).text
    again = await site.visitor().get(link)
    assert again.status_code == 410
    assert "Ask whoever sent it" in again.text


async def test_another_address_than_the_invited_one_is_not_taken(site: Site, visitor: Visitor) -> None:
    page = await visitor.get(await site.services.account_links.invite("ada@example.com"))
    await visitor.submit(page, "/invite", name="Eve", email="eve@example.com", password=PASSWORD)
    assert [person.email for person in await site.services.people.list()] == ["ada@example.com"]


async def test_a_mistyped_form_leaves_the_invitation_good(site: Site, visitor: Visitor) -> None:
    page = await visitor.get(await site.services.account_links.invite())
    page = await visitor.submit(page, "/invite", name="Ada", email="ada@example.com", password="short")
    assert page.status_code == 400
    assert "at least 12 characters" in page.text
    answer = await visitor.submit(page, "/invite", password=PASSWORD)
    assert answer.status_code == 303


async def test_a_reset_link_sets_the_password(site: Site, visitor: Visitor) -> None:
    ada = await site.person()
    await visitor.sign_in()
    page = await visitor.get(await site.services.account_links.reset_password(ada.id))
    wrong = await visitor.submit(page, "/reset", password="short")
    assert (wrong.status_code, "at least 12 characters" in wrong.text) == (400, True)
    answer = await visitor.submit(wrong, "/reset", password="another long password")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert (await visitor.get("/account")).status_code == 303
    assert (await visitor.sign_in(password="another long password")).status_code == 303
    assert (await visitor.get("/account")).status_code == 200


@pytest.mark.parametrize("path", ["/invite", "/reset"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=made-up", "?token=%00%ff"])
async def test_a_made_up_link_is_dead(visitor: Visitor, path: str, query: str) -> None:
    answer = await visitor.get(path + query)
    assert answer.status_code == 410
    assert "has ended" in answer.text


@pytest.mark.parametrize("path", ["/invite", "/reset"])
async def test_a_form_of_another_site_changes_nothing(site: Site, visitor: Visitor, path: str) -> None:
    await visitor.get("/sign-in")
    answer = await visitor.post(path, {"csrf": "x" * 43, "token": "made-up", "password": PASSWORD})
    assert answer.status_code == 403


@pytest.mark.parametrize("is_operator", [False, True])
async def test_where_people_sign_in_elsewhere_the_invitation_says_so(
    tmp_path: Path, clock: FakeClock, is_operator: bool
) -> None:
    """Signing in there makes nobody an operator: such an invitation is for the form, and says what follows."""
    settings = {"oidc_issuer": "https://id.example.com", "oidc_client_id": "c", "oidc_client_secret": "s"}
    site = make_site(tmp_path, clock, **settings)
    async with site.services.running():
        page = await site.visitor().get(await site.services.account_links.invite(None, is_operator))
    assert "sign in at id.example.com" in page.text
    assert ("Continue with id.example.com" in page.text) != is_operator
    assert form_to(page, "/invite").fields["email"] == ""

import re

import pytest

from drio_mcp.errors import Unauthorized
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, forms_of

TOKEN = re.compile(r"drio_at_[\w-]+")


@pytest.fixture
async def ada(site: Site, visitor: Visitor) -> Visitor:
    """Ada's browser, signed in."""
    await site.person()
    await visitor.sign_in()
    return visitor


async def new_token(visitor: Visitor, **choices: str) -> str:
    page = await visitor.get("/account")
    answer = await visitor.submit(page, "/account/tokens", label="carrier pigeon", password=PASSWORD, **choices)
    assert answer.status_code == 200
    (token,) = {str(found) for found in TOKEN.findall(answer.text)}
    return token


@pytest.mark.parametrize("path", ["/account", "/apps", "/apps/app_x", "/connect/x"])
async def test_a_stranger_is_sent_to_sign_in_and_back(site: Site, visitor: Visitor, path: str) -> None:
    await site.person()
    answer = await visitor.get(path, follow_redirects=True)
    assert answer.url.path == "/sign-in"
    answer = await visitor.submit(answer, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert answer.headers["location"] == path


@pytest.mark.parametrize("form", ["profile", "password", "sessions/revoke", "clients/revoke", "tokens"])
async def test_forms_need_a_session_and_its_token(site: Site, visitor: Visitor, form: str) -> None:
    answer = await visitor.post(f"/account/{form}", {"name": "Eve"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/account")
    await site.person()
    await visitor.sign_in()
    answer = await visitor.post(f"/account/{form}", {"name": "Eve", "csrf": "x" * 43})
    assert answer.status_code == 403


async def test_every_form_of_the_page_carries_the_token(ada: Visitor) -> None:
    forms = forms_of(await ada.get("/account"))
    assert len(forms) >= 5
    assert all(form.method == "post" and len(form.fields["csrf"]) == 43 for form in forms)


async def test_the_name_is_changed_and_escaped(ada: Visitor) -> None:
    answer = await ada.submit(await ada.get("/account"), "/account/profile", name="<b>Ada</b> 🤖 עדה")
    assert answer.headers["location"] == "/account?done=profile"
    page = await ada.get("/account?done=profile")
    assert form_to(page, "/account/profile").fields["name"] == "<b>Ada</b> 🤖 עדה"
    assert "<b>Ada</b>" not in page.text
    assert "Your name was saved" in page.text


async def test_a_bad_name_is_marked_and_shown_again(ada: Visitor) -> None:
    answer = await ada.submit(await ada.get("/account"), "/account/profile", name="x" * 101)
    assert answer.status_code == 400
    form = form_to(answer, "/account/profile")
    assert form.attributes["name"]["aria-invalid"] == "true"
    assert form.fields["name"] == "x" * 101


async def test_only_sentences_of_ours_are_shown_after_a_redirect(ada: Visitor) -> None:
    assert "evil" not in (await ada.get("/account?done=evil")).text


async def test_changing_the_password_ends_every_other_session(site: Site, ada: Visitor) -> None:
    other = site.visitor()
    await other.sign_in()
    before = ada.cookies["drio_session"]
    new = "another long password"
    answer = await ada.submit(await ada.get("/account"), "/account/password", current=PASSWORD, password=new)
    assert answer.headers["location"] == "/account?done=password"
    assert ada.cookies["drio_session"] != before
    assert (await ada.get("/account")).status_code == 200
    assert (await other.get("/account")).status_code == 303
    assert (await other.sign_in()).status_code == 400
    assert (await other.sign_in(password=new)).status_code == 303


@pytest.mark.parametrize(
    ("current", "password", "marked"),
    [("a wrong password", "another long password", "current"), (PASSWORD, "short", "password")],
)
async def test_a_mistaken_password_is_marked_and_never_shown_again(
    ada: Visitor, current: str, password: str, marked: str
) -> None:
    page = await ada.get("/account")
    answer = await ada.submit(page, "/account/password", current=current, password=password)
    assert answer.status_code == 400
    assert form_to(answer, "/account/password").attributes[marked]["aria-invalid"] == "true"
    assert password not in answer.text
    assert "a wrong password" not in answer.text


async def test_the_current_password_cannot_be_guessed_here_either(ada: Visitor) -> None:
    for _ in range(10):
        page = await ada.get("/account")
        await ada.submit(page, "/account/password", current="a wrong password", password="another long password")
    page = await ada.get("/account")
    answer = await ada.submit(page, "/account/password", current=PASSWORD, password="another long password")
    assert answer.status_code == 429


async def test_sessions_are_listed_and_revoked(site: Site, ada: Visitor) -> None:
    phone = site.visitor(**{"user-agent": "Mozilla/5.0 (iPhone) AppleWebKit Safari/605"})
    await phone.sign_in()
    page = await ada.get("/account")
    assert "Safari on iPhone" in page.text
    assert "192.0.2.1" in page.text
    person = (await site.services.people.list())[0]
    target = next(s for s in await site.services.sessions.list(person.id) if "iPhone" in s.user_agent)
    csrf = form_to(page, "/account/profile").fields["csrf"]
    answer = await ada.post("/account/sessions/revoke", {"csrf": csrf, "session": target.id})
    assert answer.headers["location"].startswith("/account?done=session")
    assert (await phone.get("/account")).status_code == 303
    assert (await ada.get("/account")).status_code == 200


async def test_revoking_ones_own_session_signs_out(site: Site, ada: Visitor) -> None:
    answer = await ada.submit(await ada.get("/account"), "/account/sessions/revoke")
    assert answer.headers["location"] == "/sign-in"
    assert (await ada.get("/account")).status_code == 303


async def test_nobody_revokes_what_is_somebody_elses(site: Site, ada: Visitor) -> None:
    bob = await site.person("bob@example.com", "Bob")
    visitor = site.visitor()
    await visitor.sign_in("bob@example.com")
    token = await new_token(visitor)
    (session,) = await site.services.sessions.list(bob.id)
    csrf = form_to(await ada.get("/account"), "/account/profile").fields["csrf"]
    await ada.post("/account/sessions/revoke", {"csrf": csrf, "session": session.id})
    assert (await visitor.get("/account")).status_code == 200
    principal = await site.services.bearer.authenticate(token)
    await ada.post("/account/clients/revoke", {"csrf": csrf, "grant": principal.grant_id})
    assert (await site.services.bearer.authenticate(token)).user_id == bob.id


async def test_a_token_is_shown_once_works_and_dies_when_revoked(site: Site, ada: Visitor) -> None:
    token = await new_token(ada)
    principal = await site.services.bearer.authenticate(token)
    assert principal.scopes == {"openid", "profile", "email"}
    page = await ada.get("/account")
    assert token not in page.text
    assert "carrier pigeon" in page.text
    await ada.submit(page, "/account/clients/revoke")
    with pytest.raises(Unauthorized):
        await site.services.bearer.authenticate(token)
    assert "carrier pigeon" not in (await ada.get("/account")).text


@pytest.mark.parametrize(
    ("access", "scopes"),
    [
        ("full", {"openid", "profile", "email"}),
        ("read", {"openid", "connections:read"}),
        ("use", {"openid", "profile", "email", "connections:use"}),
    ],
)
async def test_a_token_may_do_what_was_chosen(site: Site, ada: Visitor, access: str, scopes: set[str]) -> None:
    token = await new_token(ada, access=access)
    assert (await site.services.bearer.authenticate(token)).scopes == scopes


@pytest.mark.parametrize("typed", [{}, {"password": "a wrong password"}])
async def test_a_token_needs_the_password(site: Site, ada: Visitor, typed: dict[str, str]) -> None:
    """A token outlives the session, whose cookie alone must not be enough."""
    page = await ada.get("/account")
    answer = await ada.submit(page, "/account/tokens", label="carrier pigeon", **typed)
    assert answer.status_code == 400
    assert "drio_at_" not in answer.text
    assert "a wrong password" not in answer.text
    assert await site.services.grants.personal() == []


async def test_who_has_no_password_here_signs_in_again_for_a_token(site: Site, visitor: Visitor) -> None:
    person = await site.services.people.create("sso@example.com", "Sso", None)
    cookie, _ = await site.services.sessions.start(person, "192.0.2.1", "Firefox", proved_for="/apps")
    signed_in = site.visitor(cookie=f"drio_session={cookie}")
    page = await signed_in.get("/account")
    assert "Sign in again" in page.text
    answer = await signed_in.submit(page, "/account/tokens", label="carrier pigeon")
    assert (answer.status_code, "drio_at_" in answer.text) == (400, False)
    cookie, _ = await site.services.sessions.start(person, "192.0.2.1", "Firefox", proved_for="/account?for=token")
    fresh = site.visitor(cookie=f"drio_session={cookie}")
    answer = await fresh.submit(await fresh.get("/account"), "/account/tokens", label="carrier pigeon")
    assert "drio_at_" in answer.text


async def test_a_token_ends_when_it_was_chosen_to(site: Site, ada: Visitor, clock: FakeClock) -> None:
    token = await new_token(ada, days="7")
    clock.advance(days=7, seconds=-1)
    await site.services.bearer.authenticate(token)
    clock.advance(seconds=1)
    with pytest.raises(Unauthorized):
        await site.services.bearer.authenticate(token)


@pytest.mark.parametrize(
    ("field", "value"), [("label", ""), ("label", "x" * 101), ("access", "everything"), ("days", "99999"), ("days", "")]
)
async def test_a_token_that_was_asked_for_wrongly_is_not_made(ada: Visitor, field: str, value: str) -> None:
    page = await ada.get("/account")
    answer = await ada.submit(
        page, "/account/tokens", **{"label": "carrier pigeon", "password": PASSWORD, field: value}
    )
    assert answer.status_code == 400
    assert "drio_at_" not in answer.text
    assert "problem" in answer.text


async def test_a_password_that_was_changed_elsewhere_signs_out_here(site: Site, ada: Visitor) -> None:
    person = (await site.services.people.list())[0]
    await site.services.people.change_password(person.id, Secret("another long password"))
    assert (await ada.get("/account")).status_code == 303

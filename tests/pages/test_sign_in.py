import re

import pytest

from drio_mcp.accounts.sessions import csrf_token
from drio_mcp.pages.forms import MOST_FIELDS
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to

COOKIE = "drio_session"


async def test_a_person_signs_in_and_goes_where_they_were_going(site: Site, visitor: Visitor) -> None:
    await site.person()
    page = await visitor.get("/sign-in?next=/account")
    assert page.status_code == 200
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert (await visitor.get("/account")).status_code == 200


async def test_the_form_has_the_fields_that_password_managers_look_for(visitor: Visitor) -> None:
    form = form_to(await visitor.get("/sign-in"), "/sign-in")
    assert form.attributes["email"]["autocomplete"] == "username"
    assert form.attributes["password"]["type"] == "password"
    assert form.attributes["password"]["autocomplete"] == "current-password"


async def test_a_wrong_password_gives_the_form_again_with_what_was_typed_except_the_password(
    site: Site, visitor: Visitor
) -> None:
    await site.person()
    answer = await visitor.sign_in(password="a wrong password")
    assert answer.status_code == 400
    form = form_to(answer, "/sign-in")
    assert form.fields["email"] == "ada@example.com"
    assert form.fields["password"] == ""
    assert form.attributes["password"]["aria-invalid"] == "true"
    assert form.attributes["password"]["aria-describedby"] == "field-password-problem"
    assert 'id="field-password-problem"' in answer.text
    assert "a wrong password" not in answer.text


async def test_a_stranger_is_answered_exactly_like_a_wrong_password(site: Site) -> None:
    """Username enumeration: same status, same headers, same body."""
    await site.person("known@example.com")
    disabled = await site.person("disabled@example.com")
    await site.services.directory.disable(disabled.id)
    answers = []
    for email in ("known@example.com", "nobody@example.com", "disabled@example.com"):
        answer = await site.visitor().sign_in(email, "a wrong password")
        body = re.sub(r'value="[\w-]{43}"', "", answer.text).replace(email, "EMAIL")
        headers = {name for name in answer.headers if name != "x-request-id"}
        answers.append((answer.status_code, headers, body))
    assert answers[0] == answers[1] == answers[2]


async def test_a_form_without_its_token_changes_nothing(site: Site, visitor: Visitor) -> None:
    await site.person()
    await visitor.get("/sign-in")
    for forged in ({}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": "ü\x00"}):
        answer = await visitor.post("/sign-in", {"email": "ada@example.com", "password": PASSWORD, **forged})
        assert answer.status_code == 403
        assert 'href="/sign-in"' in answer.text
    assert (await visitor.get("/account")).status_code == 303


async def test_another_browsers_token_is_no_token(site: Site, visitor: Visitor) -> None:
    """CSRF on sign-in (RFC 9700 section 4.7): the attacker's own page gives a token that the victim's browser fails."""
    await site.person()
    attackers_page = await site.visitor().get("/sign-in")
    await visitor.get("/sign-in")
    answer = await visitor.submit(attackers_page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert answer.status_code == 403


async def test_without_a_cookie_no_token_is_good(site: Site) -> None:
    """A token made from a cookie value that the attacker chose is good only where that cookie is."""
    await site.person()
    chosen = site.services.sessions.new_cookie()
    data = {"email": "ada@example.com", "password": PASSWORD, "csrf": csrf_token(chosen)}
    assert (await site.visitor().post("/sign-in", data)).status_code == 403


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8000"])
async def test_a_form_from_a_page_of_another_origin_is_refused(site: Site, origin: str) -> None:
    await site.person()
    visitor = site.visitor(origin=origin)
    assert (await visitor.sign_in()).status_code == 403


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "http://localhost:8000"])
async def test_on_ones_own_computer_every_loopback_name_will_do(site: Site, origin: str) -> None:
    await site.person()
    assert (await site.visitor(origin=origin).sign_in()).status_code == 303


async def test_signing_in_gives_another_cookie(site: Site, visitor: Visitor) -> None:
    """Session fixation: the value that the browser had before is worth nothing afterwards."""
    await site.person()
    await visitor.get("/sign-in")
    before = visitor.cookies[COOKIE]
    await visitor.sign_in()
    assert visitor.cookies[COOKIE] != before
    thief = site.visitor(cookie=f"{COOKIE}={before}")
    assert (await thief.get("/account")).status_code == 303


async def test_signing_in_again_ends_the_session_before(site: Site, visitor: Visitor) -> None:
    await site.person()
    await visitor.sign_in()
    before = visitor.cookies[COOKIE]
    page = await visitor.get("/sign-in?again=1")
    assert page.status_code == 200
    await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert (await site.visitor(cookie=f"{COOKIE}={before}").get("/account")).status_code == 303
    assert (await visitor.get("/account")).status_code == 200


async def test_the_cookie_on_this_computer(site: Site, visitor: Visitor) -> None:
    header = (await visitor.get("/sign-in")).headers["set-cookie"]
    assert header.startswith("drio_session=")
    assert "HttpOnly" in header
    assert "Path=/" in header
    assert "SameSite=Lax" in header
    assert "Secure" not in header
    assert "Domain" not in header


async def test_the_cookie_on_https_is_tied_to_the_host(open_site: Site) -> None:
    visitor = open_site.visitor()
    header = (await visitor.get("/sign-in")).headers["set-cookie"]
    assert header.startswith("__Host-drio_session=")
    assert "Secure" in header
    assert "Path=/" in header
    assert "Domain" not in header


async def test_pages_without_forms_set_no_cookie(visitor: Visitor) -> None:
    assert "set-cookie" not in (await visitor.get("/")).headers


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"])
async def test_nobody_is_sent_elsewhere_after_signing_in(site: Site, visitor: Visitor, target: str) -> None:
    """Open redirect (RFC 9700 section 4.11)."""
    await site.person()
    page = await visitor.get("/sign-in", params={"next": target})
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert answer.headers["location"] == "/apps"
    forged = form_to(await visitor.get("/sign-in?again=1"), "/sign-in").fields
    answer = await visitor.post(
        "/sign-in", {**forged, "email": "ada@example.com", "password": PASSWORD, "next": target}
    )
    assert answer.headers["location"] == "/apps"
    assert (await visitor.get("/sign-in", params={"next": target})).headers["location"] == "/apps"


async def test_the_eleventh_failure_is_told_when_to_come_back(site: Site, visitor: Visitor, clock: FakeClock) -> None:
    """Contract section 6: 10 failures for one account from one address in 10 min."""
    await site.person()
    for _ in range(10):
        assert (await visitor.sign_in(password="a wrong password")).status_code == 400
    clock.advance(minutes=9)
    answer = await visitor.sign_in()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")
    assert form_to(answer, "/sign-in").fields["email"] == "ada@example.com"
    assert (await site.visitor_from("198.51.100.7").sign_in()).status_code == 303
    clock.advance(minutes=1)
    assert (await visitor.sign_in()).status_code == 303


async def test_fifty_failures_from_one_address_close_it(site: Site, visitor: Visitor) -> None:
    """Contract section 6: 50 failures from one address in 10 min, whatever the accounts."""
    await site.person()
    for number in range(50):
        assert (await visitor.sign_in(f"guess{number}@example.com", "a wrong password")).status_code == 400
    answer = await visitor.sign_in()
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "600")
    assert (await site.visitor_from("198.51.100.7").sign_in()).status_code == 303


async def test_the_form_sent_twice_is_the_form_sent_once(site: Site, visitor: Visitor) -> None:
    """A double click, or the back button and the button again."""
    await site.person()
    page = await visitor.get("/sign-in?next=/account")
    first = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    second = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert (first.status_code, second.status_code) == (303, 303)
    assert second.headers["location"] == "/account"
    assert (await visitor.get("/account")).status_code == 200


async def test_who_is_signed_in_is_not_asked_again(site: Site, visitor: Visitor) -> None:
    await site.person()
    await visitor.sign_in()
    answer = await visitor.get("/sign-in?next=/account")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")


async def test_signing_out_takes_a_form(site: Site, visitor: Visitor) -> None:
    await site.person()
    await visitor.sign_in()
    page = await visitor.get("/sign-out")
    assert page.status_code == 200
    assert (await visitor.post("/sign-out", {"csrf": ""})).status_code == 403
    cookie = visitor.cookies[COOKIE]
    answer = await visitor.submit(page, "/sign-out")
    assert answer.status_code == 303
    assert (await site.visitor(cookie=f"{COOKIE}={cookie}").get("/account")).status_code == 303


async def test_a_disabled_person_is_signed_out_at_once(site: Site, visitor: Visitor) -> None:
    ada = await site.person()
    await visitor.sign_in()
    await site.services.directory.disable(ada.id)
    assert (await visitor.get("/account")).status_code == 303


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("application/json", b'{"email":"a"}', 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("", b"email=a", 415),
        ("application/x-www-form-urlencoded", b"email=a&email=b", 400),
        ("application/x-www-form-urlencoded", b"email=%ff%fe", 400),
        ("application/x-www-form-urlencoded", "email=ü".encode(), 400),
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=b" % n for n in range(MOST_FIELDS + 1)), 400),
        ("application/x-www-form-urlencoded", b"email=" + b"x" * (1024 * 1024), 413),
    ],
)
async def test_what_is_no_form_gets_a_page_that_says_so(
    visitor: Visitor, content_type: str, body: bytes, status: int
) -> None:
    answer = await visitor.client.post("/sign-in", content=body, headers={"content-type": content_type})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-request-id"] in answer.text


async def test_huge_and_odd_values_are_wrong_passwords_like_any_other(site: Site, visitor: Visitor) -> None:
    await site.person()
    for email, password in (("x" * 100_000, "y" * 100_000), ("a\x00@b\r\n", "\x00"), ("", "")):
        answer = await visitor.sign_in(email, password)
        assert answer.status_code == 400
        assert len(answer.text) < 10_000


async def test_what_was_typed_is_escaped(site: Site, visitor: Visitor) -> None:
    answer = await visitor.sign_in('"><script>alert(1)</script>', "a wrong password")
    assert "<script>alert" not in answer.text


async def test_before_the_first_account_the_page_says_how_to_make_it(site: Site, visitor: Visitor) -> None:
    assert "drio-mcp setup-link" in (await visitor.get("/sign-in")).text
    await site.person()
    assert "drio-mcp setup-link" not in (await visitor.get("/sign-in")).text

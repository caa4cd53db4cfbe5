import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from drio_mcp.connections.record import repository
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection, UpdateAuthConnection
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, forms_of, make_site
from tests.simulators.signed import key_pair
from tests.upstreams import api as bench
from tests.upstreams import upstream

KEY = "sk-canary-0123456789"


@dataclass(slots=True)
class Waiting:
    """A connection of Ada's that waits for a secret, and the link of its page."""

    site: Site
    user_id: str
    app_id: str
    auth_id: str
    path: str

    async def stored(self) -> Any:
        return (await self.site.services.connections.get(self.user_id, self.app_id, self.auth_id)).auth


async def make_waiting(site: Site, provider_key: str, name: str = "Weather", **config: Any) -> Waiting:
    people = await site.services.people.list()
    person = people[0] if people else await site.person()
    (app,) = await site.services.apps.list(person.id)
    body = CreateAuthConnection.model_validate({"name": name, "providerKey": provider_key, "config": config})
    view = await site.services.connections.create(Actor.person(person.id, "Ada"), app.id, body)
    connect = await site.services.links.create(person.id, view.auth.id)
    return Waiting(site, person.id, app.id, view.auth.id, urlsplit(connect.url).path)


async def api_key(site: Site, name: str = "Weather") -> Waiting:
    return await make_waiting(
        site,
        "custom-api-key",
        name,
        type="api_key_header",
        headerName="X-Api-Key",
        allowedOrigins=["https://api.weather.example"],
    )


@pytest.fixture
async def waiting(site: Site, visitor: Visitor) -> Waiting:
    """Ada is signed in, and her connection waits for its key."""
    made = await api_key(site)
    await visitor.sign_in()
    return made


async def test_the_owner_enters_the_key_and_sees_that_it_was_saved(waiting: Waiting, visitor: Visitor) -> None:
    page = await visitor.get(waiting.path)
    assert page.status_code == 200
    assert "Weather" in page.text
    assert "https://api.weather.example" in page.text
    answer = await visitor.submit(page, "", apiKey=KEY)
    assert answer.status_code == 303
    result = await visitor.get(answer.headers["location"])
    assert result.status_code == 200
    assert "was saved" in result.text
    assert KEY not in page.text + result.text + answer.headers["location"]
    assert (await waiting.stored()).config.api_key == "********"


@pytest.mark.parametrize(
    ("key", "title", "status", "error"),
    [(bench.KEY, "Connected", "valid", None), ("wrong", "Not connected yet", "invalid", "key_rejected")],
)
async def test_a_key_is_tested_as_it_is_entered(
    tmp_path: Path, clock: FakeClock, key: str, title: str, status: str, error: str | None
) -> None:
    with upstream(bench.KeyedApi()) as provider:
        site = make_site(tmp_path, clock, outbound_allow=(provider.host_port,))
        async with site.services.running():
            config = {"type": "api_key_header", "headerName": "X-Api-Key", "apiBaseUrl": f"{provider.origin}/v1/me"}
            waiting = await make_waiting(site, "custom-api-key", **config)
            visitor = site.visitor()
            await visitor.sign_in()
            answer = await visitor.submit(await visitor.get(waiting.path), "", apiKey=key)
            assert title in (await visitor.get(answer.headers["location"])).text
            auth = await waiting.stored()
            assert (auth.status, (auth.last_error or "").partition(":")[0] or None) == (status, error)


@pytest.mark.parametrize(
    ("provider_key", "config", "fields"),
    [
        ("custom-api-key", {"type": "api_key_query", "queryParamName": "key"}, ["apiKey"]),
        ("custom-bearer", {"type": "bearer"}, ["accessToken"]),
        ("custom-basic", {"type": "basic"}, ["username", "password"]),
        (
            "custom-oauth",
            {"type": "oauth_client_credentials", "tokenEndpoint": "https://auth.example/token"},
            ["clientId", "clientSecret"],
        ),
    ],
)
async def test_fields_are_named_as_in_config_with_one_button(
    site: Site, visitor: Visitor, provider_key: str, config: dict[str, Any], fields: list[str]
) -> None:
    waiting = await make_waiting(site, provider_key, **config)
    await visitor.sign_in()
    (form,) = forms_of(await visitor.get(waiting.path))
    assert [name for name in form.fields if name != "csrf"] == fields
    assert len(form.buttons) == 1
    secrets = {"apiKey", "accessToken", "password", "clientSecret"}
    assert all((form.attributes[name]["type"] == "password") == (name in secrets) for name in fields)


async def test_a_stranger_signs_in_first_and_comes_back(site: Site) -> None:
    waiting = await api_key(site)
    visitor = site.visitor()
    page = await visitor.get(waiting.path, follow_redirects=True)
    assert page.url.path == "/sign-in"
    answer = await visitor.submit(page, "/sign-in", email="ada@example.com", password=PASSWORD)
    assert answer.headers["location"] == waiting.path


async def test_the_link_is_for_the_owner_alone(site: Site, waiting: Waiting) -> None:
    await site.person("bob@example.com", "Bob")
    bob = site.visitor()
    page = await bob.get("/sign-in")
    await bob.submit(page, "/sign-in", email="bob@example.com", password=PASSWORD)
    answer = await bob.get(waiting.path)
    assert answer.status_code == 404
    assert "Weather" not in answer.text
    csrf = form_to(await bob.get("/account"), "/account/profile").fields["csrf"]
    assert (await bob.post(waiting.path, {"csrf": csrf, "apiKey": KEY})).status_code == 404
    assert (await waiting.stored()).config.api_key is None


async def test_looking_uses_nothing_up_and_entering_does(waiting: Waiting, visitor: Visitor) -> None:
    pages = [await visitor.get(waiting.path) for _ in range(3)]
    assert (await visitor.submit(pages[0], "", apiKey=KEY)).status_code == 303
    again = await visitor.submit(pages[1], "", apiKey="another key")
    assert again.status_code == 404
    assert "was used already" in again.text
    assert (await visitor.get(waiting.path)).status_code == 404


async def test_of_two_entries_at_once_one_is_kept(waiting: Waiting, visitor: Visitor) -> None:
    page = await visitor.get(waiting.path)
    answers = await asyncio.gather(*(visitor.submit(page, "", apiKey=f"{KEY}{n}") for n in range(4)))
    assert sorted(answer.status_code for answer in answers) == [303, 404, 404, 404]


async def test_the_link_ends_after_half_an_hour(waiting: Waiting, visitor: Visitor, clock: FakeClock) -> None:
    page = await visitor.get(waiting.path)
    clock.advance(minutes=30)
    assert (await visitor.get(waiting.path)).status_code == 404
    assert (await visitor.submit(page, "", apiKey=KEY)).status_code == 404


async def test_a_key_goes_nowhere_that_its_owner_did_not_see(site: Site, waiting: Waiting, visitor: Visitor) -> None:
    """A tricked model changes where the key is sent while the page for it is open."""
    page = await visitor.get(waiting.path)
    evil = "https://evil.example"
    patch = UpdateAuthConnection.model_validate({"config": {"apiBaseUrl": evil, "allowedOrigins": [evil]}})
    actor = Actor.person(waiting.user_id, "Ada")
    await site.services.connections.update(actor, waiting.app_id, waiting.auth_id, patch)
    answer = await visitor.submit(page, "", apiKey=KEY)
    assert answer.status_code == 409
    assert "has been changed since the page was opened" in answer.text
    assert evil in answer.text
    assert (await waiting.stored()).config.api_key is None
    assert (await visitor.submit(answer, "", apiKey=KEY)).status_code == 303, "who looked may go on"


async def test_a_form_of_another_browser_enters_nothing(site: Site, waiting: Waiting, visitor: Visitor) -> None:
    foreign = form_to(await site.visitor().get("/sign-in"), "/sign-in").fields["csrf"]
    for token in ("", foreign):
        assert (await visitor.post(waiting.path, {"csrf": token, "apiKey": KEY})).status_code == 403
    assert (await waiting.stored()).config.api_key is None


@pytest.mark.parametrize("key", ["", "   ", "two\nlines", "x" * 20_000, "nul\x00"])
async def test_a_mistake_is_marked_and_the_link_stays_good(waiting: Waiting, visitor: Visitor, key: str) -> None:
    answer = await visitor.submit(await visitor.get(waiting.path), "", apiKey=key)
    assert answer.status_code == 400
    (form,) = forms_of(answer)
    assert form.attributes["apiKey"]["aria-invalid"] == "true"
    assert form.fields["apiKey"] == ""
    assert "xxxx" not in answer.text
    assert (await visitor.submit(answer, "", apiKey=KEY)).status_code == 303


async def test_what_is_no_secret_is_shown_again(site: Site, visitor: Visitor) -> None:
    waiting = await make_waiting(site, "custom-basic", type="basic")
    await visitor.sign_in()
    answer = await visitor.submit(await visitor.get(waiting.path), "", username="ada", password="")
    assert answer.status_code == 400
    (form,) = forms_of(answer)
    assert form.fields["username"] == "ada"
    assert form.attributes["password"]["aria-invalid"] == "true"


async def test_fields_that_the_page_does_not_have_are_ignored(waiting: Waiting, visitor: Visitor) -> None:
    page = await visitor.get(waiting.path)
    answer = await visitor.submit(page, "", apiKey=KEY, apiBaseUrl="https://evil.example", accessToken="x")
    assert answer.status_code == 303
    config = (await waiting.stored()).config
    assert config.api_base_url is None
    assert config.access_token is None


async def test_hostile_names_do_no_harm(site: Site, visitor: Visitor) -> None:
    waiting = await api_key(site, "<script>alert(1)</script>")
    await visitor.sign_in()
    page = await visitor.get(waiting.path)
    assert "<script>alert" not in page.text
    result = await visitor.submit(page, "", apiKey=KEY)
    assert "<script>alert" not in (await visitor.get(result.headers["location"])).text


@pytest.mark.parametrize("token", ["x", "%00", "a" * 5000, "ü"])
async def test_a_made_up_link_leads_nowhere(site: Site, visitor: Visitor, token: str) -> None:
    await site.person()
    await visitor.sign_in()
    assert (await visitor.get(f"/connect/{token}")).status_code == 404


async def test_an_ended_link_offers_its_owner_another(waiting: Waiting, visitor: Visitor, clock: FakeClock) -> None:
    """One click goes on, also days later; what the page says of links that nobody knows is no help to others."""
    clock.advance(minutes=31)
    page = await visitor.get(waiting.path)
    assert page.status_code == 404
    assert "still waits for you" in page.text
    answer = await visitor.submit(page, "/connect/again/")
    assert answer.headers["location"] != waiting.path
    entry = await visitor.get(answer.headers["location"])
    await visitor.submit(entry, "", apiKey=KEY)
    assert (await waiting.stored()).config.api_key == "********"
    page = await visitor.get(waiting.path)
    assert "Done already" in page.text
    assert "/connect/again/" not in page.text


async def test_a_link_of_a_diagnosis_that_ended_offers_another_too(
    waiting: Waiting, visitor: Visitor, clock: FakeClock
) -> None:
    connection = await waiting.site.services.db.read(repository.find, waiting.auth_id)
    assert connection is not None
    link = urlsplit(waiting.site.services.links.derive(waiting.user_id, connection).url).path
    clock.advance(minutes=32)
    assert "Go on with a new link" in (await visitor.get(link)).text
    forged = link[:-2] + ("AA" if not link.endswith("AA") else "BB")
    assert "Go on with a new link" not in (await visitor.get(forged)).text


async def test_an_ended_link_tells_others_nothing(site: Site, waiting: Waiting, clock: FakeClock) -> None:
    await site.person("eve@example.com", "Eve")
    eve = site.visitor()
    await eve.sign_in("eve@example.com")
    for _ in range(2):
        page = await eve.get(waiting.path)
        assert page.status_code == 404
        assert "Weather" not in page.text
        assert "/connect/again/" not in page.text
        clock.advance(minutes=31)


@pytest.mark.parametrize(
    ("provider", "label", "url"),
    [
        ("stripe", "Secret key at Stripe", "https://dashboard.stripe.com/apikeys"),
        ("resend", "API key at Resend", "https://resend.com/api-keys"),
        ("figma-pat", "Personal access token at Figma", "https://www.figma.com/settings"),
    ],
)
async def test_the_page_leads_to_where_the_key_is_made(
    site: Site, visitor: Visitor, provider: str, label: str, url: str
) -> None:
    """Named as the provider names it."""
    made = await make_waiting(site, provider)
    await visitor.sign_in()
    page = await visitor.get(made.path)
    assert f'href="{url}"' in page.text
    assert label in page.text


NOWHERE = "http://127.0.0.1:1/token"
"""Refused before anything is sent."""


async def test_a_service_accounts_file_is_pasted_whole(site: Site, visitor: Visitor) -> None:
    """The field has several lines and is named as the provider names it; what was pasted is never rendered back."""
    waiting = await make_waiting(site, "google-service-account", tokenEndpoint=NOWHERE)
    await visitor.sign_in()
    page = await visitor.get(waiting.path)
    form = form_to(page, "?origins")
    assert set(form.fields) >= {"privateKey", "subject"}
    assert "clientId" not in form.fields
    assert "JSON key file" in page.text
    again = await visitor.submit(page, "?origins", privateKey="the-canary of a key")
    assert again.status_code == 400
    assert "JSON key file must be a private key in PEM form" in again.text
    assert "canary" not in again.text
    pem, _ = key_pair()
    file = json.dumps({"private_key": pem, "client_email": "robot@p.example", "private_key_id": "kid-1"}, indent=2)
    answer = await visitor.submit(again, "?origins", privateKey=file.replace("\n", "\r\n"))
    assert answer.status_code == 303, answer.text
    config = (await waiting.stored()).config
    assert (config.client_id, config.key_id, config.private_key) == ("robot@p.example", "kid-1", "********")
    result = await visitor.get(answer.headers["location"])
    assert "PRIVATE KEY" not in result.text


async def test_a_key_file_that_lacks_something_is_told_beside_its_field(site: Site, visitor: Visitor) -> None:
    waiting = await make_waiting(site, "box-jwt", tokenEndpoint=NOWHERE)
    await visitor.sign_in()
    page = await visitor.get(waiting.path)
    answer = await visitor.submit(page, "?origins", privateKey='{"boxAppSettings": {"clientID": "canary"}}')
    assert answer.status_code == 400
    assert "JSON configuration file must be the key in PEM form, or the JSON file" in answer.text
    assert "canary" not in answer.text


async def test_the_page_of_an_access_key_shows_region_and_service(site: Site, visitor: Visitor) -> None:
    """They are no secrets: what is known of them stands there, and may be put right."""
    waiting = await make_waiting(site, "aws", region="eu-central-1", service="lambda")
    await visitor.sign_in()
    form = form_to(await visitor.get(waiting.path), "?origins")
    assert (form.fields["region"], form.fields["service"]) == ("eu-central-1", "lambda")
    assert form.attributes["secretAccessKey"]["type"] == "password"
    assert "required" not in form.attributes["sessionToken"]

"""The page that leads to a provider and the one where people come back (contract section 3, `connect.url`)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer as ServerOf
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection, UpdateAuthConnection
from drio_mcp.pages.provider_scopes import scope_in_words
from tests.conftest import FakeClock
from tests.pages.conftest import PASSWORD, Site, Visitor, form_to, forms_of, make_site
from tests.upstreams import AuthorizationServer, McpServer, Upstream, allow, answers, deny, upstream


@dataclass(slots=True)
class Stage:
    """Ada, signed in, with a connection to an MCP server that waits for her."""

    site: Site
    visitor: Visitor
    provider: Upstream
    server: AuthorizationServer
    user_id: str
    app_id: str
    auth: AuthConnection
    path: str

    async def now(self) -> AuthConnection:
        return (await self.site.services.connections.get(self.user_id, self.app_id, self.auth.id)).auth

    async def go(self, **typed: str) -> httpx2.Response:
        """Open the link and press its button."""
        return await self.visitor.submit(await self.visitor.get(self.path), "", **typed)

    async def come_back(self, url: str, visitor: Visitor | None = None) -> httpx2.Response:
        parts = urlsplit(url)
        return await (visitor or self.visitor).get(f"{parts.path}?{parts.query}", follow_redirects=True)


MakeStage = Callable[..., Any]


@pytest.fixture
def stage(tmp_path: Path, clock: FakeClock) -> MakeStage:
    @asynccontextmanager
    async def make(server: AuthorizationServer, **wish: Any) -> AsyncIterator[Stage]:
        mcp = McpServer(accepts=server.accepts)
        with upstream(server, mcp) as provider:
            site = make_site(tmp_path, clock, outbound_allow=(provider.host_port,))
            async with site.services.running():
                person = await site.person()
                (app,) = await site.services.apps.list(person.id)
                done = await site.services.connect.connect(
                    Actor.person(person.id, "Ada"), app.id, ConnectAuth(target=mcp.url, **wish)
                )
                assert done.connect is not None
                visitor = site.visitor()
                await visitor.sign_in()
                path = urlsplit(done.connect.url).path
                yield Stage(site, visitor, provider, server, person.id, app.id, done.auth, path)

    return make


def open_server() -> AuthorizationServer:
    return AuthorizationServer(registration="open")


async def test_one_button_leads_to_the_provider_and_back_to_a_result(stage: MakeStage) -> None:
    async with stage(open_server(), scopes=("contacts:read", "offline_access")) as here:
        page = await here.visitor.get(here.path)
        assert "My app" in page.text
        assert f"Go on to {here.provider.host_port}" in page.text
        assert "Read contacts" in page.text
        assert "Stay connected while you are away" in page.text
        (form,) = forms_of(page)
        assert ([name for name in form.fields if name != "csrf"], len(form.buttons)) == ([], 1)
        answer = await here.visitor.submit(page, "")
        assert answer.status_code == 303
        url = answer.headers["location"]
        assert url.startswith(f"{here.provider.origin}/authorize?")
        result = await here.come_back(await allow(url))
        assert result.status_code == 200
        assert result.url.path == f"/connect/result/{here.auth.id}"
        assert "Connected" in result.text
        assert "valid" in result.text
        assert (await here.now()).status == "valid"
        assert "code=" not in str(result.url)
        again = await here.visitor.get(result.url.path)
        assert "Connected" in again.text, "reloading changes nothing"


async def test_the_browser_lets_the_form_go_there(stage: MakeStage) -> None:
    """Browsers apply `form-action` to the redirect that follows, and to those of the provider's sign-in behind it."""
    async with stage(open_server()) as here:
        policy = (await here.visitor.get(here.path)).headers["content-security-policy"]
        (action,) = [each for each in policy.split("; ") if each.startswith("form-action")]
        assert action.split() == ["form-action", "'self'", "https:", here.provider.origin]


async def test_the_link_works_once(stage: MakeStage) -> None:
    async with stage(open_server()) as here:
        page = await here.visitor.get(here.path)
        assert (await here.visitor.submit(page, "")).status_code == 303
        second = await here.visitor.submit(page, "")
        assert second.status_code == 404
        assert "has ended" in second.text


async def test_whoever_refuses_is_told_and_may_try_again(stage: MakeStage) -> None:
    async with stage(open_server()) as here:
        result = await here.come_back(await deny((await here.go()).headers["location"]))
        assert "Not connected yet" in result.text
        assert "You did not allow access" in result.text
        form = form_to(result, "/connect/again/")
        again = await here.visitor.post(form.action, form.fields)
        assert again.status_code == 303
        page = await here.visitor.get(again.headers["location"])
        url = (await here.visitor.submit(page, "")).headers["location"]
        assert "Connected" in (await here.come_back(await allow(url))).text


async def test_the_persons_own_client_and_the_consent_take_one_button(stage: MakeStage) -> None:
    """A provider without registration: what is entered on the page leads straight on."""
    async with stage(AuthorizationServer()) as here:
        page = await here.visitor.get(here.path)
        (form,) = forms_of(page)
        assert [name for name in form.fields if name != "csrf"] == ["clientId", "clientSecret"]
        server = ServerOf(f"{here.provider.origin}/authorize", f"{here.provider.origin}/token")
        redirect_uri = f"{here.site.origin}/connect/callback/{server.slug}"
        assert redirect_uri in page.text, "it has to be entered at the provider"
        client = here.server.add_client(redirect_uri)
        answer = await here.visitor.submit(page, "", clientId=client.id, clientSecret=client.secret)
        assert answer.headers["location"].startswith(f"{here.provider.origin}/authorize?")
        assert "Connected" in (await here.come_back(await allow(answer.headers["location"]))).text
        assert (await here.now()).status == "valid"


async def test_a_missing_client_id_is_marked_and_the_link_stays_good(stage: MakeStage) -> None:
    async with stage(AuthorizationServer()) as here:
        answer = await here.go(clientId="", clientSecret="typed")
        assert answer.status_code == 400
        (form,) = forms_of(answer)
        assert form.attributes["clientId"]["aria-invalid"] == "true"
        assert "typed" not in answer.text
        assert (await here.visitor.get(here.path)).status_code == 200


async def test_where_nobody_can_be_sent_the_page_says_why(stage: MakeStage) -> None:
    async with stage(open_server()) as here:
        page = await here.visitor.get(here.path)
        change = UpdateAuthConnection.model_validate({"status": "disabled"})
        await here.site.services.connections.update(
            Actor.person(here.user_id, "Ada"), here.app_id, here.auth.id, change
        )
        result = await here.visitor.get((await here.visitor.submit(page, "")).headers["location"])
        assert "disabled" in result.text


async def test_an_address_changed_since_is_pointed_out(stage: MakeStage) -> None:
    """Somebody who edits the token endpoint cannot have the consent redeemed there without the owner seeing it."""
    async with stage(open_server()) as here:
        assert "entered by hand" not in (await here.visitor.get(here.path)).text
        change = UpdateAuthConnection.model_validate({"config": {"tokenEndpoint": "https://evil.example/token"}})
        await here.site.services.connections.update(
            Actor.person(here.user_id, "Ada"), here.app_id, here.auth.id, change
        )
        page = await here.visitor.get(here.path)
        assert "entered by hand" in page.text
        assert "https://evil.example" in page.text


async def test_an_answer_in_another_browser_is_nobodys(stage: MakeStage) -> None:
    async with stage(open_server()) as here:
        back = await allow((await here.go()).headers["location"])
        await here.site.person("bob@example.com", "Bob")
        bob, other_ada = here.site.visitor(), here.site.visitor()
        await bob.submit(await bob.get("/sign-in"), "/sign-in", email="bob@example.com", password=PASSWORD)
        await other_ada.sign_in()
        for visitor in (bob, other_ada):
            answer = await here.come_back(back, visitor)
            assert answer.status_code == 403
            assert "Nothing was changed" in answer.text
            assert here.auth.name not in answer.text
        assert here.provider.log.count("token") == 0
        assert "Connected" in (await here.come_back(back)).text


async def test_an_answer_to_another_servers_address_is_nobodys(stage: MakeStage) -> None:
    """RFC 9700 section 4.4.2."""
    async with stage(open_server()) as here:
        back = await allow((await here.go()).headers["location"])
        path = urlsplit(back).path
        for foreign in (here.auth.id, "auth_" + "x" * 22, ServerOf("https://a.example/", "https://b.example/").slug):
            answer = await here.come_back(back.replace(path, f"/connect/callback/{foreign}"))
            assert answer.status_code == 403
        assert here.provider.log.count("token") == 0


async def test_results_and_new_links_are_the_owners(stage: MakeStage) -> None:
    async with stage(open_server()) as here:
        await here.site.person("bob@example.com", "Bob")
        bob = here.site.visitor()
        await bob.submit(await bob.get("/sign-in"), "/sign-in", email="bob@example.com", password=PASSWORD)
        assert (await bob.get(f"/connect/result/{here.auth.id}")).status_code == 404
        csrf = form_to(await bob.get("/account"), "/account/profile").fields["csrf"]
        assert (await bob.post(f"/connect/again/{here.auth.id}", {"csrf": csrf})).status_code == 404
        assert (await here.visitor.post(f"/connect/again/{here.auth.id}", {"csrf": csrf})).status_code == 403
        nobody = here.site.visitor()
        for path in (f"/connect/result/{here.auth.id}", f"/connect/callback/{here.auth.id}?code=x&state=y"):
            assert (await nobody.get(path)).headers["location"].startswith("/sign-in")


async def test_our_document_is_served_to_everybody(site: Site) -> None:
    """Client ID Metadata Documents: the URL is the client id; whether the connection exists stays unknown."""
    visitor = site.visitor()
    for callback in (ServerOf("https://a.example/", "https://b.example/").slug, "auth_" + "a" * 22):
        answer = await visitor.get(f"/connect/client/{callback}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["client_id"] == f"{site.origin}/connect/client/{callback}"
        assert answer.json()["redirect_uris"] == [f"{site.origin}/connect/callback/{callback}"]
    assert (await visitor.get("/connect/client/no-such-form")).status_code == 404


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("openid", "Know which account you have there"),
        ("contacts:read", "Read contacts"),
        ("read:user_profile", "Read user profile"),
        ("https://www.googleapis.com/auth/drive.readonly", "Read drive"),
        ("Mail.ReadWrite", "Read and change mail"),
        ("channels:history", "channels:history"),
        ("x" * 500, "x" * 120),
    ],
)
def test_scopes_are_told_in_words_as_far_as_they_speak(scope: str, words: str) -> None:
    assert scope_in_words(scope) == words


async def test_an_mcp_server_that_refuses_its_token_is_not_called_connected(stage: MakeStage) -> None:
    """The token endpoint issued a token; the server itself is asked before the page says that all is well."""
    async with stage(open_server()) as here:
        url = (await here.go()).headers["location"]
        refusal = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        here.provider.faults.at("mcp", answers(401, {"error": "invalid_token"}, refusal))
        result = await here.come_back(await allow(url))
        assert "Connected" not in result.text
        after = await here.now()
        assert (after.status, (after.last_error or "").partition(":")[0]) == ("invalid", "key_rejected")

"""The pages on which clients at providers are entered, by an app's owner and by operators."""

import pytest

from drio_mcp.connections.upstream.provider_client import ProviderClient
from tests.pages.conftest import Site, Visitor, form_to
from tests.pages.console import Console, open_console


@pytest.fixture
async def console(site: Site, visitor: Visitor) -> Console:
    return await open_console(site, visitor)


async def clients_of(console: Console) -> tuple[ProviderClient, ...]:
    clients = console.site.services.provider_clients
    return (await clients.list(console.person.id, console.app_id)).provider_clients


async def test_a_client_is_added_by_the_steps_of_its_provider(console: Console) -> None:
    path, ada = f"{console.path}/provider-clients", console.visitor
    assert "There is none yet" in (await ada.get(path)).text
    choice = form_to(await ada.get(f"{path}/new"), f"{path}/new")
    assert choice.method == "get"
    page = await ada.get(f"{path}/new?provider=google-gmail")
    assert "/connect/callback/accounts-google-com-" in page.text
    assert "gmail.modify" in page.text
    answer = await ada.submit(page, f"{path}/new", clientId="id-1", clientSecret="canary-4711")
    (client,) = await clients_of(console)
    assert answer.headers["location"] == f"{path}/{client.id}?done=made"
    shown = await ada.get(answer.headers["location"])
    assert client.redirect_uri in shown.text
    assert "Google Drive" in shown.text
    assert "canary" not in shown.text
    assert "Gmail" in (await ada.get(path)).text


async def test_the_redirect_uri_of_the_steps_is_that_of_the_client(console: Console) -> None:
    path, ada = f"{console.path}/provider-clients", console.visitor
    page = await ada.get(f"{path}/new?provider=microsoft&tenant=common")
    await ada.submit(page, f"{path}/new", clientId="id-1")
    (client,) = await clients_of(console)
    assert client.redirect_uri in page.text


async def test_variables_are_asked_for_first(console: Console) -> None:
    path, ada = f"{console.path}/provider-clients", console.visitor
    page = await ada.get(f"{path}/new?provider=microsoft")
    assert set(form_to(page, f"{path}/new").fields) == {"provider", "tenant"}
    page = await ada.get(f"{path}/new?provider=microsoft&tenant=%2F")
    assert form_to(page, f"{path}/new").attributes["tenant"]["aria-invalid"] == "true"


async def test_any_server_by_its_endpoints(console: Console) -> None:
    path, ada = f"{console.path}/provider-clients", console.visitor
    page = await ada.get(f"{path}/new?provider=custom-oauth")
    endpoints = {
        "authorizationEndpoint": "https://as.example.com/authorize",
        "tokenEndpoint": "http://as.example.com/token",
    }
    answer = await ada.submit(page, f"{path}/new", clientId="id-1", clientSecret="canary", **endpoints)
    assert answer.status_code == 400
    assert "canary" not in answer.text
    assert form_to(answer, f"{path}/new").attributes["tokenEndpoint"]["aria-invalid"] == "true"
    endpoints["tokenEndpoint"] = "https://as.example.com/token"
    answer = await ada.submit(page, f"{path}/new", clientId="id-1", **endpoints)
    assert answer.status_code == 303
    answer = await ada.submit(page, f"{path}/new", clientId="id-2", **endpoints)
    assert answer.status_code == 409


async def test_a_client_is_changed_and_deleted(console: Console) -> None:
    path, ada = f"{console.path}/provider-clients", console.visitor
    await ada.submit(await ada.get(f"{path}/new?provider=github"), f"{path}/new", clientId="id-1", clientSecret="one")
    (client,) = await clients_of(console)
    one = f"{path}/{client.id}"
    await ada.submit(await ada.get(one), one, clientId="id-2", name="Ours", tokenEndpointAuthMethod="none")
    (changed,) = await clients_of(console)
    assert (changed.client_id, changed.name, changed.token_endpoint_auth_method) == ("id-2", "Ours", "none")
    assert changed.client_secret is not None  # left empty, it stays
    bad = await ada.submit(await ada.get(one), one, clientId="")
    assert bad.status_code == 400
    answer = await ada.submit(await ada.get(f"{one}/delete"), f"{one}/delete")
    assert answer.headers["location"] == f"{path}?done=deleted"
    assert await clients_of(console) == ()


async def test_the_servers_clients_are_for_operators(site: Site, console: Console) -> None:
    """Contract section 6: operators' pages are 404 for others."""
    path, ada = "/operator/provider-clients", console.visitor
    for each in (path, f"{path}/new", f"{path}/none"):
        assert (await ada.get(each)).status_code == 404
    assert path not in (await ada.get("/apps")).text
    await site.person("op@example.com", "Op", is_operator=True)
    operator = site.visitor()
    await operator.sign_in("op@example.com")
    assert path in (await operator.get("/operator")).text
    page = await operator.get(f"{path}/new?provider=slack")
    answer = await operator.submit(page, f"{path}/new", clientId="id-1", clientSecret="s")
    assert answer.status_code == 303
    assert "Slack" in (await operator.get(path)).text
    assert (await ada.get(answer.headers["location"])).status_code == 404
    assert await clients_of(console) == ()


async def test_somebody_elses_clients_are_nothing(site: Site, console: Console) -> None:
    await site.person("bob@example.com", "Bob")
    bob = site.visitor()
    await bob.sign_in("bob@example.com")
    for each in ("", "/new", "/none"):
        assert (await bob.get(f"{console.path}/provider-clients{each}")).status_code == 404


async def test_a_form_from_elsewhere_changes_nothing(console: Console) -> None:
    path = f"{console.path}/provider-clients"
    answer = await console.visitor.post(f"{path}/new?provider=github", {"clientId": "x", "csrf": "wrong"})
    assert answer.status_code == 403
    assert await clients_of(console) == ()

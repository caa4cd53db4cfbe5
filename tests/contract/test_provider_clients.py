"""Contract section 7, "Provider clients": our OAuth clients at providers, from outside."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import call
from tests.helpers.server import PASSWORD

from .oauth import ask, redeem, register
from .process import Served
from .test_routes import envelope

SECRET = "GOCSPX-never-echo-this-secret"
SERVERS = "/api/v1/provider-clients"
MEMBERS = {
    "id",
    "appId",
    "authorizationServer",
    "providerKeys",
    "name",
    "clientId",
    "clientSecret",
    "tokenEndpointAuthMethod",
    "redirectUri",
    "origin",
    "secretExpiresAt",
    "connections",
    "lastError",
}
BOB = "bob@example.com"


@pytest.fixture(scope="module")
def bob(served: Served) -> Iterator[httpx2.Client]:
    """Somebody who is no operator."""
    served.program.create_person(BOB, "--name", "Bob")
    asked = ask(register(served)["client_id"])
    with served.browser() as browser, served.client() as http:
        browser.open(asked.url).sign_in(BOB, PASSWORD).decide("allow")
        assert browser.left_to is not None
        code = httpx2.URL(browser.left_to).params["code"]
        token = redeem(http, asked, code).json()["access_token"]
    with served.client(token) as client:
        yield client


def app_of(api: httpx2.Client) -> str:
    return f"/api/v1/apps/{api.get('/api/v1/apps').json()['apps'][0]['id']}"


@pytest.fixture
def clients(api: httpx2.Client) -> str:
    """The path of the provider clients of Ada's first app."""
    return f"{app_of(api)}/provider-clients"


def created(api: httpx2.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = api.post(path, json={"providerKey": "google-gmail", "clientId": "id-1", "clientSecret": SECRET, **body})
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text
    (envelope_name,) = answer.json()
    assert envelope_name == "providerClient"
    client: dict[str, Any] = answer.json()["providerClient"]
    return client


@pytest.fixture
def gmail(api: httpx2.Client, clients: str) -> Iterator[dict[str, Any]]:
    client = created(api, clients)
    yield client
    api.delete(f"{clients}/{client['id']}?force=true")


def test_the_object(served: Served, gmail: dict[str, Any], api: httpx2.Client, clients: str) -> None:
    assert set(gmail) == MEMBERS
    assert gmail["appId"] == clients.split("/")[4]
    assert "google-gmail" in gmail["providerKeys"]
    assert "google-drive" in gmail["providerKeys"], "providers of one authorization server share client and address"
    assert (gmail["clientId"], gmail["clientSecret"], gmail["origin"]) == ("id-1", "********", "manual")
    assert gmail["redirectUri"].startswith(f"{served.url}/connect/callback/")
    assert (gmail["connections"], gmail["lastError"], gmail["secretExpiresAt"]) == (0, None, None)
    assert api.get(f"{clients}/{gmail['id']}").json() == {"providerClient": gmail}
    assert gmail in api.get(clients).json()["providerClients"]


def test_the_client_document_exists_for_every_slug(served: Served, gmail: dict[str, Any], http: httpx2.Client) -> None:
    slug = gmail["redirectUri"].rpartition("/")[2]
    document = http.get(f"/connect/client/{slug}").json()
    assert document["client_id"] == f"{served.url}/connect/client/{slug}"
    assert document["redirect_uris"] == [gmail["redirectUri"]]


def test_a_second_client_of_the_app_there_is_a_conflict_or_another(
    api: httpx2.Client, clients: str, gmail: dict[str, Any]
) -> None:
    """Whatever it is, it is no 500 and loses nothing."""
    second = api.post(clients, json={"providerKey": "google-gmail", "clientId": "id-2", "clientSecret": SECRET})
    assert second.status_code in {201, 409}
    assert api.get(f"{clients}/{gmail['id']}").json()["providerClient"]["clientId"] == "id-1"


def test_patch_changes_name_id_secret_and_authentication_only(
    api: httpx2.Client, clients: str, gmail: dict[str, Any]
) -> None:
    one = f"{clients}/{gmail['id']}"
    changed = api.patch(one, json={"name": "Ours", "clientId": "id-3", "tokenEndpointAuthMethod": "client_secret_post"})
    assert changed.status_code == 200, changed.text
    client = changed.json()["providerClient"]
    assert (client["name"], client["clientId"]) == ("Ours", "id-3")
    assert client["tokenEndpointAuthMethod"] == "client_secret_post"
    for member in ("tokenEndpoint", "authorizationEndpoint", "authorizationServer", "redirectUri", "appId", "origin"):
        envelope(api.patch(one, json={member: "https://evil.example/token"}), 400, "validation_error")
    assert api.patch(one, json={"clientSecret": "********"}).json()["providerClient"]["clientSecret"] == "********"


def test_etag_and_if_match(api: httpx2.Client, clients: str, gmail: dict[str, Any]) -> None:
    one = f"{clients}/{gmail['id']}"
    tag = api.get(one).headers["etag"]
    assert api.patch(one, json={"name": "A"}, headers={"If-Match": tag}).status_code == 200
    envelope(api.patch(one, json={"name": "B"}, headers={"If-Match": tag}), 412, "precondition_failed")


def test_dry_run_changes_nothing(api: httpx2.Client, clients: str) -> None:
    before = api.get(clients).json()
    answer = api.post(f"{clients}?dryRun=true", json={"providerKey": "slack", "clientId": "dry"})
    assert answer.json()["dryRun"] is True
    assert api.get(clients).json() == before


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"clientId": "x"}, "providerKey"),
        ({"providerKey": "google-gmail"}, "clientId"),
        ({"providerKey": "no-such-provider", "clientId": "x"}, "providerKey"),
        ({"providerKey": "google-gmail", "clientId": 5}, "clientId"),
        ({"providerKey": "google-gmail", "clientId": "x", "provider_key": "google-gmail"}, "provider_key"),
        ({"authorizationEndpoint": "https://as.example/a", "clientId": "x"}, "tokenEndpoint"),
        (
            {"providerKey": "google-gmail", "clientId": "x", "tokenEndpointAuthMethod": "magic"},
            "tokenEndpointAuthMethod",
        ),
    ],
)
def test_bad_input_names_the_member(api: httpx2.Client, clients: str, body: dict[str, Any], path: str) -> None:
    problems = envelope(api.post(clients, json=body), 400, "validation_error")["details"]
    assert path in {problem["path"] for problem in problems}


def test_by_endpoints(api: httpx2.Client, clients: str) -> None:
    body = {"authorizationEndpoint": "https://as.example/authorize", "tokenEndpoint": "https://as.example/token"}
    client = api.post(clients, json={**body, "clientId": "public"}).json()["providerClient"]
    assert (client["clientSecret"], client["authorizationServer"]) == (None, "https://as.example")
    assert api.delete(f"{clients}/{client['id']}").json() == {"deleted": True}
    assert api.delete(f"{clients}/{client['id']}").status_code == 404


def test_the_servers_clients_are_for_operators(
    api: httpx2.Client, bob: httpx2.Client, clients: str, http: httpx2.Client
) -> None:
    """403 for those who are none; a server's client under an app's path is 404."""
    envelope(bob.get(SERVERS), 403, "forbidden")
    envelope(bob.post(SERVERS, json={"providerKey": "github", "clientId": "x"}), 403, "forbidden")
    envelope(http.get(SERVERS), 401, "unauthorized")
    client = created(api, SERVERS, providerKey="github")
    assert client["appId"] is None
    envelope(api.get(f"{clients}/{client['id']}"), 404, "not_found")
    envelope(bob.get(f"{app_of(bob)}/provider-clients/{client['id']}"), 404, "not_found")
    ready = {each["key"]: each for each in bob.get("/api/v1/providers?q=github").json()["providers"]}
    assert ready["github"]["client"] == "server"
    assert SECRET not in bob.get("/api/v1/providers?q=github").text
    assert api.delete(f"{SERVERS}/{client['id']}").json() == {"deleted": True}


def test_somebody_elses_are_not_there(bob: httpx2.Client, clients: str, gmail: dict[str, Any]) -> None:
    envelope(bob.get(clients), 404, "not_found")
    envelope(bob.get(f"{clients}/{gmail['id']}"), 404, "not_found")


def test_providers_tell_whose_client_it_would_be(api: httpx2.Client, clients: str, gmail: dict[str, Any]) -> None:
    app_id = clients.split("/")[4]

    def told(query: str) -> dict[str, str]:
        return {
            each["key"]: each.get("client", "") for each in api.get(f"/api/v1/providers?{query}").json()["providers"]
        }

    assert told(f"q=google-gmail&appId={app_id}")["google-gmail"] == "app"
    assert told("q=google-gmail")["google-gmail"] != "app", "without an app never `app`"
    assert told(f"q=slack&appId={app_id}")["slack"] == "needed"
    listed = call(api, "list_auth_providers", {"q": "google-gmail", "appId": app_id})["structuredContent"]["providers"]
    assert {each["key"]: each["client"] for each in listed}["google-gmail"] == "app"


def test_a_client_in_use_stays_unless_it_is_forced(api: httpx2.Client, clients: str, auth: str) -> None:
    """409 unless `?force=true`, which leaves its connections `needs_reauth`."""
    client = created(api, clients, providerKey="slack", clientId="slack-1")
    made = api.post(f"{auth}/connect", json={"providerKey": "slack", "name": "Team"}).json()
    assert made["connect"] is not None, "one click away"
    one = f"{clients}/{client['id']}"
    assert api.get(one).json()["providerClient"]["connections"] == 1
    envelope(api.delete(one), 409, "conflict")
    assert api.delete(f"{one}?force=true").json() == {"deleted": True}
    connection = api.get(f"{auth}/{made['auth']['id']}").json()["auth"]
    assert connection["status"] == "needs_reauth"
    api.delete(f"{auth}/{made['auth']['id']}")


def test_a_connection_of_a_servers_client_shows_none_of_it(
    served: Served, api: httpx2.Client, bob: httpx2.Client
) -> None:
    """Others' accounts use it without seeing it; one call, and one click."""
    client = created(api, SERVERS, providerKey="linear", clientId="server-linear")
    made = bob.post(f"{app_of(bob)}/auth/connect", json={"providerKey": "linear"})
    assert made.status_code == 201, made.text
    assert SECRET not in made.text
    assert made.json()["connect"]["url"].startswith(served.url)
    envelope(bob.delete(f"{SERVERS}/{client['id']}"), 403, "forbidden")
    bob.delete(f"{app_of(bob)}/auth/{made.json()['auth']['id']}")
    api.delete(f"{SERVERS}/{client['id']}?force=true")


def test_the_command(served: Served, api: httpx2.Client) -> None:
    """`providers list|set|unset`: 0 done, 1 failed, 2 wrong usage; `--json`."""
    run = served.program.run
    done = run("providers", "set", "notion", "--client-id", "cli-1", "--client-secret-stdin", stdin=SECRET)
    assert (done.returncode, SECRET in done.stdout + done.stderr) == (0, False), done.stderr
    assert any(each["clientId"] == "cli-1" for each in api.get(SERVERS).json()["providerClients"])
    assert "cli-1" in run("providers", "list", "--json").stdout
    assert run("providers", "unset", "notion").returncode == 0
    assert run("providers", "unset", "notion").returncode == 1
    assert run("providers", "set", "no-such-provider", "--client-id", "x").returncode in {1, 2}
    assert run("providers", "set").returncode == 2

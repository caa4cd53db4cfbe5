"""Provider clients over HTTP (contract section 7)."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from drio_mcp.models import Scope
from drio_mcp.opaque import MASK
from tests.helpers.server import RunningServer, Someone

SERVER = "/api/v1/provider-clients"
GOOGLE: dict[str, Any] = {"providerKey": "google-gmail", "clientId": "id-1", "clientSecret": "canary-4711"}


def at(number: int) -> dict[str, Any]:
    origin = f"https://as{number}.example.com"
    return {
        "authorizationEndpoint": f"{origin}/authorize",
        "tokenEndpoint": f"{origin}/token",
        "clientId": f"c{number}",
    }


@pytest.fixture
def clients(api: httpx2.Client) -> str:
    """The path of the provider clients of Ada's app."""
    app = api.get("/api/v1/apps").json()["apps"][0]
    return f"/api/v1/apps/{app['id']}/provider-clients"


@pytest.fixture
def operator(server: RunningServer) -> Iterator[httpx2.Client]:
    """A client with an operator's token; what it leaves at the server is taken away."""
    someone = server.add_person(is_operator=True)
    with server.client(headers=someone.headers) as client:
        yield client
        for each in client.get(SERVER).json()["providerClients"]:
            client.delete(f"{SERVER}/{each['id']}?force=true")


def test_create_read_change_delete(api: httpx2.Client, clients: str, server: RunningServer) -> None:
    created = api.post(clients, json=GOOGLE)
    assert created.status_code == 201
    client = created.json()["providerClient"]
    slug = client["redirectUri"].removeprefix(f"{server.url}/connect/callback/")
    assert slug.startswith("accounts-google-com-")
    assert client == {
        "id": client["id"],
        "appId": clients.split("/")[4],
        "authorizationServer": "https://accounts.google.com",
        "providerKeys": client["providerKeys"],
        "name": client["name"],
        "clientId": "id-1",
        "clientSecret": MASK,
        "tokenEndpointAuthMethod": None,
        "redirectUri": client["redirectUri"],
        "origin": "manual",
        "secretExpiresAt": None,
        "connections": 0,
        "lastError": None,
    }
    assert {"google-gmail", "google-drive", "google-calendar"} <= set(client["providerKeys"])
    one = f"{clients}/{client['id']}"
    read = api.get(one)
    assert read.json() == {"providerClient": client}
    assert read.headers["etag"] == created.headers["etag"]
    assert api.get(clients).json() == {"providerClients": [client]}
    assert api.patch(one, json={}).headers["etag"] == created.headers["etag"]
    assert api.patch(one, json=client).headers["etag"] == created.headers["etag"]
    changed = api.patch(one, json={"name": "Ours", "tokenEndpointAuthMethod": "client_secret_post"})
    assert changed.json()["providerClient"] == client | {
        "name": "Ours",
        "tokenEndpointAuthMethod": "client_secret_post",
    }
    assert changed.headers["etag"] != created.headers["etag"]
    assert api.patch(one, json={"clientSecret": None}).json()["providerClient"]["clientSecret"] is None
    assert api.delete(one).json() == {"deleted": True}
    gone = api.delete(one)
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "Provider client not found")


def test_endpoints_name_a_server_that_the_catalog_knows(api: httpx2.Client, clients: str) -> None:
    """One authorization server, however it is named: upper case and the usual port are the same address."""
    body = {
        "authorizationEndpoint": "https://Accounts.Google.com:443/o/oauth2/v2/auth",
        "tokenEndpoint": "https://oauth2.googleapis.com/token",
        "clientId": "x",
    }
    first = api.post(clients, json=body).json()["providerClient"]
    assert "google-gmail" in first["providerKeys"]
    again = api.post(clients, json=GOOGLE)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


def test_variables_name_the_customer(api: httpx2.Client, clients: str) -> None:
    body = {"providerKey": "zendesk", "clientId": "x"}
    refused = api.post(clients, json=body)
    assert [each["path"] for each in refused.json()["error"]["details"]] == ["variables.subdomain"]
    made = api.post(clients, json=body | {"variables": {"subdomain": "acme"}})
    assert made.status_code == 201, made.text


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"clientId": "x"}, "providerKey"),
        ({**at(1), "providerKey": "google-gmail"}, "providerKey"),
        ({"providerKey": "nobody", "clientId": "x"}, "providerKey"),
        ({"providerKey": "custom-oauth", "clientId": "x"}, "providerKey"),
        ({"providerKey": "google-gmail"}, "clientId"),
        ({"providerKey": "google-gmail", "clientId": ""}, "clientId"),
        (
            {"providerKey": "google-gmail", "clientId": "x", "tokenEndpointAuthMethod": "great"},
            "tokenEndpointAuthMethod",
        ),
        ({"authorizationEndpoint": "https://as.example.com/a", "clientId": "x"}, "tokenEndpoint"),
        ({**at(1), "tokenEndpoint": "http://as1.example.com/token"}, "tokenEndpoint"),
        ({**at(1), "variables": {"a": "b"}}, "variables"),
        ({**GOOGLE, "origin": "manual"}, "origin"),
        ({**GOOGLE, "client_id": "x"}, "client_id"),
    ],
)
def test_a_bad_body_names_its_problem(api: httpx2.Client, clients: str, body: dict[str, Any], path: str) -> None:
    answer = api.post(clients, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert path in [each["path"] for each in answer.json()["error"]["details"]]
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        ({"redirectUri": "https://evil.example"}, "redirectUri"),
        ({"authorizationServer": "https://evil.example"}, "authorizationServer"),
        ({"tokenEndpoint": "https://evil.example/token"}, "tokenEndpoint"),
        ({"connections": 7}, "connections"),
        ({"name": None}, "name"),
        ({"clientId": None}, "clientId"),
        ({"providerKey": "github"}, "providerKey"),
    ],
)
def test_endpoints_and_findings_cannot_be_changed(
    api: httpx2.Client, clients: str, patch: dict[str, Any], path: str
) -> None:
    one = f"{clients}/{api.post(clients, json=GOOGLE).json()['providerClient']['id']}"
    answer = api.patch(one, json=patch)
    assert answer.status_code == 400
    assert [each["path"] for each in answer.json()["error"]["details"]] == [path]


def test_pages(api: httpx2.Client, clients: str) -> None:
    for number in range(3):
        assert api.post(clients, json=at(number)).status_code == 201
    first = api.get(clients, params={"limit": "2"}).json()
    second = api.get(clients, params={"limit": "2", "cursor": first["nextCursor"]}).json()
    assert [each["clientId"] for each in first["providerClients"] + second["providerClients"]] == ["c0", "c1", "c2"]
    assert "nextCursor" not in second
    for query in ("limit=0", "limit=101", "cursor=x", "unknown=1"):
        assert api.get(f"{clients}?{query}").status_code == 400


def test_if_match(api: httpx2.Client, clients: str) -> None:
    """RFC 9110 section 13.1.1."""
    created = api.post(clients, json=GOOGLE)
    one, tag = f"{clients}/{created.json()['providerClient']['id']}", created.headers["etag"]
    assert api.patch(one, json={"name": "A"}, headers={"If-Match": '"other"'}).status_code == 412
    assert api.delete(one, headers={"If-Match": '"other"'}).status_code == 412
    assert api.patch(one, json={"name": "A"}, headers={"If-Match": tag}).status_code == 200
    assert api.delete(one, headers={"If-Match": tag}).status_code == 412


def test_a_dry_run_changes_nothing(api: httpx2.Client, clients: str) -> None:
    would = api.post(f"{clients}?dryRun=true", json=GOOGLE)
    assert (would.status_code, would.json()["dryRun"]) == (201, True)
    assert "etag" not in would.headers
    assert api.get(clients).json() == {"providerClients": []}
    one = f"{clients}/{api.post(clients, json=GOOGLE).json()['providerClient']['id']}"
    would = api.patch(f"{one}?dryRun=true", json={"name": "Other"})
    assert (would.json()["providerClient"]["name"], would.json()["dryRun"]) == ("Other", True)
    assert api.delete(f"{one}?dryRun=true").json() == {"deleted": True, "dryRun": True}
    assert api.get(one).json()["providerClient"]["name"] != "Other"


def test_an_idempotency_key_gives_the_first_answer(api: httpx2.Client, clients: str) -> None:
    headers = {"Idempotency-Key": "one"}
    first = api.post(clients, json=GOOGLE, headers=headers)
    again = api.post(clients, json=GOOGLE, headers=headers)
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    other = api.post(clients, json=GOOGLE | {"clientSecret": "other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")


def test_the_server_has_clients_for_operators_only(
    api: httpx2.Client, clients: str, operator: httpx2.Client, ada: Someone
) -> None:
    made = operator.post(SERVER, json=GOOGLE)
    assert made.status_code == 201
    client = made.json()["providerClient"]
    assert client["appId"] is None
    for answer in (
        api.get(SERVER),
        api.post(SERVER, json=at(1)),
        api.get(f"{SERVER}/{client['id']}"),
        api.patch(f"{SERVER}/{client['id']}", json={"name": "Mine"}),
        api.delete(f"{SERVER}/{client['id']}"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
        assert client["id"] not in answer.text
    for answer in (
        api.get(f"{clients}/{client['id']}"),
        api.patch(f"{clients}/{client['id']}", json={"name": "Mine"}),
        api.delete(f"{clients}/{client['id']}"),
    ):
        assert answer.status_code == 404
    assert api.get(clients).json() == {"providerClients": []}
    mine = api.post(clients, json=GOOGLE).json()["providerClient"]
    assert operator.get(f"{SERVER}/{mine['id']}").status_code == 404
    assert operator.get(f"{clients}/{mine['id']}").status_code == 404
    assert [each["id"] for each in operator.get(SERVER).json()["providerClients"]] == [client["id"]]


def test_scopes(server: RunningServer, ada: Someone, clients: str) -> None:
    with server.client() as http:
        for scope, status in ((Scope.CONNECTIONS_READ, 403), (Scope.CONNECTIONS_WRITE, 201), (Scope.OPENID, 403)):
            token = server.issue_token(ada.person.id, [scope])
            answer = http.post(clients, json=GOOGLE, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == status, scope
        assert http.get(clients).status_code == 401


def test_no_secret_stands_in_the_clear(server: RunningServer, api: httpx2.Client, clients: str) -> None:
    api.post(clients, json=GOOGLE)
    for file in server.services.settings.data_dir.glob("drio.db*"):
        assert b"canary-4711" not in file.read_bytes()


def test_providers_say_whose_client_there_is(api: httpx2.Client, clients: str, operator: httpx2.Client) -> None:
    app_id = clients.split("/")[4]

    def states(**query: str) -> dict[str, str | None]:
        answer = api.get("/api/v1/providers", params=query)
        assert answer.status_code == 200, answer.text
        return {each["key"]: each.get("client") for each in answer.json()["providers"]}

    before = states()
    assert (before["google-gmail"], before["custom-mcp"], before["custom-oauth"]) == ("needed", "automatic", "needed")
    assert before["custom-api-key"] is None
    operator.post(SERVER, json=GOOGLE)
    operator.post(SERVER, json={"providerKey": "zendesk", "variables": {"subdomain": "acme"}, "clientId": "m"})
    api.post(clients, json={"providerKey": "github", "clientId": "g"})
    plain, in_app = states(), states(appId=app_id)
    assert (plain["google-drive"], plain["zendesk"], plain["github"]) == ("server", "server", "needed")
    assert (in_app["google-drive"], in_app["github"]) == ("server", "app")
    assert list(in_app)[:3] == [key for key, state in in_app.items() if state in {"app", "server"}][:3]
    one = api.get("/api/v1/providers/github", params={"appId": app_id}).json()["provider"]
    assert one["client"] == "app"
    assert api.get("/api/v1/providers", params={"appId": "app_none"}).status_code == 404
    assert api.get("/api/v1/providers/github", params={"appId": "app_none"}).status_code == 404

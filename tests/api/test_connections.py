"""Auth connections over HTTP (contract section 3)."""

import uuid
from typing import Any

import httpx2
import pytest

from tests.connections.desk import OAUTH as BODY
from tests.helpers.server import RunningServer, Someone

KEY: dict[str, Any] = {
    "providerKey": "custom-api-key",
    "name": "Weather",
    "config": {"headerName": "X-Api-Key", "apiBaseUrl": "https://api.weather.example", "apiKey": "canary-key-4711"},
}


@pytest.fixture
def auth(api: httpx2.Client) -> str:
    """The path of the connections of Ada's app."""
    app = api.get("/api/v1/apps").json()["apps"][0]
    return f"/api/v1/apps/{app['id']}/auth"


def test_create_read_change_delete(api: httpx2.Client, auth: str) -> None:
    created = api.post(auth, json=BODY)
    assert created.status_code == 201
    connection = created.json()["auth"]
    assert connection["config"] == BODY["config"]
    one = f"{auth}/{connection['id']}"
    read = api.get(one)
    assert read.json() == {"auth": connection}
    assert read.headers["etag"] == created.headers["etag"]
    assert api.get(f"{auth}/primary-auth").json()["auth"] == connection
    assert api.patch(one, json={}).headers["etag"] == created.headers["etag"]
    changed = api.patch(one, json={"config": {"scopes": None, "audience": "x"}})
    assert "scopes" not in changed.json()["auth"]["config"]
    assert changed.json()["auth"]["config"]["audience"] == "x"
    assert changed.headers["etag"] != created.headers["etag"]
    assert api.delete(one).json() == {"deleted": True}
    gone = api.delete(one)
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "Auth connection not found")


def test_the_list_brings_the_generic_providers(api: httpx2.Client, auth: str) -> None:
    empty = api.get(auth).json()
    assert set(empty) == {"auth", "providers"}
    assert [each["key"] for each in empty["providers"]] == [
        "custom-oauth",
        "custom-mcp",
        "custom-api-key",
        "custom-bearer",
        "custom-basic",
    ]


def test_pages(api: httpx2.Client, auth: str) -> None:
    for number in range(3):
        api.post(auth, json=BODY | {"name": f"C{number}"})
    first = api.get(auth, params={"limit": "2"}).json()
    second = api.get(auth, params={"limit": "2", "cursor": first["nextCursor"]}).json()
    assert [each["key"] for each in first["auth"] + second["auth"]] == ["c0", "c1", "c2"]
    assert "nextCursor" not in second


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "status=great", "cursor=x", "unknown=1", "status=valid&status=draft"]
)
def test_a_bad_query_is_a_bad_request(api: httpx2.Client, auth: str, query: str) -> None:
    answer = api.get(f"{auth}?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_if_match(api: httpx2.Client, auth: str) -> None:
    """RFC 9110 section 13.1.1: strong comparison, lists, and `*`."""
    created = api.post(auth, json=BODY)
    one, tag = f"{auth}/{created.json()['auth']['id']}", created.headers["etag"]
    for stale in ('"other"', f"W/{tag}", '"a", "b"', '""'):
        answer = api.patch(one, json={"name": "A"}, headers={"If-Match": stale})
        assert (answer.status_code, answer.json()["error"]["code"]) == (412, "precondition_failed")
    assert api.patch(one, json={"name": "A"}, headers={"If-Match": f'"x", {tag}'}).status_code == 200
    assert api.delete(one, headers={"If-Match": tag}).status_code == 412
    assert api.patch(one, json={"name": "B"}, headers={"If-Match": "no quotes"}).status_code == 400
    assert api.delete(one, headers={"If-Match": "*"}).status_code == 200


def test_idempotency_key(api: httpx2.Client, auth: str) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = api.post(auth, json=BODY, headers=headers)
    again = api.post(auth, json=BODY, headers=headers)
    assert (again.status_code, again.json(), again.headers["etag"]) == (201, first.json(), first.headers["etag"])
    other = api.post(auth, json=BODY | {"name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert len(api.get(auth).json()["auth"]) == 1
    for bad in ("", "x" * 256):
        assert api.post(auth, json=BODY, headers={"Idempotency-Key": bad}).status_code == 400


def test_dry_runs_change_nothing(api: httpx2.Client, auth: str) -> None:
    dry = api.post(f"{auth}?dryRun=true", json=BODY)
    assert (dry.status_code, dry.json()["dryRun"], dry.json()["auth"]["name"]) == (201, True, "Primary Auth")
    assert api.get(auth).json()["auth"] == []
    made = api.post(auth, json=BODY).json()["auth"]
    assert api.patch(f"{auth}/{made['id']}?dryRun=true", json={"name": "X"}).json()["auth"]["name"] == "X"
    assert api.delete(f"{auth}/{made['id']}?dryRun=true").json() == {"deleted": True, "dryRun": True}
    assert api.get(auth).json()["auth"] == [made]


def test_problems_come_all_at_once_with_their_paths(api: httpx2.Client, auth: str) -> None:
    body = {"name": 5, "config": {"tokenEndpoint": "canary-4711", "unknown": 1}, "x y": 2}
    answer = api.post(auth, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "validation_error")
    assert {each["path"] for each in error["details"]} == {
        "name",
        "providerKey",
        "config.tokenEndpoint",
        "config.unknown",
        "?",
    }
    assert "canary" not in answer.text


def test_secrets_never_come_back(server: RunningServer, api: httpx2.Client, auth: str) -> None:
    created = api.post(auth, json=KEY)
    one = f"{auth}/weather"
    answers = [
        created,
        api.get(one),
        api.get(auth),
        api.patch(one, json={"name": "W", "config": {"apiKey": "canary-key-4711"}}),
        api.patch(one, json={"config": {"apiKey": "canary-key-4711", "tokenEndpoint": "x"}}),
    ]
    assert created.json()["auth"]["config"]["apiKey"] == "********"
    assert not any("canary-key-4711" in answer.text for answer in answers)
    folder = server.services.settings.data_dir
    assert not any(b"canary-key-4711" in file.read_bytes() for file in folder.iterdir() if file.is_file())


def test_the_diagnosis_of_a_draft_without_its_secret_brings_the_link(
    server: RunningServer, api: httpx2.Client, auth: str
) -> None:
    """Contract section 3: `nextStep.url` is the link; the answer to the write is the connection alone."""
    answer = api.post(auth, json=KEY | {"config": {"headerName": "X-Api-Key"}}).json()
    assert list(answer) == ["auth"]
    assert answer["auth"]["status"] == "draft"
    diagnosis = api.get(f"{auth}/{answer['auth']['id']}/diagnosis").json()["diagnosis"]
    assert diagnosis["nextStep"]["url"].startswith(f"{server.url}/connect/")


def test_somebody_elses_connections_do_not_exist(server: RunningServer, api: httpx2.Client, auth: str) -> None:
    made = api.post(auth, json=BODY).json()["auth"]
    with server.client(headers=server.add_person().headers) as other:
        for answer in (
            other.get(auth),
            other.post(auth, json=BODY),
            other.get(f"{auth}/{made['id']}"),
            other.patch(f"{auth}/{made['id']}", json={}),
            other.delete(f"{auth}/{made['id']}"),
        ):
            assert (answer.status_code, answer.json()["error"]["message"]) == (404, "App not found")


@pytest.mark.parametrize(
    ("scopes", "reads", "writes"),
    [
        (("openid",), 403, 403),
        (("connections:read",), 200, 403),
        (("connections:write",), 200, 201),
        (("openid", "profile", "email"), 200, 201),
    ],
)
def test_scopes(
    server: RunningServer, ada: Someone, auth: str, scopes: tuple[str, ...], reads: int, writes: int
) -> None:
    token = server.issue_token(ada.person.id, scopes)
    with server.client(headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.get(auth).status_code == reads
        assert client.get("/api/v1/providers").status_code == reads
        refused = client.post(auth, json=BODY)
        assert refused.status_code == writes
        if writes == 403:
            assert 'error="insufficient_scope", scope="connections:write"' in refused.headers["www-authenticate"]


def test_providers(api: httpx2.Client) -> None:
    found = api.get("/api/v1/providers", params={"q": "linear"}).json()["providers"]
    assert found[0]["key"] == "linear"
    assert api.get("/api/v1/providers/linear").json() == {"provider": found[0]}
    gone = api.get("/api/v1/providers/none")
    assert (gone.status_code, gone.json()["error"]["message"]) == (404, "Provider not found")
    assert api.get("/api/v1/providers", params={"q": "x" * 201}).status_code == 400

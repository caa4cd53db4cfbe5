"""`POST …/auth/connect` and `POST …/auth/{authId}/register` as they answer over HTTP (contract section 3)."""

from typing import Any

import httpx2
import pytest

from tests.helpers.server import RunningServer, Someone

WISH = {"providerKey": "linear-key"}


@pytest.fixture
def connect(api: httpx2.Client) -> str:
    """The path of the call, in Ada's app."""
    identifier: str = api.get("/api/v1/apps").json()["apps"][0]["id"]
    return f"/api/v1/apps/{identifier}/auth/connect"


def test_the_answer_has_the_connection_the_link_and_the_plan(api: httpx2.Client, connect: str) -> None:
    answer = api.post(connect, json={**WISH, "name": "Our tracker", "scopes": ["read"]})
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"auth", "connect", "plan"}
    assert body["auth"]["name"] == "Our tracker"
    assert set(body["connect"]) == {"url", "expiresAt"}
    assert set(body["plan"]) == {"method", "evidence", "steps"}
    assert set(body["plan"]["evidence"][0]) == {"url", "status", "finding"}
    assert api.post(connect, json={**WISH, "name": "Our tracker"}).status_code == 200


def test_a_dry_run_says_so_and_makes_nothing(api: httpx2.Client, connect: str) -> None:
    answer = api.post(f"{connect}?dryRun=true", json=WISH)
    assert (answer.status_code, answer.json()["dryRun"], answer.json()["connect"]) == (201, True, None)
    assert api.get(connect.removesuffix("/connect")).json()["auth"] == []


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "target"),
        ({"target": "javascript:alert(1)"}, "target"),
        ({"target": 1}, "target"),
        ({"providerKey": "Nobody Knows"}, "providerKey"),
        ({**WISH, "variables": {"a": 1}}, "variables.a"),
        ({**WISH, "scopes": "read"}, "scopes"),
        ({**WISH, "url": "https://a.example"}, "url"),
    ],
)
def test_a_wrong_wish_is_refused_with_the_path(
    api: httpx2.Client, connect: str, body: dict[str, Any], path: str
) -> None:
    answer = api.post(connect, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert path in {problem["path"] for problem in answer.json()["error"]["details"]}
    assert "alert" not in answer.text
    assert "Nobody" not in answer.text


def test_it_takes_the_scope_to_write(server: RunningServer, ada: Someone, connect: str) -> None:
    token = server.issue_token(ada.person.id, ["connections:read"])
    with server.client(headers={"Authorization": f"Bearer {token}"}) as reader:
        for path in (connect, connect.replace("/connect", "/any/register")):
            assert reader.post(path, json=WISH).status_code == 403
    with server.client() as nobody:
        assert nobody.post(connect, json=WISH).status_code == 401


def test_other_peoples_apps_do_not_exist(server: RunningServer, connect: str) -> None:
    eve = server.add_person()
    with server.client(headers=eve.headers) as client:
        answer = client.post(connect, json=WISH)
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "App not found")


def test_registering_what_does_not_exist_or_cannot_be(api: httpx2.Client, connect: str) -> None:
    auth = connect.removesuffix("/connect")
    assert api.post(f"{auth}/nobody/register").status_code == 404
    made = api.post(connect, json=WISH).json()["auth"]
    answer = api.post(f"{auth}/{made['key']}/register?dryRun=true")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    assert answer.json()["error"]["details"]["nextStep"]["arguments"]["authId"] == made["id"]

"""`/api/v1/apps/{appId}/webhooks` (contract section 9)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.models import Scope
from tests.events.receiver import Receiver, is_signed
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams.serving import Upstream, upstream

ALL = [
    "connection.created",
    "connection.connected",
    "connection.needs_reauth",
    "connection.degraded",
    "connection.invalid",
    "connection.recovered",
    "connection.disabled",
    "connection.deleted",
    "provider_client.failing",
]
MEMBERS = ["id", "url", "events", "description", "status", "createdAt", "lastDeliveryAt", "lastError"]


@pytest.fixture
def hooks(api: httpx2.Client) -> str:
    app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
    return f"/api/v1/apps/{app_id}/webhooks"


def make(api: httpx2.Client, hooks: str, **body: Any) -> dict[str, Any]:
    answer = api.post(hooks, json={"url": "https://receiver.example/hook", **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["webhook"]
    return made


def test_the_secret_stands_in_the_first_answer_alone(api: httpx2.Client, hooks: str) -> None:
    made = make(api, hooks, description="For the tests")
    assert list(made) == [*MEMBERS, "secret"]
    assert made["secret"].startswith("whsec_")
    assert (made["status"], made["events"], made["lastDeliveryAt"], made["lastError"]) == ("active", ALL, None, None)
    one = api.get(f"{hooks}/{made['id']}").json()["webhook"]
    assert list(one) == MEMBERS
    assert api.get(hooks).json() == {"webhooks": [one]}


def test_rotating_gives_another_secret_once(api: httpx2.Client, hooks: str) -> None:
    made = make(api, hooks)
    renewed = api.patch(f"{hooks}/{made['id']}", json={"rotateSecret": True}).json()["webhook"]
    assert renewed["secret"] not in {None, made["secret"]}
    assert "secret" not in api.patch(f"{hooks}/{made['id']}", json={"description": "x"}).json()["webhook"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://10.0.0.1/hook",
        "https://169.254.169.254/latest",
        "https://localhost/hook",
        "https://2130706433/hook",
        "https://ada:secret@receiver.example/hook",
        "http://receiver.example/hook",
        "ftp://receiver.example/hook",
        "https://receiver.example/hook#part",
        "receiver.example",
        "https://[bad/hook",
        "",
    ],
)
def test_an_address_that_must_not_be_called_is_refused(api: httpx2.Client, hooks: str, url: str) -> None:
    answer = api.post(hooks, json={"url": url})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["path"]) == ("validation_error", "url")
    if url:
        assert url not in answer.text
    made = make(api, hooks)
    assert api.patch(f"{hooks}/{made['id']}", json={"url": url}).status_code == 400


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"events": []}, "events"),
        ({"events": ["connection.exploded"]}, "events[0]"),
        ({"events": "connection.created"}, "events"),
        ({"description": "x" * 201}, "description"),
        ({"description": "\u0007"}, "description"),
        ({"status": "disabled"}, "status"),
        ({"secret": "whsec_AAAA"}, "secret"),
    ],
)
def test_a_wrong_member_is_named(api: httpx2.Client, hooks: str, body: dict[str, Any], path: str) -> None:
    answer = api.post(hooks, json={"url": "https://receiver.example/hook", **body})
    assert answer.status_code == 400
    assert [each["path"] for each in answer.json()["error"]["details"]] == [path]


@pytest.mark.parametrize(
    "patch", [{"url": None}, {"status": None}, {"rotateSecret": None}, {"status": "failing"}, {"status": "paused"}]
)
def test_a_wrong_patch_is_refused(api: httpx2.Client, hooks: str, patch: dict[str, Any]) -> None:
    made = make(api, hooks)
    answer = api.patch(f"{hooks}/{made['id']}", json=patch)
    assert answer.status_code == 400
    assert [each["path"] for each in answer.json()["error"]["details"]] == list(patch)


def test_a_patch_merges(api: httpx2.Client, hooks: str) -> None:
    """RFC 7396: absent keeps, null clears."""
    made = make(api, hooks, events=["connection.deleted", "connection.created"], description="Mine")
    assert made["events"] == ["connection.created", "connection.deleted"]
    path = f"{hooks}/{made['id']}"
    assert api.patch(path, json={"status": "disabled"}).json()["webhook"]["status"] == "disabled"
    cleared = api.patch(path, json={"description": None, "events": None}).json()["webhook"]
    assert (cleared["description"], cleared["events"], cleared["status"]) == (None, ALL, "disabled")
    assert api.patch(path, json={}).json()["webhook"] == cleared


def test_versions(api: httpx2.Client, hooks: str) -> None:
    """RFC 9110 section 13.1.1."""
    created = api.post(hooks, json={"url": "https://receiver.example/hook"})
    path, tag = f"{hooks}/{created.json()['webhook']['id']}", created.headers["etag"]
    assert api.get(path).headers["etag"] == tag
    changed = api.patch(path, json={"description": "x"}, headers={"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] not in {tag, None}
    assert api.patch(path, json={"description": "y"}, headers={"If-Match": tag}).status_code == 412
    assert api.delete(path, headers={"If-Match": tag}).status_code == 412


def test_deleting_is_final(api: httpx2.Client, hooks: str) -> None:
    made = make(api, hooks)
    path = f"{hooks}/{made['id']}"
    assert api.delete(f"{path}?dryRun=true").json() == {"deleted": True, "dryRun": True}
    assert api.delete(path).json() == {"deleted": True}
    for answer in (api.delete(path), api.get(path), api.get(f"{path}/deliveries"), api.post(f"{path}/test")):
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "Webhook not found"


def test_a_dry_run_makes_nothing_and_shows_no_secret(api: httpx2.Client, hooks: str) -> None:
    answer = api.post(f"{hooks}?dryRun=true", json={"url": "https://receiver.example/hook"})
    assert answer.json()["dryRun"] is True
    assert "secret" not in answer.json()["webhook"]
    assert api.get(hooks).json() == {"webhooks": []}
    made = make(api, hooks)
    tried = api.patch(f"{hooks}/{made['id']}?dryRun=true", json={"rotateSecret": True})
    assert "secret" not in tried.json()["webhook"]


def test_an_app_has_few_webhooks(api: httpx2.Client, hooks: str) -> None:
    for _ in range(20):
        make(api, hooks)
    answer = api.post(hooks, json={"url": "https://receiver.example/hook"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")


def test_somebody_elses_webhook_does_not_exist(api: httpx2.Client, hooks: str, server: RunningServer) -> None:
    made = make(api, hooks)
    other = server.add_person()
    with server.client(headers=other.headers) as theirs:
        own_app = theirs.get("/api/v1/apps").json()["apps"][0]["id"]
        for path in (hooks, f"{hooks}/{made['id']}", f"{hooks}/{made['id']}/deliveries"):
            assert theirs.get(path).status_code == 404
        assert theirs.get(f"/api/v1/apps/{own_app}/webhooks/{made['id']}").status_code == 404
        assert theirs.post(f"{hooks}/{made['id']}/test").status_code == 404
        assert theirs.delete(f"{hooks}/{made['id']}").status_code == 404


def test_reading_and_writing_have_their_scopes(server: RunningServer, ada: Someone, api: httpx2.Client) -> None:
    app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
    hooks = f"/api/v1/apps/{app_id}/webhooks"
    token = server.issue_token(ada.person.id, [Scope.CONNECTIONS_READ])
    with server.client(headers={"Authorization": f"Bearer {token}"}) as reader:
        assert reader.get(hooks).status_code == 200
        refused = reader.post(hooks, json={"url": "https://receiver.example/hook"})
        assert refused.status_code == 403
        assert 'scope="connections:write"' in refused.headers["www-authenticate"]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def receiving(receiver: Receiver) -> Iterator[Upstream]:
    with upstream(receiver) as running:
        yield running


def test_a_change_arrives_signed(tmp_path: Path, receiver: Receiver, receiving: Upstream) -> None:
    """From the call that changes a connection to the receiver, by the program's own job."""
    with running_server(tmp_path, outbound_allow=(receiving.host_port,)) as server:
        someone = server.add_person()
        with server.client(headers=someone.headers) as api:
            app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
            hooks = f"/api/v1/apps/{app_id}/webhooks"
            hook = make(api, hooks, url=f"{receiving.origin}/hook")
            body = {"name": "Made", "providerKey": "custom-bearer", "config": {"accessToken": "sk_live_secret"}}
            auth = api.post(f"/api/v1/apps/{app_id}/auth", json=body).json()["auth"]
            assert server.run(server.services.deliveries.deliver_due(server.services.clock.now())) <= 1
            tested = api.post(f"{hooks}/{hook['id']}/test")
            assert tested.status_code == 200
            assert tested.json()["delivery"]["outcome"] == "delivered"
            listed = api.get(f"{hooks}/{hook['id']}/deliveries").json()["deliveries"]
            assert list(listed[0]) == ["id", "type", "at", "status", "durationMs", "attempt", "outcome"]
            assert api.get(f"{hooks}/{hook['id']}").json()["webhook"]["lastDeliveryAt"] is not None
        created = next(each for each in receiver.taken if each["type"] == "connection.created")
        assert created["data"]["auth"]["id"] == auth["id"]
        assert created["data"]["auth"]["config"]["accessToken"] == "********"
        for received in receiving.log.of("hook"):
            assert is_signed(hook["secret"], received.headers, received.body)


def test_tests_are_few_a_minute(tmp_path: Path, receiving: Upstream) -> None:
    """Nobody hammers a third party through us."""
    with running_server(tmp_path, outbound_allow=(receiving.host_port,)) as server:
        someone = server.add_person()
        with server.client(headers=someone.headers) as api:
            app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
            hook = make(api, f"/api/v1/apps/{app_id}/webhooks", url=f"{receiving.origin}/hook")
            path = f"/api/v1/apps/{app_id}/webhooks/{hook['id']}/test"
            answers = [api.post(path) for _ in range(11)]
    assert [each.status_code for each in answers] == [200] * 10 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 60

"""Contract section 9, "Events": webhooks by the Standard Webhooks rules, from outside."""

import base64
import hashlib
import hmac
import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest

from .oauth import token_for
from .process import Program, Served
from .test_routes import envelope

MEMBERS = {"id", "url", "events", "description", "status", "createdAt", "lastDeliveryAt", "lastError"}
EVENTS = {
    "connection.created",
    "connection.connected",
    "connection.needs_reauth",
    "connection.degraded",
    "connection.invalid",
    "connection.recovered",
    "connection.disabled",
    "connection.deleted",
    "provider_client.failing",
}
KEY = {"name": "Weather", "providerKey": "custom-api-key", "config": {"headerName": "X-Key", "apiKey": "sk_secret_9"}}
PATIENCE = 20


class Receiver:
    """An endpoint of ours that keeps what it is sent, and answers with `status`."""

    def __init__(self) -> None:
        self.received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.status = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.received.put(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        headers, body = self.received.get(timeout=PATIENCE)
        self.raw = body
        return headers, json.loads(body)


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def sending(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Served]:
    """A server that may reach the receiver."""
    allow = f"127.0.0.1:{receiver.port}"
    program = Program(tmp_path_factory.mktemp("events"), DRIO_OUTBOUND_ALLOW=allow)
    program.create_person("ada@example.com", "--name", "Ada", "--operator")
    with program.serving() as server:
        yield server


@pytest.fixture(scope="module")
def ada(sending: Served) -> Iterator[httpx2.Client]:
    with sending.client(token_for(sending)) as client:
        yield client


@pytest.fixture
def app(ada: httpx2.Client) -> str:
    return f"/api/v1/apps/{ada.get('/api/v1/apps').json()['apps'][0]['id']}"


@pytest.fixture
def hook(ada: httpx2.Client, app: str, receiver: Receiver) -> Iterator[dict[str, Any]]:
    answer = ada.post(f"{app}/webhooks", json={"url": f"http://127.0.0.1:{receiver.port}/hook"})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()["webhook"]
    yield made
    ada.delete(f"{app}/webhooks/{made['id']}")


def is_signed(headers: dict[str, str], body: bytes, secret: str) -> bool:
    """Standard Webhooks, "Signature scheme": v1 is HMAC-SHA256 over id, timestamp and body."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return expected in headers["webhook-signature"].split()


def test_the_object(ada: httpx2.Client, app: str, hook: dict[str, Any]) -> None:
    """The secret is in the first answer and nowhere else."""
    assert set(hook) == MEMBERS | {"secret"}
    assert hook["secret"].startswith("whsec_")
    assert (hook["status"], hook["lastDeliveryAt"], hook["lastError"]) == ("active", None, None)
    assert set(hook["events"]) == EVENTS
    one = ada.get(f"{app}/webhooks/{hook['id']}")
    assert set(one.json()["webhook"]) == MEMBERS
    assert hook["secret"] not in one.text + ada.get(f"{app}/webhooks").text
    assert [each["id"] for each in ada.get(f"{app}/webhooks").json()["webhooks"]] == [hook["id"]]


def test_a_new_secret(ada: httpx2.Client, app: str, hook: dict[str, Any]) -> None:
    changed = ada.patch(f"{app}/webhooks/{hook['id']}", json={"rotateSecret": True}).json()["webhook"]
    assert changed["secret"].startswith("whsec_")
    assert changed["secret"] != hook["secret"]
    assert "secret" not in ada.patch(f"{app}/webhooks/{hook['id']}", json={"description": "x"}).json()["webhook"]


def test_what_happens_is_told_signed_and_masked(
    ada: httpx2.Client, app: str, hook: dict[str, Any], receiver: Receiver
) -> None:
    made = ada.post(f"{app}/auth", json=KEY).json()["auth"]
    headers, body = receiver.next()
    assert is_signed(headers, receiver.raw, hook["secret"])
    assert set(body) == {"type", "timestamp", "data"}
    assert body["type"] == "connection.created"
    assert body["data"]["auth"]["id"] == made["id"]
    assert body["data"]["auth"]["config"]["apiKey"] == "********"
    assert b"sk_secret_9" not in receiver.raw
    ada.patch(f"{app}/auth/{made['id']}", json={"status": "disabled"})
    assert receiver.next()[1]["type"] == "connection.disabled"
    ada.delete(f"{app}/auth/{made['id']}")
    assert receiver.next()[1]["type"] == "connection.deleted"
    deliveries = ada.get(f"{app}/webhooks/{hook['id']}/deliveries").json()["deliveries"]
    assert set(deliveries[0]) >= {"id", "type", "at", "status", "durationMs", "attempt", "outcome"}
    assert deliveries[0]["status"] == 204


def test_a_test_event(ada: httpx2.Client, app: str, hook: dict[str, Any], receiver: Receiver) -> None:
    assert ada.post(f"{app}/webhooks/{hook['id']}/test").status_code in {200, 202}
    headers, body = receiver.next()
    assert body["type"] == "webhook.test"
    assert is_signed(headers, receiver.raw, hook["secret"])


def test_a_failed_delivery_is_tried_again_after_five_seconds(
    ada: httpx2.Client, app: str, hook: dict[str, Any], receiver: Receiver
) -> None:
    """The same id, at least once."""
    receiver.status = 500
    try:
        made = ada.post(f"{app}/auth", json=KEY).json()["auth"]
        first, _ = receiver.next()
    finally:
        receiver.status = 204
    second, _ = receiver.next()
    assert first["webhook-id"] == second["webhook-id"]
    ada.delete(f"{app}/auth/{made['id']}")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "url"),
        ({"url": "http://10.0.0.1/hook"}, "url"),
        ({"url": "http://127.0.0.1:1/hook"}, "url"),
        ({"url": "https://[bad"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://example.com/", "events": ["connection.invented"]}, "events[0]"),
        ({"url": "https://example.com/", "surprise": 1}, "surprise"),
        ({"url": 5}, "url"),
    ],
)
def test_bad_input_names_the_member(ada: httpx2.Client, app: str, body: dict[str, Any], path: str) -> None:
    problems = envelope(ada.post(f"{app}/webhooks", json=body), 400, "validation_error")["details"]
    assert path in {problem["path"] for problem in problems}


def test_reading_and_writing_want_their_scopes(sending: Served, ada: httpx2.Client, app: str) -> None:
    with sending.client(token_for(sending, scope="connections:read")) as reader:
        assert reader.get(f"{app}/webhooks").status_code == 200
        envelope(reader.post(f"{app}/webhooks", json={"url": "https://example.com/"}), 403, "forbidden")
    with sending.client(token_for(sending, scope="openid")) as nobody:
        envelope(nobody.get(f"{app}/webhooks"), 403, "forbidden")

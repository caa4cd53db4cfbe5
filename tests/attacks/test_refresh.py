"""Attacks on the refresh of upstream tokens: by slow and hostile token endpoints, by APIs that refuse, by many callers.

RFC 9700 section 4.14.2: a refresh token that is sent twice may end the grant. What processes, clocks and disks can do
to it is driven through any history in `tests/connections/upstream/test_refresh_machine.py`.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.connections.upstream import refresh as refresh_module
from drio_mcp.store import Query
from tests.api.stage import Stage, stage
from tests.conftest import SUNDAY_NOON
from tests.upstreams import AuthorizationServer, KeyedApi, upstream
from tests.upstreams.faults import Fault, answers, oauth_error, waits
from tests.upstreams.serving import Upstream

LINKS = Query("SELECT count(*) FROM connect_links", int)


@dataclass(frozen=True, slots=True)
class Scene:
    """A connection that a person has just allowed, at a provider that rotates and detects reuse."""

    stage: Stage
    provider: Upstream
    server: AuthorizationServer
    auth_id: str

    def call(self) -> httpx2.Response:
        return self.stage.api.get(f"/{self.auth_id}/proxy/v1/echo")

    def post(self, what: str) -> httpx2.Response:
        return self.stage.api.post(f"/{self.auth_id}/{what}")

    @property
    def requests(self) -> int:
        return self.provider.log.count("token")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    server = AuthorizationServer()
    api = KeyedApi(style="bearer", accepts=server.accepts)
    with upstream(server, api) as provider, stage(tmp_path, provider) as built:
        auth_id = built.connect_own_client(provider, server, apiBaseUrl=provider.origin, scopes=["read", "write"])
        provider.log.entries.clear()
        yield Scene(built, provider, server, auth_id)


IN_AN_HOUR = formatdate(SUNDAY_NOON / 1000 + 3600, usegmt=True)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (oauth_error("invalid_grant"), 409),
        (answers(429, {}, {"Retry-After": "1200"}), 503),
        (answers(429, {}, {"Retry-After": IN_AN_HOUR}), 503),
        (answers(503, {}), 503),
        (answers(403, "<h1>Blocked by the firewall</h1>"), 503),
    ],
    ids=["invalid_grant", "429", "429 with a date", "503", "a firewall's page"],
)
def test_sixty_calls_after_a_refusal_are_one_request(scene: Scene, fault: Fault, status: int) -> None:
    scene.provider.faults.at("token", fault)
    found = [scene.post("refresh") for _ in range(20)] + [scene.post("token") for _ in range(20)]
    scene.server.expire_tokens()
    found += [scene.call() for _ in range(20)]
    assert scene.requests == 1
    assert {answer.status_code for answer in found[:20]} == {status}
    if status == 503:
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in found[:20])


def test_a_token_endpoint_that_takes_25_seconds_and_rotates(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who calls meanwhile is told to come back; the answer is stored, and nothing is sent twice."""
    release = threading.Event()
    scene.provider.faults.at("token", waits(release), times=1)
    monkeypatch.setattr(refresh_module, "PATIENCE_SECONDS", 0.05)
    for _ in range(3):
        answer = scene.post("refresh")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["details"]["code"] == "timeout"
    release.set()
    monkeypatch.undo()
    assert scene.post("refresh").status_code == 200
    assert scene.requests <= 2
    assert not any(family.revoked for family in scene.server.families)
    assert scene.call().status_code == 200


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"message": "The access token has expired"}),
        (400, {"error": {"message": "Error validating access token", "type": "OAuthException", "code": 190}}),
        (200, {"ok": False, "error": "token_expired"}),
    ],
)
def test_an_api_that_says_expired_in_its_own_way(scene: Scene, status: int, body: dict[str, Any]) -> None:
    scene.provider.faults.at("echo", answers(status, body), times=1)
    answer = scene.call()
    assert (answer.status_code, scene.requests) == (200, 1)
    assert answer.json() != body


def test_ten_refusals_by_the_api_are_one_rotation(scene: Scene) -> None:
    """An API that refuses every token is not mended by new ones."""
    scene.provider.faults.at("echo", answers(401, {"message": "no"}))
    assert [scene.call().status_code for _ in range(10)] == [401] * 10
    assert scene.requests == 1


def test_looking_changes_nothing(scene: Scene) -> None:
    """`GET …/diagnosis` with `connections:read` alone: no token is renewed and no link is made."""
    scene.server.expire_tokens()
    before = scene.stage.server.run(scene.stage.server.services.db.read(lambda tx: tx.one(LINKS)))
    found = [scene.stage.api.get(f"/{scene.auth_id}/diagnosis") for _ in range(5)]
    assert {answer.status_code for answer in found} == {200}
    assert scene.requests == 0
    after = scene.stage.server.run(scene.stage.server.services.db.read(lambda tx: tx.one(LINKS)))
    assert after == before

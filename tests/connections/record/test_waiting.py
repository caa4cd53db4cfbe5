"""Waiting for a person (contract section 3, `wait`), over both doors."""

import threading
import time

import httpx2
import pytest

from tests.helpers.fixtures import ada, api, http, server
from tests.helpers.mcp import call
from tests.helpers.server import RunningServer, Someone

__all__ = ["ada", "api", "http", "server"]


@pytest.fixture
def path(api: httpx2.Client) -> str:
    app = f"/api/v1/apps/{api.get('/api/v1/apps').json()['apps'][0]['id']}"
    made = api.post(f"{app}/auth", json={"name": "Key", "providerKey": "custom-bearer"}).json()["auth"]
    return f"{app}/auth/{made['id']}"


@pytest.mark.parametrize("wait", ["-1", "56", "x", "1.5", "", "true"])
def test_seconds_are_0_to_55(api: httpx2.Client, path: str, wait: str) -> None:
    answer = api.get(path, params={"wait": wait})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert call(api, "get_auth_connection", {"authId": "key", "waitSeconds": 56})["isError"] is True


def test_what_waits_for_nobody_is_told_at_once(api: httpx2.Client, path: str) -> None:
    api.patch(path, json={"status": "disabled"})
    began = time.monotonic()
    assert api.get(path, params={"wait": 55}).json()["auth"]["status"] == "disabled"
    assert call(api, "get_auth_connection", {"authId": "key", "waitSeconds": 55})["isError"] is False
    assert time.monotonic() - began < 20


def test_a_change_ends_the_wait(server: RunningServer, api: httpx2.Client, ada: Someone, path: str) -> None:
    """It is told of what another call changed, long before the time is up."""
    answers: list[str] = []

    def wait() -> None:
        with server.client(headers=ada.headers) as client:
            answers.append(client.get(path, params={"wait": 55}, timeout=60).json()["auth"]["status"])

    waiting = threading.Thread(target=wait)
    waiting.start()
    waiting.join(0.5)
    assert waiting.is_alive(), "it waits"
    api.patch(path, json={"config": {"accessToken": "x" * 20}, "status": "valid"})
    waiting.join(20)
    assert answers == ["valid"]


def test_the_end_of_the_time_is_an_answer_like_any_other(api: httpx2.Client, path: str) -> None:
    assert api.get(path, params={"wait": 1}).json() == api.get(path).json()


def test_an_account_waits_with_few_calls_at_once(
    server: RunningServer, api: httpx2.Client, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drio_mcp.connections.record.waiting.MOST_WAITING", 0)
    answer = api.get(path, params={"wait": 1})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert api.get(path).status_code == 200

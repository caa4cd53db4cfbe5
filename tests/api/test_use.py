"""Looking after a connection over REST: token, refresh, validate, history (contract section 3)."""

import contextlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.stage import Stage, stage
from tests.helpers.mcp import call
from tests.upstreams import AuthorizationServer, KeyedApi, Upstream, html_error, upstream
from tests.upstreams.api import KEY

PAGE = Path(__file__).parents[2] / "docs" / "use.md"


@dataclass
class Bench:
    stage: Stage
    provider: Upstream
    server: AuthorizationServer
    oauth: str
    keyed: str

    def post(self, auth_id: str, what: str, **options: Any) -> httpx2.Response:
        return self.stage.api.post(f"/{auth_id}/{what}", **options)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Upstream, AuthorizationServer]]:
    server = AuthorizationServer()
    api = KeyedApi(style="bearer", accepts=lambda token: token == KEY or server.accepts(token))
    with upstream(server, api) as provider, stage(tmp_path_factory.mktemp("use"), provider) as built:
        yield built, provider, server


@pytest.fixture
def bench(house: tuple[Stage, Upstream, AuthorizationServer]) -> Iterator[Bench]:
    built, provider, server = house
    api = f"{provider.origin}/v1/me"
    oauth = built.connect_own_client(provider, server, apiBaseUrl=api, scopes=["read", "write"])
    keyed = built.create(
        providerKey="custom-api-key",
        config={
            "headerName": "Authorization",
            "headerPrefix": "Bearer ",
            "apiKey": KEY,
            "apiBaseUrl": f"{provider.origin}/v1/me",
        },
    )
    provider.log.entries.clear()
    yield Bench(built, provider, server, oauth, keyed)
    provider.faults.clear()


def refusal(answer: httpx2.Response, code: str) -> dict[str, Any]:
    """A 409 whose details are a diagnosis."""
    assert answer.status_code == 409, answer.text
    error = answer.json()["error"]
    assert error["code"] == "conflict"
    assert set(error["details"]) == {"code", "summary", "actor", "evidence", "nextStep"}
    assert error["details"]["code"] == code
    details: dict[str, Any] = error["details"]
    return details


# Token


def test_a_token_that_works_now(bench: Bench) -> None:
    answer = bench.post(bench.oauth, "token")
    token = answer.json()["token"]
    assert set(token) == {"accessToken", "tokenType", "expiresAt", "scopes"}
    assert bench.server.accepts(token["accessToken"])
    assert (token["tokenType"], token["scopes"]) == ("Bearer", ["read", "write"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", token["expiresAt"])
    assert bench.provider.log.count("token") == 0
    assert bench.post(bench.oauth, "token", json={"scopes": ["read"]}).json()["token"] == token


def test_scopes_that_were_not_granted(bench: Bench) -> None:
    """Contract section 3: 409 `scope_missing`. What the caller sent is not repeated."""
    details = refusal(bench.post(bench.oauth, "token", json={"scopes": ["read", "admin-of-mine"]}), "scope_missing")
    assert "admin-of-mine" not in str(details)
    assert details["nextStep"]["url"].startswith(f"{bench.stage.server.url}/connect/")


@pytest.mark.parametrize("body", [{"scopes": "read"}, {"scopes": ["a b"]}, {"nonsense": 1}])
def test_a_wrong_request_for_a_token(bench: Bench, body: Any) -> None:
    answer = bench.post(bench.oauth, "token", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")


def test_types_without_a_token(bench: Bench) -> None:
    refusal(bench.post(bench.keyed, "token"), "unsupported_auth")


def test_a_stored_bearer_token_is_handed_out(bench: Bench) -> None:
    auth_id = bench.stage.create(providerKey="custom-bearer", config={"accessToken": "given by hand"})
    token = bench.post(auth_id, "token").json()["token"]
    assert token == {"accessToken": "given by hand", "tokenType": "Bearer", "expiresAt": None, "scopes": []}


def test_a_dry_run_hands_out_nothing(bench: Bench) -> None:
    answer = bench.post(bench.oauth, "token?dryRun=true").json()
    assert (answer["dryRun"], answer["token"]["accessToken"]) == (True, "********")
    assert [line["event"] for line in bench.stage.history(bench.oauth)] == ["connected", "created"]


def test_a_disabled_connection_gives_none(bench: Bench) -> None:
    bench.stage.api.patch(f"/{bench.oauth}", json={"status": "disabled"})
    details = refusal(bench.post(bench.oauth, "token"), "disabled")
    assert details["nextStep"]["tool"] == "update_auth_connection"


def test_somebody_elses_token(bench: Bench) -> None:
    eve = bench.stage.server.add_person()
    token = bench.stage.server.issue_token(eve.person.id, ["connections:use"])
    headers = {"Authorization": f"Bearer {token}"}
    answer = bench.post(bench.oauth, "token", headers=headers)
    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "App not found")


# Refresh


def test_a_refresh_renews_at_once(bench: Bench) -> None:
    before = bench.post(bench.oauth, "token").json()["token"]["accessToken"]
    answer = bench.post(bench.oauth, "refresh")
    assert answer.json()["auth"]["status"] == "valid"
    assert bench.provider.log.count("token") == 1
    assert bench.post(bench.oauth, "token").json()["token"]["accessToken"] != before
    events = [(line["event"], line["outcome"]) for line in bench.stage.history(bench.oauth)]
    assert ("refreshed", "ok") in events


def test_a_dry_refresh_sends_nothing(bench: Bench) -> None:
    answer = bench.post(bench.oauth, "refresh?dryRun=true")
    assert answer.json()["dryRun"] is True
    assert bench.provider.log.count("token") == 0


def test_a_refresh_that_is_impossible(bench: Bench) -> None:
    refusal(bench.post(bench.keyed, "refresh"), "unsupported_auth")
    bench.server.revoke_grants()
    details = refusal(bench.post(bench.oauth, "refresh"), "reauthorization_required")
    assert (details["actor"], bool(details["nextStep"]["url"])) == ("person", True)
    assert bench.stage.api.get(f"/{bench.oauth}").json()["auth"]["status"] == "needs_reauth"


# Validation and history


def test_validation_over_rest(bench: Bench) -> None:
    answer = bench.post(bench.keyed, "validate").json()
    assert set(answer) == {"auth", "check"}
    assert set(answer["check"]) == {"ok", "code", "message", "checkedAt", "expiresAt", "evidence"}
    assert (answer["check"]["ok"], answer["check"]["code"]) == (True, "ok")
    assert answer["auth"]["status"] == "valid"
    assert answer["auth"]["lastValidatedAt"] is not None
    assert KEY not in str(answer)


def test_a_dry_validation_writes_nothing(bench: Bench) -> None:
    answer = bench.post(bench.keyed, "validate?dryRun=true").json()
    assert (answer["dryRun"], answer["check"]["ok"]) == (True, True)
    assert answer["auth"]["status"] == "draft"
    assert bench.stage.history(bench.keyed)[0]["event"] == "created"


def test_the_history_is_read_page_by_page(bench: Bench) -> None:
    """Newest first."""
    for number in range(4):
        bench.stage.api.patch(f"/{bench.keyed}", json={"name": f"Name {number}"})
    one = f"/{bench.keyed}/history"
    whole = bench.stage.api.get(one).json()
    assert [line["event"] for line in whole["history"]] == ["updated"] * 4 + ["created"]
    assert set(whole["history"][0]) == {"at", "event", "actor", "outcome", "detail"}
    assert whole["history"][0]["actor"] == {"type": "client", "name": "tests"}
    assert "nextCursor" not in whole
    first = bench.stage.api.get(one, params={"limit": 3}).json()
    second = bench.stage.api.get(one, params={"limit": 3, "cursor": first["nextCursor"]}).json()
    assert first["history"] + second["history"] == whole["history"]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "cursor=MS5hdXRoX25vbmU"])
def test_a_page_of_history_that_cannot_be(bench: Bench, query: str) -> None:
    answer = bench.stage.api.get(f"/{bench.keyed}/history?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


def test_the_same_by_tools(bench: Bench) -> None:
    bench.provider.faults.at("probe", html_error(503))
    with bench.stage.server.client(headers=bench.stage.api.headers) as client:
        checked = call(client, "validate_auth_connection", {"authId": bench.keyed})
        found = call(client, "diagnose_auth_connection", {"authId": bench.keyed})
        renewed = call(client, "refresh_auth_connection", {"authId": bench.oauth})
        refused = call(client, "refresh_auth_connection", {"authId": bench.keyed})
        read = call(client, "get_auth_connection", {"authId": bench.keyed})
    assert checked["structuredContent"]["check"]["code"] == "provider_outage"
    assert found["structuredContent"]["diagnosis"]["nextStep"]["tool"] == "validate_auth_connection"
    assert "Who must act: provider." in found["content"][0]["text"]
    assert renewed["structuredContent"]["auth"]["status"] == "valid"
    assert refused["isError"] is True
    assert refused["structuredContent"]["error"]["details"]["code"] == "unsupported_auth"
    assert " validated by " in read["content"][0]["text"], "the last three lines of the history stand there"


def test_the_example_of_the_documentation_runs(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    moved = {"apiBaseUrl": bench.provider.origin, "clientSecret": list(bench.server.clients.values())[-1].secret}
    bench.stage.api.patch(f"/{bench.oauth}", json={"config": moved})
    bench.stage.consent(bench.oauth)  # another path is another place, which its person allows anew
    for name, value in {
        "DRIO_URL": bench.stage.server.url,
        "DRIO_APP": bench.stage.app_id,
        "DRIO_AUTH": bench.oauth,
        "DRIO_TOKEN": bench.stage.api.headers["authorization"].removeprefix("Bearer "),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(os.environ, "no_proxy", "127.0.0.1")
    out, names = io.StringIO(), {"__name__": "example"}
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(PAGE), "exec"), names)
    assert out.getvalue() == "{'id': 'person-1'}\n"
    assert bench.server.accepts(names["token"]())  # type: ignore[operator]

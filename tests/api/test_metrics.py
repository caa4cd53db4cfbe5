"""`/metrics`: what is counted, where it is shown, and that labels stay few (docs/operations.md lists the names)."""

import asyncio
import re
import socket
import time
from pathlib import Path

import httpx2
import pytest

from drio_mcp import metrics
from tests.helpers.server import PASSWORD, RunningServer, running_server

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> "RunningServer":  # type: ignore[misc]
    with running_server(tmp_path_factory.mktemp("measured"), metrics="public") as server:
        yield server


def numbers(server: RunningServer) -> dict[str, float]:
    """Each sample by its name with labels."""
    with server.client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_are_not_on_the_public_port_unless_asked_for(http: httpx2.Client) -> None:
    assert http.get("/metrics").status_code == 404


def test_requests_are_counted_by_family_and_status_alone(measured: RunningServer) -> None:
    before = numbers(measured)
    with measured.client() as client:
        for path in ("/api/v1/me", "/api/v1/apps/app_secret-in-a-path", "/mcp", "/connect/one-time-token", "/sign-in"):
            client.get(path, headers={"Authorization": "Bearer nonsense"})
        client.get("/setup?token=one-time-token")
    after = numbers(measured)
    risen = {name: after[name] - before.get(name, 0) for name in after if name.startswith("drio_http_requests_total")}
    assert risen['drio_http_requests_total{family="api",status="401"}'] == 2
    assert risen['drio_http_requests_total{family="mcp",status="401"}'] == 1
    assert not any("token" in name or "secret" in name for name in risen), "no path is a label"
    families = {re.findall(r'family="(\w+)"', name)[0] for name in risen}
    assert families <= {"api", "mcp", "oauth", "page"}
    assert after['drio_http_request_duration_seconds_count{family="mcp"}'] >= 1


def test_sessions_and_due_renewals_come_from_the_database(measured: RunningServer) -> None:
    assert numbers(measured)["drio_sessions"] == 0
    ada = measured.add_person()
    measured.run(measured.services.sessions.start(ada.person, "127.0.0.1", "browser"))
    assert numbers(measured)["drio_sessions"] == 1
    assert numbers(measured)["drio_renewals_due"] == 0


def test_connections_are_counted_by_status_and_kind_of_provider(measured: RunningServer) -> None:
    ada = measured.add_person()
    with measured.client(headers=ada.headers) as api:
        app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
        for name in ("One", "Two"):
            api.post(f"/api/v1/apps/{app_id}/auth", json={"name": name, "providerKey": "custom-bearer"})
    found = {name: value for name, value in numbers(measured).items() if name.startswith("drio_connections{")}
    assert found == {'drio_connections{kind="bearer",status="draft"}': 2}


def test_token_requests_are_counted_by_outcome(measured: RunningServer) -> None:
    with measured.client() as client:
        form = {"redirect_uris": ["http://127.0.0.1/cb"], "token_endpoint_auth_method": "none"}
        client_id = client.post("/api/v1/auth/register", json=form).json()["client_id"]
        client.post("/api/v1/auth/refresh", data={"client_id": client_id, "refresh_token": PASSWORD})
    name = 'drio_token_requests_total{grant_type="refresh_token",outcome="invalid_grant"}'
    assert numbers(measured)[name] >= 1


def test_commits_are_counted_by_how_many_decisions_share_one(measured: RunningServer) -> None:
    before = numbers(measured)["drio_database_commit_decisions_count"]
    measured.add_person()
    assert numbers(measured)["drio_database_commit_decisions_count"] > before


def test_a_turn_of_the_loop_that_holds_everybody_up_is_seen(measured: RunningServer) -> None:
    async def hold() -> None:
        await asyncio.sleep(0.06)  # the watch has begun by then
        time.sleep(0.3)
        await asyncio.sleep(0.06)

    measured.run(hold())
    longest = numbers(measured)["drio_event_loop_longest_turn_seconds"]
    assert 0.2 <= longest < 30
    assert numbers(measured)["drio_event_loop_turn_seconds_count"] > 0


def test_the_longest_turn_is_that_of_the_last_minute() -> None:
    watch = metrics.LoopWatch()
    for moment, late in ((0.0, 0.5), (10.0, 0.2), (20.0, 0.3), (30.0, 0.1)):
        watch.note(moment, late)
    assert [watch.longest(moment) for moment in (30.0, 61.0, 81.0, 91.0)] == [0.5, 0.3, 0.1, 0.0]


def test_a_port_of_their_own_shows_the_numbers_and_nothing_else(tmp_path: Path) -> None:
    from tests.cli.test_serve import first_line, served

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, served(patch, tmp_path, DRIO_METRICS=f"127.0.0.1:{port}") as process:
        origin = first_line(process).removeprefix("MCP URL: ").removesuffix("/mcp")
        assert httpx2.get(f"{origin}/metrics", timeout=30).status_code == 404
        shown = httpx2.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
        assert shown.status_code == 200
        assert 'drio_http_requests_total{family="page",status="404"} 1.0' in shown.text
        assert "drio_build_info" in shown.text
        assert "process_resident_memory_bytes" in shown.text
        assert httpx2.get(f"http://127.0.0.1:{port}/sign-in", timeout=30).status_code == 404


def test_every_metric_is_documented(measured: RunningServer) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    documented = set(re.findall(r"^\| `(drio_\w+)", text, re.MULTILINE))
    names = {each.name + "_total" for each in metrics.COUNTERS} | {each.name for each in metrics.HISTOGRAMS}
    gauges = {name.partition("{")[0] for name in numbers(measured)} & documented - names
    assert documented == names | gauges
    assert gauges == {
        "drio_build_info",
        "drio_sessions",
        "drio_renewals_due",
        "drio_checks_due",
        "drio_messages_due",
        "drio_connections",
        "drio_event_loop_longest_turn_seconds",
    }


def test_counting_costs_next_to_nothing() -> None:
    """Well below the hundredth part of the cheapest request, which takes about 150 microseconds."""
    from timeit import timeit

    counter = metrics.Counter("x", "x", ("family", "status"))
    histogram = metrics.Histogram("y", "y", metrics.SECONDS, ("family",))

    def both() -> None:
        counter.add("api", 200)
        histogram.observe(0.003, "api")

    assert min(timeit(both, number=10_000) for _ in range(5)) / 10_000 < 10e-6

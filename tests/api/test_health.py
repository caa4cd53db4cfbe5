"""Liveness and readiness."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import httpx2
import pytest

from drio_mcp.app import create_app
from drio_mcp.config import Settings
from drio_mcp.errors import Unavailable
from drio_mcp.services import build_services
from tests.helpers.asgi import asgi_client
from tests.helpers.server import cheap_passwords, running_server

FULL = shutil._ntuple_diskusage(10**9, 10**9, 0)


def test_live_and_ready(http: httpx2.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json() == {"status": "ok"}


def test_not_ready_without_the_database(tmp_path: Path) -> None:
    """The process lives, but should get no traffic."""
    with running_server(tmp_path) as server, server.client() as client:
        server.run(server.services.db.close())
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "unavailable")
        assert client.get("/healthz").status_code == 200
        with pytest.raises(Unavailable):
            server.run(server.services.check_ready())


def test_not_ready_while_somebody_holds_the_database(tmp_path: Path) -> None:
    """Reading goes on beside a lock; writing, which nearly every request needs, does not."""
    with running_server(tmp_path) as server, server.client() as client:
        holder = sqlite3.connect(tmp_path / "drio.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (
            503,
            "The database does not take writes: something else holds it",
        )
        holder.execute("ROLLBACK")
        holder.close()
        assert client.get("/readyz").status_code == 200


def test_not_ready_when_the_disk_is_full(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.client() as client:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: FULL)
            answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["reason"]) == (503, "The disk of the data folder is full")
        assert client.get("/healthz").status_code == 200


def test_a_program_that_is_ending_is_not_ready(tmp_path: Path) -> None:
    services = build_services(Settings(data_dir=tmp_path), passwords=cheap_passwords())
    app = create_app(services.settings, services=services)
    app.state.is_closing = True

    async def ask() -> tuple[int, int]:
        async with services.running(), asgi_client(app) as client:
            return (await client.get("/readyz")).status_code, (await client.get("/healthz")).status_code

    assert asyncio.run(ask()) == (503, 200)


def test_the_address_is_told_on_request_alone(http: httpx2.Client) -> None:
    """For `drio-mcp doctor`, which looks at what the proxy in front passes on."""
    assert http.get("/healthz?address").json() == {"status": "ok", "address": "127.0.0.1"}

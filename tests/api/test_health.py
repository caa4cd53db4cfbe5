"""Liveness and readiness."""

from pathlib import Path

import httpx2
import pytest

from drio_mcp.errors import Unavailable
from tests.helpers.server import running_server


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

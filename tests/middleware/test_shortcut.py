"""The short way leads where the router would, for every path without parameters."""

from pathlib import Path

import httpx2
import pytest
from starlette.routing import Match, Route

from drio_mcp.app import create_app
from drio_mcp.config import Settings
from tests.helpers.server import RunningServer


def test_no_pattern_before_it_takes_a_plain_path(tmp_path: Path) -> None:
    """The router takes the first route that matches; the short way takes the one that is called exactly so."""
    app = create_app(Settings(data_dir=tmp_path))
    plain = [route for route in app.routes if isinstance(route, Route) and "{" not in route.path]
    assert len(plain) > 50
    for route in plain:
        for method in route.methods or {"POST"}:
            scope = {"type": "http", "method": method, "path": route.path, "headers": []}
            first = next(each for each in app.routes if each.matches(scope)[0] is Match.FULL)
            assert first is route, (method, route.path)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/healthz", 405),
        ("POST", "/.well-known/oauth-authorization-server", 405),
        ("GET", "/healthz/", 404),
        ("HEAD", "/healthz", 200),
    ],
)
def test_what_a_plain_path_does_not_have_is_refused_as_elsewhere(
    http: httpx2.Client, server: RunningServer, method: str, path: str, status: int
) -> None:
    answer = http.request(method, path)
    assert answer.status_code == status
    assert ("allow" in answer.headers) == (status == 405)

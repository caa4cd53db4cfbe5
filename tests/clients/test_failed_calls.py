"""A failed `tools/call` is a result with `isError` (MCP, tools), also to a client that checks output schemas."""

from pathlib import Path

import pytest

from tests.clients.driven import driven_client
from tests.clients.person import Person
from tests.clients.running import running_server

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("script", [("typescript_1.mjs",), ("typescript_2.mjs", "auto")], ids=["SDK 1", "SDK 2"])
def test_a_failure_reaches_a_typescript_client(script: tuple[str, ...], tmp_path: Path) -> None:
    with (
        running_server(tmp_path) as server,
        Person(server.origin) as person,
        driven_client(person, *script) as client,
    ):
        client.do("connect", url=server.mcp)
        assert client.do("outcome", name="get_me", input={})["isError"] is False
        invalid = client.do("outcome", name="get_auth_connection", input={"authId": 7})
        assert invalid["isError"] is True
        assert invalid["code"] == "validation_error"
        missing = client.do("outcome", name="get_auth_connection", input={"authId": "nowhere"})
        assert missing["isError"] is True
        assert missing["code"] == "not_found"

"""One URL, three services: the official Python client from the list to a mended connection (contract section 8)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client

from tests.helpers.gateway import allow
from tests.helpers.three_upstreams import Outcome, three_upstreams


class PythonClient:
    """The official client, connected once for the whole conversation."""

    def __init__(self, portal: BlockingPortal, client: Client) -> None:
        self._portal = portal
        self._client = client

    def tools(self) -> set[str]:
        return {tool.name for tool in self._portal.call(self._client.list_tools).tools}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        result: Any = self._portal.call(self._client.call_tool, name, dict(arguments))
        return Outcome(bool(result.is_error), "\n".join(block.text for block in result.content))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_python_client(tmp_path: Path, mode: Literal["auto", "legacy"]) -> None:
    with three_upstreams(tmp_path) as stage, start_blocking_portal() as portal:
        user = allow(stage.app, "all")
        with portal.wrap_async_context_manager(user.sdk(mode)) as client:
            stage.converse(PythonClient(portal, client))

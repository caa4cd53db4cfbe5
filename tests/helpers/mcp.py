"""MCP messages as they go over the wire, for tests that look at the wire."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

MODERN = "2026-07-28"
HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
ACCEPT = "application/json, text/event-stream"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def message(method: str, params: Mapping[str, Any] | None = None, request_id: int | str | None = 1) -> dict[str, Any]:
    """A JSON-RPC request, or a notification when `request_id` is None."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if request_id is not None:
        body["id"] = request_id
    return body if params is None else {**body, "params": dict(params)}


def post(
    client: httpx2.Client,
    version: str | None,
    body: Any,
    headers: Mapping[str, str] | None = None,
    path: str = "/mcp",
) -> httpx2.Response:
    """Send a body to the endpoint as a client of that revision does; None leaves the version header out."""
    sent = {"Accept": ACCEPT, "Content-Type": "application/json", **(headers or {})}
    if version is not None:
        sent["MCP-Protocol-Version"] = version
    if version not in {None, *HANDSHAKE} and isinstance(body, dict):
        sent["Mcp-Method"] = body["method"]
        meta = {**META, "io.modelcontextprotocol/protocolVersion": version}
        body = {**body, "params": {**body.get("params", {}), "_meta": meta}}
        if "name" in body["params"]:
            sent["Mcp-Name"] = body["params"]["name"]
    return client.post(path, content=json.dumps(body), headers=sent)


def call(client: httpx2.Client, tool: str, arguments: Mapping[str, Any] | None = None, version: str = MODERN) -> Any:
    """The result of a tool call."""
    answer = post(client, version, message("tools/call", {"name": tool, "arguments": dict(arguments or {})}))
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def tools(client: httpx2.Client, version: str = MODERN) -> Sequence[dict[str, Any]]:
    """What tools/list shows."""
    listed: Sequence[dict[str, Any]] = post(client, version, message("tools/list")).json()["result"]["tools"]
    return listed

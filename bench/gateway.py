"""What the app's MCP server adds to a call: the same tool called directly and through the app, side by side.

`python -m bench.gateway` starts a small MCP server and this one, and calls the tool in turns; it prints the medians of
both ways, and what is between them, in milliseconds.
"""

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.helpers.gateway import allow, first_app
from tests.helpers.mcp import ACCEPT, META, MODERN, message
from tests.helpers.server import running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import RevisionServer

WARM_UP = 20
ROUNDS = 300


def main() -> None:
    """Measure, and print one line of JSON."""
    server = RevisionServer()
    with (
        tempfile.TemporaryDirectory() as folder,
        upstream(server) as provider,
        running_server(Path(folder), outbound_allow=provider.host_port) as running,
        httpx2.Client(trust_env=False, timeout=30) as http,
    ):
        app = first_app(running, running.add_person())
        app.connect(server.url, name="S")
        token = allow(app, "all").token
        direct: list[float] = []
        through: list[float] = []
        for number in range(WARM_UP + ROUNDS):
            for times, url, name, more in (
                (direct, server.url, "echo", {}),
                (through, app.url, "s__echo", {"Authorization": f"Bearer {token}"}),
            ):
                took = call(http, url, name, more)
                if number >= WARM_UP:
                    times.append(took)
        ways = {"direct_ms": statistics.median(direct), "through_the_app_ms": statistics.median(through)}
        added = ways["through_the_app_ms"] - ways["direct_ms"]
        print(json.dumps({name: round(value, 2) for name, value in {**ways, "added_ms": added}.items()}))


def call(http: httpx2.Client, url: str, name: str, more: dict[str, str]) -> float:
    """How long one call takes, in milliseconds."""
    params: dict[str, Any] = {"name": name, "arguments": {"text": "hello"}, "_meta": META}
    headers = {
        "Accept": ACCEPT,
        "Content-Type": "application/json",
        "Mcp-Protocol-Version": MODERN,
        "Mcp-Method": "tools/call",
        "Mcp-Name": name,
        **more,
    }
    began = time.perf_counter()
    answer = http.post(url, content=json.dumps(message("tools/call", params)), headers=headers)
    took = (time.perf_counter() - began) * 1000
    assert answer.json()["result"]["content"][0]["text"] == "hello", answer.text
    return took


if __name__ == "__main__":
    main()

"""A small MCP server with one tool that reads, as a process: what is called directly, and through others."""

import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette

from tests.upstreams import Upstream
from tests.upstreams.revision_server import RevisionServer


class EchoServer(RevisionServer):
    """With what strict clients want in a result (MCP schema 2026-07-28, `CacheableResult`)."""

    def _result(self, method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        result = super()._result(method, params)
        return None if result is None else {"ttlMs": 600_000, "cacheScope": "public", **result}


def main() -> None:
    """Serve on the port that is the first argument."""
    port = int(sys.argv[1])
    origin = f"http://127.0.0.1:{port}"
    routes = EchoServer().routes(Upstream(origin))
    uvicorn.run(Starlette(routes=routes), port=port, access_log=False, ws="none")


if __name__ == "__main__":
    main()

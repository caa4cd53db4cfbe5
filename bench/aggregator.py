"""FastMCP's proxy as a process: an open aggregator of MCP servers, without consent, history or approvals.

It comes with `requirements-clients.lock`, which the product does not need.
"""

import sys

import uvicorn
from fastmcp.server import create_proxy


def main() -> None:
    """Serve on the port that is the first argument what stands at the second, a URL, twice: as `s` and as `t`."""
    servers = {name: {"url": sys.argv[2], "transport": "http"} for name in ("s", "t")}
    app = create_proxy({"mcpServers": servers}).http_app(stateless_http=True, json_response=True)
    uvicorn.run(app, port=int(sys.argv[1]), access_log=False, ws="none")


if __name__ == "__main__":
    main()

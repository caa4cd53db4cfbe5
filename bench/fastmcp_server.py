"""FastMCP as a process, with the authorization server that it brings for one process: all in memory, nobody is asked.

It comes with `requirements-clients.lock`, which the product does not need.
"""

import datetime
import sys
from typing import Any

from fastmcp import FastMCP
from fastmcp.server.auth.auth import ClientRegistrationOptions
from fastmcp.server.auth.providers.in_memory import InMemoryOAuthProvider

SCOPE = "user"


def main() -> None:
    """Serve on the port that is the first argument, as FastMCP does, without a log line per request."""
    port = int(sys.argv[1])
    registration = ClientRegistrationOptions(enabled=True, default_scopes=[SCOPE], valid_scopes=[SCOPE])
    provider = InMemoryOAuthProvider(
        base_url=f"http://127.0.0.1:{port}", client_registration_options=registration, required_scopes=[SCOPE]
    )
    server: FastMCP[Any] = FastMCP("peer", auth=provider)

    @server.tool
    async def get_time() -> dict[str, Any]:
        """The present time, in a few forms."""
        now = datetime.datetime.now(datetime.UTC)
        return {"iso": now.isoformat(), "timezone": "UTC", "timestamp": now.timestamp(), "clock": f"{now:%H:%M:%S}"}

    server.run(transport="http", host="127.0.0.1", port=port, show_banner=False, log_level="WARNING")


if __name__ == "__main__":
    main()

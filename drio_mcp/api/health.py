"""`/healthz` and `/readyz`, for whatever restarts the process or sends it traffic."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.responses import json_response
from drio_mcp.errors import Unavailable
from drio_mcp.middleware.context import services_of


async def healthz(request: Request) -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The database can be reached and has the schema of this program; 503 otherwise."""
    try:
        await services_of(request).check_ready()
    except Unavailable as error:
        return json_response({"status": "unavailable", "reason": error.message}, error.status)
    return json_response({"status": "ok"})

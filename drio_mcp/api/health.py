"""`/healthz` and `/readyz`, for whatever restarts the process or sends it traffic."""

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.api.responses import json_response
from drio_mcp.errors import Unavailable
from drio_mcp.middleware.context import address_of, request_id_of, services_of
from drio_mcp.middleware.errors import note_cause


async def healthz(request: Request) -> Response:
    """The process answers. With `?address`, also from where the request seems to come, for `drio-mcp doctor`."""
    if "address" in request.query_params:
        return json_response({"status": "ok", "address": address_of(request)})
    return json_response({"status": "ok"})


async def readyz(request: Request) -> Response:
    """The database can be reached and has the schema of this program, and the program is not ending; 503 otherwise."""
    if request.app.state.is_closing:
        return json_response({"status": "unavailable", "reason": "The program is stopping"}, 503)
    try:
        await services_of(request).check_ready()
    except Unavailable as error:
        note_cause(error, request_id_of(request.scope))
        return json_response({"status": "unavailable", "reason": error.message}, error.status)
    return json_response({"status": "ok"})

"""The metadata documents in every place where clients look for them.

Clients put the path of the MCP endpoint behind the well-known part (RFC 8414 section 3.1, RFC 9728 section 3.1), behind
the issuer (OpenID Connect Discovery section 4), or leave it out, and some add a slash.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drio_mcp.api.responses import json_response
from drio_mcp.middleware.context import services_of
from drio_mcp.oauth.server_metadata import PublishedMetadata

CACHED = {"Cache-Control": "public, max-age=300"}

Document = Callable[[PublishedMetadata], dict[str, Any]]

DOCUMENTS: dict[str, Document] = {
    "oauth-protected-resource": PublishedMetadata.protected_resource,
    "oauth-authorization-server": PublishedMetadata.authorization_server,
    "openid-configuration": PublishedMetadata.openid_configuration,
}


def _endpoint(document: Document) -> Callable[[Request], Awaitable[Response]]:
    async def metadata(request: Request) -> Response:
        return json_response(document(services_of(request).server_metadata), headers=CACHED)

    return metadata


async def app_resource(request: Request) -> Response:
    """The resource of an app that is used as an MCP server (contract section 8). Raises `NotFound`."""
    services = services_of(request)
    app = await services.apps.find_public(request.path_params["publicMcpId"])
    return json_response(services.server_metadata.app_resource(app.public_mcp_id, app.name), headers=CACHED)


def _places(name: str, path: str) -> list[str]:
    places = [f"/.well-known/{name}{path}", f"{path}/.well-known/{name}"]
    return [*places, *(f"{place}/" for place in places)]


WELL_KNOWN_ROUTES: list[Route] = [
    Route(place, _endpoint(document), methods=["GET"])
    for name, document in DOCUMENTS.items()
    for place in (f"/.well-known/{name}", f"/.well-known/{name}/", *_places(name, "/mcp"))
]

APP_WELL_KNOWN_ROUTES: list[Route] = [
    Route(place, app_resource if name == "oauth-protected-resource" else _endpoint(document), methods=["GET"])
    for name, document in DOCUMENTS.items()
    for place in _places(name, "/mcp/{publicMcpId}")
]
"""The same for the endpoint of an app, whose authorization server is this one."""

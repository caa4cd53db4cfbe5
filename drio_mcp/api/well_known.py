"""The metadata documents in every place where clients look for them.

Clients put the path of the MCP endpoint behind the well-known part (RFC 8414 section 3.1, RFC 9728 section 3.1), behind
the issuer (OpenID Connect Discovery section 4), or leave it out, and some add a slash.
"""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from drio_mcp.api.responses import json_response
from drio_mcp.middleware.context import services_of
from drio_mcp.oauth.server_metadata import PublishedMetadata

CACHED = {"Cache-Control": "public, max-age=300"}

DOCUMENTS: dict[str, Callable[[PublishedMetadata], dict[str, Any]]] = {
    "oauth-protected-resource": PublishedMetadata.protected_resource,
    "oauth-authorization-server": PublishedMetadata.authorization_server,
    "openid-configuration": PublishedMetadata.openid_configuration,
}


class Document:
    """A document that stays the same while the program runs, as an ASGI endpoint: its bytes are made once."""

    name = "metadata"

    def __init__(self, content: dict[str, Any]) -> None:
        self._answer = json_response(content, headers=CACHED)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(scope, receive, send)


async def app_resource(request: Request) -> Response:
    """The resource of an app that is used as an MCP server (contract section 8). Raises `NotFound`."""
    services = services_of(request)
    app = await services.apps.find_public(request.path_params["publicMcpId"])
    return json_response(services.server_metadata.app_resource(app.public_mcp_id, app.name), headers=CACHED)


def well_known_routes(metadata: PublishedMetadata) -> list[BaseRoute]:
    """The documents at the endpoint that manages, and at those of apps, whose authorization server is this one."""
    routes: list[BaseRoute] = []
    for name, make in DOCUMENTS.items():
        document = Document(make(metadata))
        for place in (f"/.well-known/{name}", f"/.well-known/{name}/", *_places(name, "/mcp")):
            routes.append(Route(place, document, methods=["GET"]))
        of_app = app_resource if name == "oauth-protected-resource" else document
        for place in _places(name, "/mcp/{publicMcpId}"):
            routes.append(Route(place, of_app, methods=["GET"]))
    return routes


def _places(name: str, path: str) -> list[str]:
    places = [f"/.well-known/{name}{path}", f"{path}/.well-known/{name}"]
    return [*places, *(f"{place}/" for place in places)]

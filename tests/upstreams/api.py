"""APIs that take a key, documents that describe them, and sites that say nothing."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream

KEY = "key-of-the-person"

Style = Literal["header", "query", "bearer", "basic"]
"""Where the key is sent."""


@dataclass
class KeyedApi:
    """`GET /v1/me` and `ANY /v1/echo` behind a key, in any of the usual places."""

    style: Style = "header"
    name: str = "X-Api-Key"
    """Of the header or of the query parameter."""
    prefix: str = ""
    accepts: Callable[[str], bool] = lambda key: key == KEY
    """Judges the key; for `basic`, `username:password`."""
    forbidden: bool = False
    """A good key that may do nothing: 403."""

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        return [
            upstream.route("/v1/me", "probe", self._me),
            upstream.route("/v1/echo", "echo", self._echo, methods),
        ]

    def _key(self, request: Request) -> str:
        authorization = request.headers.get("authorization", "")
        match self.style:
            case "header":
                return request.headers.get(self.name, "").removeprefix(self.prefix)
            case "query":
                return request.query_params.get(self.name, "")
            case "bearer":
                return authorization.removeprefix("Bearer ")
            case "basic":
                return base64.b64decode(authorization.removeprefix("Basic ")).decode()

    def _refusal(self, request: Request) -> Response | None:
        if not self.accepts(self._key(request)):
            return JSONResponse({"message": "Bad credentials"}, 401)
        return JSONResponse({"message": "Not allowed"}, 403) if self.forbidden else None

    async def _me(self, request: Request) -> Response:
        return self._refusal(request) or JSONResponse({"id": "person-1"})

    async def _echo(self, request: Request) -> Response:
        """What arrived, so that a proxy can be judged by it."""
        return self._refusal(request) or JSONResponse(
            {
                "method": request.method,
                "query": dict(request.query_params),
                "headers": dict(request.headers),
                "body": (await request.body()).decode(),
            }
        )


@dataclass
class OpenApiDescription:
    """An OpenAPI document whose `schemes` say how to authenticate (OpenAPI 3.1 section 4.8.27)."""

    schemes: Mapping[str, Any]
    path: str = "/openapi.json"
    servers: Sequence[str] = ()
    version: str = "3.1.0"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        return [upstream.route(self.path, "openapi", self._document)]

    async def _document(self, _: Request) -> Response:
        document: dict[str, Any] = {
            "openapi": self.version,
            "info": {"title": "Bench API", "version": "1"},
            "servers": [{"url": url} for url in self.servers],
            "security": [{name: []} for name in self.schemes],
            "components": {"securitySchemes": dict(self.schemes)},
            "paths": {},
        }
        return JSONResponse(document | dict(self.extra))


@dataclass
class Site:
    """A web page with nothing in it for machines. `everywhere` answers all paths like that, with status 200."""

    body: str = "<!doctype html><title>A site</title><h1>Welcome</h1>"
    everywhere: bool = False

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        path = "/{path:path}" if self.everywhere else "/"
        return [upstream.route(path, "site", self._page, ["GET", "HEAD", "POST"])]

    async def _page(self, _: Request) -> Response:
        return HTMLResponse(self.body)

"""The short way to the busiest endpoints: by exact path and method, before patterns are tried one after the other."""

import inspect
from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """Answers `routes` itself, except those with parameters; everything else goes on to the router.

    What an endpoint raises goes to the edge, which answers it as it answers what the router lets through.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route]) -> None:
        self._app = app
        self._endpoints = {
            (method, route.path): route.endpoint
            for route in routes
            if "{" not in route.path
            for method in route.methods or {"POST"}
        }
        self._asks_for_request = {each for each in self._endpoints.values() if inspect.iscoroutinefunction(each)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["endpoint"] = endpoint
        if endpoint in self._asks_for_request:
            answer: ASGIApp = await endpoint(Request(scope, receive, send))
            await answer(scope, receive, send)
        else:
            await endpoint(scope, receive, send)

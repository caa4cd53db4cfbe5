"""The short way to every endpoint without parameters in its path: a look into a dict, before the router tries patterns.

The router compares a path with one pattern after the other, which takes longer than most answers.
"""

import inspect
from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Shortcut:
    """Answers `routes` itself, except those with parameters; everything else goes on to the router.

    What an endpoint raises goes to the edge, which answers it as it answers what the router lets through. A method that
    a path does not have is the router's to refuse.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute]) -> None:
        self._app = app
        self._endpoints: dict[tuple[str, str], tuple[object, ASGIApp]] = {}
        """By method and path: the endpoint, for the log, and the application that it is."""
        for route in routes:
            if isinstance(route, Route) and "{" not in route.path:
                for method in route.methods or {"POST"}:
                    self._endpoints.setdefault((method, route.path), (route.endpoint, application_of(route)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
        else:
            scope["endpoint"], endpoint = found
            await endpoint(scope, receive, send)


def application_of(route: Route) -> ASGIApp:
    """The route's endpoint as an ASGI application: some are one, and some make an answer from a request."""
    endpoint = route.endpoint
    if not inspect.iscoroutinefunction(endpoint):
        return route.app

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer

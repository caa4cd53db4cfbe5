"""The one ASGI application: routes, middleware, lifespan. Nothing else."""

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Scope

from drio_mcp import background
from drio_mcp.api import metrics
from drio_mcp.api.responses import oauth_error, rest_error
from drio_mcp.api.routes import api_routes
from drio_mcp.config import Settings
from drio_mcp.errors import DrioError
from drio_mcp.metrics import shared_numbers
from drio_mcp.middleware.body import BodyLimit
from drio_mcp.middleware.context import request_id_of
from drio_mcp.middleware.edge import Edge
from drio_mcp.middleware.errors import Challenges, Render, from_http_exception
from drio_mcp.middleware.families import family_of, public_mcp_id_of
from drio_mcp.middleware.logs import configure_logging
from drio_mcp.middleware.shortcut import Shortcut
from drio_mcp.middleware.tracing import Tracing
from drio_mcp.pages import PAGES
from drio_mcp.services import Services, build_services
from drio_mcp.tools.endpoint import AppEndpoint, McpEndpoint
from drio_mcp.tracing import tracer


def create_app(
    settings: Settings,
    *,
    services: Services | None = None,
    running: contextlib.AbstractAsyncContextManager[object] | None = None,
    metrics_listener: socket.socket | None = None,
) -> Starlette:
    """The application for `settings`; its numbers are shown on `metrics_listener` as well, where that is given.

    The lifespan opens the database, and closes it. Who has opened it gives `running`, the context that closes it.
    Raises `StartupError` when the keys or the database URL cannot be used.
    """
    configure_logging(settings.log)
    services = services or build_services(settings)
    running = running or services.running()
    mcp, app_mcp = McpEndpoint(services), AppEndpoint(services)
    render = error_renderer(settings)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with (
            running,
            services.loop_watch.running(),
            mcp.running(),
            app_mcp.running(),
            background.running_in_one(services) if settings.workers > 1 else background.running(services),
            shared_numbers(services.loop_watch),
            metrics.shown(services, metrics_listener),
        ):
            yield

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return method_refused(request, error, routes, render)
        return render(request.scope, from_http_exception(error), error.headers or {})

    mcp_route = Route("/mcp", mcp)
    app_routes = [Route(f"/mcp/{{publicMcpId}}{slash}", app_mcp) for slash in ("", "/")]
    routes: list[BaseRoute] = [
        mcp_route,
        *app_routes,
        *api_routes(services.server_metadata),
        *metrics.routes(settings),
        *PAGES,
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    # Starlette's own outermost layer is left out: the edge answers every failure.
    routed = ExceptionMiddleware(app.router, handlers={HTTPException: refused})
    edge: ASGIApp = Edge(BodyLimit(Shortcut(routed, routes)), settings, render)
    app.middleware_stack = edge if tracer() is None else Tracing(edge)
    app.state.services = services
    app.state.is_closing = False
    return app


def error_renderer(settings: Settings) -> Render:
    """Where the families of routes meet: each error in the form that the route's readers expect."""
    usual = Challenges(settings)

    def render(scope: Scope, error: DrioError, headers: Mapping[str, str]) -> Response:
        app = public_mcp_id_of(scope["path"])
        challenges = usual if app is None else Challenges(settings, app)
        headers = {**challenges.headers(error), **headers}
        match family_of(scope["path"]):
            case "oauth":
                return oauth_error(error, headers)
            case "page":
                from drio_mcp.pages.errors import page_error  # with it come the templates, which no start needs

                return page_error(Request(scope), error, headers)
            case _:
                return rest_error(error, request_id_of(scope), headers)

    return render


def method_refused(request: Request, error: HTTPException, routes: list[BaseRoute], render: Render) -> Response:
    """405, or the answer to a plain OPTIONS (RFC 9110 section 9.3.7), with every method that the path does have."""
    allowed = {"OPTIONS", *(error.headers or {}).get("Allow", "").split(", ")} - {""}
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            allowed |= route.methods or set()
    headers = {"Allow": ", ".join(sorted(allowed))}
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    return render(request.scope, from_http_exception(HTTPException(405)), headers)

"""A span per request, named after the route: neither paths nor queries, because one-time tokens travel in them."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drio_mcp import tracing
from drio_mcp.middleware.edge import route_name
from drio_mcp.middleware.families import family_of

CONTEXT_HEADERS = (b"traceparent", b"tracestate")


class Tracing:
    """Outside of everything else, and only there when somebody receives spans."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        from opentelemetry.trace import SpanKind

        method = scope["method"]
        carrier = {
            name.decode("ascii"): value.decode("latin-1") for name, value in scope["headers"] if name in CONTEXT_HEADERS
        }
        attributes = {"http.request.method": method, "drio.family": family_of(scope["path"])}
        with tracing.span(method, attributes, SpanKind.SERVER, carrier) as span:
            assert span is not None

            async def send_watched(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                await send(message)

            await self._app(scope, receive, send_watched)
            route = route_name(scope)
            if route is not None:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            span.set_attribute("drio.request_id", scope["state"]["request_id"])

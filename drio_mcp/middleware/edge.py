"""The outermost layer: gives each request its id and address, each answer its headers, and each failure its form."""

from random import getrandbits
from time import perf_counter_ns

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from drio_mcp.config import Settings
from drio_mcp.errors import BadRequest, DrioError, NotFound
from drio_mcp.metrics import REQUEST_SECONDS, REQUESTS
from drio_mcp.middleware import cors
from drio_mcp.middleware.errors import Render, from_http_exception, from_unexpected, note_cause
from drio_mcp.middleware.families import family_of, hides_a_slash, is_open
from drio_mcp.middleware.logs import RequestLog
from drio_mcp.middleware.proxies import TrustedProxies

DEFAULT_PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; form-action 'self'; "
    b"base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of pages that set none of their own."""


class Edge:
    """Wraps the whole application. `render` answers for what nobody below caught."""

    def __init__(self, app: ASGIApp, settings: Settings, render: Render, log: RequestLog | None = None) -> None:
        self._app = app
        self._proxies = TrustedProxies(settings.trusted_proxies)
        self._render = render
        self._log = log or RequestLog(settings.log)
        self._always: list[cors.Header] = [(b"x-content-type-options", b"nosniff")]
        if settings.is_https:
            self._always.append((b"strict-transport-security", b"max-age=31536000"))
        self._always_open = [*self._always, *cors.OPEN]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = perf_counter_ns()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id = new_request_id()
        state["address"] = address = self._proxies.client_address(scope)
        path: str = scope["path"]
        opened = is_open(path)
        extra = [(b"x-request-id", request_id.encode()), *(self._always_open if opened else self._always)]
        status = 0

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._log.expect()
                message["headers"] = dress(message.get("headers", ()), extra)
            await send(message)

        try:
            if opened and cors.is_preflight(scope["method"], scope["headers"]):
                await send_preflight(scope, send_dressed)
            else:
                refuse_ambiguous(scope)
                await self._app(scope, receive, send_dressed)
        except Exception as error:
            if status:
                raise  # the answer is under way: only closing the connection tells that it is incomplete
            await self._answer_failure(error, scope, receive, send_dressed)
        finally:
            took = perf_counter_ns() - began
            family = family_of(path)
            REQUESTS.add(family, status)
            REQUEST_SECONDS.observe(took / 1e9, family)
            self._log.write(
                request_id=request_id,
                method=scope["method"],
                route=route_name(scope),
                status=status,
                ms=round(took / 1e6, 1),
                address=address,
            )

    async def _answer_failure(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[str, str] = {}
        if isinstance(error, HTTPException):
            headers = dict(error.headers or {})
            error = from_http_exception(error)
        elif isinstance(error, ClientDisconnect):
            error = BadRequest("The request was not sent to its end")  # nobody reads it: it is for log and metrics
        elif isinstance(error, DrioError):
            note_cause(error, scope["state"]["request_id"])
        else:
            error = from_unexpected(error, scope["state"]["request_id"])
        await self._render(scope, error, headers)(scope, receive, send)


def refuse_ambiguous(scope: Scope) -> None:
    """Raises `BadRequest` for two hosts, or none in HTTP/1.1 (RFC 9112 section 3.2), and `NotFound` for a path that
    two readers would split into other segments."""
    hosts = 0
    for name, _ in scope["headers"]:
        if name == b"host":
            hosts += 1
    if hosts > 1 or (hosts == 0 and scope.get("http_version") == "1.1"):
        raise BadRequest("Send one Host header")
    if hides_a_slash(scope):
        raise NotFound


def dress(headers: "list[cors.Header] | tuple[()]", extra: list[cors.Header]) -> list[cors.Header]:
    """The answer's headers with what every answer carries; what a handler set itself wins."""
    dressed = [*headers, *extra]
    names = {name for name, _ in headers}
    if b"cache-control" not in names:
        dressed.append((b"cache-control", b"no-store"))
    if is_page(headers):
        if b"content-security-policy" not in names:
            dressed.append((b"content-security-policy", DEFAULT_PAGE_POLICY))
        if b"referrer-policy" not in names:
            dressed.append((b"referrer-policy", b"same-origin"))
        dressed.append((b"x-frame-options", b"DENY"))
    return dressed


def is_page(headers: "list[cors.Header] | tuple[()]") -> bool:
    """Whether the answer is HTML."""
    for name, value in headers:
        if name == b"content-type":
            return value.startswith(b"text/html")
    return False


def new_request_id() -> str:
    """A random UUID (RFC 9562 section 5.4). It names a request and guards nothing, so it costs no system call."""
    digits = f"{getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


async def send_preflight(scope: Scope, send: Send) -> None:
    """Answer a browser's preflight (Fetch standard, section 3.2.2)."""
    await send({"type": "http.response.start", "status": 204, "headers": cors.preflight_headers(scope["headers"])})
    await send({"type": "http.response.body", "body": b""})


def route_name(scope: Scope) -> str | None:
    """The name of the handler that answered, for the log; None when no route matched."""
    endpoint = scope.get("endpoint")
    return getattr(endpoint, "name", None) or getattr(endpoint, "__name__", None)

"""What every answer carries, and what becomes of failures that no handler caught."""

import asyncio
import io
import json
import uuid
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from drio_mcp.api.responses import rest_error
from drio_mcp.config import Settings
from drio_mcp.middleware.context import request_id_of
from drio_mcp.middleware.edge import Edge
from drio_mcp.middleware.logs import RequestLog
from tests.helpers.asgi import asgi_client
from tests.helpers.logs import captured_log

SUBMITTED = "what-somebody-submitted"


async def explode(request: Request) -> Response:
    raise ValueError(SUBMITTED)


async def with_body(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def page(request: Request) -> Response:
    return HTMLResponse("<p>hello")


async def own_policy(request: Request) -> Response:
    headers = {"Content-Security-Policy": "default-src 'none'", "Cache-Control": "public, max-age=60"}
    return HTMLResponse("<p>hello", headers=headers)


async def where(request: Request) -> Response:
    return JSONResponse({"address": request.state.address, "id": request_id_of(request.scope)})


async def secret_path(request: Request) -> Response:
    return PlainTextResponse("ok")


def app_of(stream: io.StringIO | None = None, **settings: object) -> Starlette:
    def render(scope: object, error: object, headers: object) -> Response:
        return rest_error(error, request_id_of(scope), headers)  # type: ignore[arg-type]

    routes = [
        Route("/explode", explode, methods=["GET"]),
        Route("/page", page),
        Route("/body", with_body, methods=["POST"]),
        Route("/own", own_policy),
        Route("/where", where),
        Route("/connect/{token}", secret_path),
    ]
    edge = Middleware(
        Edge,
        settings=Settings(**settings),  # type: ignore[arg-type]
        render=render,
        log=RequestLog("json", stream),
    )
    return Starlette(routes=routes, middleware=[edge])


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with captured_log() as stream:
        yield stream


async def lines(log: io.StringIO) -> list[dict[str, object]]:
    await asyncio.sleep(0)  # the turn of the event loop in which lines are written
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_request_id_is_a_uuid_in_header_state_and_log_line(log: io.StringIO) -> None:
    async with asgi_client(app_of(log)) as client:
        answer = await client.get("/where")
    request_id = answer.headers["x-request-id"]
    assert str(uuid.UUID(request_id)) == request_id
    assert answer.json()["id"] == request_id
    (line,) = await lines(log)
    assert line["request_id"] == request_id
    assert (line["method"], line["status"], line["route"]) == ("GET", 200, "where")


async def test_one_time_tokens_in_path_and_query_are_not_logged(log: io.StringIO) -> None:
    async with asgi_client(app_of(log)) as client:
        await client.get(f"/connect/{SUBMITTED}?token={SUBMITTED}")
        await client.get(f"/nowhere/{SUBMITTED}")
    assert len(await lines(log)) == 2
    assert SUBMITTED not in log.getvalue()


async def test_unexpected_exception_is_500_without_its_text_anywhere(log: io.StringIO) -> None:
    """Contract section 3: `internal_error` leaks no detail, and no submitted value is logged."""
    async with asgi_client(app_of(log)) as client:
        answer = await client.get("/explode")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("internal_error", None)
    assert error["requestId"] == answer.headers["x-request-id"]
    assert SUBMITTED not in answer.text + log.getvalue()
    failure = next(line for line in await lines(log) if line["level"] == "error")
    assert failure["exception"] == "ValueError"
    assert "explode" in str(failure["at"])
    assert failure["request_id"] == error["requestId"]


async def test_whoever_hangs_up_is_no_failure_of_ours(log: io.StringIO) -> None:
    """Else a stranger could fill the log with errors and raise the operator's alarms."""
    app = app_of(log)

    async def hangs_up() -> Message:
        return {"type": "http.disconnect"}

    async def nowhere(message: Message) -> None:
        return

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/body",
        "headers": [],
        "query_string": b"",
        "client": None,
    }
    await app(scope, hangs_up, nowhere)
    (line,) = await lines(log)
    assert (line["level"], line["status"]) == ("info", 400)


async def test_pages_are_protected_and_not_cached() -> None:
    """Contract section 6."""
    async with asgi_client(app_of()) as client:
        headers = (await client.get("/page")).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["referrer-policy"] == "same-origin"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


async def test_a_page_may_set_its_own_policy_and_caching() -> None:
    async with asgi_client(app_of()) as client:
        headers = (await client.get("/own")).headers
    assert headers.get_list("content-security-policy") == ["default-src 'none'"]
    assert headers.get_list("cache-control") == ["public, max-age=60"]


async def test_hsts_is_sent_on_https_only() -> None:
    """RFC 6797 section 7.2: not over plain http."""
    async with asgi_client(app_of(public_url="https://drio.example.com")) as client:
        assert (await client.get("/where")).headers["strict-transport-security"].startswith("max-age=31536000")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (None, "127.0.0.1"),
        ("203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 127.0.0.1", "203.0.113.7"),
        ("not an address", "127.0.0.1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
async def test_client_address_behind_a_trusted_proxy(forwarded: str | None, address: str) -> None:
    """The nearest hop that is no trusted proxy; what stands left of it was written by that hop."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    async with asgi_client(app_of(trusted_proxies=("127.0.0.0/8",))) as client:
        assert (await client.get("/where", headers=headers)).json()["address"] == address


async def test_forwarded_header_from_anybody_else_is_not_believed() -> None:
    async with asgi_client(app_of()) as client:
        answer: httpx2.Response = await client.get("/where", headers={"X-Forwarded-For": "203.0.113.7"})
    assert answer.json()["address"] == "127.0.0.1"

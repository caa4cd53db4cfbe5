"""Misbehaviour that can be put in front of any endpoint of any part."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

Fault = Callable[[Request], Awaitable[Response | None]]
"""Answers in the endpoint's place, or lets the request pass by giving None."""


@dataclass
class Faults:
    """Which endpoint misbehaves how, and for how many requests more."""

    _planned: dict[str, list[tuple[Fault, int | None]]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def at(self, endpoint: str, fault: Fault, *, times: int | None = None) -> None:
        """Let `endpoint` misbehave for the next `times` requests, or from now on; later ones wait for earlier ones."""
        with self._lock:
            self._planned[endpoint].append((fault, times))

    def clear(self) -> None:
        """Everything behaves again."""
        with self._lock:
            self._planned.clear()

    def next(self, endpoint: str) -> Fault | None:
        with self._lock:
            planned = self._planned[endpoint]
            if not planned:
                return None
            fault, times = planned[0]
            if times is not None:
                planned[0] = (fault, times - 1)
                if times == 1:
                    planned.pop(0)
            return fault


def answers(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Fault:
    """This answer: JSON unless `body` is text or bytes."""

    async def fault(_: Request) -> Response:
        if isinstance(body, str | bytes):
            return Response(body, status, headers)
        return JSONResponse(body, status, headers)

    return fault


def oauth_error(error: str, status: int = 400, description: str | None = None) -> Fault:
    """RFC 6749 section 5.2, for example `invalid_grant` or `invalid_client` (401)."""
    body = {"error": error} | ({"error_description": description} if description else {})
    return answers(status, body)


def ok_with_error(error: str, description: str = "Something is wrong") -> Fault:
    """The habit of some providers to report errors with status 200."""
    return answers(200, {"ok": False, "error": error, "error_description": description})


def html_error(status: int = 500) -> Fault:
    """An error page of whatever stands in front of the provider."""

    async def fault(_: Request) -> Response:
        return HTMLResponse("<!doctype html><h1>Something went wrong</h1>", status)

    return fault


def malformed_json() -> Fault:
    return answers(200, b'{"access_token": "abc', {"Content-Type": "application/json"})


def too_many_requests(retry_after: int | str = 7) -> Fault:
    """RFC 6585 section 4; `retry_after` in seconds or as an HTTP date."""
    return answers(429, {"error": "rate_limited"}, {"Retry-After": str(retry_after)})


def huge(size: int = 8 * 1024 * 1024) -> Fault:
    """A JSON document of `size` bytes."""
    return answers(200, b'{"filler":"' + b"x" * size + b'"}', {"Content-Type": "application/json"})


def redirects(location: str, status: int = 302) -> Fault:
    """To another place, perhaps a private one."""

    async def fault(_: Request) -> Response:
        return Response(status_code=status, headers={"Location": location})

    return fault


def waits(release: threading.Event) -> Fault:
    """Nothing until `release` is set; then the endpoint answers as usual."""

    async def fault(request: Request) -> None:
        while not release.is_set():
            await asyncio.sleep(0.005)
            if await request.is_disconnected():
                return

    return fault

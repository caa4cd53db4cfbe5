"""Looking around a URL without changing anything there: each look gives one piece of evidence, never an exception."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from drio_mcp.connections.connecting.plan import Evidence
from drio_mcp.connections.connecting.www_authenticate import Challenge, parse_challenges
from drio_mcp.connections.upstream.mcp.former_transport import FormerTransport
from drio_mcp.connections.upstream.mcp.handshake import greet
from drio_mcp.connections.upstream.mcp.wire import McpPeer, Refused, RpcError, Wire
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse

LOOK_SECONDS = 4.0
MAX_DOCUMENT = 4 * 1024 * 1024
"""Bytes; OpenAPI documents of large APIs reach some megabytes."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one URL answered. `code` is a diagnosis code where that is a fault, `document` its JSON where it is some."""

    url: str
    status: int | None
    finding: str
    code: str | None = None
    document: Any = None
    challenges: tuple[Challenge, ...] = field(default=())
    speaks_mcp: bool = False
    """It answered to, or asked for a token at, an MCP `initialize`."""
    speaks_former_mcp: bool = False
    """An MCP server, of a transport that is not spoken here."""
    moved_to: str | None = None
    """Where it redirected to, if that is the same path of another host (`www.`) or the path with or without a slash."""

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.url, self.status, self.finding)

    def faulty(self, code: str, finding: str) -> "Look":
        """The same look, judged again: the document is not to be used."""
        return replace(self, code=code, finding=finding, document=None)


class Survey:
    """Looks that share one deadline."""

    def __init__(self, outbound: Outbound, seconds: float) -> None:
        self._outbound = outbound
        self._ends_at = asyncio.get_running_loop().time() + seconds

    async def document(self, url: str, what: str) -> Look:
        """Read the JSON document at `url`; `what` names it in the finding."""
        answer = await self._ask("GET", url, "application/json")
        if isinstance(answer, OutboundError):
            return Look(url, None, answer.sentence, answer.code)
        if answer.status != 200:
            return Look(url, answer.status, *_absent(answer.status, what))
        try:
            content = answer.json()
        except OutboundError:
            if "json" in answer.headers.get("content-type", ""):
                return Look(url, 200, f"The {what} is not valid JSON", "metadata_invalid")
            return Look(url, 200, f"A page, not {what}")
        return Look(url, 200, f"Found {what}", document=content)

    async def refusal(self, url: str, form: bytes, what: str) -> Look:
        """What is answered to a form that asks for nothing; `document` is the JSON of a refusal (400 or 401)."""
        answer = await self._ask("POST", url, "application/json", form)
        if isinstance(answer, OutboundError):
            return Look(url, None, answer.sentence, answer.code)
        told = _json_or_none(answer) if answer.status in {400, 401} else None
        return Look(url, answer.status, f"No {what}" if told is None else f"Answers like a {what}", document=told)

    async def page(self, url: str, what: str) -> Look:
        """Whether something that people may open is there."""
        answer = await self._ask("GET", url, "text/html")
        if isinstance(answer, OutboundError):
            return Look(url, None, answer.sentence, answer.code)
        return Look(url, answer.status, f"No {what}" if answer.status in {404, 410} else f"Perhaps an {what}")

    async def target(self, url: str) -> Look:
        """Ask for `url` itself without a credential. Only where that tells nothing is it greeted as an MCP server."""
        answer = await self._ask("GET", url, "application/json, text/html;q=0.5")
        if isinstance(answer, OutboundError):
            return Look(url, None, answer.sentence, answer.code)
        look = _judge_target(url, answer)
        if answer.url != url and urlsplit(answer.url).path.rstrip("/") == urlsplit(url).path.rstrip("/"):
            return replace(look, finding="Redirects to its present address", moved_to=answer.url)
        is_stream = "event-stream" in answer.headers.get("content-type", "")
        if is_stream or answer.status in {400, 404, 405, 406, 415}:  # what MCP servers say to a GET, by revision
            return await self._greet(url, look)
        return look

    async def _greet(self, url: str, look: Look) -> Look:
        """The look again, if an MCP server answers there or asks for a token first; in whichever revision."""
        wire, seconds = Wire(self._outbound), self._seconds_left()
        if seconds <= 0:
            return look
        try:
            peer = await greet(wire, McpPeer(url), seconds)
        except FormerTransport as error:
            return Look(url, error.response.status, error.sentence, error.code, speaks_former_mcp=True)
        except Refused as error:
            is_asked = error.response.status == 401
            return replace(_judge_target(url, error.response), speaks_mcp=True) if is_asked else look
        except (RpcError, OutboundError):
            return look
        await wire.close(peer)
        return Look(url, 200, "An MCP server that asks for no credential", speaks_mcp=True)

    def _seconds_left(self) -> float:
        return min(LOOK_SECONDS, self._ends_at - asyncio.get_running_loop().time())

    async def _ask(
        self, method: str, url: str, accept: str, form: bytes | None = None
    ) -> OutboundResponse | OutboundError:
        seconds = self._seconds_left()
        if seconds <= 0:
            return OutboundError("timeout", "There was no time left to look here")
        headers = {"Accept": accept} | ({} if form is None else {"Content-Type": "application/x-www-form-urlencoded"})
        try:
            return await self._outbound.request(
                method,
                url,
                headers=headers,
                content=form,
                max_bytes=MAX_DOCUMENT,
                timeout=seconds,
                follow=form is None,
            )
        except OutboundError as error:
            return error


def _judge_target(url: str, answer: OutboundResponse) -> Look:
    challenges = tuple(parse_challenges(answer.headers.get_list("www-authenticate")))
    if answer.status == 401:
        schemes = ", ".join(dict.fromkeys(each.scheme.capitalize() for each in challenges))
        return Look(url, 401, f"Asks for {schemes or 'a credential'}", challenges=challenges)
    if answer.status == 429 or answer.status >= 500:
        return Look(url, answer.status, *_absent(answer.status, "answer"))
    if _is_mcp(answer):
        return Look(url, answer.status, "An MCP server that asks for no credential", speaks_mcp=True)
    return Look(
        url,
        answer.status,
        _kind(answer.headers),
        challenges=challenges,
        document=_json_or_none(answer) if answer.status == 200 else None,
    )


def _is_mcp(answer: OutboundResponse) -> bool:
    return answer.status == 200 and b'"jsonrpc"' in answer.body and b'"result"' in answer.body


def _kind(headers: Mapping[str, str]) -> str:
    content_type = headers.get("content-type", "")
    if "html" in content_type:
        return "A page for people"
    return "An answer in JSON" if "json" in content_type else "An answer that says nothing about authentication"


def _json_or_none(answer: OutboundResponse) -> Any:
    try:
        return answer.json()
    except OutboundError:
        return None


def _absent(status: int, what: str) -> tuple[str, str | None]:
    """The finding, and the diagnosis code where it is a fault rather than an absence."""
    if status == 429:
        return "Too many requests", "rate_limited"
    if status >= 500:
        return "The server fails", "provider_outage"
    if status in {401, 403}:
        return f"No {what} is shown to us", None
    return f"No {what}", None

"""The HTTP client that every call to the outside goes through.

It speaks HTTP/1.1 (`http1`) without the layers that a server must not have: no proxies from the environment, no
cookies, no `.netrc`, no silent redirects, no unbounded decompression.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NoReturn

import httpcore2

from drio_mcp import __version__, tracing
from drio_mcp.config import Settings
from drio_mcp.metrics import UPSTREAM_CALLS, UPSTREAM_SECONDS
from drio_mcp.outbound.addresses import is_public_text
from drio_mcp.outbound.body import Decoder, Fairness, declared_length
from drio_mcp.outbound.brake import LookLimit
from drio_mcp.outbound.deadline import deadline
from drio_mcp.outbound.error import OutboundError
from drio_mcp.outbound.headers import Headers
from drio_mcp.outbound.http1 import Content, OutboundExchange, Request, head_of
from drio_mcp.outbound.keep_alive import ConnectionPool
from drio_mcp.outbound.network import GuardedNetwork, Resolver, SystemResolver, address_blocked
from drio_mcp.outbound.shares import SHARES, Admission, Purpose, Share, current_caller, current_purpose
from drio_mcp.outbound.target import Target, parse_target
from drio_mcp.outside import join_url, media_type_of, read_json

HeaderInput = Mapping[str, str] | Iterable[tuple[str, str]]

USER_AGENT = f"drio-mcp/{__version__}"
_USUAL_HEADERS = (("User-Agent", USER_AGENT.encode("ascii")), ("Accept-Encoding", b"identity"))
MAX_BYTES = 1024 * 1024
TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
MAX_HOPS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OWN_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "keep-alive", "upgrade", "te"})
"""Set by the client itself: a caller that sets them could smuggle a second request."""
_BRAKED = frozenset({Purpose.CHECK, Purpose.DISCOVERY})
"""Looking around (contract section 3)."""
_UNSENDABLE = "A configured value cannot be sent in an HTTP header"
_CROSS_ORIGIN_HEADERS = frozenset(
    {"accept", "accept-language", "accept-encoding", "user-agent", "mcp-protocol-version"}
)
"""All that follows a redirect to another origin; any other header may be a credential."""


@dataclass(frozen=True, slots=True)
class OutboundResponse:
    """An answer read to its end and decoded. `url` is where it came from, after redirects."""

    status: int
    headers: Headers
    body: bytes
    url: str

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as JSON; raises `OutboundError` (`malformed_response`)."""
        try:
            return read_json(self.body)
        except ValueError:
            raise OutboundError("malformed_response", "The answer is not JSON") from None


class StreamedResponse:
    """An answer whose body is still to come. Read it by `chunks`, once, inside the `stream` block.

    A content coding is undone: `headers` are those of the decoded body. One that is not understood is an error.
    """

    def __init__(self, answer: OutboundExchange, method: str, url: str, max_bytes: int | None, lifetime: float) -> None:
        self.status = answer.status
        self.headers = Headers(answer.headers)
        coding = self.headers.get("content-encoding", "identity")
        has_body = method != "HEAD" and answer.status not in {204, 304}
        self._decoder = Decoder(coding if has_body else "identity")
        if has_body and coding.strip().lower() not in {"", "identity"}:
            self.headers = self.headers.without("content-encoding", "content-length")
        self.url = url
        self._answer = answer
        self._max_bytes = max_bytes
        self._ends_at = asyncio.get_running_loop().time() + lifetime

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, decoded. Raises `OutboundError`."""
        length, limit, fairness = 0, self._max_bytes, Fairness()
        if limit is not None and (declared_length(self.headers) or 0) > limit:
            _too_large()
        try:
            async with aclosing(_chunks(self._answer)) as chunks:
                async for chunk in chunks:
                    for piece in self._decoder.pieces(chunk):
                        length += len(piece)
                        if limit is not None and length > limit:
                            _too_large()
                        if asyncio.get_running_loop().time() > self._ends_at:
                            raise OutboundError("timeout", "The answer did not end in time")
                        yield piece
                        await fairness.pause()
                if length:
                    self._decoder.end()
        except _HTTPCORE_ERRORS as error:
            raise _explain(error) from None


class Outbound:
    """The only way out. Open by use, closed by `aclose`.

    Plain http is spoken to targets of `DRIO_OUTBOUND_ALLOW` alone: everything that is fetched here either carries a
    credential or decides where one will be sent, and whoever sits on the path could read the one and change the other.
    Any port may be called, since to all others only TLS is spoken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        resolver: Resolver | None = None,
        network: httpcore2.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
        shares: Mapping[Purpose, Share] | None = None,
        brake: LookLimit | None = None,
    ) -> None:
        self._allowed = frozenset(entry.lower() for entry in settings.outbound_allow)
        self._own_resolver = None
        if resolver is None:
            resolver = self._own_resolver = SystemResolver()
        self._network = GuardedNetwork(self._allowed, resolver, network)
        self._pool = ConnectionPool(tls or httpcore2.default_ssl_context(), self._network)
        self._admissions = {purpose: Admission(share) for purpose, share in (shares or SHARES).items()}
        self._brake = brake or LookLimit()
        self._purpose = Purpose.SERVER

    def for_purpose(self, purpose: Purpose) -> "Outbound":
        """The same way out for calls of one kind, which have a share of their own. The first one closes for all."""
        view = copy(self)
        view._purpose = purpose
        return view

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        if self._own_resolver is not None:
            self._own_resolver.close()

    async def __aenter__(self) -> "Outbound":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    def check(self, url: str) -> Target:
        """The target of `url`, judged as far as that goes without the network. Raises `OutboundError`."""
        target = parse_target(url)
        if target.allow_entry in self._allowed:
            return target
        if target.is_address and not is_public_text(target.host):
            raise address_blocked()
        if target.scheme == "http":
            raise OutboundError(
                "address_blocked",
                "Plain http is not called; use https, or let the operator admit the address in DRIO_OUTBOUND_ALLOW",
            )
        return target

    async def check_name(self, url: str, seconds: float = CONNECT_TIMEOUT) -> Target:
        """As `check`, and with the addresses behind the name judged, as far as it has some now.

        For an address that is stored to be called later, when it is judged again. Raises `OutboundError`
        (`address_blocked`).
        """
        target = self.check(url)
        try:
            await self._network.judge(target.host, target.port, seconds)
        except OutboundError as error:
            if error.code != "dns_failure":
                raise
        return target

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderInput | None = None,
        content: bytes | None = None,
        max_bytes: int = MAX_BYTES,
        timeout: float = TIMEOUT,  # noqa: ASYNC109 - a deadline over several hops, not one await
        follow: bool = False,
    ) -> OutboundResponse:
        """Call `url` and read the answer, whatever its status.

        `timeout` is in seconds, from name lookup to last byte, redirects included; `max_bytes` counts decoded bytes.
        A stream of events is given without a body, since it has no end: what is in it is read by `stream`.
        Redirects are an error (`redirect_refused`) unless `follow`, which takes GET and HEAD over at most three hops,
        judges each like a first URL, never goes from https to http and takes no credential to another origin.
        Raises `OutboundError`.
        """
        with counted(method):
            return await self._follow(method, url, headers, content, max_bytes, timeout, follow)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        *,
        headers: HeaderInput | None = None,
        content: bytes | AsyncIterable[bytes] | None = None,
        max_bytes: int | None = None,
        timeout: float = 30.0,  # noqa: ASYNC109 - until the head, not one await
        idle_timeout: float = 60.0,
        lifetime: float = 900.0,
    ) -> AsyncIterator[StreamedResponse]:
        """Call `url` and pass the answer on as it comes, decoded: redirects are the caller's to hand through.

        `timeout` is in seconds until the head of the answer, `idle_timeout` between two pieces of its body, `lifetime`
        for all of it; `max_bytes` counts decoded bytes.
        Raises `OutboundError`, also from inside the block.
        """
        target = self.check(url)
        request = _request(method, target, _headers(headers), content, min(CONNECT_TIMEOUT, timeout), idle_timeout)
        async with self._turn(target), AsyncExitStack() as stack:
            with counted(method):
                answer = await self._head(stack, target, request, timeout)
            yield StreamedResponse(answer, method, target.url, max_bytes, lifetime)

    async def _follow(
        self,
        method: str,
        url: str,
        headers: HeaderInput | None,
        content: bytes | None,
        max_bytes: int,
        seconds: float,
        follow: bool,
    ) -> OutboundResponse:
        try:
            target, sent = self.check(url), _headers(headers)
            ends_at = asyncio.get_running_loop().time() + seconds
            for _ in range(MAX_HOPS + 1):
                async with self._turn(target) as waited:
                    ends_at += waited  # our own want of room is not the other side's slowness
                    async with deadline(ends_at):
                        response = await self._exchange(method, target, sent, content, max_bytes, seconds)
                if response.status not in REDIRECTS:
                    return response
                target, sent = self._redirected(method, target, sent, response.headers, follow)
            raise OutboundError("redirect_refused", f"The answer redirects more than {MAX_HOPS} times")
        except TimeoutError:
            raise OutboundError("timeout", f"There was no complete answer within {seconds:g} seconds") from None

    async def _head(self, stack: AsyncExitStack, target: Target, request: Request, seconds: float) -> OutboundExchange:
        try:
            async with asyncio.timeout(seconds):
                answer = await stack.enter_async_context(self._pool.answer(target, request))
        except TimeoutError:
            raise OutboundError("timeout", f"There was no answer within {seconds:g} seconds") from None
        except _HTTPCORE_ERRORS as error:
            raise _explain(error) from None
        _check_status(answer.status)
        return answer

    @asynccontextmanager
    async def _turn(self, target: Target) -> AsyncIterator[float]:
        """One of the calls that may be under way; gives the seconds that were waited for it."""
        caller, began = current_caller(), asyncio.get_running_loop().time()
        purpose = current_purpose(self._purpose)
        if purpose in _BRAKED and not caller.is_job:
            # Admitted places are named with their port, all others are a host whatever the port.
            is_admitted = target.allow_entry in self._allowed
            await self._brake.ask(caller.account, target.allow_entry if is_admitted else target.host)
        async with self._admissions[purpose].turn(caller.account, target.allow_entry):
            yield asyncio.get_running_loop().time() - began

    async def _exchange(
        self, method: str, target: Target, headers: Headers, content: bytes | None, max_bytes: int, seconds: float
    ) -> OutboundResponse:
        request = _request(method, target, headers, content, min(CONNECT_TIMEOUT, seconds))
        try:
            async with self._pool.answer(target, request) as answer:
                _check_status(answer.status)
                received = Headers(answer.headers)
                bodiless = method == "HEAD" or answer.status in REDIRECTS or _has_no_end(received)
                body = b"" if bodiless else await _read(answer, received, max_bytes)
        except _HTTPCORE_ERRORS as error:
            raise _explain(error) from None
        return OutboundResponse(answer.status, received, body, target.url)

    def _redirected(
        self, method: str, source: Target, sent: Headers, received: Headers, follow: bool
    ) -> tuple[Target, Headers]:
        if not follow or method not in {"GET", "HEAD"}:
            raise OutboundError("redirect_refused", "The answer is a redirect, which is not followed here")
        try:
            target = self.check(join_url(source.url, received.get("location", "")) or "")
        except OutboundError as error:
            raise OutboundError(
                "redirect_refused", f"The answer redirects to a refused URL. {error.sentence}"
            ) from None
        if source.scheme == "https" and target.scheme == "http":
            raise OutboundError("redirect_refused", "The answer redirects from https to plain http")
        if target.origin == source.origin:
            return target, sent
        return target, Headers([(name, value) for name, value in sent.multi_items() if name in _CROSS_ORIGIN_HEADERS])


@contextmanager
def counted(method: str) -> Iterator[None]:
    """Measure the call inside, and trace it where somebody traces; not its address, which may hold anything."""
    began = perf_counter()
    outcome = "failed"
    try:
        with tracing.span(f"{method} upstream", {"http.request.method": method}):
            yield
        outcome = "answered"
    except OutboundError as error:
        outcome = error.code
        raise
    finally:
        UPSTREAM_CALLS.add(outcome)
        UPSTREAM_SECONDS.observe(perf_counter() - began)


def _headers(headers: HeaderInput | None) -> Headers:
    items = [] if headers is None else list(headers.items() if isinstance(headers, Mapping) else headers)
    try:
        return Headers([(name, value) for name, value in items if name.lower() not in _OWN_HEADERS])
    except UnicodeEncodeError:
        raise OutboundError("missing_configuration", _UNSENDABLE) from None


def _request(
    method: str, target: Target, headers: Headers, content: Content, connect: float, seconds: float | None = None
) -> Request:
    """`seconds` bounds each reading and writing, where no deadline covers the whole."""
    raw: list[tuple[bytes, bytes]] = [(b"Host", target.authority.encode("ascii"))]
    for name, default in _USUAL_HEADERS:
        if name not in headers:
            raw.append((name.encode("ascii"), default))
    raw += headers.raw
    if isinstance(content, bytes):
        raw.append((b"Content-Length", b"%d" % len(content)))
    elif content is not None:
        raw.append((b"Transfer-Encoding", b"chunked"))
    elif method in {"POST", "PUT", "PATCH"}:
        raw.append((b"Content-Length", b"0"))
    try:
        return Request(method, head_of(method, target.path, raw), content, connect, seconds)
    except ValueError:
        raise OutboundError("missing_configuration", _UNSENDABLE) from None


async def _read(answer: OutboundExchange, headers: Headers, max_bytes: int) -> bytes:
    if (declared_length(headers) or 0) > max_bytes:
        _too_large()
    decoder = Decoder(headers.get("content-encoding", "identity"))
    body, fairness = bytearray(), Fairness()
    async with aclosing(_chunks(answer)) as chunks:
        async for chunk in chunks:
            for piece in decoder.pieces(chunk):
                body += piece
                if len(body) > max_bytes:
                    _too_large()
                await fairness.pause()
    if body:
        decoder.end()
    return bytes(body)


async def _chunks(answer: OutboundExchange) -> AsyncGenerator[bytes]:
    """The body as it comes over the wire."""
    while True:
        for chunk in answer.take():
            yield chunk
        if answer.is_complete:
            return
        await answer.more()


_HTTPCORE_ERRORS = (httpcore2.TimeoutException, httpcore2.NetworkError, ssl.SSLError)


_UNTRUSTED = "The certificate is not from an authority that is trusted here"
_CERTIFICATE = {
    9: "The certificate is not valid yet",
    10: "The certificate has expired",
    62: "The certificate is for another host name",
    64: "The certificate is for another address",
}
"""By OpenSSL's verification result; its own texts contain the host."""


def _explain(error: Exception) -> OutboundError:
    """The diagnosis of a transport error. Its argument is what TLS said."""
    cause = error if isinstance(error, ssl.SSLError) else next(iter(error.args), None)
    if isinstance(error, httpcore2.TimeoutException):
        return OutboundError("timeout", "The other side did not answer in time")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return OutboundError("tls_failure", _CERTIFICATE.get(cause.verify_code, _UNTRUSTED))
    if isinstance(cause, ssl.SSLError):
        return OutboundError("tls_failure", "No secure connection could be made: the TLS handshake failed")
    return OutboundError("endpoint_unreachable", "The other side refused or dropped the connection")


def _check_status(status: int) -> None:
    """RFC 9110 section 15: three digits, the first of them from 1 to 5; a final answer begins with 2."""
    if not 200 <= status <= 599:
        raise OutboundError("malformed_response", "The answer has a status that HTTP does not know")


def _has_no_end(headers: Headers) -> bool:
    """HTML standard, section 9.2: server-sent events go on for as long as both sides like."""
    return media_type_of(headers.get("content-type", "")) == "text/event-stream"


def _too_large() -> NoReturn:
    raise OutboundError("response_too_large", "The answer is larger than is read here")

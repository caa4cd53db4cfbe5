"""A call through a connection, with the credential put in by the server (contract section 3, `…/proxy/{path}`).

The caller chooses path, query, headers and body; where it goes and what it is sent with is the connection's. Bodies
stream both ways. A provider that refuses a token (401) is asked once more with a refreshed one, if the body was small
enough to be kept.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import SELF_GRANTED
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.health.diagnosis import Diagnoses
from drio_mcp.connections.health.probes import UNKNOWN_PLACE, Subject
from drio_mcp.connections.health.validation import Validation
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor, Event, record_use
from drio_mcp.connections.upstream.credentials import Credential, Credentials, require_usable
from drio_mcp.connections.use.expired_tokens import LARGEST, may_say_so, says_so
from drio_mcp.connections.use.masking import Mask
from drio_mcp.connections.use.proxy_headers import request_headers, response_headers
from drio_mcp.connections.use.proxy_path import proxied_url
from drio_mcp.connections.use.wider_scopes import WiderScopes, named_scopes
from drio_mcp.errors import DrioError, PayloadTooLarge
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret
from drio_mcp.outbound import OutboundError, Purpose, StreamedResponse
from drio_mcp.outside import read_number
from drio_mcp.store import Transaction, upstreams

KEPT_BYTES = 1024 * 1024
"""Up to here a body is kept, so that it can be sent a second time."""
SIGNED_BYTES = 10 * 1024 * 1024
"""The same where a signature covers the body."""
MAX_REQUEST_BYTES = 64 * 1024 * 1024
MAX_ANSWER_BYTES = 256 * 1024 * 1024
STATUSES = range(200, 600)
"""RFC 9110 section 15: what is outside cannot be passed on."""
NO_STATUS = "The provider answered with a status that HTTP does not have"
HEAD_SECONDS = 60.0
IDLE_SECONDS = 60.0
LIFETIME_SECONDS = 900.0


class BadGateway(DrioError):
    """The provider could not be reached, or its answer was none. `details` are the diagnosis."""

    code = "unavailable"
    status: ClassVar[int] = 502


class ProviderUnavailable(BadGateway):
    """The provider says that it cannot answer now."""

    status = 503


class GatewayTimeout(BadGateway):
    """The provider did not answer in time."""

    status = 504


FAILURES: dict[Code, type[BadGateway]] = {
    Code.TIMEOUT: GatewayTimeout,
    Code.RATE_LIMITED: ProviderUnavailable,
    Code.PROVIDER_OUTAGE: ProviderUnavailable,
    Code.DNS_FAILURE: BadGateway,
    Code.TLS_FAILURE: BadGateway,
    Code.ENDPOINT_UNREACHABLE: BadGateway,
    Code.ADDRESS_BLOCKED: BadGateway,
    Code.REDIRECT_REFUSED: BadGateway,
    Code.RESPONSE_TOO_LARGE: BadGateway,
    Code.MALFORMED_RESPONSE: BadGateway,
}
"""What fails on the way to the provider. All else is the connection's own state: 409."""


@dataclass(frozen=True, slots=True)
class ProxiedCall:
    """What is to be passed on. `path` is without the slash before it; path and query are as sent, still encoded."""

    method: str
    path: str
    query: str
    headers: Sequence[tuple[str, str]]
    body: AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class ProviderResponse:
    """The provider's answer, as it is handed back."""

    status: int
    headers: Sequence[tuple[str, str]]
    chunks: AsyncIterator[bytes]
    challenges: Sequence[str] = ()
    """Its `WWW-Authenticate`, which is not handed back: it asks for the credential that we hold."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What one look at the connection gave; `fault` is why it cannot be used."""

    subject: Subject
    url: str = ""
    credential: Credential | None = None
    fault: Fault | None = None

    @property
    def is_untold(self) -> bool:
        """Whether the address is not known because the provider tells it with the first token (`instance_url`)."""
        is_unknown = self.fault is not None and self.fault.sentence == UNKNOWN_PLACE
        return is_unknown and self.subject.kind in SELF_GRANTED


@dataclass(frozen=True, slots=True)
class ProxiedAnswer:
    """The provider's answer, looked at as far as it takes to tell whether the token has run out."""

    response: StreamedResponse
    is_expired: bool
    begun: bytes = b""
    rest: AsyncIterator[bytes] | None = None

    @classmethod
    async def of(cls, response: StreamedResponse) -> "ProxiedAnswer":
        if response.status == 401:
            return cls(response, is_expired=True)
        if not may_say_so(response.status, response.headers):
            return cls(response, is_expired=False)
        begun, rest = b"", aiter(response.chunks())
        async for chunk in rest:
            begun += chunk
            if len(begun) > LARGEST:
                break
        return cls(response, says_so(response.status, begun), begun, rest)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, whole."""
        if self.begun:
            yield self.begun
        async for chunk in self.rest or self.response.chunks():
            yield chunk

    @property
    def status(self) -> int:
        return self.response.status


class Proxy:
    """Makes calls through connections."""

    def __init__(
        self,
        foundations: Foundations,
        providers: Providers,
        credentials: Credentials,
        validation: Validation,
        diagnoses: Diagnoses,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._outbound = foundations.outbound.for_purpose(Purpose.PROXY)
        self._providers = providers
        self._credentials = credentials
        self._validation = validation
        self._diagnoses = diagnoses
        self._wider_scopes = WiderScopes(foundations.db, foundations.clock)

    @asynccontextmanager
    async def call(
        self, actor: Actor, app_id: str, id_or_key: str, call: ProxiedCall, *, is_noted: bool = True
    ) -> AsyncIterator[ProviderResponse]:
        """Pass the call on; the answer's body comes while the block is open.

        With `is_noted` false the history is the caller's to write.

        Raises `NotFound`, `BadRequest` for a path that leads elsewhere, `PayloadTooLarge`, `Conflict` for a connection
        that cannot be used and `BadGateway` and its kinds for one that cannot be reached, both with a diagnosis.
        """
        opened = await self._db.read(self._open, actor, app_id, id_or_key, call)
        subject = opened.subject
        try:
            if opened.is_untold:
                await self._credentials.token_refresh.access_token(subject.connection.id)
                opened = await self._db.read(self._open, actor, app_id, id_or_key, call)
            async with self._send(opened, call) as (answer, credential):
                if answer.status not in STATUSES:
                    raise Fault(Code.MALFORMED_RESPONSE, NO_STATUS)
                await self._note(actor, subject.connection, answer.response, is_noted)
                yield _passed(answer, credential)
        except Fault as error:
            raise await self._failure(actor, subject.connection, error, is_noted) from None
        except OutboundError as error:
            failure = Fault(Code(error.code), error.sentence)
            raise await self._failure(actor, subject.connection, failure, is_noted) from None

    @asynccontextmanager
    async def _send(self, opened: Opened, call: ProxiedCall) -> AsyncIterator[tuple[ProxiedAnswer, Credential]]:
        """The answer; where that says that the token has run out, the answer to a second call with a refreshed one."""
        if opened.fault is not None:
            raise opened.fault
        connection, url = opened.subject.connection, opened.url
        credential = opened.credential or await self._credentials.get(connection, origin_of(url))
        kept_bytes = SIGNED_BYTES if credential.signer is not None else KEPT_BYTES
        body = await Body.of(call.body, kept_bytes)
        async with self._stream(call, url, credential, body) as (answer, values):
            credential = replace(credential, values=values)
            looked_at = await ProxiedAnswer.of(answer)
            if not await self._is_worth_another(connection, credential, looked_at) or body.is_spent:
                yield looked_at, credential
                return
        credential = await self._credentials.get(connection, origin_of(url))
        async with self._stream(call, url, credential, body) as (answer, values):
            credential = replace(credential, values=values)
            looked_at = await ProxiedAnswer.of(answer)
            if not looked_at.is_expired:
                self._credentials.accepted(connection)
            yield looked_at, credential

    async def _is_worth_another(self, connection: Connection, credential: Credential, answer: ProxiedAnswer) -> bool:
        """Whether the API refused the token, and there is a new one now. Raises `Fault`."""
        if not answer.is_expired:
            self._credentials.accepted(connection)
            return False
        return await self._credentials.refresh(connection, credential)

    @asynccontextmanager
    async def _stream(
        self, call: ProxiedCall, url: str, credential: Credential, body: "Body"
    ) -> AsyncIterator[tuple[StreamedResponse, tuple[Secret, ...]]]:
        """The answer, and what must not be seen in it."""
        own = credential.header_pairs()
        headers = request_headers(call.headers, own, credential.usual, credential.header_names)
        if credential.signer is not None and body.is_through and credential.signer.needs_body(_type_of(headers)):
            raise PayloadTooLarge(f"A body that is signed is at most {SIGNED_BYTES // 1024 // 1024} MiB long")
        sent = credential.signed(call.method, credential.address(url), headers, body.kept)
        async with self._outbound.stream(
            call.method,
            sent.url,
            headers=sent.headers,
            content=body.content(),
            max_bytes=MAX_ANSWER_BYTES,
            timeout=HEAD_SECONDS,
            idle_timeout=IDLE_SECONDS,
            lifetime=LIFETIME_SECONDS,
        ) as answer:
            length = read_number(answer.headers.get("content-length"), most=1 << 60) or 0
            if length > MAX_ANSWER_BYTES and call.method != "HEAD":
                raise OutboundError("response_too_large", "The answer is larger than is passed on")
            yield answer, sent.values

    def _open(self, tx: Transaction, actor: Actor, app_id: str, id_or_key: str, call: ProxiedCall) -> Opened:
        """Everything that the call needs, in one look; without a credential where a token must be refreshed first."""
        connection = repository.get(tx, actor.user_id, app_id, id_or_key)
        facts = self._providers.find(connection.row.provider_key)
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        subject = Subject(connection, facts, upstream, connection.origins(self._providers))
        try:
            require_usable(connection)
            if subject.base_url is None:
                raise Fault(Code.MISSING_CONFIGURATION, UNKNOWN_PLACE)
            url = proxied_url(subject.base_url, call.path, call.query)
            return Opened(subject, url, self._credentials.within(tx, connection, origin_of(url)))
        except Fault as error:
            return Opened(subject, fault=error)

    async def _note(self, actor: Actor, connection: Connection, answer: StreamedResponse, is_noted: bool) -> None:
        """Count the use. One that was refused lets the connection be looked at soon, and one for which it may too
        little says what its next consent has to ask for."""
        status = answer.status
        outcome = "ok" if status < 400 else f"status {status}"
        is_doubted = status in {401, 403}
        lacking = named_scopes(answer.headers.get_list("www-authenticate")) if is_doubted else ()
        await self._record(actor, connection, outcome if is_noted else None, is_doubted=is_doubted, lacking=lacking)

    async def _failure(self, actor: Actor, connection: Connection, error: Fault, is_noted: bool) -> DrioError:
        await self._record(actor, connection, error.code if is_noted else None)
        return await told_failure(self._diagnoses, actor, connection, error)

    async def _record(
        self,
        actor: Actor,
        connection: Connection,
        outcome: str | None,
        *,
        is_doubted: bool = False,
        lacking: Sequence[str] = (),
    ) -> None:
        now, row = self._clock.now(), connection.row

        def note(tx: Transaction) -> None:
            if outcome is not None:
                record_use(tx, actor, row.app_id, row.id, Event.USED, now, outcome=outcome)
            if lacking:
                self._wider_scopes.add(tx, row.id, lacking, "The API")
            if is_doubted:
                self._validation.doubt(tx, row.id, now)

        if outcome is not None or is_doubted:
            await self._db.write(note)


async def told_failure(diagnoses: Diagnoses, actor: Actor, connection: Connection, error: Fault) -> DrioError:
    """A use that failed, as its caller is told: is the way at fault, or the connection? With the diagnosis."""
    kind = FAILURES.get(error.code) if error.retry_after is None else None  # else it is the token that was not got
    if kind is None:
        return await diagnoses.refusal(actor, connection, error)
    diagnosis = await diagnoses.of(actor, connection, error)
    return kind(error.sentence, details=diagnosis.model_dump(mode="json"), next_step=diagnosis.next_step)


class Body:
    """A request's body: kept while it is small, else passed through once."""

    def __init__(self, kept: bytes | None, rest: AsyncIterator[bytes] | None) -> None:
        self._beginning = kept
        self._rest = rest
        self.is_spent = False

    @classmethod
    async def of(cls, chunks: AsyncIterator[bytes] | None, most: int = KEPT_BYTES) -> "Body":
        """The body, read as far as it would be kept."""
        if chunks is None:
            return cls(None, None)
        kept = b""
        async for chunk in chunks:
            kept += chunk
            if len(kept) > most:
                return cls(kept, chunks)
        return cls(kept, None)

    @property
    def is_through(self) -> bool:
        """Whether it is passed through without being kept whole."""
        return self._rest is not None

    @property
    def kept(self) -> bytes | None:
        """The whole body, empty where there is none; None for one that is passed through."""
        return None if self.is_through else self._beginning or b""

    def content(self) -> bytes | AsyncIterator[bytes] | None:
        """What to send now. A body that is passed through can be sent once."""
        if self._rest is None:
            return self._beginning
        self.is_spent = True
        return self._through()

    async def _through(self) -> AsyncIterator[bytes]:
        assert self._beginning is not None
        assert self._rest is not None
        length = len(self._beginning)
        yield self._beginning
        async for chunk in self._rest:
            length += len(chunk)
            if length > MAX_REQUEST_BYTES:
                raise PayloadTooLarge(f"The body is larger than {MAX_REQUEST_BYTES // 1024 // 1024} MiB")
            yield chunk


def _type_of(headers: Sequence[tuple[str, str]]) -> str:
    return next((value for name, value in headers if name.lower() == "content-type"), "")


def _passed(answer: ProxiedAnswer, credential: Credential) -> ProviderResponse:
    mask = Mask(credential.values)
    response = answer.response
    url = response.url.partition("?")[0]  # the query may hold the credential
    headers = [(n, mask.text(v)) for n, v in response_headers(response.headers.multi_items(), url)]
    challenges = [mask.text(each) for each in response.headers.get_list("www-authenticate")]
    return ProviderResponse(answer.status, headers, mask.stream(answer.chunks()), challenges)

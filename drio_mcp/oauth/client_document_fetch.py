"""Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): clients named by an https URL.

The URL is the client's identity and its host vouches for what stands there, so the document is fetched with great
care: only from public addresses, without redirects, small, quickly, seldom. The last good copy serves while the host
fails, and says so; for some clients it comes with the program (`known_documents`).
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

from drio_mcp.clock import DAY, HOUR, MINUTE, SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.oauth.client_document import (
    ClientDocument,
    ClientDocumentError,
    ClientDocumentUnreachable,
    check_client_id,
    check_jwks,
    read_document,
)
from drio_mcp.oauth.http_cache import lifetime
from drio_mcp.oauth.known_documents import known_document
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse, parse_target
from drio_mcp.outside import media_type_of, read_json
from drio_mcp.store import client_documents, throttle
from drio_mcp.store.client_documents import ClientDocumentRow
from drio_mcp.store.database import Database, Transaction

T = TypeVar("T")

MAX_BYTES = 5 * 1024
MAX_KEYS_BYTES = 64 * 1024
TIMEOUT = 5.0
RETRY_AFTER = 2 * MINUTE
"""How long a failing host of a known document is left alone."""
REFUSED_FOR = 30 * SECOND
"""How long an unknown document that was refused is refused again without asking its host."""
KEYS_AT_MOST_EVERY = MINUTE
"""How often a signature by an unknown key may make us fetch the key set again."""
LONGEST_OUTAGE = 30 * DAY
MAX_DOCUMENTS = 5_000
MAX_REFUSALS = 1_000
WINDOW = 10 * MINUTE
FETCHES_OF_ONE = 20
"""First fetches per `WINDOW` for one asking network: anybody can name any URL to the authorization endpoint, and must
gain no request amplifier by it. Known documents do not count: each is fetched at most once per shortest lifetime."""
OWN_SHARE = 2
"""Of these, so many at each host whatever others asked for: nobody's junk locks out somebody else's client, and a
network could have sent that many requests to the host itself."""
FETCHES_PER_HOST = 20
FETCHES_IN_ALL = 600
"""Beyond their own share, all networks together."""
TOO_MANY = "Too many metadata documents are being asked for; try again in some minutes"
OFF = (
    "This server takes no client metadata documents. Connect the client anew, so that it registers itself, or let "
    "whoever runs this server enter it with drio-mcp clients create"
)

_WITHDRAWN = "The client has withdrawn its metadata document"


class MetadataDocuments:
    """The documents of clients, from the store or from their hosts."""

    def __init__(self, db: Database, clock: Clock, outbound: Outbound, settings: Settings) -> None:
        self._db = db
        self._clock = clock
        self._outbound = outbound
        self._flights: dict[str, asyncio.Task[Any]] = {}
        self._refusals: OrderedDict[str, tuple[int, ClientDocumentError]] = OrderedDict()
        self._is_on = settings.client_documents == "on"

    async def fetch(self, client_id: str, asker: str = "") -> ClientDocument:
        """The document of `client_id`, at most as old as its host allows, or else with its `problem`.

        `asker` is the network that the request comes from. Raises `ClientDocumentError` when there is none that could
        be used.
        """
        check_client_id(client_id)
        now = self._clock.now()
        row = await self._db.read(client_documents.find, client_id)
        if not self._is_on:
            return self._without_fetching(client_id, row, now)
        if row is None:
            try:
                self._raise_known_refusal(client_id, now)
                if not await self._db.write(_admit, parse_target(client_id).host, asker, now):
                    raise ClientDocumentUnreachable(TOO_MANY)
                return await self._share(client_id, partial(self._fetch_first, client_id))
            except ClientDocumentUnreachable as error:
                known = known_document(client_id, f"{error.message}. A copy that came with this server is used instead")
                if known is None:
                    raise
                return known
        if now - row.used_at > HOUR:
            await self._db.write(client_documents.use, client_id, now)
        if now < row.fresh_until:
            return self._copy(row, now, row.failure)
        return await self._share(client_id, partial(self._fetch_again, row))

    async def is_stored(self, client_id: str) -> bool:
        """Whether the document was read before, so that naming it makes us ask nobody new."""
        return await self._db.read(client_documents.find, client_id) is not None

    def _without_fetching(self, client_id: str, row: ClientDocumentRow | None, now: int) -> ClientDocument:
        """Where documents are switched off: who came in by one before stays in, and well-known clients are known."""
        document = known_document(client_id) if row is None else self._copy(row, now, None)
        if document is None:
            raise ClientDocumentError(OFF)
        return document

    async def keys(self, document: ClientDocument, kid: str | None = None) -> Mapping[str, Any]:
        """The JSON Web Key Set (RFC 7517) by which the client signs; `kid` unknown so far makes it look again.

        Raises `ClientDocumentError`.
        """
        if document.jwks is not None:
            return document.jwks
        if document.jwks_uri is None:
            raise ClientDocumentError("The client's metadata document names no keys")
        now = self._clock.now()
        row = await self._db.read(client_documents.find, document.client_id)
        known = json.loads(row.jwks) if row is not None and row.jwks is not None else None
        if row is not None and now < (row.jwks_fresh_until or 0):
            is_missing = known is None or (kid is not None and kid not in {key.get("kid") for key in known["keys"]})
            if not is_missing or now - (row.jwks_fetched_at or 0) < KEYS_AT_MOST_EVERY:
                return _present(known)
        if not self._is_on:
            return _present(known)
        return await self._share(f"{document.client_id} keys", partial(self._fetch_keys, document, known))

    async def _fetch_first(self, client_id: str) -> ClientDocument:
        now = self._clock.now()
        try:
            response = await self._get(client_id)
            document = read_document(client_id, _json(response), now)
        except ClientDocumentError as error:
            self._remember_refusal(client_id, error, now)
            raise
        await self._keep(client_id, _text(response), response, now)
        return document

    async def _fetch_again(self, row: ClientDocumentRow) -> ClientDocument:
        now = self._clock.now()
        try:
            response = await self._get(row.client_id, row.etag)
        except ClientDocumentError as error:
            return await self._outlive(row, error, now)
        if response.status in {404, 410}:
            await self._db.write(client_documents.delete, row.client_id)
            withdrawn = ClientDocumentError(_WITHDRAWN)
            self._remember_refusal(row.client_id, withdrawn, now)
            raise withdrawn
        if response.status == 304:  # RFC 9110 section 15.4.5: the copy is still the present one
            await self._keep(row.client_id, row.body, response, now)
            return read_document(row.client_id, json.loads(row.body), now)
        try:
            document = read_document(row.client_id, _json(response), now)
        except ClientDocumentError as error:
            return await self._outlive(row, error, now)
        await self._keep(row.client_id, _text(response), response, now)
        return document

    async def _outlive(self, row: ClientDocumentRow, error: ClientDocumentError, now: int) -> ClientDocument:
        """The last good copy in place of the failure; the host is left alone for a while."""
        await self._db.write(client_documents.fail, row.client_id, error.message, now + RETRY_AFTER)
        return self._copy(row, now, error.message)

    def _copy(self, row: ClientDocumentRow, now: int, failure: str | None) -> ClientDocument:
        """The stored copy, with the reason why there is no newer one. Raises when that has been so for too long."""
        if failure is not None and now - row.fetched_at > LONGEST_OUTAGE:
            raise ClientDocumentError(failure)
        return read_document(row.client_id, json.loads(row.body), row.fetched_at, failure)

    async def _fetch_keys(self, document: ClientDocument, known: Mapping[str, Any] | None) -> Mapping[str, Any]:
        assert document.jwks_uri is not None
        now = self._clock.now()
        try:
            response = await self._get(document.jwks_uri, max_bytes=MAX_KEYS_BYTES)
            keys = check_jwks(_json(response))
        except ClientDocumentError:
            await self._db.write(client_documents.delay_keys, document.client_id, now, now + RETRY_AFTER)
            return _present(known)
        fresh_until = now + lifetime(response.headers)
        await self._db.write(client_documents.keep_keys, document.client_id, json.dumps(keys), now, fresh_until)
        return keys

    async def _get(self, url: str, etag: str | None = None, max_bytes: int = MAX_BYTES) -> OutboundResponse:
        headers = {"Accept": "application/json"} | ({"If-None-Match": etag} if etag else {})
        try:
            return await self._outbound.request("GET", url, headers=headers, max_bytes=max_bytes, timeout=TIMEOUT)
        except OutboundError as error:
            raise ClientDocumentUnreachable(f"The client's metadata could not be fetched. {error.sentence}") from None

    async def _keep(self, client_id: str, body: str, response: OutboundResponse, now: int) -> None:
        etag, fresh_until = response.headers.get("etag"), now + lifetime(response.headers)
        await self._db.write(client_documents.keep, client_id, body, etag, now, fresh_until, MAX_DOCUMENTS)

    def _remember_refusal(self, client_id: str, error: ClientDocumentError, now: int) -> None:
        self._refusals[client_id] = (now + REFUSED_FOR, error)
        while len(self._refusals) > MAX_REFUSALS:
            self._refusals.popitem(last=False)

    def _raise_known_refusal(self, client_id: str, now: int) -> None:
        until, error = self._refusals.get(client_id, (0, None))
        if error is not None and now < until:
            raise type(error)(error.message)

    async def _share(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Let everybody who waits for the same thing wait for one fetch, which goes on when one of them leaves."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.create_task(work())
            flight.add_done_callback(partial(self._land, key))
        result: T = await asyncio.shield(flight)
        return result

    def _land(self, key: str, flight: asyncio.Task[Any]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # taken note of, so that it is not reported where nobody waited to the end


def _admit(tx: Transaction, host: str, asker: str, now: int) -> bool:
    """Count a first fetch, and tell whether it may be made: first by who asks, then by whom it is asked of."""
    if throttle.hit(tx, "client-document-asker", asker, now, WINDOW) > FETCHES_OF_ONE:
        return False
    if throttle.hit(tx, "client-document-share", f"{asker} {host}", now, WINDOW) <= OWN_SHARE:
        return True
    per_host = throttle.hit(tx, "client-document-host", host, now, WINDOW)
    return per_host <= FETCHES_PER_HOST and throttle.hit(tx, "client-document", "all", now, WINDOW) <= FETCHES_IN_ALL


def _json(response: OutboundResponse) -> Any:
    if response.status in {404, 410}:
        raise ClientDocumentError(f"The client's host answered {response.status} in place of its metadata")
    if response.status != 200:
        raise ClientDocumentUnreachable(f"The client's host answered {response.status} in place of its metadata")
    media_type = media_type_of(response.headers.get("content-type", ""))
    if media_type != "application/json" and not (
        media_type.startswith("application/") and media_type.endswith("+json")
    ):
        raise ClientDocumentUnreachable("The client's host answered with something that is not JSON")
    try:
        return read_json(_text(response))
    except ValueError:
        raise ClientDocumentError("The client's host answered with something that is not JSON") from None


def _text(response: OutboundResponse) -> str:
    """The body in UTF-8 (RFC 8259 section 8.1), which is the encoding of JSON and of both databases."""
    try:
        return response.body.decode("utf-8-sig")
    except ValueError:
        raise ClientDocumentError("The client's host answered with something that is not JSON") from None


def _present(keys: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if keys is None:
        raise ClientDocumentError("The client's key set could not be fetched")
    return keys

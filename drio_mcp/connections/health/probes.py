"""The cheapest call without effect that shows whether a connection's credential works, and what it said.

What is most telling is asked: an MCP server for its tools, a known provider by the catalog's probe, an authorization
server for the token itself (RFC 7662) or its person (OpenID Connect Core section 5.3), and else the API's own address.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from drio_mcp.clock import HOUR, LATEST, SECOND, Clock
from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.providers import ProviderFacts
from drio_mcp.connections.catalog.schema import ErrorWord
from drio_mcp.connections.catalog.variables import values_of
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.health.verdicts import Verdict, judge
from drio_mcp.connections.record.answers import DiagnosisEvidence
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.credentials import Credential
from drio_mcp.connections.upstream.mcp.former_transport import FormerTransport
from drio_mcp.connections.upstream.mcp.servers import ConnectedServer, McpServers
from drio_mcp.connections.upstream.mcp.tools import LeftOut
from drio_mcp.connections.upstream.mcp.wire import Refused, RpcError
from drio_mcp.connections.upstream.provider_rules import RULED
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint
from drio_mcp.outbound import Outbound, OutboundError, OutboundResponse, Purpose
from drio_mcp.outbound.headers import Headers
from drio_mcp.outbound.shares import counted_as, current_caller
from drio_mcp.outside import read_number
from drio_mcp.store.upstreams import UpstreamRow

SECONDS = 10.0
REFUSED = frozenset({Code.KEY_REJECTED, Code.PERMISSION_DENIED})
MOST_REMEMBERED = 10_000
"""Requests of which it is known that they are refused without a credential."""
UNKNOWN_PLACE = "Nothing to check against: config.apiBaseUrl should name the API's address"


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at: the connection, what is known of its provider, and its token endpoint where it has one."""

    connection: Connection
    facts: ProviderFacts | None
    upstream: UpstreamRow | None
    origins: frozenset[str]
    endpoint: UpstreamTokenEndpoint | None = None
    server: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> ConfigType:
        return ConfigType(self.connection.config["type"])

    @property
    def is_mcp(self) -> bool:
        """Whether there is an MCP server behind the connection: by its type, its provider, or what was found there."""
        if self.kind is ConfigType.MCP_OAUTH or self.connection.row.provider_key == "custom-mcp":
            return True
        if self.upstream is not None and self.upstream.is_mcp:
            return True
        entry = self.facts.entry if self.facts is not None else None
        known = entry.mcp_server_url if entry is not None else None
        return known is not None and known.rstrip("/") in {each.rstrip("/") for each in self._named_addresses}

    @property
    def mcp_url(self) -> str | None:
        """The address of its MCP server: the target that was connected, else the whole `apiBaseUrl`."""
        return next(iter(self._named_addresses), None) if self.is_mcp else None

    @property
    def _named_addresses(self) -> list[str]:
        target = self.upstream.target if self.upstream is not None else None
        return [each for each in (target, self.connection.config.get("api_base_url")) if each is not None]

    @property
    def base_url(self) -> str | None:
        """Where calls through the connection go (contract section 3)."""
        config, is_ruled = self.connection.config, self.facts is not None and self.kind in RULED
        base: str | None = self.facts.base_url_at(config) if self.facts and is_ruled else config.get("api_base_url")
        if base is None and self.facts is not None and is_ruled and self.facts.has_base_url(config):
            return None  # a part of it is told with the tokens
        if base is None and self.upstream is not None and self.upstream.target is not None:
            base = origin_of(self.upstream.target)
        if base is None and self.facts is not None and self.facts.origins:
            base = self.facts.origins[0]
        return base


@dataclass(frozen=True, slots=True)
class Probe:
    """One request. `is_api` is false for an address that may be anything, `evidence_of` says what it is."""

    method: str
    url: str
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    is_api: bool = True
    words: tuple[ErrorWord, ...] = ()
    """The words of this API's errors, by the catalog."""
    service: str | None = None
    """For which service it is signed, by the catalog."""
    connection_id: str = ""
    """Whose MCP server it is, where it is one: the list that is seen here is the one that is served."""

    @property
    def origin(self) -> str:
        return origin_of(self.url)


class Prober:
    """Sends probes. Never raises for what a provider does."""

    def __init__(self, outbound: Outbound, servers: McpServers, clock: Clock) -> None:
        self._outbound = outbound
        self._servers = servers
        self._clock = clock
        self._guarded: OrderedDict[tuple[str, str, bytes | None], int] = OrderedDict()
        """When each request was last refused without a credential: a matter of the API, not of the connection."""

    def choose(self, subject: Subject) -> Probe | None:
        """The request that tells most about the connection, or None where there is nothing to ask."""
        if subject.is_mcp:
            url = subject.mcp_url
            return None if url is None else Probe("MCP", url, "The MCP server", connection_id=subject.connection.id)
        found = self._catalog(subject) or self._userinfo(subject)
        if found is not None:
            return found
        base = subject.base_url
        if base is None:
            return None
        return Probe("GET", base, "The API's address", {"Accept": "application/json, */*;q=0.5"}, is_api=False)

    async def send(self, probe: Probe, credential: Credential) -> tuple[Verdict, DiagnosisEvidence]:
        """Ask, and judge the answer."""
        lacking: tuple[LeftOut, ...] = ()
        answer: OutboundResponse | OutboundError | FormerTransport
        if probe.method == "MCP":
            answer, lacking = await self._list_tools(probe, credential)
        else:
            answer = await self._request(probe, credential)
        verdict = (
            judge(answer, probe.what, is_api=probe.is_api, words=probe.words)
            if isinstance(answer, OutboundResponse)
            else Verdict(Code(answer.code), answer.sentence)
        )
        if verdict.code is Code.OK and not verdict.is_proof and credential.values:
            verdict = await self._compare(probe, verdict)
        if verdict.code in REFUSED and not probe.is_api and credential.values and isinstance(answer, OutboundResponse):
            verdict = await self._refused_to_all(probe, answer, verdict)
        return replace(verdict, lacking=lacking), _evidence(probe, answer, verdict)

    async def _list_tools(
        self, probe: Probe, credential: Credential
    ) -> tuple[OutboundResponse | OutboundError | FormerTransport, tuple[LeftOut, ...]]:
        """Ask an MCP server for its tools, anew. The answer as HTTP would give it, and what the list lacks."""
        is_json = Headers({"content-type": "application/json"})
        try:
            with counted_as(Purpose.CHECK):  # the list is kept for tool calls; asking for it here is looking around
                listing = await self._servers.refresh(ConnectedServer(probe.connection_id, probe.url, credential))
        except FormerTransport as error:
            return error, ()
        except Refused as error:
            return error.response, ()
        except RpcError as error:
            body = json.dumps({"error": {"code": error.code, "message": error.message}}).encode()
            return OutboundResponse(200, is_json, body, probe.url), ()
        except OutboundError as error:
            return error, ()
        return OutboundResponse(200, is_json, b'{"result":{"tools":[]}}', probe.url), listing.lacking

    async def introspect(self, subject: Subject, token: str) -> tuple[Verdict, DiagnosisEvidence] | None:
        """Ask the authorization server about the token (RFC 7662); None where that tells nothing."""
        url, endpoint = subject.server.get("introspection_endpoint"), subject.endpoint
        if url is None or endpoint is None or not {origin_of(url)} <= subject.origins:
            return None
        if subject.connection.client is not None and origin_of(url) != endpoint.origin:
            return None  # a shared client's secret stays with its token endpoint's origin
        asked = replace(endpoint, url=url).request(None, endpoint.auth_methods[0], {"token": token})
        try:
            answer = await self._outbound.request(
                asked.method, asked.url, headers=asked.headers, content=asked.content, timeout=SECONDS
            )
            told = answer.json() if answer.status == 200 else None
        except OutboundError:
            return None
        if not isinstance(told, dict) or not isinstance(told.get("active"), bool):
            return None  # many servers answer resource servers only; that is no word about the token
        verdict = _introspected(told, subject)
        detail = (
            f"POST {shown(url)} (RFC 7662) answered {answer.status}: {'active' if told['active'] else 'not active'}"
        )
        result = "passed" if verdict.code is Code.OK else "failed"
        return verdict, DiagnosisEvidence(check="introspection", result=result, detail=detail)

    async def _request(self, probe: Probe, credential: Credential | None) -> OutboundResponse | OutboundError:
        own = [] if credential is None else credential.all_headers()
        url = probe.url if credential is None else credential.address(probe.url)
        if credential is not None and credential.values:
            url = templates.fill(url, {"access_token": quote(credential.values[0].reveal(), safe="")})
        headers = [*probe.headers.items(), *own]
        try:
            sent = (credential or Credential()).signed(probe.method, url, headers, probe.content or b"", probe.service)
            return await self._outbound.request(
                probe.method, sent.url, headers=sent.headers, content=probe.content, timeout=SECONDS
            )
        except OutboundError as error:
            return error

    async def _compare(self, probe: Probe, verdict: Verdict) -> Verdict:
        """The same request without the credential: if that is refused, the credential was what opened the door."""
        if await self._is_guarded(probe):
            return Verdict(Code.OK, f"{probe.what} refuses the request without the credential and takes it with it")
        return Verdict(
            Code.OK,
            f"{verdict.sentence}; it makes no difference between the request with and without the credential",
            is_proof=False,
        )

    async def _refused_to_all(self, probe: Probe, answer: OutboundResponse, verdict: Verdict) -> Verdict:
        """Of the root of an API: one that refuses everybody alike says nothing about the credential."""
        if urlsplit(probe.url).path not in {"", "/"}:
            return verdict
        other = await self._request(probe, None)
        is_alike = isinstance(other, OutboundResponse) and (other.status, other.body) == (answer.status, answer.body)
        if not is_alike:
            return verdict
        sentence = f"{probe.what} refuses everybody alike (status {answer.status}), so that nothing follows for the"
        return Verdict(Code.OK, f"{sentence} credential", is_proof=False)

    async def _is_guarded(self, probe: Probe) -> bool:
        """Whether the API refuses the request without a credential. Jobs ask that once an hour of each request, since
        many connections are of one API; a person who asks gets an answer of this moment."""
        request, now = (probe.method, probe.url, probe.content), self._clock.now()
        if current_caller().is_job and 0 <= now - self._guarded.get(request, -HOUR) < HOUR:
            return True
        answer = await self._request(probe, None)
        is_guarded = isinstance(answer, OutboundResponse) and answer.status in {401, 403}
        self._guarded.pop(request, None)
        if is_guarded:
            self._guarded[request] = now
            if len(self._guarded) > MOST_REMEMBERED:
                self._guarded.popitem(last=False)
        return is_guarded

    def _catalog(self, subject: Subject) -> Probe | None:
        if subject.facts is None or subject.facts.entry is None or subject.kind not in RULED:
            return None
        entry, config = subject.facts.entry, subject.connection.config
        values = values_of(entry, config) | {"access_token": "{access_token}"}  # filled in when it is sent
        url = templates.filled(entry.probe.url, values) if entry.probe is not None else None
        if entry.probe is None or url is None or origin_of(url) not in subject.origins:
            return None
        headers = {"Accept": "application/json"}
        content = None
        if entry.probe.method == "POST":
            content = (entry.probe.body or "{}").encode()
            headers["Content-Type"] = "application/json"
        what, words, service = f"{entry.name}'s API", entry.errors.api, entry.probe.service
        return Probe(entry.probe.method, url, what, headers, content, words=words, service=service)

    def _userinfo(self, subject: Subject) -> Probe | None:
        """OpenID Connect Core section 5.3.1; it asks for the scope `openid`, unless the provider has its own."""
        facts, config = subject.facts, subject.connection.config
        entry = facts.entry if facts is not None and subject.kind in RULED else None
        own = entry.userinfo_endpoint if entry is not None else None
        url = subject.server.get("userinfo_endpoint")
        if url is None and entry is not None and own is not None:
            url = templates.filled(own, values_of(entry, config))
        is_person = subject.kind is ConfigType.OAUTH and ("openid" in config.get("scopes", ()) or own is not None)
        if url is None or not is_person or origin_of(url) not in subject.origins:
            return None
        words = entry.errors.api if entry is not None else ()
        return Probe("GET", url, "The provider's userinfo endpoint", {"Accept": "application/json"}, words=words)


def shown(url: str) -> str:
    """An address as evidence shows it: without its query, which may hold anything."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))


def _evidence(
    probe: Probe, answer: OutboundResponse | OutboundError | FormerTransport, verdict: Verdict
) -> DiagnosisEvidence:
    asked = "tools/list" if probe.method == "MCP" else probe.method
    told = f"answered {answer.status}. {verdict.sentence}" if isinstance(answer, OutboundResponse) else verdict.sentence
    result = "passed" if verdict.code is Code.OK else "failed"
    return DiagnosisEvidence(check="probe", result=result, detail=f"{asked} {shown(probe.url)}: {told}")


def _introspected(told: Mapping[str, Any], subject: Subject) -> Verdict:
    if not told["active"]:
        return Verdict(Code.KEY_REJECTED, "The authorization server says that the token is not active")
    scope, ends = told.get("scope"), told.get("exp")
    scopes = tuple(scope.split()) if isinstance(scope, str) else None
    seconds = read_number(ends, most=LATEST // SECOND)
    expires_at = None if seconds is None else seconds * SECOND
    audience = told.get("aud")
    resource = subject.upstream.resource if subject.upstream is not None else None
    if resource is not None and audience:
        named = audience if isinstance(audience, list) else [audience]
        if resource.rstrip("/") not in {str(each).rstrip("/") for each in named}:
            return Verdict(Code.AUDIENCE_MISMATCH, "The token was issued for another resource than this connection's")
    return Verdict(Code.OK, "The authorization server says that the token is active", scopes, expires_at)

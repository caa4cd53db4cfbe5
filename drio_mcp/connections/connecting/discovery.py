"""From a URL to a plan: what stands there, and the best way to connect it (RFC 9728, RFC 8414, OpenID, OpenAPI).

What is most specific wins: the resource's own metadata, then the catalog, then an authorization server at the origin,
then an OpenAPI document, then the bare challenge. Where metadata lies and no other of its rank speaks true, the search
ends: to fall back to something weaker is what an attacker would want.
"""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from drio_mcp.config import Settings
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.catalog_lookup import ProviderHint
from drio_mcp.connections.connecting.default_endpoints import default_server
from drio_mcp.connections.connecting.moved_servers import another_issuer
from drio_mcp.connections.connecting.openapi_security import PLACES, ApiSecurity, is_openapi, read_security
from drio_mcp.connections.connecting.plan import ONE_CLICK, KeyScheme, Plan, PlanProblem, ServerMetadata, problem
from drio_mcp.connections.connecting.survey import Look, Survey
from drio_mcp.connections.connecting.well_known import (
    Unbelievable,
    check_resource,
    check_server,
    resource_metadata_urls,
    root_of,
    server_metadata_urls,
)
from drio_mcp.connections.connecting.www_authenticate import find_challenge
from drio_mcp.connections.diagnosis_codes import CODES
from drio_mcp.connections.record.answers import Method
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.mcp.former_transport import FormerTransport
from drio_mcp.outbound import Outbound, OutboundError
from drio_mcp.outside import join_url, read_url

SECONDS = 10.0
MAX_SERVERS = 3
NOT_SPOKEN = frozenset({"negotiate", "ntlm", "kerberos", "digest", "mutual", "hoba", "scram-sha-1", "scram-sha-256"})
"""Schemes of challenges (RFC 9110 section 11) for which no key that a person enters helps."""
_LIES = {"metadata_invalid", "issuer_mismatch"}
_DEAD = {"address_blocked", "dns_failure", "tls_failure", "endpoint_unreachable"}
"""Ends of a call after which there is no point in telling of the other paths of the same host."""


@dataclass(frozen=True, slots=True)
class _Resource:
    name: str
    scopes: tuple[str, ...]
    issuers: tuple[str, ...]


class Discoverer:
    """Finds out how a URL wants to be connected. It reads, and changes nothing anywhere."""

    def __init__(
        self,
        outbound: Outbound,
        settings: Settings,
        find_provider: Callable[[str], ProviderHint | None] = lambda url: None,
    ) -> None:
        self._outbound = outbound
        self._settings = settings
        self._find_provider = find_provider

    async def discover(self, target: str, *, seconds: float = SECONDS) -> Plan:
        """The plan for `target`, within `seconds`. Whatever stands there raises nothing: see the plan's problem."""
        url = target if "://" in target else f"https://{target}"
        try:
            url = self._outbound.check(url).url
        except OutboundError as error:
            return _nowhere(target, error)
        survey = Survey(self._outbound, seconds)
        first, resources, servers, descriptions = await self._look_around(survey, url)
        before: list[Look] = []
        if first.moved_to is not None:
            before, url = [first], first.moved_to
            first, resources, servers, descriptions = await self._look_around(survey, url)
        is_silent = all(look.status is None for look in (first, *resources, *servers))
        if first.code is not None and (first.code in _DEAD or is_silent):
            return _silent(url, [*before, first], problem(first.code, first.finding))
        # The first time the whole catalog is read for it.
        hint = await asyncio.to_thread(self._find_provider, url)
        search = _Search(self, survey, url, first, hint, before)
        return await search.decide(resources, servers, descriptions)

    async def _look_around(self, survey: Survey, url: str) -> tuple[Look, list[Look], list[Look], list[Look]]:
        """Everything that can be asked at once: the URL with the metadata it names, and the usual places."""
        usual = [survey.document(each, "resource metadata") for each in resource_metadata_urls(url)]
        servers = [survey.document(each, "server metadata") for each in server_metadata_urls(root_of(url))]
        places = [survey.document(root_of(url) + each, "OpenAPI document") for each in PLACES]
        (first, named), looks = await asyncio.gather(
            _look_at_target(survey, url), asyncio.gather(*usual, *servers, *places)
        )
        after_usual, after_servers = len(usual), len(usual) + len(servers)
        resources = [*named, *(look for look in looks[:after_usual] if look.url not in {each.url for each in named})]
        descriptions = [look for look in [first, *looks[after_servers:]] if is_openapi(look.document)]
        return first, resources, looks[after_usual:after_servers], descriptions

    async def another_issuer(self, connection: Connection, target: str | None, server: str) -> str | None:
        """The issuer that an MCP server names instead of the one that its connection uses; None where it does not."""
        return await another_issuer(self._outbound, connection, target, json.loads(server))

    def check_endpoint(self, url: str) -> object:
        """Raises `OutboundError` for an endpoint that could never be called."""
        return self._outbound.check(url)

    def can_be_fetched_by(self, issuer: str) -> bool:
        """Whether the authorization server can read our client metadata document: it is public, or on this computer."""
        if self._settings.is_loopback:
            parts = read_url(issuer)
            return parts is not None and parts.netloc in self._settings.outbound_allow
        return self._settings.is_https


class _Search:
    """One discovery from the looks to the plan."""

    def __init__(
        self,
        discoverer: Discoverer,
        survey: Survey,
        url: str,
        first: Look,
        hint: ProviderHint | None,
        before: Sequence[Look],
    ) -> None:
        self._discoverer = discoverer
        self._survey = survey
        self._url = url
        self._first = first
        self._hint = hint
        self._looks = [*before, first]

    async def decide(self, resources: list[Look], servers: list[Look], descriptions: list[Look]) -> Plan:
        if self._first.speaks_former_mcp:
            fault = PlanProblem(FormerTransport.code, FormerTransport.sentence, FormerTransport.next_step)
            plan = self._end(Method.PRESET, ConfigType.NONE)
            return replace(plan, problem=fault, takes_key=False, is_mcp=True)
        resource = self._believe_resource(resources)
        if resource is not None or self._lie is not None:
            return await self._protected(resource)
        if self._first.speaks_mcp and self._first.status != 401:
            return self._end(Method.PRESET, ConfigType.NONE, "No sign-in is needed")
        if self._hint is not None and not self._is_mcp:
            return self._from_catalog(self._hint)
        server = self._believe_server(servers, root_of(self._url))
        if server is None and self._hint is not None:
            return self._from_catalog(self._hint)
        if server is None and self._is_mcp and self._first.status == 401 and self._lie is None:
            seen, server = await default_server(self._survey, root_of(self._url))
            self._looks += seen
        if server is not None:
            return self._with_server(server, ConfigType.MCP_OAUTH if self._is_mcp else ConfigType.OAUTH)
        if self._lie is None:
            for look in descriptions:
                security = read_security(look.document, look.url)
                if security is not None:
                    self._note(look)
                    return await self._described(security)
        return self._bare()

    # The resource's own metadata

    def _believe_resource(self, looks: Sequence[Look]) -> _Resource | None:
        for look in looks:
            if look.document is None:
                self._note(look)
                continue
            try:
                name, issuers, scopes = check_resource(look.document, self._url)
            except Unbelievable as error:
                self._note(look.faulty(error.code, error.sentence))
                continue
            self._note(
                replace(look, finding=f"Protected resource with {len(issuers) or 'no named'} authorization server")
            )
            return _Resource(name, scopes, issuers or (root_of(self._url),))
        return None

    async def _protected(self, resource: _Resource | None) -> Plan:
        if resource is None:
            return self._end(Method.PRESET, ConfigType.MCP_OAUTH, _BY_HAND)
        challenge = find_challenge(self._first.challenges, "bearer")
        asked = challenge.parameters.get("scope", "").split() if challenge is not None else []
        scopes = tuple(asked) or resource.scopes
        usable: Plan | None = None
        for issuer in resource.issuers[:MAX_SERVERS]:
            server = await self._server_of(issuer)
            if server is None:
                continue
            plan = self._with_server(server, ConfigType.MCP_OAUTH, resource.name, scopes)
            if plan.problem is None and plan.method in ONE_CLICK:
                return plan
            if usable is None or (usable.problem is not None and plan.problem is None):
                usable = plan  # one at which a client is made by hand, where no other spares that
        if usable is not None:
            return replace(usable, evidence=tuple(look.evidence for look in self._looks))
        plan = self._end(Method.PRESET, ConfigType.MCP_OAUTH, _BY_HAND)
        if all(look.code is None for look in self._looks):
            fault = problem("metadata_invalid", "The resource names an authorization server that shows no metadata")
            plan = replace(plan, problem=fault)
        return replace(plan, resource=resource.name, scopes=scopes)

    # Authorization servers

    async def _server_of(self, issuer: str) -> ServerMetadata | None:
        urls = server_metadata_urls(issuer)
        looks = await asyncio.gather(*(self._survey.document(url, "server metadata") for url in urls))
        return self._believe_server(looks, issuer)

    def _believe_server(self, looks: Sequence[Look], issuer: str) -> ServerMetadata | None:
        for look in looks:
            if look.document is None:
                self._note(look)
                continue
            try:
                server = check_server(look.document, issuer, self._discoverer.check_endpoint)
            except Unbelievable as error:
                self._note(look.faulty(error.code, error.sentence))
                continue
            self._note(replace(look, finding=f"Authorization server that {_offers(server)}"))
            return server
        return None

    def _with_server(
        self,
        server: ServerMetadata,
        config_type: ConfigType,
        resource: str | None = None,
        scopes: tuple[str, ...] = (),
        method: Method | None = None,
    ) -> Plan:
        if server.unsupported is not None:
            fault = problem("unsupported_auth", f"The authorization server {server.unsupported}")
            return replace(self._end(Method.PRESET, config_type), resource=resource, scopes=scopes, problem=fault)
        if server.authorization_endpoint is None:
            return replace(
                self._end(Method.PRESET, ConfigType.OAUTH_CLIENT_CREDENTIALS, _OWN_CLIENT), server=server, scopes=scopes
            )
        chosen = method or self._method(server)
        hint_key = self._hint.key if self._hint is not None else None
        plan = self._end(chosen, config_type, *_STEPS[chosen])
        return replace(plan, server=server, resource=resource, scopes=scopes, provider_key=hint_key, problem=None)

    def _method(self, server: ServerMetadata) -> Method:
        """In the order that the MCP specification asks of clients."""
        if server.takes_metadata_documents and self._discoverer.can_be_fetched_by(server.issuer or ""):
            return Method.CLIENT_METADATA_DOCUMENT
        return Method.DYNAMIC_REGISTRATION if server.registration_endpoint is not None else Method.PRESET

    # Everything else

    def _from_catalog(self, hint: ProviderHint) -> Plan:
        step = _OWN_CLIENT if hint.config_type.startswith(ConfigType.OAUTH) else _ENTER_KEY
        plan = self._end(Method.PRESET, hint.config_type, f"The catalog knows this provider. {step}")
        return replace(
            plan,
            server=hint.server,
            key=hint.key_scheme,
            provider_key=hint.key,
            scopes=hint.scopes,
            api_base_url=hint.api_base_url,
            problem=None,
        )

    async def _described(self, security: ApiSecurity) -> Plan:
        server = security.server
        if security.openid_url is not None:
            issuer = security.openid_url.partition("/.well-known/")[0]
            look = await self._survey.document(security.openid_url, "server metadata")
            server = self._believe_server([look], issuer)
            if server is None:
                return self._end(Method.OPENAPI, ConfigType.OAUTH, _BY_HAND)
        if server is not None:
            plan = self._with_server(server, security.config_type, scopes=security.scopes, method=Method.OPENAPI)
        else:
            plan = replace(self._end(Method.OPENAPI, security.config_type, _ENTER_KEY), problem=None)
        return replace(plan, key=security.key, api_base_url=security.api_base_url)

    def _bare(self) -> Plan:
        """Nothing describes it: the challenge alone says what to ask the person for."""
        for scheme in (ConfigType.BEARER, ConfigType.BASIC):
            if find_challenge(self._first.challenges, scheme) is not None:
                plan = replace(self._end(Method.API_KEY, scheme, _ENTER_KEY), key=KeyScheme(scheme))
                return plan if self._lie is not None else replace(plan, problem=None)
        schemes = {each.scheme.lower() for each in self._first.challenges}
        if self._first.status == 401 and schemes and schemes <= NOT_SPOKEN:
            named = ", ".join(sorted(each.capitalize() for each in schemes))
            fault = problem("unsupported_auth", f"It asks for {named}, which is not spoken here")
            return replace(self._end(Method.API_KEY, ConfigType.BEARER), problem=fault, takes_key=False)
        plan = self._end(Method.API_KEY, ConfigType.BEARER, "If you have a key for it, enter it on the page")
        if plan.problem is not None and CODES[plan.problem.code].passes and _looks_like_mcp(self._url):
            return _silent(self._url, self._looks, plan.problem)
        return plan

    def _end(self, method: Method, config_type: ConfigType, *steps: str) -> Plan:
        """A plan with the worst that was seen as its problem; without anything bad, that nothing was found."""
        plan = _plan(self._url, self._looks, method, config_type, steps, self._problem(config_type))
        return replace(plan, is_mcp=self._is_mcp)

    def _problem(self, config_type: ConfigType) -> PlanProblem | None:
        if config_type == ConfigType.NONE:
            return None
        worst = self._lie or next((look for look in self._looks if look.code is not None), None)
        if worst is None and self._first.status == 401:
            return problem("unsupported_auth", "It asks for a credential and does not say for which")
        if worst is None:
            return problem("unsupported_auth", "Nothing at this URL says how to authenticate")
        return problem(worst.code or "", worst.finding)

    def _note(self, look: Look) -> None:
        self._looks.append(look)

    @property
    def _is_mcp(self) -> bool:
        """A server that answers 401 to everything is known by its path alone, by the habit of all of them."""
        return self._first.speaks_mcp or _looks_like_mcp(self._url)

    @property
    def _lie(self) -> Look | None:
        return next((look for look in self._looks if look.code in _LIES), None)


_BY_HAND = "Enter the provider's endpoints by hand"
_OWN_CLIENT = "Register a client at the provider and enter its id and secret on the page"
_ENTER_KEY = "Enter the key on the page; it is tested there"
_STEPS = {
    Method.CLIENT_METADATA_DOCUMENT: ("Nothing has to be registered: open the link and allow access",),
    Method.DYNAMIC_REGISTRATION: ("A client is registered at the provider", "Open the link and allow access"),
    Method.PRESET: (_OWN_CLIENT, "Then allow access"),
    Method.OPENAPI: (_OWN_CLIENT, "Then allow access"),
}


async def _look_at_target(survey: Survey, url: str) -> tuple[Look, list[Look]]:
    """The URL itself, and the resource metadata that its challenge names (RFC 9728 section 5.1)."""
    look = await survey.target(url)
    challenge = find_challenge(look.challenges, "bearer")
    named = join_url(look.url, challenge.parameters.get("resource_metadata")) if challenge is not None else None
    return look, [] if named is None else [await survey.document(named, "resource metadata")]


def _offers(server: ServerMetadata) -> str:
    if server.takes_metadata_documents:
        return "takes client metadata documents"
    return "registers clients" if server.registration_endpoint else "knows only clients registered by hand"


def _plan(
    url: str,
    looks: Sequence[Look],
    method: Method = Method.API_KEY,
    config_type: ConfigType = ConfigType.BEARER,
    steps: Sequence[str] = (),
    problem: PlanProblem | None = None,
) -> Plan:
    evidence = tuple(look.evidence for look in looks)
    return Plan(url, method, config_type, evidence, tuple(steps), problem=problem)


def _looks_like_mcp(url: str) -> bool:
    return urlsplit(url).path.rstrip("/").endswith(("/mcp", "/sse"))


def _silent(url: str, looks: Sequence[Look], problem: PlanProblem) -> Plan:
    """Where nothing answers, or nothing but failures: what was asked for by its address stays that, and is looked for
    again by the next call."""
    if _looks_like_mcp(url):
        return _plan(url, looks, Method.PRESET, ConfigType.MCP_OAUTH, problem=problem)
    return _plan(url, looks, problem=problem)


def _nowhere(target: str, error: OutboundError) -> Plan:
    """A target that is never called: another scheme, or an address that is not public."""
    if re.match(r"https?://", target, re.IGNORECASE) or "://" not in target:
        return Plan(target, Method.API_KEY, ConfigType.BEARER, (), (), problem=problem(error.code, error.sentence))
    summary = "Only https URLs can be connected: of an MCP server, an API, or a site"
    return Plan(target, Method.API_KEY, ConfigType.BEARER, (), (), problem=problem("unsupported_auth", summary))

"""Looks at a connection, check by check, and ends at the first that fails: that is what is the matter with it.

Nothing is concluded without evidence. What only the provider can tell is asked of the provider: the token endpoint by a
refresh, the API by the cheapest call there is.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace

from drio_mcp.clock import rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import NEEDS, SELF_GRANTED, SIGNED
from drio_mcp.connections.connecting.moved_servers import moved_sentence
from drio_mcp.connections.diagnosis_codes import CODES, Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.health.findings import CHECK_OF, Case, Examination
from drio_mcp.connections.health.metadata_check import MetadataCheck
from drio_mcp.connections.health.probes import UNKNOWN_PLACE, Probe, Prober, Subject, shown
from drio_mcp.connections.health.verdicts import Verdict
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.next_step import waiting_code
from drio_mcp.connections.record.status import error_of
from drio_mcp.connections.upstream.credentials import ISSUED, Credential, Credentials, require_usable
from drio_mcp.connections.upstream.person_action import asks_consent, is_discovery_failed
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.refresh_times import ends_soon
from drio_mcp.connections.upstream.scopes import missing_scopes
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_answers import audience_of
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import MOST_SKEW_MS
from drio_mcp.foundations import Foundations
from drio_mcp.store import Transaction, token_sets, upstreams
from drio_mcp.store.token_sets import TokenSetRow
from drio_mcp.vault import SealBroken

LEFT_BY_CONSENT = frozenset(
    {
        Code.CONSENT_DENIED,
        Code.CONSENT_EXPIRED,
        Code.REGISTRATION_REFUSED,
        Code.CLIENT_UNKNOWN,
        Code.CLIENT_SECRET_WRONG,
        Code.CLIENT_SECRET_EXPIRED,
        Code.ISSUER_MISMATCH,
        Code.METADATA_INVALID,
        Code.SCOPE_MISSING,
        Code.AUDIENCE_MISMATCH,
        Code.UNSUPPORTED_AUTH,
        Code.ORIGIN_CHANGED,
        Code.REAUTHORIZATION_REQUIRED,
        Code.TOKEN_EXPIRED,
    }
)
"""What the last attempt to connect ended in, as long as nobody has tried again."""

LEFT_BY_MOVING = frozenset(
    {
        Code.REAUTHORIZATION_REQUIRED,
        Code.TOKEN_EXPIRED,
        Code.KEY_REJECTED,
        Code.AUDIENCE_MISMATCH,
        Code.CLIENT_UNKNOWN,
        Code.CLIENT_SECRET_WRONG,
        Code.METADATA_INVALID,
        Code.ISSUER_MISMATCH,
        Code.ENDPOINT_UNREACHABLE,
        Code.DNS_FAILURE,
        Code.TLS_FAILURE,
        Code.TIMEOUT,
        Code.REDIRECT_REFUSED,
        Code.MALFORMED_RESPONSE,
        Code.PROVIDER_OUTAGE,
    }
)
"""How a connection ends whose MCP server left its authorization server: the server refuses the token, or the former
authorization server is gone or changed."""

Check = Callable[[Case], Awaitable[None]]
"""Raises `Fault` to end the examination, and notes its evidence otherwise."""


class Examiner:
    """Runs the checks on one connection after the other."""

    def __init__(
        self,
        foundations: Foundations,
        providers: Providers,
        tokens: StoredTokens,
        endpoints: TokenEndpoints,
        credentials: Credentials,
        prober: Prober,
        metadata: MetadataCheck,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._providers = providers
        self._tokens = tokens
        self._endpoints = endpoints
        self._credentials = credentials
        self._prober = prober
        self._metadata = metadata

    async def examine(
        self, connection_id: str, *, is_dry: bool = False, is_thorough: bool = False
    ) -> Examination | None:
        """What is the matter with the connection; None when it is gone.

        `is_dry` asks nothing that changes anything: no refresh. `is_thorough` also asks what only a refresh and the
        provider's metadata can tell, which a connection in use learns by itself.
        """
        case = await self._db.read(self._open, connection_id, is_dry, is_thorough)
        if case is None:
            return None
        checks = self._checks()
        for number, (name, check) in enumerate(checks):
            try:
                await check(case)
            except Fault as error:
                case.failed(CHECK_OF.get(error.code, name), error.sentence)
                fault = await self._moved(case, error.code) or error
                for later, _ in checks[number + 1 :]:
                    case.skipped(later, "An earlier check failed")
                return await self._close(case, fault.code, fault.sentence)
        code, sentence = case.doubt or (Code.OK, case.verdict.sentence if case.verdict else CODES[Code.OK].summary)
        return await self._close(case, code, sentence)

    def _checks(self) -> tuple[tuple[str, Check], ...]:
        """All checks in their order."""
        return (
            ("enabled", self._enabled),
            ("configuration", self._complete),
            ("secrets", self._secrets),
            ("consent", self._consent),
            ("metadata", self._server),
            ("grant", self._grant),
            ("origins", self._address),
            ("probe", self._probe),
            ("scopes", self._scopes),
        )

    def _open(self, tx: Transaction, connection_id: str, is_dry: bool, is_thorough: bool) -> Case | None:
        connection = repository.find(tx, connection_id)
        if connection is None:
            return None
        upstream = tx.one(upstreams.FIND, connection_id=connection_id)
        subject = Subject(
            connection,
            self._providers.find(connection.row.provider_key),
            upstream,
            self._tokens.origins(connection),
            server=json.loads(upstream.server) if upstream is not None else {},
        )
        if subject.kind in ISSUED:
            with suppress(Fault, SealBroken):  # told by the checks of configuration and secrets
                subject = replace(subject, endpoint=self._endpoints.of(tx, connection))
        return Case(subject, tx.one(token_sets.FIND, connection_id=connection_id), is_dry, is_thorough)

    async def _close(self, case: Case, code: Code, sentence: str) -> Examination:
        tokens = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=case.connection.id))
        scopes = case.verdict.scopes if case.verdict is not None and case.verdict.scopes is not None else None
        expires_at = case.verdict.expires_at if case.verdict is not None else None
        if tokens is not None:
            expires_at = tokens.expires_at or expires_at
        return Examination(
            case.connection,
            code,
            sentence,
            tuple(case.evidence),
            scopes,
            expires_at,
            is_refreshable=bool(tokens and tokens.is_refreshable),
            grant_ends_at=_soon(tokens, self._clock.now()),
            is_conclusive=case.is_conclusive,
            has_moved=case.has_moved,
            target=case.subject.upstream.target if case.subject.upstream is not None else None,
            wanted=case.verdict.wanted if case.verdict is not None else (),
            lacking=case.verdict.lacking if case.verdict is not None else (),
        )

    # What can be told without anybody else

    async def _enabled(self, case: Case) -> None:
        try:
            require_usable(case.connection)
        except Fault as error:
            if error.code is Code.DISABLED:
                raise
        case.passed("enabled", "The connection is enabled")

    async def _complete(self, case: Case) -> None:
        left = error_of(case.connection)
        if left is not None and case.subject.kind not in ISSUED and is_discovery_failed(case.connection):
            await self._reach(case)
            raise Fault(left, self._left(case, left))
        require_usable(case.connection)
        case.passed("configuration", f"Everything that the type {case.subject.kind} needs is set")

    async def _secrets(self, case: Case) -> None:
        names = await self._db.read(self._open_secrets, case)
        case.passed("secrets", f"{len(names)} stored, and every one opens" if names else "None is stored")

    def _open_secrets(self, tx: Transaction, case: Case) -> list[str]:
        connection, kind = case.connection, case.subject.kind
        wanted = [str(NEEDS[kind].credential), ACCESS_TOKEN, REFRESH_TOKEN]
        names = [name for name in wanted if name in connection.secrets]
        try:
            for name in names:
                self._tokens.unseal(tx, connection, name)
            if kind in ISSUED and {"token_endpoint", "client_id"} <= connection.config_in_use.keys():
                self._endpoints.of(tx, connection)  # which opens the secret that goes there
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None
        return names

    async def _consent(self, case: Case) -> None:
        if case.subject.kind not in ISSUED or case.subject.kind in SELF_GRANTED:
            case.skipped("consent", "This type needs no consent at the provider")
            return
        if case.tokens is not None:
            case.passed("consent", f"The provider issued tokens at {rfc3339(case.tokens.obtained_at)}")
            return
        left = error_of(case.connection)
        if not asks_consent(case.connection):
            await self._reach(case)
            raise Fault(left or Code.MISSING_CONFIGURATION, self._left(case, left))
        if left in LEFT_BY_CONSENT:
            raise Fault(left or Code.AWAITING_CONSENT, self._left(case, left))
        code = await self._db.read(lambda tx: waiting_code(tx, case.connection, self._clock.now()))
        raise Fault(code)

    def _left(self, case: Case, left: Code | None) -> str:
        """The sentence of the last error, or what is lacking where there was none."""
        told = (case.connection.row.last_error or "").partition(": ")[2]
        return told or (
            "How this server wants to be connected is not known yet" if left is None else CODES[left].summary
        )

    # What the provider tells

    async def _reach(self, case: Case) -> None:
        """Whether anything answers where the connection was to go. Raises `Fault` when nothing does."""
        target = case.subject.upstream.target if case.subject.upstream is not None else None
        if target is None:
            return
        probe = Probe("GET", target, "The address that was to be connected", is_api=False)
        verdict, _ = await self._prober.send(probe, Credential())
        if CHECK_OF.get(verdict.code) == "address":
            case.failed("address", f"GET {shown(target)}: {verdict.sentence}")
            raise Fault(verdict.code, verdict.sentence)
        case.passed("address", f"GET {shown(target)}: {verdict.sentence}")

    async def _moved(self, case: Case, code: Code | None = None) -> Fault | None:
        """That the MCP server sends people to another authorization server now, where that may be why `code` came."""
        if code is not None and code not in LEFT_BY_MOVING:
            return None
        issuer = await self._metadata.another_issuer(case.subject, case.metadata_at)
        if issuer is None:
            return None
        case.has_moved = True
        case.failed("metadata", moved_sentence(issuer))
        return Fault(Code.REAUTHORIZATION_REQUIRED, moved_sentence(issuer))

    async def _server(self, case: Case) -> None:
        if case.is_thorough and (moved := await self._moved(case)) is not None:
            case.doubt = (moved.code, moved.sentence)
            return
        if not case.is_thorough or case.subject.server.get("issuer") is None:
            case.skipped("metadata", "The authorization server publishes none, or it was not asked for")
            return
        finding = await self._metadata.check(case.subject.server)
        case.evidence.append(finding.evidence)
        case.doubt = finding.doubt

    async def _grant(self, case: Case) -> None:
        """Whether the provider still honours what was allowed, and still knows us: asked by a refresh."""
        if case.subject.kind not in ISSUED:
            case.skipped("grant", "This type has no token to refresh")
            return
        origin = self._origin(case)
        if case.is_dry:
            await self._look_at_grant(case, origin)
            return
        is_clients = case.subject.kind in SELF_GRANTED  # whose grant is made anew each time
        if (case.is_thorough or is_clients) and (case.tokens is None or case.tokens.is_refreshable):
            await self._credentials.token_refresh.refresh(case.connection.id)
            case.passed("client", "The token endpoint knows our client, and issued a new token")
        case.credential = await self._credentials.get(case.connection, origin)
        await self._refresh(case)
        ends = case.tokens.expires_at if case.tokens is not None else None
        case.passed(
            "grant", "The access token " + ("has no known end" if ends is None else f"lives until {rfc3339(ends)}")
        )

    async def _look_at_grant(self, case: Case, origin: str) -> None:
        """What is known of the grant without asking the token endpoint."""
        now, row = self._clock.now(), case.tokens
        if row is not None and row.fault_code is not None:
            raise Fault(Code(row.fault_code), row.fault_sentence)
        if row is None and case.subject.kind in SELF_GRANTED:
            case.skipped("grant", "No token was asked for yet; the first use does it")
            return
        if row is None or row.expires_at is None or row.expires_at > now:
            case.credential = await self._credentials.get(case.connection, origin, refresh=False)
            case.passed("grant", "The access token has life left in it, as far as is known")
            return
        if not row.is_refreshable:
            raise Fault(Code.TOKEN_EXPIRED)
        if not case.is_thorough:
            raise Fault(Code.TOKEN_EXPIRED, "The access token has run out; a dry run refreshes nothing")
        case.skipped("grant", "The access token has run out; the next use refreshes it")

    async def _refresh(self, case: Case) -> None:
        """Look at the tokens again, which a renewal has replaced, and at what the provider told with them."""
        case.tokens = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=case.connection.id))
        found = await self._db.read(repository.find, case.connection.id)
        if found is not None and found.config != case.connection.config:
            case.subject = replace(case.subject, connection=found, origins=self._tokens.origins(found))

    async def _address(self, case: Case) -> None:
        probe = self._prober.choose(case.subject)
        if probe is None:
            case.skipped("origins", UNKNOWN_PLACE)
            return
        if case.credential is None and case.is_dry and case.subject.kind in ISSUED:
            case.skipped("origins", "There is no token with life in it")
            return
        if case.credential is None:
            case.credential = await self._credentials.get(case.connection, probe.origin)
        elif probe.origin not in case.subject.origins:
            raise Fault(Code.ORIGIN_CHANGED, "The API is not at an origin to which the credential may be sent")
        case.passed("origins", f"The credential may be sent to {probe.origin}")

    async def _probe(self, case: Case) -> None:
        if case.credential is None and case.is_dry and case.subject.kind in ISSUED:
            case.skipped("probe", "There is no token with life in it")
            return
        verdict = await self._ask(case)
        case.metadata_at = verdict.metadata_at if verdict is not None else None
        if verdict is None:
            case.skipped("probe", UNKNOWN_PLACE)
            if case.subject.kind in ISSUED:  # the grant itself was the proof
                return
            case.is_conclusive = False
            raise Fault(Code.MISSING_CONFIGURATION, UNKNOWN_PLACE)
        if verdict.code is Code.KEY_REJECTED and case.subject.kind in ISSUED:
            verdict = await self._ask_anew(case, verdict)
        if verdict.code is Code.KEY_REJECTED and case.subject.kind in SIGNED and self._clocks_differ(verdict):
            verdict = Verdict(Code.CLOCK_SKEW, "The provider refused what was signed just now, and its clock differs")
        case.verdict = verdict
        if verdict.code is not Code.OK:
            raise Fault(verdict.code, verdict.sentence)

    async def _ask(self, case: Case) -> Verdict | None:
        """Introspection first, then the API; the API has the last word, introspection knows scopes and end."""
        assert case.credential is not None or self._prober.choose(case.subject) is None
        introspected = None
        if case.subject.kind in ISSUED and case.credential is not None:
            told = await self._prober.introspect(case.subject, case.credential.values[0].reveal())
            if told is not None:
                introspected, evidence = told
                case.evidence.append(evidence)
        probe = self._prober.choose(case.subject)
        if probe is None or case.credential is None:
            return introspected
        verdict, evidence = await self._prober.send(probe, case.credential)
        case.evidence.append(evidence)
        for each in verdict.lacking:
            case.note("tools", "failed", f"{each.code}: {each.sentence}")
        if CHECK_OF.get(verdict.code) != "address":
            case.passed("address", f"{probe.origin} can be reached")
        if introspected is not None and introspected.code is not Code.OK:
            if verdict.code is not Code.OK or not verdict.is_proof:
                return introspected if verdict.code is Code.OK else verdict
            case.overrule("introspection", "the API takes the token, and has the last word")
            return verdict
        if introspected is not None and verdict.code is Code.OK:
            scopes = verdict.scopes if verdict.scopes is not None else introspected.scopes
            return replace(verdict, scopes=scopes, expires_at=introspected.expires_at)
        return verdict

    async def _ask_anew(self, case: Case, refused: Verdict) -> Verdict:
        """A refused token is refreshed once and tried again: it may have been revoked before its time."""
        row = case.tokens
        if row is None or not row.is_refreshable or (case.is_dry and not case.is_thorough):
            return replace(refused, code=Code.REAUTHORIZATION_REQUIRED)
        if not case.is_thorough:  # else it is fresh already
            await self._credentials.token_refresh.refresh(case.connection.id, seen=row.generation)
            case.credential = await self._credentials.get(case.connection, self._origin(case))
            await self._refresh(case)
            again = await self._ask(case)
            assert again is not None
            if again.code is not Code.KEY_REJECTED:
                return again
        if self._clocks_differ(refused):
            return Verdict(
                Code.CLOCK_SKEW, "The provider refused a token that it issued just now, and its clock differs"
            )
        if self._names_another_audience(case):
            return Verdict(Code.AUDIENCE_MISMATCH, "The token names another audience than the server that refused it")
        more = "; the next use refreshes the token" if case.is_dry else ", although the token was issued just now"
        return replace(refused, sentence=refused.sentence + more)

    def _clocks_differ(self, refused: Verdict) -> bool:
        told = refused.answered_at
        return told is not None and abs(told - self._clock.now()) > MOST_SKEW_MS

    async def _scopes(self, case: Case) -> None:
        if case.subject.kind not in ISSUED:
            case.skipped("scopes", "This type has no scopes")
            return
        asked = tuple(case.connection.config.get("scopes", ()))
        granted = case.verdict.scopes if case.verdict is not None else None
        if granted is None and case.tokens is not None and case.tokens.scopes is not None:
            granted = tuple(json.loads(case.tokens.scopes))
        if granted is None and case.tokens is not None:  # what was asked for at the consent, by RFC 6749 section 5.1
            granted = tuple(json.loads(case.connection.row.grants)) or None
        if granted is None:
            case.skipped("scopes", "The provider does not say which it granted")
            return
        facts = self._providers.find(case.connection.row.provider_key)
        rules = ProviderRules.of(case.connection, facts).entry.scope_rules
        lacking = missing_scopes(asked, granted, rules)
        if lacking:
            raise Fault(Code.SCOPE_MISSING, f"Not granted: {', '.join(lacking)}")
        case.passed("scopes", f"Granted: {', '.join(granted) or 'none, and none were asked for'}")

    def _origin(self, case: Case) -> str:
        """Where the token will be sent: to what is probed, else to where it came from."""
        probe = self._prober.choose(case.subject)
        if probe is None and case.subject.endpoint is not None:
            return case.subject.endpoint.origin
        return origin_of(case.connection.config["token_endpoint"]) if probe is None else probe.origin

    def _names_another_audience(self, case: Case) -> bool:
        """Whether a token that can be read (RFC 9068) says that it is for somebody else. It is not verified here."""
        upstream = case.subject.upstream
        wanted = case.connection.config.get("audience") or (upstream.resource if upstream is not None else None)
        if wanted is None or case.credential is None:
            return False
        audience = audience_of(case.credential.values[0])
        return audience is not None and wanted.rstrip("/") not in {each.rstrip("/") for each in audience}


def _soon(tokens: TokenSetRow | None, now: int) -> int | None:
    return tokens.grant_ends_at if tokens is not None and ends_soon(tokens.grant_ends_at, now) else None

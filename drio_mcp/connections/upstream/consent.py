"""The person's consent at the provider: the way there, and what the answer makes of it (RFC 6749 section 4.1).

The state is good for one answer, in the browser that it was made for, by the person who began, at the address of the
authorization server that was asked: an answer of another server comes back to another address (RFC 9700 section 4.4).
It says which connection and which of our clients was meant. The database keeps hashes only, and the PKCE verifier is
derived from the browser's key, so that a copy of the database completes nothing. The code goes to the token endpoint
that was meant when the person left, or nowhere.
"""

import hmac
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from drio_mcp.clock import MINUTE
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.clients import client_for_consent, client_of
from drio_mcp.connections.record.config_rules import still_needed
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.failures import note_failure
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.schemas import AuthConnection, Status
from drio_mcp.connections.upstream.client_findings import (
    ConsentMemory,
    consent_memory,
    note_client_fault,
    note_prompt_refused,
    note_refusal,
    note_resource_refused,
    way_of,
)
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.error_words import parameters_meaning
from drio_mcp.connections.upstream.person_action import asks_consent
from drio_mcp.connections.upstream.provider_facts import from_callback, lacking
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.refresh_decisions import RefreshDecisions
from drio_mcp.connections.upstream.registrations import ProviderRegistrations
from drio_mcp.connections.upstream.token_answers import Refusal, TokenSet
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import TokenClient, UpstreamTokenEndpoint
from drio_mcp.errors import NotFound
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import b64url, hash_of
from drio_mcp.store import Transaction, pending_authorizations, upstreams
from drio_mcp.store.sweeping import sweep
from drio_mcp.vault import SealBroken

LONGEST_DESCRIPTION = 4_096
"""Characters of an `error_description` that are looked at."""
LIFETIME_MS = 30 * MINUTE
"""How long a person may take at the provider: some make an account there first."""

DENIALS: Mapping[str, Code] = {
    "access_denied": Code.CONSENT_DENIED,
    "consent_required": Code.CONSENT_DENIED,
    "interaction_required": Code.CONSENT_DENIED,
    "login_required": Code.CONSENT_DENIED,
    "account_selection_required": Code.CONSENT_DENIED,
    "unauthorized_client": Code.CLIENT_UNKNOWN,
    "invalid_client": Code.CLIENT_UNKNOWN,
    "invalid_scope": Code.SCOPE_MISSING,
    "invalid_target": Code.AUDIENCE_MISMATCH,
    "unsupported_response_type": Code.UNSUPPORTED_AUTH,
    "server_error": Code.PROVIDER_OUTAGE,
    "temporarily_unavailable": Code.PROVIDER_OUTAGE,
}
"""RFC 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6, RFC 8707 section 2; any other: we asked wrongly."""
PROMPT_ERRORS = frozenset({"consent_required", "interaction_required"})
ADMIN_NEEDED = re.compile(r"\bAADSTS\d|\badmin(istrator)?s?\b", re.IGNORECASE)
"""How descriptions say that the person may not consent themselves: Entra ID by AADSTS90094, and by AADSTS65004 once
they leave its page "Need admin approval", as if they had said no. It issues refresh tokens without `prompt`."""


class UnknownCallback(NotFound):
    """An answer that belongs to no authorization of this person, in this browser, for this connection, now."""


@dataclass(frozen=True, slots=True)
class ConsentRequest:
    """What was asked, and where; the answer is worth something only while the connection still says the same."""

    authorization_endpoint: str
    token_endpoint: str
    client_id: str
    redirect_uri: str
    issuer: str | None
    promises_iss: bool
    has_challenge: bool
    origins: tuple[str, ...]
    """Where the tokens may go, as the person saw it."""
    provider_client_id: str | None = None
    """Which of our clients was named; None for the connection's own."""
    issuer_origin: str | None = None
    """Where no metadata names the issuer: the origin that an `iss` must have, the one that gets the code."""
    is_prompted: bool = False
    """Whether `prompt=consent` was sent, which asks even those whose administrator has consented for them."""


class ProviderConsent:
    """Sends people to their providers and takes them back."""

    def __init__(
        self,
        foundations: Foundations,
        providers: Providers,
        registrations: ProviderRegistrations,
        endpoints: TokenEndpoints,
        token_client: TokenClient,
        decisions: RefreshDecisions,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._randomness = foundations.randomness
        self._settings = foundations.settings
        self._providers = providers
        self._registrations = registrations
        self._endpoints = endpoints
        self._token_client = token_client
        self._decisions = decisions

    async def begin(self, actor: Actor, connection_id: str, browser_key: str) -> str:
        """The provider's URL to send the person to. `browser_key` is a secret that only this browser shows again.

        Registers a client first where one is missing or lost. Raises `Fault` when there is nowhere to go.
        """
        connection = await self._db.read(_found, connection_id, actor.user_id)
        if connection.row.status == Status.DISABLED:
            raise Fault(Code.DISABLED)
        if not asks_consent(connection):
            raise Fault(Code.MISSING_CONFIGURATION, still_needed("authorization_endpoint"))
        await self._registrations.ensure(actor, connection_id)
        state = b64url(self._randomness.bytes(32))
        return await self._db.write(self._begin, actor, connection_id, browser_key, state)

    async def finish(
        self, actor: Actor, callback: str, browser_key: str, parameters: Iterable[tuple[str, str]]
    ) -> AuthConnection:
        """The connection after the provider's answer, whatever it was. The state is used up in any case.

        `callback` is the last part of the address that the answer came to. Raises `UnknownCallback`
        and then changes nothing.
        """
        answer = _read(parameters)
        state = answer.get("state", "")
        connection_id, asked = await self._db.write(self._consume, actor, callback, browser_key, state)
        rules = await self._db.read(self._rules, connection_id, actor.user_id)
        failure = _fault(answer, asked, rules.entry)
        if failure is None:
            verifier = _verifier(browser_key, state) if asked.has_challenge else None
            failure = await self._exchange(actor, connection_id, asked, answer, verifier)
        if failure is not None:
            is_prompt_refused = asked.is_prompted and _is_for_admins(answer)
            await self._db.write(
                self._failed, actor, connection_id, failure, asked, is_prompt_refused=is_prompt_refused
            )
        connection = await self._db.read(_found, connection_id, actor.user_id)
        return connection.read(self._providers)

    async def note_failure(self, actor: Actor, connection_id: str, failure: Fault) -> None:
        """Let the connection say why nobody could be sent to the provider, or what the provider answered."""
        await self._db.write(self._failed, actor, connection_id, failure)

    async def prune(self, now: int) -> int:
        """Forget the authorizations that never came back, and give how many there were."""
        return await sweep(self._db, pending_authorizations.PRUNE, now=now)

    async def _exchange(
        self,
        actor: Actor,
        connection_id: str,
        asked: ConsentRequest,
        answer: Mapping[str, str],
        verifier: str | None,
    ) -> Fault | None:
        """Redeem the code and store what came, in one decision; a crash in between leaves the connection waiting."""
        try:
            endpoint = await self._db.read(self._endpoint, connection_id, actor.user_id, asked)
        except Fault as error:
            return error
        entry = endpoint.rules.entry
        told = from_callback(entry, answer)
        code = answer[entry.authorization.code_parameter]
        tokens = await self._token_client.exchange(endpoint.with_facts(told), code, asked.redirect_uri, verifier)
        if isinstance(tokens, Refusal):
            await self._db.write(self._note_refusal, actor, connection_id, asked, tokens)
            return _refused(tokens)
        told |= tokens.facts
        told |= await self._token_client.look_up(endpoint.with_facts(told), tokens.access_token)
        if unknown := lacking(entry, told):
            return Fault(
                Code.MALFORMED_RESPONSE, f"The provider did not tell {', '.join(unknown)}, which its API needs"
            )
        tokens = replace(tokens, facts=told, scopes=tokens.scopes or _scopes_told(answer, entry))
        try:
            await self._db.write(self._keep, actor, connection_id, asked, tokens)
        except Fault as error:
            return error
        return None

    # Decisions

    def _rules(self, tx: Transaction, connection_id: str, user_id: str) -> ProviderRules:
        connection = _found(tx, connection_id, user_id)
        return ProviderRules.of(connection, self._providers.find(connection.row.provider_key))

    def _note_refusal(
        self, tx: Transaction, actor: Actor, connection_id: str, asked: ConsentRequest, refusal: Refusal
    ) -> None:
        connection = _for_consent(tx, _found(tx, connection_id, actor.user_id), asked.provider_client_id)
        note_refusal(tx, connection, refusal)

    def _hold(self, tx: Transaction, connection_id: str, user_id: str) -> None:
        """Let nobody else change the connection until the transaction ends."""
        repository.hold(tx, _found(tx, connection_id, user_id).row.app_id)

    def _begin(self, tx: Transaction, actor: Actor, connection_id: str, browser_key: str, state: str) -> str:
        connection = _for_consent(tx, _found(tx, connection_id, actor.user_id))
        config = connection.config
        rules = ProviderRules.of(connection, self._providers.find(connection.row.provider_key))
        upstream = tx.one(upstreams.FIND, connection_id=connection_id)
        server = json.loads(upstream.server) if upstream is not None else {}
        memory = consent_memory(connection)
        scope = _scope(config.get("scopes", ()), server, rules.entry)
        is_prompted = _is_prompted(scope, rules.entry, memory)
        asked = self._asked(connection, server, has_challenge=rules.entry.pkce != "none", is_prompted=is_prompted)
        tx.run(
            pending_authorizations.INSERT,
            state_hash=hash_of(state),
            binding_hash=hash_of(browser_key),
            connection_id=connection_id,
            user_id=actor.user_id,
            asked=json.dumps(asdict(asked)),
            expires_at=self._clock.now() + LIFETIME_MS,
        )
        query = {
            "response_type": "code",
            "client_id": asked.client_id,
            "redirect_uri": asked.redirect_uri,
            "state": state,
        }
        query |= scope | ({"prompt": "consent"} if is_prompted else {})
        if asked.has_challenge:
            query |= {
                "code_challenge": create_s256_code_challenge(_verifier(browser_key, state)),
                "code_challenge_method": "S256",
            }
        takes_resource = rules.entry.authorization.has_resource and way_of(connection).has_resource
        if upstream is not None and upstream.resource is not None and takes_resource:
            query["resource"] = upstream.resource  # RFC 8707 section 2.1
        if "audience" in config:
            query["audience"] = config["audience"]
        without = ("prompt",) if memory.refuses_prompt else ()
        return rules.authorization_url(asked.authorization_endpoint, query, without=without)

    def _asked(
        self, connection: Connection, server: Mapping[str, Any], *, has_challenge: bool, is_prompted: bool
    ) -> ConsentRequest:
        config = connection.config_in_use
        lacking = [name for name in ("token_endpoint", "client_id") if name not in config]
        if lacking:
            raise Fault(Code.MISSING_CONFIGURATION, still_needed(*lacking))
        # Metadata speaks for its own endpoints only: others that were entered by hand may be another server's.
        is_described = server.get("authorization_endpoint") == config["authorization_endpoint"]
        is_vouched = self._providers.vouches_for(connection.row.provider_key, config)
        return ConsentRequest(
            authorization_endpoint=config["authorization_endpoint"],
            token_endpoint=config["token_endpoint"],
            client_id=config["client_id"],
            redirect_uri=redirect_uri(self._settings, connection.callback),
            issuer=server.get("issuer") if is_described else None,
            promises_iss=is_described and server.get("sends_iss") is True,
            has_challenge=has_challenge,
            origins=tuple(sorted(connection.origins(self._providers))),
            provider_client_id=None if connection.client is None else connection.client.row.id,
            issuer_origin=None if is_described or is_vouched else origin_of(config["token_endpoint"]),
            is_prompted=is_prompted,
        )

    def _consume(
        self, tx: Transaction, actor: Actor, callback: str, browser_key: str, state: str
    ) -> tuple[str, ConsentRequest]:
        """One statement, so that of two answers with one state only one gets through.

        An answer at the address of another server than was asked is nothing to us; the state stays good.
        """
        pending = tx.one(
            pending_authorizations.CONSUME,
            state_hash=hash_of(state),
            binding_hash=hash_of(browser_key),
            user_id=actor.user_id,
            now=self._clock.now(),
        )
        if pending is None:
            raise UnknownCallback
        asked = ConsentRequest(**json.loads(pending.asked))
        if asked.redirect_uri.rpartition("/")[2] != callback:
            raise UnknownCallback
        return pending.connection_id, asked

    def _endpoint(
        self, tx: Transaction, connection_id: str, user_id: str, asked: ConsentRequest
    ) -> UpstreamTokenEndpoint:
        connection = self._unchanged(tx, connection_id, user_id, asked)
        try:
            return self._endpoints.of(tx, connection)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None

    def _keep(self, tx: Transaction, actor: Actor, connection_id: str, asked: ConsentRequest, tokens: TokenSet) -> None:
        self._hold(tx, connection_id, actor.user_id)
        connection = self._unchanged(tx, connection_id, actor.user_id, asked)
        connection = connection.with_row(provider_client_id=asked.provider_client_id)
        self._decisions.keep(tx, actor, connection, tokens, Event.CONNECTED)

    def _unchanged(self, tx: Transaction, connection_id: str, user_id: str, asked: ConsentRequest) -> Connection:
        """The connection, if it still means the server and the client that the person has just allowed."""
        connection = _for_consent(tx, _found(tx, connection_id, user_id), asked.provider_client_id)
        names = ("authorization_endpoint", "token_endpoint", "client_id")
        is_moved = not connection.origins(self._providers) <= set(asked.origins)
        if is_moved or any(connection.config_in_use.get(name) != getattr(asked, name) for name in names):
            sentence = "The connection was changed while the person was at the provider; allow it again"
            raise Fault(Code.AWAITING_CONSENT, sentence)
        if connection.row.status == Status.DISABLED:
            raise Fault(Code.DISABLED)
        return connection

    def _failed(
        self,
        tx: Transaction,
        actor: Actor,
        connection_id: str,
        failure: Fault,
        asked: ConsentRequest | None = None,
        *,
        is_prompt_refused: bool = False,
    ) -> None:
        self._hold(tx, connection_id, actor.user_id)
        connection = _found(tx, connection_id, actor.user_id)
        note_failure(tx, actor, connection, Event.CONNECTED, failure, self._clock.now())
        if asked is None:
            return
        used = connection
        if asked.provider_client_id is not None:
            used = _for_consent(tx, connection, asked.provider_client_id)
            note_client_fault(tx, used.client, failure)
        if failure.code is Code.AUDIENCE_MISMATCH:
            note_resource_refused(tx, used)
        if is_prompt_refused:
            note_prompt_refused(tx, used)


def _for_consent(tx: Transaction, connection: Connection, asked: str | None = None) -> Connection:
    """The connection with the client that its next consent is for, or with the one that was `asked`."""
    named = connection.with_row(provider_client_id=asked) if asked is not None else connection
    find = client_for_consent if asked is None else client_of
    return replace(connection, client=find(tx, named.row, connection.config))


def _found(tx: Transaction, connection_id: str, user_id: str) -> Connection:
    connection = repository.find_of(tx, connection_id, user_id)
    if connection is None:
        raise UnknownCallback
    return connection


def _read(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """RFC 6749 section 3.1: no parameter more than once."""
    pairs = list(parameters)
    answer = dict(pairs)
    if len(answer) != len(pairs):
        raise UnknownCallback
    return answer


def _fault(answer: Mapping[str, str], asked: ConsentRequest, entry: CatalogEntry) -> Fault | None:
    """What is wrong with an answer whose state is ours."""
    issuer = answer.get("iss")
    if asked.issuer is not None and issuer is not None and issuer != asked.issuer:  # RFC 9207 section 2.4
        return Fault(Code.ISSUER_MISMATCH)
    if asked.issuer_origin is not None and issuer is not None and not _is_at(issuer, asked.issuer_origin):
        return Fault(Code.ISSUER_MISMATCH, "The server that was asked is not the one that would receive the access")
    if asked.promises_iss and issuer is None:
        return Fault(Code.ISSUER_MISMATCH, "The answer lacks the issuer that the provider promises to send")
    if "error" in answer:
        code = parameters_meaning(entry.errors.consent, answer)
        code = code or DENIALS.get(answer["error"], Code.MISSING_CONFIGURATION)
        if code is Code.MISSING_CONFIGURATION:
            return Fault(code, "The provider called our request for consent invalid")
        return Fault(code)
    has_code = bool(answer.get(entry.authorization.code_parameter))
    return None if has_code else Fault(Code.MALFORMED_RESPONSE, "The provider sent neither code nor error")


def _is_at(issuer: str, origin: str) -> bool:
    try:
        return origin_of(issuer) == origin
    except ValueError:
        return False


def _refused(refusal: Refusal) -> Fault:
    """A refused grant is, at this point, a code that came too late (contract section 3, "Which code when")."""
    if refusal.code is Code.REAUTHORIZATION_REQUIRED:
        return Fault(Code.CONSENT_EXPIRED, "The provider no longer took its code; allow access again")
    return Fault(refusal.code, refusal.sentence)


def _scopes_told(answer: Mapping[str, str], entry: CatalogEntry) -> tuple[str, ...] | None:
    """The granted scopes where the answer to the consent tells them."""
    told = answer.get(entry.scope_rules.callback_parameter or "", "")
    return tuple(told.replace(entry.scope_separator, " ").split()) or None


def _scope(scopes: Iterable[str], server: Mapping[str, Any], entry: CatalogEntry) -> dict[str, str]:
    """The scopes to ask for. Where the server knows `offline_access`, without it there may be no refresh token."""
    asked = list(scopes)
    if not asked:
        return {}
    if "offline_access" in (server.get("scopes_supported") or ()) and "offline_access" not in asked:
        asked.append("offline_access")
    if entry.scope_rules.is_set_on_app and not set(scopes) - set(entry.scopes):
        return {}
    return {"scope": entry.scope_separator.join(asked)}


def _is_prompted(scope: Mapping[str, str], entry: CatalogEntry, memory: ConsentMemory) -> bool:
    """Whether `prompt=consent` is sent: where there may be no refresh token without it, as OpenID Connect Core section
    11 has it for `offline_access`, and as the last consent has shown. Nowhere else: whose administrator has consented
    for them may not be able to do it themselves."""
    if memory.refuses_prompt or entry.authorization.prompt == "never":
        return False
    asked = scope.get("scope", "").split(entry.scope_separator)
    is_wanted = entry.authorization.prompt == "always" and bool(scope)
    return (
        is_wanted or "offline_access" in asked or memory.lacks_refresh_token or "prompt" in entry.authorization_params
    )


def _is_for_admins(answer: Mapping[str, str]) -> bool:
    """Whether an answer says that asking for consent anew was the trouble, not that the person said no."""
    is_denied = answer.get("error") == "access_denied"
    is_admins = bool(ADMIN_NEEDED.search(answer.get("error_description", "")[:LONGEST_DESCRIPTION]))
    return answer.get("error") in PROMPT_ERRORS or (is_denied and is_admins)


def _verifier(browser_key: str, state: str) -> str:
    """A code verifier of 43 characters (RFC 7636 section 4.1) that this browser alone can give again."""
    return b64url(hmac.digest(browser_key.encode(), b"connection verifier " + state.encode(), "sha256"))

"""The authorization endpoint's decisions (RFC 6749 section 4.1.1, OAuth 2.1, OpenID Connect Core section 3.1.2)."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from drio_mcp.clock import SECOND, Clock
from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.models import Scope
from drio_mcp.oauth import pkce
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_document import ClientDocumentUnreachable
from drio_mcp.oauth.clients import Client, ClientKind, Clients
from drio_mcp.oauth.consents import ClientConsents, is_remembered
from drio_mcp.oauth.grants import new_grant_id
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.redirect_uris import OWN_HOST, is_at_own_host
from drio_mcp.oauth.resources import find_app, named_resource
from drio_mcp.oauth.tokens import Kind, Tokens
from drio_mcp.opaque import Randomness
from drio_mcp.store import Database, Transaction, clients, consents, security_events
from drio_mcp.store import grants as table
from drio_mcp.store.apps import AppRow
from drio_mcp.store.security_events import SecurityEvent

CODE_LIFETIME_MS = 60 * SECOND
MAX_NONCE = 1024
PROMPTS = frozenset({"none", "login", "consent", "select_account"})


Also = Callable[[Transaction], None]
"""What belongs to a consent and is kept elsewhere."""


class AuthorizationPageError(OAuthError):
    """The request names no client or no redirect URI of it: a page says so, and nothing redirects
    (RFC 6749 section 4.1.2.1)."""


class AuthorizationRedirectError(OAuthError):
    """An error that the client is told, by sending the browser to `redirect_url`."""

    def __init__(self, error: str, description: str, redirect_url: str) -> None:
        super().__init__(error, description)
        self.redirect_url = redirect_url


@dataclass(frozen=True, slots=True)
class RequestingClient:
    """The client as the consent page names it. `name` is text from a stranger."""

    id: str
    name: str
    host: str | None
    """Proven for kind `document`, claimed otherwise."""
    kind: ClientKind
    verified: bool
    is_public: bool
    """Whether it does not authenticate, so that another program can use its id."""
    problem: str | None
    """A sentence about something wrong that the person should know before deciding."""


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that passed every check."""

    client: RequestingClient
    redirect_uri: str
    registered_redirect_uri: str
    """The registered one that it matches; they differ in the port of a loopback address."""
    scopes: frozenset[Scope]
    state: str | None
    nonce: str | None
    prompt: frozenset[str]
    login_hint: str | None
    max_age: int | None
    """Seconds."""
    code_challenge: str
    is_remembered: bool
    """Whether the decision will hold for the next time."""
    resource: str
    """What the tokens will be good for (RFC 8707), in its one spelling."""
    app: AppRow | None
    """The app behind it; None for the management endpoint. Only its owner may be asked."""
    address: str | None = None
    """Where it comes from, for the audit log."""

    def may_be_asked(self, user_id: str) -> bool:
        """Whether it is this person's to allow."""
        return self.app is None or self.app.user_id == user_id


class Authorization:
    """Checks authorization requests, and turns a person's decision into the answer for the client."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        randomness: Randomness,
        settings: Settings,
        clients: Clients,
        consents: ClientConsents,
        tokens: Tokens,
    ) -> None:
        self._db = db
        self._clock = clock
        self._randomness = randomness
        self._settings = settings
        self._clients = clients
        self._consents = consents
        self._tokens = tokens

    async def check(
        self, pairs: Iterable[tuple[str, str]], asker: str = "", address: str | None = None
    ) -> AuthorizationRequest:
        """The request in `pairs`, the decoded query parameters in their order. Nothing is stored.

        `asker` is the network that it comes from, for its share of client documents that are fetched; `address` the
        address in it, for the audit log.

        Raises `AuthorizationPageError` or `AuthorizationRedirectError`.
        """
        parameters = Parameters(pairs)
        client = await self._check_client(parameters, asker)
        redirect_uri, registered = _check_redirect_uri(parameters, client)
        if is_at_own_host(redirect_uri, self._settings.origin):
            raise AuthorizationPageError("invalid_request", OWN_HOST)
        try:
            parameters.refuse_repeated()
            _check_response(parameters)
            _check_request_objects(parameters)
            challenge = pkce.check_challenge(parameters.get("code_challenge"), parameters.get("code_challenge_method"))
            resource = named_resource(parameters.resources, self._settings) or self._settings.resource
            app = await self._db.read(find_app, resource, self._settings)
            prompt = _check_prompt(parameters)
            max_age = _check_max_age(parameters)
            nonce = _check_nonce(parameters)
        except OAuthError as error:
            raise self._redirect_error(redirect_uri, parameters.get("state"), error.error, error.message) from None
        ask = scope_list.requested if app is None else scope_list.requested_of_app
        scopes = ask(parameters.get("scope"))
        return AuthorizationRequest(
            client=_requesting(client),
            redirect_uri=redirect_uri,
            registered_redirect_uri=registered,
            scopes=scopes,
            state=parameters.get("state"),
            nonce=nonce,
            prompt=prompt,
            login_hint=parameters.get("login_hint"),
            max_age=max_age,
            code_challenge=challenge,
            is_remembered=is_remembered(client, registered, self._settings.redirect_schemes),
            resource=resource,
            app=app,
            address=address,
        )

    async def needs_consent(self, request: AuthorizationRequest, user_id: str) -> bool:
        """Whether the person must be asked."""
        if "consent" in request.prompt or not request.is_remembered:
            return True
        return not await self._consents.covers(_place(request, user_id), request.scopes)

    async def approve(
        self, request: AuthorizationRequest, user_id: str, authenticated_at: int, also: Also = lambda tx: None
    ) -> str:
        """Allow the request, and give the URL that takes the code to the client (RFC 6749 section 4.1.2).

        `authenticated_at` is when the person signed in, in milliseconds. `also` is decided in the same transaction.
        """
        grant_id, secret = new_grant_id(self._randomness), self._randomness.bytes(32)
        now = self._clock.now()
        expires_at = now + CODE_LIFETIME_MS

        def decide(tx: Transaction) -> None:
            self._approve(tx, request, user_id, authenticated_at, grant_id, secret, now)
            also(tx)

        await self._db.write(decide)
        code = self._tokens.make(
            Kind.CODE,
            grant_id,
            secret,
            generation=0,
            expires_at=expires_at,
            scopes=scope_list.to_bits(request.scopes),
        )
        return self._answer(request.redirect_uri, request.state, code=code)

    async def deny(self, request: AuthorizationRequest, user_id: str) -> str:
        """The URL that tells the client that the person refused (RFC 6749 section 4.1.2.1)."""
        await self._db.write(
            lambda tx: security_events.record(
                tx,
                SecurityEvent.CONSENT_DENIED,
                self._clock.now(),
                user_id=user_id,
                client_id=request.client.id,
                address=request.address,
            )
        )
        return self.refusal(request, "access_denied").redirect_url

    def refusal(self, request: AuthorizationRequest, error: str) -> AuthorizationRedirectError:
        """The error for the client: `access_denied`, or with `prompt=none` `login_required` or `consent_required`."""
        return self._redirect_error(request.redirect_uri, request.state, error, REFUSALS[error])

    def _approve(
        self,
        tx: Transaction,
        request: AuthorizationRequest,
        user_id: str,
        authenticated_at: int,
        grant_id: str,
        secret: bytes,
        now: int,
    ) -> None:
        if request.client.kind is not ClientKind.DOCUMENT and tx.run(clients.USE, id=request.client.id, now=now) != 1:
            raise _unknown_client()
        if request.is_remembered:
            place = _place(request, user_id)
            consents.keep(tx, place, consents.find(tx, place) | request.scopes, now)
        tx.run(
            table.INSERT,
            id=grant_id,
            user_id=user_id,
            client_id=request.client.id,
            client_name=request.client.name,
            state="approved",
            secret=secret,
            generation=0,
            scopes=scope_list.to_text(request.scopes),
            resource=request.resource,
            redirect_uri=request.redirect_uri,
            code_challenge=request.code_challenge,
            nonce=request.nonce,
            authenticated_at=authenticated_at,
            now=now,
            expires_at=now + CODE_LIFETIME_MS,
        )
        security_events.record(
            tx,
            SecurityEvent.CONSENT_GIVEN,
            now,
            user_id=user_id,
            client_id=request.client.id,
            grant_id=grant_id,
            address=request.address,
            detail=scope_list.to_text(request.scopes),
        )

    async def _check_client(self, parameters: Parameters, asker: str) -> Client:
        client_id = parameters.get("client_id")
        if client_id is None or "client_id" in parameters.repeated:
            raise AuthorizationPageError("invalid_request", "The address names no client_id, or several")
        try:
            client = await self._clients.find(client_id, asker)
        except ClientDocumentUnreachable as error:
            raise AuthorizationPageError(error.error, f"{error.message}. {UNREACHABLE}") from None
        except OAuthError as error:
            raise AuthorizationPageError(error.error, error.message) from None
        if client is None:
            raise _unknown_client()
        return client

    def _redirect_error(
        self, redirect_uri: str, state: str | None, error: str, description: str
    ) -> AuthorizationRedirectError:
        url = self._answer(redirect_uri, state, error=error, error_description=description)
        return AuthorizationRedirectError(error, description, url)

    def _answer(self, redirect_uri: str, state: str | None, **parameters: str) -> str:
        """The redirect, with `state` as it came and `iss` against mix-up (RFC 9207 section 2)."""
        if state is not None:
            parameters["state"] = state
        parameters["iss"] = self._settings.origin
        return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(parameters)}"


def _place(request: AuthorizationRequest, user_id: str) -> consents.ConsentKey:
    audience = "" if request.app is None else request.app.public_mcp_id
    return consents.ConsentKey(user_id, request.client.id, request.registered_redirect_uri, audience)


UNREACHABLE = (
    "Nothing is wrong with the client. Try again in some minutes; if it stays, connect the client anew without its "
    "document, or ask whoever runs this server to set DRIO_CLIENT_DOCUMENTS=off, so that clients register themselves"
)
REFUSALS = {
    "access_denied": "The person did not allow the access",
    "login_required": "Nobody is signed in, and prompt=none forbids to ask",
    "consent_required": "The person has not allowed this yet, and prompt=none forbids to ask",
}


def _requesting(client: Client) -> RequestingClient:
    return RequestingClient(
        id=client.id,
        name=client.name,
        host=client.host,
        kind=client.kind,
        verified=client.is_verified,
        is_public=not client.is_confidential,
        problem=client.problem,
    )


def _unknown_client() -> AuthorizationPageError:
    return AuthorizationPageError(
        "invalid_client", "There is no client with this client_id: let the client register again, or connect it anew"
    )


def _check_redirect_uri(parameters: Parameters, client: Client) -> tuple[str, str]:
    """The redirect URI and the registered one that it is; it may be left out when there is one (RFC 6749
    section 3.1.2.3)."""
    uri = parameters.get("redirect_uri")
    if "redirect_uri" in parameters.repeated:
        raise AuthorizationPageError("invalid_request", "The address names several redirect_uri")
    if uri is None:
        if len(client.redirect_uris) != 1:
            raise AuthorizationPageError("invalid_request", "redirect_uri is required")
        uri = client.redirect_uris[0]
    registered = client.redirect_uri(uri)
    if registered is None:
        raise AuthorizationPageError("invalid_request", "redirect_uri is not registered for this client")
    return uri, registered


def _check_response(parameters: Parameters) -> None:
    """The code flow in the query is the only one that OAuth 2.1 left."""
    if parameters.get("response_type") not in {None, "code"}:
        raise OAuthError("unsupported_response_type", "response_type must be code")
    if parameters.get("response_mode") not in {None, "query"}:
        raise OAuthError("invalid_request", "response_mode must be query")


def _check_request_objects(parameters: Parameters) -> None:
    """OpenID Connect Core section 3.1.2.6: they are refused, because ignoring them would change the meaning."""
    for name in ("request", "request_uri", "registration"):
        if name in parameters:
            raise OAuthError(f"{name}_not_supported", f"The parameter {name} is not supported")


def _check_prompt(parameters: Parameters) -> frozenset[str]:
    """OpenID Connect Core section 3.1.2.1; values that we do not know are ignored."""
    prompt = frozenset((parameters.get("prompt") or "").split()) & PROMPTS
    if "none" in prompt and len(prompt) > 1:
        raise OAuthError("invalid_request", "prompt=none cannot be combined with another value")
    return prompt


def _check_max_age(parameters: Parameters) -> int | None:
    max_age = parameters.get("max_age")
    if max_age is None:
        return None
    if not (max_age.isascii() and max_age.isdigit() and len(max_age) <= 10):
        raise OAuthError("invalid_request", "max_age must be a number of seconds")
    return int(max_age)


def _check_nonce(parameters: Parameters) -> str | None:
    nonce = parameters.get("nonce")
    if nonce is not None and len(nonce) > MAX_NONCE:
        raise OAuthError("invalid_request", f"nonce may have at most {MAX_NONCE} characters")
    return nonce

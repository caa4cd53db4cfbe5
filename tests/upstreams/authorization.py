"""An authorization server whose every habit can be chosen. RFC numbers stand where the rule is."""

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import httpx2
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream

INITIAL_ACCESS_TOKEN = "initial-access-token"


@dataclass
class Client:
    """A client as the provider knows it; `secret` is None for a public one."""

    id: str
    secret: str | None
    redirect_uris: list[str]
    management_token: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    secret_is_expired: bool = False

    def config(self, origin: str) -> dict[str, Any]:
        """What its owner enters by hand in a connection to the provider at `origin`."""
        return {
            "authorizationEndpoint": f"{origin}/authorize",
            "tokenEndpoint": f"{origin}/token",
            "clientId": self.id,
            "clientSecret": self.secret,
        }


@dataclass
class Family:
    """What a person allowed one client: the tokens that live and those that did."""

    client_id: str
    scope: str
    resource: str | None = None
    refresh_tokens: list[str] = field(default_factory=list)
    """Oldest first; the last one is the present one."""
    access_tokens: dict[str, float] = field(default_factory=dict)
    """Token to the moment (epoch seconds) at which it runs out."""
    revoked: bool = False


@dataclass
class Code:
    client_id: str
    redirect_uri: str
    challenge: str | None
    scope: str
    resource: str | None


@dataclass
class AuthorizationServer:
    """The habits, all proper by default; change them while it runs to make it turn bad."""

    registration: Literal["off", "open", "token"] = "off"
    """RFC 7591; `token` asks for `INITIAL_ACCESS_TOKEN` (section 3)."""
    management: bool = True
    """RFC 7592: answers carry `registration_client_uri` and its token."""
    metadata_documents: bool = False
    """Client ID Metadata Documents are taken."""
    documents_are_fetched_with: Callable[[], httpx2.Client] | None = None
    """How they are fetched; None takes any https client id unseen."""
    discovery: tuple[Literal["oauth", "openid"], ...] = ("oauth", "openid")
    issuer_path: str = ""
    """For example `/tenant`: RFC 8414 section 3.1 puts the well-known part before it, OpenID behind it."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    """Overrides in the metadata: lies. A value of None removes the claim."""
    sends_iss: bool | str = True
    """RFC 9207; a string is sent in the issuer's place."""
    scopes: tuple[str, ...] = ("read", "write")
    grants_only: tuple[str, ...] | None = None
    """The scopes that are granted whatever was asked for."""
    rotates: bool = True
    detects_reuse: bool = True
    """A replaced refresh token revokes its family (RFC 9700 section 4.14.2); else it stays good."""
    issues_refresh_tokens: bool = True
    tells_scopes: bool = True
    expires_in: int | None = 3600
    """Seconds; None leaves it out of the answer."""
    refresh_expires_in: int | None = None
    """Seconds, as `refresh_token_expires_in`; None leaves it out."""
    registered_secret_expires_at: int = 0
    """RFC 7591 section 3.2.1, epoch seconds."""
    requires_resource: bool = False
    refuses_resource: Literal["", "consent", "code", "refresh"] = ""
    """Where `resource` (RFC 8707) is answered with `invalid_target`, as Entra ID does."""

    takes_client_by: tuple[Literal["basic", "unencoded", "post"], ...] = ("basic", "post")
    """How clients may say who they are (RFC 6749 section 2.3.1); `unencoded` is Basic as RFC 7617 has it."""
    refuses_clients_with: Literal["invalid_client", "invalid_request"] = "invalid_client"
    voids_codes: bool = False
    """A code is used up by the first request, even by one whose client is refused."""
    refuses_prompt: Mapping[str, str] | None = None
    """What a person who may not consent is sent back with, once `prompt=consent` asks them to."""
    account: str | None = None
    """The `sub` of the ID tokens that go with codes; None for none."""

    clients: dict[str, Client] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    families: list[Family] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    origin: str = ""

    # What tests do to it

    def add_client(self, redirect_uri: str, *, secret: str | None = "secret-of-the-client") -> Client:
        """A client registered by hand at the provider."""
        client = Client(f"client-{secrets.token_hex(6)}", secret, [redirect_uri])
        self.clients[client.id] = client
        return client

    def forget_clients(self) -> None:
        """As when a provider loses its registrations: `invalid_client` from now on."""
        self.clients.clear()

    def expire_tokens(self) -> None:
        """Every access token has run out."""
        for family in self.families:
            family.access_tokens = dict.fromkeys(family.access_tokens, 0.0)

    def revoke_grants(self) -> None:
        """The person withdrew what they allowed: `invalid_grant` from now on."""
        for family in self.families:
            family.revoked = True

    def accepts(self, token: str, scope: str | None = None) -> bool:
        """Whether an access token is alive (and carries `scope`)."""
        family = self._family_of(token)
        return (
            family is not None
            and not family.revoked
            and family.access_tokens[token] > time.time()
            and (scope is None or scope in family.scope.split())
        )

    def is_live_refresh_token(self, token: str) -> bool:
        return any(not f.revoked and f.refresh_tokens and f.refresh_tokens[-1] == token for f in self.families)

    # Where it is

    @property
    def issuer(self) -> str:
        return self.origin + self.issuer_path

    def metadata(self) -> dict[str, Any]:
        """RFC 8414 section 2."""
        document: dict[str, Any] = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "revocation_endpoint": f"{self.origin}/revoke",
            "introspection_endpoint": f"{self.origin}/introspect",
            "userinfo_endpoint": f"{self.origin}/userinfo",
            "jwks_uri": f"{self.origin}/jwks",
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "scopes_supported": list(self.scopes),
            "authorization_response_iss_parameter_supported": bool(self.sends_iss),
        }
        if self.registration != "off":
            document["registration_endpoint"] = f"{self.origin}/register"
        if self.metadata_documents:
            document["client_id_metadata_document_supported"] = True
        document |= self.claims
        return {name: value for name, value in document.items() if value is not None}

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        self.origin = upstream.origin
        routes: list[BaseRoute] = []
        if "oauth" in self.discovery:
            path = f"/.well-known/oauth-authorization-server{self.issuer_path}"
            routes.append(upstream.route(path, "metadata", self._metadata))
        if "openid" in self.discovery:
            path = f"{self.issuer_path}/.well-known/openid-configuration"
            routes.append(upstream.route(path, "metadata", self._metadata))
        if self.registration != "off":
            routes.append(upstream.route("/register", "register", self._register, ["POST"]))
            methods = ["GET", "PUT", "DELETE"]
            routes.append(upstream.route("/register/{client_id}", "registration", self._manage, methods))
        return [
            *routes,
            upstream.route("/authorize", "authorize", self._authorize, ["GET", "POST"]),
            upstream.route("/token", "token", self._token, ["POST"]),
            upstream.route("/revoke", "revoke", self._revoke, ["POST"]),
            upstream.route("/introspect", "introspect", self._introspect, ["POST"]),
            upstream.route("/userinfo", "userinfo", self._userinfo),
        ]

    async def _metadata(self, _: Request) -> Response:
        return JSONResponse(self.metadata())

    # Registration

    async def _register(self, request: Request) -> Response:
        expected = f"Bearer {INITIAL_ACCESS_TOKEN}"
        if self.registration == "token" and request.headers.get("authorization") != expected:
            return JSONResponse({"error": "invalid_token"}, 401)
        body = await request.json()
        if not body.get("redirect_uris"):
            return _oauth_error("invalid_redirect_uri")
        is_public = body.get("token_endpoint_auth_method") == "none"
        client = Client(
            f"client-{secrets.token_hex(6)}",
            None if is_public else secrets.token_urlsafe(24),
            list(body["redirect_uris"]),
            secrets.token_urlsafe(24),
            body,
        )
        self.clients[client.id] = client
        return JSONResponse(self._registration_answer(client), 201)

    async def _manage(self, request: Request) -> Response:
        """RFC 7592 section 2."""
        client = self.clients.get(request.path_params["client_id"])
        if client is None or request.headers.get("authorization") != f"Bearer {client.management_token}":
            return JSONResponse({"error": "invalid_token"}, 401)
        if request.method == "DELETE":
            del self.clients[client.id]
            return Response(status_code=204)
        if request.method == "PUT":
            body = await request.json()
            client.redirect_uris = list(body["redirect_uris"])
            client.metadata = body
            client.secret = client.secret and secrets.token_urlsafe(24)
            client.secret_is_expired = False
        return JSONResponse(self._registration_answer(client))

    def _registration_answer(self, client: Client) -> dict[str, Any]:
        answer: dict[str, Any] = client.metadata | {"client_id": client.id, "client_id_issued_at": int(time.time())}
        if client.secret is not None:
            answer |= {"client_secret": client.secret, "client_secret_expires_at": self.registered_secret_expires_at}
        if self.management:
            answer |= {
                "registration_client_uri": f"{self.origin}/register/{client.id}",
                "registration_access_token": client.management_token,
            }
        return answer

    # Authorization: a page with a form, as a person sees it

    async def _authorize(self, request: Request) -> Response:
        if request.method == "POST":
            parameters = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
            return self._decided(parameters)
        parameters = dict(request.query_params)
        client = self._client(parameters.get("client_id", ""), parameters.get("redirect_uri", ""))
        if client is None or parameters.get("redirect_uri") not in client.redirect_uris:
            return HTMLResponse("<!doctype html><h1>Unknown client or redirect URI</h1>", 400)
        if parameters.get("code_challenge_method") != "S256":
            return self._back(parameters, {"error": "invalid_request"})
        if self.requires_resource and not parameters.get("resource"):
            return self._back(parameters, {"error": "invalid_target"})
        if self.refuses_resource == "consent" and "resource" in parameters:
            return self._back(parameters, {"error": "invalid_target"})
        if self.refuses_prompt is not None and parameters.get("prompt") == "consent":
            return self._back(parameters, dict(self.refuses_prompt))
        fields = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in parameters.items()
        )
        buttons = "".join(f'<button name="decision" value="{each}">{each}</button>' for each in ("allow", "deny"))
        return HTMLResponse(f'<!doctype html><form method="post" action="/authorize">{fields}{buttons}</form>')

    def _decided(self, parameters: Mapping[str, str]) -> Response:
        if parameters.get("decision") != "allow":
            return self._back(parameters, {"error": "access_denied"})
        code = secrets.token_urlsafe(24)
        asked = parameters.get("scope") or " ".join(self.scopes)
        self.codes[code] = Code(
            parameters["client_id"],
            parameters["redirect_uri"],
            parameters.get("code_challenge"),
            asked if self.grants_only is None else " ".join(self.grants_only),
            parameters.get("resource"),
        )
        return self._back(parameters, {"code": code})

    def _back(self, parameters: Mapping[str, str], answer: dict[str, str]) -> Response:
        if "state" in parameters:
            answer["state"] = parameters["state"]
        if self.sends_iss:
            answer["iss"] = self.sends_iss if isinstance(self.sends_iss, str) else self.issuer
        separator = "&" if urlsplit(parameters["redirect_uri"]).query else "?"
        return RedirectResponse(parameters["redirect_uri"] + separator + urlencode(answer), 302)

    def _client(self, client_id: str, redirect_uri: str) -> Client | None:
        if client_id in self.clients or not self.metadata_documents or not client_id.startswith("http"):
            return self.clients.get(client_id)
        uris = [redirect_uri]
        if self.documents_are_fetched_with is not None:
            with self.documents_are_fetched_with() as http:
                document = http.get(client_id).json()
            if document.get("client_id") != client_id:
                return None
            uris = document["redirect_uris"]
        self.clients[client_id] = Client(client_id, None, uris)
        return self.clients[client_id]

    # Tokens

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        with self._lock:
            client, refusal = self._authenticate(request, form)
            if client is None:
                if self.voids_codes:
                    self.codes.pop(form.get("code", ""), None)
                assert refusal is not None
                return refusal
            refused = {"authorization_code": "code", "refresh_token": "refresh"}.get(form.get("grant_type", ""), "-")
            if "resource" in form and refused == self.refuses_resource:
                return _oauth_error("invalid_target")
            match form.get("grant_type"):
                case "authorization_code":
                    return self._redeem(client, form)
                case "refresh_token":
                    return self._refresh(client, form)
                case "client_credentials":
                    family = Family(client.id, form.get("scope", " ".join(self.scopes)))
                    self.families.append(family)
                    return self._issue(family, refreshable=False)
            return _oauth_error("unsupported_grant_type")

    def _authenticate(self, request: Request, form: Mapping[str, str]) -> tuple[Client | None, Response | None]:
        client_id, secret = form.get("client_id", ""), form.get("client_secret")
        is_taken = secret is None or "post" in self.takes_client_by
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client_id, _, secret = base64.b64decode(credentials).decode().partition(":")
            is_taken = bool({"basic", "unencoded"} & set(self.takes_client_by))
            if "unencoded" not in self.takes_client_by:
                client_id, secret = unquote(client_id), unquote(secret)
        client = self.clients.get(client_id)
        if not is_taken or client is None or client.secret != secret:
            is_vague = not is_taken and self.refuses_clients_with == "invalid_request"
            return None, _oauth_error("invalid_request") if is_vague else _oauth_error("invalid_client", 401)
        if client.secret_is_expired:
            return None, _oauth_error("invalid_client", 401, "The client secret has expired")
        return client, None

    def _redeem(self, client: Client, form: Mapping[str, str]) -> Response:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.client_id != client.id or code.redirect_uri != form.get("redirect_uri"):
            return _oauth_error("invalid_grant")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if code.challenge != base64.urlsafe_b64encode(digest).rstrip(b"=").decode():
            return _oauth_error("invalid_grant", description="PKCE verification failed")
        family = Family(client.id, code.scope, code.resource)
        self.families.append(family)
        return self._issue(family, refreshable=self.issues_refresh_tokens, is_consent=True)

    def _refresh(self, client: Client, form: Mapping[str, str]) -> Response:
        token = form.get("refresh_token", "")
        family = next((each for each in self.families if token in each.refresh_tokens), None)
        if family is None or family.revoked or family.client_id != client.id:
            return _oauth_error("invalid_grant")
        if token != family.refresh_tokens[-1] and self.detects_reuse:
            family.revoked = True
            return _oauth_error("invalid_grant", description="The refresh token was used before")
        return self._issue(family, refreshable=self.rotates)

    def _issue(self, family: Family, *, refreshable: bool, is_consent: bool = False) -> Response:
        token = f"at-{secrets.token_urlsafe(24)}"
        family.access_tokens[token] = time.time() + (3600 if self.expires_in is None else self.expires_in)
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        if self.tells_scopes:
            answer["scope"] = family.scope
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        if is_consent and self.account is not None:
            claims = json.dumps({"iss": self.issuer, "sub": self.account, "aud": family.client_id})
            answer["id_token"] = f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.c2ln"
        if refreshable:
            family.refresh_tokens.append(f"rt-{secrets.token_urlsafe(24)}")
            answer["refresh_token"] = family.refresh_tokens[-1]
            if self.refresh_expires_in is not None:
                answer["refresh_token_expires_in"] = self.refresh_expires_in
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    async def _revoke(self, request: Request) -> Response:
        """RFC 7009 section 2.2: also an unknown token is answered with 200."""
        form = dict(parse_qsl((await request.body()).decode()))
        for family in self.families:
            if form.get("token") in family.access_tokens or form.get("token") in family.refresh_tokens:
                family.revoked = True
        return Response(status_code=200)

    async def _introspect(self, request: Request) -> Response:
        """RFC 7662 section 2.2."""
        token = dict(parse_qsl((await request.body()).decode())).get("token", "")
        family = self._family_of(token)
        if family is None or not self.accepts(token):
            return JSONResponse({"active": False})
        return JSONResponse({"active": True, "scope": family.scope, "exp": int(family.access_tokens[token])})

    async def _userinfo(self, request: Request) -> Response:
        if not self.accepts(request.headers.get("authorization", "").removeprefix("Bearer ")):
            return JSONResponse({"error": "invalid_token"}, 401, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return JSONResponse({"sub": "person-1", "email": "person@example.com", "email_verified": True})

    def _family_of(self, token: str) -> Family | None:
        return next((family for family in self.families if token in family.access_tokens), None)


def _oauth_error(error: str, status: int = 400, description: str | None = None) -> Response:
    body = {"error": error} | ({"error_description": description} if description else {})
    return JSONResponse(body, status)

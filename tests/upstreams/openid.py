"""An OpenID provider for signing people in, whose lies can be chosen one by one."""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, Key
from joserfc.jws import JWSRegistry
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream

CLIENT_ID = "drio at the provider"
CLIENT_SECRET = "secret:with/reserved characters"


def new_key(key_id: str) -> Key:
    return ECKey.generate_key("P-256", {"kid": key_id, "use": "sig"})


FIRST_KEY = new_key("first")


@dataclass
class Granted:
    """What a code stands for."""

    redirect_uri: str
    challenge: str
    nonce: str


@dataclass
class OpenIdProvider:
    """Proper by default: one person, ES256, `iss` in its answers. Change a field to make it lie."""

    now: Callable[[], int]
    """Milliseconds; the provider's clock."""
    person: dict[str, Any] = field(
        default_factory=lambda: {
            "sub": "subject-1",
            "email": "ada@example.com",
            "email_verified": True,
            "name": "Ada Lovelace",
            "picture": "https://images.example.com/ada.png",
        }
    )
    id_token_claims: Mapping[str, Any] = field(default_factory=dict)
    """Put over the right claims of ID tokens; None removes one."""
    userinfo_claims: Mapping[str, Any] = field(default_factory=dict)
    """The same for userinfo."""
    metadata_claims: Mapping[str, Any] = field(default_factory=dict)
    """The same for the metadata."""
    response: Mapping[str, Any] = field(default_factory=dict)
    """The same for the parameters of the authorization response."""
    thin_id_tokens: bool = False
    """ID tokens name the subject only; the rest is at userinfo (OpenID Connect Core section 5.4)."""
    algorithm: str = "ES256"
    signing_key: Key = field(default_factory=lambda: FIRST_KEY)
    published: list[Key] = field(default_factory=list)
    """The keys at `jwks_uri`; the signing key when empty."""
    auth_methods: tuple[str, ...] = ("client_secret_basic", "client_secret_post")
    secret: str | None = CLIENT_SECRET
    origin: str = ""
    codes: dict[str, Granted] = field(default_factory=dict)

    def behave(self, now: Callable[[], int]) -> None:
        """No lies any more, and everything forgotten."""
        vars(self).update(vars(OpenIdProvider(now, origin=self.origin)))

    def metadata(self) -> dict[str, Any]:
        """OpenID Connect Discovery section 3."""
        document = {
            "issuer": self.origin,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "userinfo_endpoint": f"{self.origin}/userinfo",
            "jwks_uri": f"{self.origin}/jwks",
            "id_token_signing_alg_values_supported": ["ES256", "RS256", "EdDSA"],
            "token_endpoint_auth_methods_supported": list(self.auth_methods),
            "authorization_response_iss_parameter_supported": True,
        }
        return _with(document, self.metadata_claims)

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        self.origin = upstream.origin
        return [
            upstream.route("/.well-known/openid-configuration", "discovery", self._discovery),
            upstream.route("/authorize", "authorize", self._authorize),
            upstream.route("/token", "token", self._token, ["POST"]),
            upstream.route("/jwks", "jwks", self._jwks),
            upstream.route("/userinfo", "userinfo", self._userinfo),
        ]

    async def _discovery(self, _: Request) -> Response:
        return JSONResponse(self.metadata())

    async def _jwks(self, _: Request) -> Response:
        return JSONResponse({"keys": [key.as_dict(private=False) for key in self.published or [self.signing_key]]})

    async def _authorize(self, request: Request) -> Response:
        """The person is known here already and says yes."""
        asked = request.query_params
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT_ID
        code = secrets.token_urlsafe(16)
        self.codes[code] = Granted(asked["redirect_uri"], asked["code_challenge"], asked["nonce"])
        answer = _with({"code": code, "state": asked["state"], "iss": self.origin}, self.response)
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if not self._is_client(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        granted = self.codes.pop(form["code"], None)
        challenge = _b64url(hashlib.sha256(form["code_verifier"].encode()).digest())
        if granted is None or (granted.redirect_uri, granted.challenge) != (form["redirect_uri"], challenge):
            return JSONResponse({"error": "invalid_grant"}, 400)
        access_token = secrets.token_urlsafe(16)
        id_token = self._id_token(granted.nonce, access_token)
        return JSONResponse({"access_token": access_token, "token_type": "Bearer", "id_token": id_token})

    def _is_client(self, request: Request, form: Mapping[str, str]) -> bool:
        """RFC 6749 section 2.3.1, by the advertised methods only."""
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            name, _, password = base64.b64decode(credentials).decode().partition(":")
            sent, method = (unquote(name), unquote(password)), "client_secret_basic"
        elif "client_secret" in form:
            sent, method = (form["client_id"], form["client_secret"]), "client_secret_post"
        else:
            return self.secret is None and form.get("client_id") == CLIENT_ID
        return sent == (CLIENT_ID, self.secret) and method in self.auth_methods

    def _id_token(self, nonce: str, access_token: str) -> str:
        now = self.now() // 1000
        claims = {
            "iss": self.origin,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "at_hash": _b64url(hashlib.sha256(access_token.encode()).digest()[:16]),
        }
        claims |= {"sub": self.person["sub"]} if self.thin_id_tokens else self.person
        header = {"alg": self.algorithm, "kid": self.signing_key.kid}
        if self.algorithm == "none":  # RFC 7519 section 6: nothing behind the last dot
            unsigned = [header, _with(claims, self.id_token_claims)]
            return ".".join([*(_b64url(json.dumps(part).encode()) for part in unsigned), ""])
        registry = JWSRegistry(algorithms=[self.algorithm])
        return jwt.encode(header, _with(claims, self.id_token_claims), self.signing_key, registry=registry)

    async def _userinfo(self, request: Request) -> Response:
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return JSONResponse({"error": "invalid_token"}, 401)
        return JSONResponse(_with(self.person, self.userinfo_claims))


def _with(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

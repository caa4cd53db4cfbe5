"""OAuth 1.0 (RFC 5849): calls signed with the secrets of a client and of a token that was issued before.

Only section 3, signed requests. HMAC-SHA256 is HMAC-SHA1 of section 3.4.2 with another hash, as providers have it that
no longer take SHA-1.
"""

import base64
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from drio_mcp.clock import SECOND, Clock
from drio_mcp.connections.catalog.schema import SignatureMethod
from drio_mcp.connections.upstream.signing.request import Signature, UnsignedRequest, encoded, respelled
from drio_mcp.opaque import Randomness, Secret, b64url
from drio_mcp.outside import media_type_of

FORM = "application/x-www-form-urlencoded"
HASHES: Mapping[str, str] = {"HMAC-SHA1": "sha1", "HMAC-SHA256": "sha256"}


@dataclass(frozen=True, slots=True)
class OAuth1Key:
    """The two pairs of section 1.1, client credentials and token credentials, and the realm where one is wanted."""

    client_id: str
    client_secret: Secret
    token: Secret
    token_secret: Secret
    realm: str | None = None
    method: SignatureMethod = "HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class OAuth1Signer:
    """Signs calls with such a key."""

    key: OAuth1Key
    clock: Clock = field(repr=False)
    randomness: Randomness = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({"authorization"})

    def needs_body(self, content_type: str) -> bool:
        """Section 3.4.1.3.1: of bodies, only forms are part of what is signed."""
        return media_type_of(content_type) == FORM

    def sign(self, request: UnsignedRequest) -> Signature:
        """The `Authorization` header of section 3.5.1."""
        path = respelled(request.path)
        own = {
            "oauth_consumer_key": self.key.client_id,
            "oauth_token": self.key.token.reveal(),
            "oauth_signature_method": self.key.method,
            "oauth_timestamp": str(self.clock.now() // SECOND),
            "oauth_nonce": b64url(self.randomness.bytes(16)),
            "oauth_version": "1.0",
        }
        is_form = self.needs_body(request.header("content-type"))
        form = pairs_of((request.body or b"").decode("utf-8", "replace")) if is_form else []
        url = f"{request.scheme}://{request.authority.lower()}{path}"
        base = base_string(request.method, url, [*pairs_of(request.query), *form, *own.items()])
        own["oauth_signature"] = signature_of(base, self.key.client_secret, self.key.token_secret, self.key.method)
        realm = [] if self.key.realm is None else [f'realm="{self.key.realm}"']
        parameters = [f'{encoded(name.encode())}="{encoded(value.encode())}"' for name, value in own.items()]
        header = Secret("OAuth " + ", ".join([*realm, *parameters]))
        return Signature(path, request.query, (("Authorization", header),))


def pairs_of(text: str) -> list[tuple[str, str]]:
    """The parameters of a query or a form, decoded (section 3.4.1.3.1)."""
    return parse_qsl(text, keep_blank_values=True)


def base_string(method: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """What is signed (section 3.4.1): method, base URI and all parameters but realm and signature, in order."""
    spelled = sorted((encoded(name.encode()), encoded(value.encode())) for name, value in parameters)
    normalized = "&".join(f"{name}={value}" for name, value in spelled)
    return "&".join([method.upper(), encoded(url.encode()), encoded(normalized.encode())])


def signature_of(base: str, client_secret: Secret, token_secret: Secret | None, method: str) -> str:
    """The signature in base64 (section 3.4.2); before there is a token, its secret is empty."""
    token_part = "" if token_secret is None else token_secret.reveal()
    key = "&".join(encoded(each.encode()) for each in (client_secret.reveal(), token_part))
    return base64.b64encode(hmac.digest(key.encode(), base.encode(), HASHES[method])).decode("ascii")

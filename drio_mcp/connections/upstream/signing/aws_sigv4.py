"""AWS Signature Version 4 (AWS General Reference, "Signing AWS API requests").

The path goes out in its one spelling and is encoded once more for the signature, except for S3, which takes it as it
is. Every header that says what is asked for is signed: `Host`, those of the content, and all `X-Amz-*`.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes

from drio_mcp.clock import SECOND, Clock
from drio_mcp.connections.upstream.signing.request import Pairs, Signature, UnsignedRequest, encoded, respelled
from drio_mcp.opaque import Secret

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
"""What S3 takes in place of the hash of a body that is too large to be kept."""
TAKES_UNSIGNED = frozenset({"s3", "s3express", "s3-object-lambda", "s3-outposts"})
"""Services with the rules of S3: the path is taken as it is, and the body may go unsigned."""
CONTENT = frozenset({"content-type", "content-md5"})


@dataclass(frozen=True, slots=True)
class AwsKey:
    """An access key, and for what it signs."""

    access_key_id: str
    secret_access_key: Secret
    region: str
    service: str
    session_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class AwsSigner:
    """Signs calls with an access key."""

    key: AwsKey
    clock: Clock = field(repr=False)

    @property
    def names(self) -> frozenset[str]:
        return frozenset({"authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"})

    def needs_body(self, content_type: str) -> bool:
        return self.key.service not in TAKES_UNSIGNED

    def sign(self, request: UnsignedRequest) -> Signature:
        """The headers that make it a call of the key's owner."""
        service = request.service or self.key.service
        is_plain = service in TAKES_UNSIGNED
        path = respelled(request.path) if is_plain else normalized_path(respelled(request.path))
        query = "&".join(f"{name}={value}" for name, value in parameters(request.query))
        moment = datetime.fromtimestamp(self.clock.now() / SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
        payload = UNSIGNED_PAYLOAD if request.body is None else hashlib.sha256(request.body).hexdigest()
        own = {"X-Amz-Date": moment, "X-Amz-Content-Sha256": payload}
        if self.key.session_token is not None:
            own["X-Amz-Security-Token"] = self.key.session_token.reveal()
        headers = [("Host", request.authority), *_signed_of(request.headers, self.names), *own.items()]
        canonical = canonical_request(request.method, path if is_plain else encoded(path.encode(), "/"), query, headers)
        authorization = self._authorization(f"{canonical}\n{payload}", moment, service, headers)
        named = {**own, "Authorization": authorization}
        return Signature(path, query, tuple((name, Secret(value)) for name, value in named.items()))

    def _authorization(self, canonical: str, moment: str, service: str, headers: Pairs) -> str:
        scope = f"{moment[:8]}/{self.key.region}/{service}/aws4_request"
        signature = signature_of(self.key.secret_access_key, canonical, moment, scope)
        credential = f"{self.key.access_key_id}/{scope}"
        names = signed_headers(headers)
        return f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"


def canonical_request(method: str, path: str, query: str, headers: Pairs) -> str:
    """The text that stands for the request, but for its last line, the payload's hash.

    `path` is encoded as the service wants to see it; the parameters of `query` are encoded.
    """
    lines = [f"{name}:{value}" for name, value in _canonical_headers(headers)]
    ordered = "&".join(sorted(query.split("&"), key=lambda pair: pair.partition("=")[::2]))
    return "\n".join([method, path or "/", ordered, *lines, "", signed_headers(headers)])


def signed_headers(headers: Pairs) -> str:
    """The names of the headers that are signed."""
    return ";".join(name for name, _ in _canonical_headers(headers))


def string_to_sign(canonical: str, moment: str, scope: str) -> str:
    """What the key signs: when, for what, and the hash of the canonical request."""
    return "\n".join([ALGORITHM, moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])


def signature_of(secret: Secret, canonical: str, moment: str, scope: str) -> str:
    """The signature in hexadecimal, by a key derived for the day, the region and the service."""
    key = f"AWS4{secret.reveal()}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, string_to_sign(canonical, moment, scope).encode(), "sha256").hex()


def normalized_path(path: str) -> str:
    """A path without empty segments and steps (RFC 3986 section 5.2.4), as all services but S3 read it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in {"", "."}:
            kept.append(segment)
    is_folder = path.endswith(("/", "/.", "/..")) and kept
    return "/" + "/".join(kept) + ("/" if is_folder else "")


def parameters(query: str) -> Sequence[tuple[str, str]]:
    """The parameters of a query in the one spelling, in their order. A plus sign is a space, as in forms."""
    pairs = [each.partition("=") for each in query.split("&") if each]
    return [(_respelled(name), _respelled(value)) for name, _, value in pairs]


def _respelled(text: str) -> str:
    return encoded(unquote_to_bytes(text.replace("+", " ")))


def _signed_of(headers: Pairs, own: frozenset[str]) -> Pairs:
    """Of a caller's headers those that say what is asked for; others may change on the way."""
    return [
        (name, value)
        for name, value in headers
        if (name.lower() in CONTENT or name.lower().startswith("x-amz-")) and name.lower() not in own
    ]


def _canonical_headers(headers: Pairs) -> list[tuple[str, str]]:
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.lower(), []).append(" ".join(value.split()))
    return [(name, ",".join(values)) for name, values in sorted(found.items())]

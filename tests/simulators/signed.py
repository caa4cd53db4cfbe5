"""Signatures as a provider verifies them, written from the specifications: JWTs, AWS Signature Version 4, OAuth 1.0.

Nothing here is the server's own code: what both agree on is the specification.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key


class Unsigned(Exception):
    """What is wrong with a signature."""


def key_pair() -> tuple[str, RSAPublicKey]:
    """A private key as a provider gives it, and the public one that it keeps."""
    key: RSAPrivateKey = generate_private_key(65_537, 2_048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem.decode(), key.public_key()


def fingerprint(key: RSAPublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(der).digest()).decode()


def read_jwt(token: str, key: RSAPublicKey) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a JWT that the key signed (RFC 7515 section 5.2)."""
    signed, _, signature = token.rpartition(".")
    header, payload = (json.loads(_decoded(part)) for part in signed.split("."))
    if header.get("alg") != "RS256":
        raise Unsigned(f"alg is {header.get('alg')}")
    try:
        key.verify(_decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        raise Unsigned("another key signed it") from None
    return header, payload


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


AWS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\w+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def check_aws(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Mapping[str, str],
    region: str,
    service: str,
    now: str,
) -> None:
    """The signature of a request, by the steps of "Create a signed AWS API request". Raises `Unsigned`.

    `now` is the present moment as `X-Amz-Date` writes it; five minutes are allowed for.
    """
    match = AWS.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Unsigned("there is no signature")
    key_id, day, named_region, named_service, names, signature = match.groups()
    if (key_id, named_region, named_service) != (keys["access_key_id"], region, service):
        raise Unsigned("signed for another key, region or service")
    moment = headers.get("x-amz-date", "")
    if abs(_minutes(moment) - _minutes(now)) > 5 or not moment.startswith(day):
        raise Unsigned("RequestTimeTooSkewed")
    must = {"host", *(name for name in headers if name.startswith("x-amz-"))}
    if not must <= set(names.split(";")):
        raise Unsigned("a header that must be signed is not")
    payload = headers.get("x-amz-content-sha256", "")
    if payload != "UNSIGNED-PAYLOAD" and payload != hashlib.sha256(body).hexdigest():
        raise Unsigned("the body is another one")
    path, _, query = target.partition("?")
    once = "/".join(quote(unquote(each), safe="-_.~") for each in path.split("/"))
    spelled = once if service == "s3" else quote(once, safe="/-_.~")
    pairs = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in (each.partition("=") for each in query.split("&") if each)
    )
    lines = [method, spelled, "&".join(f"{name}={value}" for name, value in pairs)]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in names.split(";")]
    canonical = "\n".join([*lines, "", names, payload])
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = ("AWS4" + keys["secret_access_key"]).encode()
    for part in (day, region, service, "aws4_request", text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if key.hex() != signature:
        raise Unsigned("SignatureDoesNotMatch")
    if keys.get("session_token", "") != headers.get("x-amz-security-token", ""):
        raise Unsigned("another session token")


def _minutes(moment: str) -> float:
    from datetime import datetime

    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").timestamp() / 60 if moment else 0.0


def check_oauth1(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    keys: Mapping[str, str],
    realm: str | None,
    signature_method: str,
    now: int,
) -> None:
    """The signature of a request (RFC 5849 section 3.2). Raises `Unsigned`. `now` is in seconds."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme != "OAuth":
        raise Unsigned("there is no signature")
    told = {name.strip(): unquote(value.strip('"')) for name, _, value in (e.partition("=") for e in rest.split(","))}
    signature, named_realm = told.pop("oauth_signature", ""), told.pop("realm", None)
    if named_realm != realm or told.get("oauth_signature_method") != signature_method:
        raise Unsigned("another realm or method")
    if (told.get("oauth_consumer_key"), told.get("oauth_token")) != (keys["client_id"], keys["access_token"]):
        raise Unsigned("another consumer or token")
    if abs(int(told["oauth_timestamp"]) - now) > 300:
        raise Unsigned("timestamp_refused")
    if len(told.get("oauth_nonce", "")) < 6:
        raise Unsigned("the nonce is too short")
    address, _, query = url.partition("?")
    parameters = [*parse_qsl(query, keep_blank_values=True), *told.items()]
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        parameters += parse_qsl(body.decode(), keep_blank_values=True)
    spelled = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in parameters)
    normal = "&".join(f"{name}={value}" for name, value in spelled)
    base = "&".join(quote(each, safe="-_.~") for each in (method, address, normal))
    key = "&".join(quote(keys[name], safe="-_.~") for name in ("client_secret", "token_secret"))
    digest = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256}[signature_method]
    if base64.b64encode(hmac.new(key.encode(), base.encode(), digest).digest()).decode() != signature:
        raise Unsigned("the signature does not fit")

"""JWTs signed with a connection's private key (RFC 7519, RFC 7523 section 3), for a grant or as the credential itself.

Which claims there are is the catalog's to say: each provider wants its own. So joserfc signs what is put together here;
Authlib's `rfc7523` fixes the claims, and takes time and `jti` from where no test can.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from drio_mcp.clock import SECOND
from drio_mcp.connections.catalog import templates
from drio_mcp.connections.catalog.schema import AssertionRules
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.opaque import Secret

RSA_BITS = range(2_048, 4_097)
"""Less is not safe (RFC 7518 section 3.3), more is slow."""
UNREADABLE = (
    "config.privateKey cannot be opened: it must be an RSA key of 2,048 to 4,096 bits or a P-256 key in PEM form, and "
    "config.passphrase its passphrase if it has one"
)


@dataclass(frozen=True, slots=True)
class Assertion:
    """A JWT to be signed. `values` fill the places in its claims; claims of which a value is not known are left out."""

    rules: AssertionRules
    values: Mapping[str, str] = field(repr=False)
    private_key: Secret
    passphrase: Secret | None = None
    key_id: str | None = None

    def signed(self, now: int, token_id: str) -> Secret:
        """The JWT in its compact form (RFC 7515 section 3.1); `now` is in milliseconds.

        Raises `Fault` (`key_rejected`) for a key that cannot be used. Takes some milliseconds of computing.
        """
        key = read_key(self.private_key, self.passphrase)
        values = {name: value.upper() if name in self.rules.upper else value for name, value in self.values.items()}
        values |= {"key_fingerprint": key_fingerprint(key), "token_id": token_id}
        issued_at = now // SECOND - self.rules.backdated_seconds
        told = {name: templates.filled(text, values) for name, text in self.rules.claims.items()}
        claims = {name: value for name, value in told.items() if value is not None}
        times = {"iat": issued_at, "exp": now // SECOND + self.rules.lifetime_seconds}
        return compact(key, {**claims, **times}, self.key_id)

    def ends_at(self, now: int) -> int:
        """When it runs out (milliseconds)."""
        return now + self.rules.lifetime_seconds * SECOND


PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey


def read_key(pem: Secret, passphrase: Secret | None) -> PrivateKey:
    """The private key, RSA or P-256. Raises `Fault`."""
    password = None if passphrase is None else passphrase.reveal().encode()
    try:
        key = load_pem_private_key(pem.reveal().encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise Fault(Code.KEY_REJECTED, UNREADABLE) from None
    if isinstance(key, RSAPrivateKey) and key.key_size in RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise Fault(Code.KEY_REJECTED, UNREADABLE)


def key_fingerprint(key: PrivateKey) -> str:
    """`SHA256:` and the hash of the public key's DER form in base64, as Snowflake writes it."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "SHA256:" + base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")


def compact(key: PrivateKey, claims: Mapping[str, Any], key_id: str | None = None) -> Secret:
    """The claims as a signed JWT: RS256 by an RSA key, ES256 by one of P-256."""
    header = {"alg": "RS256" if isinstance(key, RSAPrivateKey) else "ES256", "typ": "JWT"}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    return sign(key, header | ({"kid": key_id} if key_id is not None else {}), payload)


def sign(key: PrivateKey, header: Mapping[str, Any], payload: bytes) -> Secret:
    """The payload as a JWS in its compact form (RFC 7515 section 7.1)."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    used = RSAKey.import_key(pem) if isinstance(key, RSAPrivateKey) else ECKey.import_key(pem)
    return Secret(jws.serialize_compact(dict(header), payload, used))

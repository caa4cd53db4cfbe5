"""Codes and tokens, derived instead of stored (architecture, "A grant is one row").

One is a prefix that tells its kind, then in base64url: format version (1 byte), grant id (16), generation (4), expiry
in milliseconds (6), scopes as bits (2), id of the server key (the rest), HMAC-SHA256 (32). The HMAC's key is half made
from the server's key ring and half the grant's own secret: the database alone forges nothing, and neither does the
key ring.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum

from drio_mcp.opaque import b64url, from_b64url
from drio_mcp.vault import Keyring, UnknownKey

FORMAT = 1
FORMAT_BYTE = bytes((FORMAT,))
PURPOSE = "tokens"
GRANT_PREFIX = "grant_"
FIXED_BYTES = 29
MAC_BYTES = 32
MAX_LENGTH = 256


class Kind(Enum):
    """What a token is for; its prefix is part of what is authenticated, so none passes for another kind."""

    CODE = "drio_ac_"
    ACCESS = "drio_at_"
    REFRESH = "drio_rt_"

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.authenticated = prefix.encode()


@dataclass(frozen=True, slots=True)
class Claims:
    """What a code or token says."""

    grant_id: str
    generation: int
    expires_at: int
    """Milliseconds."""
    scopes: int
    """As `scopes.to_bits`."""


@dataclass(frozen=True, slots=True)
class Token(Claims):
    """A code or token as read, good only once `Tokens.is_genuine` has said so."""

    kind: Kind
    key_id: str
    signed: bytes
    mac: bytes


class GenuineTokens:
    """The tokens that were found genuine lately, so that each is read and authenticated once.

    That a grant issued a token stays true, because a grant never gets another secret. Everything else (whether the
    token has expired, and whether its grant or its person still stands) is to be asked each time. Kept are the hashes
    of tokens and what they say, which open nothing.
    """

    def __init__(self, most: int = 2048) -> None:
        """For at most so many, about 400 bytes each; the oldest make room."""
        self._most = most
        self._claims: dict[bytes, Claims] = {}

    def __len__(self) -> int:
        return len(self._claims)

    def find(self, text: str) -> Claims | None:
        """What the token says, if it is known to be genuine."""
        return self._claims.get(_digest(text))

    def remember(self, text: str, token: Claims) -> None:
        """Say that `Tokens.is_genuine` has accepted the token."""
        claims = Claims(token.grant_id, token.generation, token.expires_at, token.scopes)
        self._claims[_digest(text)] = claims
        if len(self._claims) > self._most:
            del self._claims[next(iter(self._claims))]


def _digest(text: str) -> bytes:
    """BLAKE2b, which takes half as long as OpenSSL's SHA-256 for what is short."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=32).digest()


class Tokens:
    """Makes and checks codes and tokens."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def make(self, kind: Kind, grant_id: str, secret: bytes, *, generation: int, expires_at: int, scopes: int) -> str:
        """The token; the same arguments give the same one as long as the server's primary key is the same."""
        key_id = self._keyring.primary_id
        payload = b"".join(
            (
                FORMAT_BYTE,
                from_b64url(grant_id.removeprefix(GRANT_PREFIX)),
                generation.to_bytes(4),
                expires_at.to_bytes(6),
                scopes.to_bytes(2),
                key_id.encode("ascii"),
            )
        )
        return kind.prefix + b64url(payload + self._mac(key_id, secret, kind.authenticated + payload))

    def read(self, text: str, *kinds: Kind) -> Token | None:
        """What `text` says it is, if it has the form of one of `kinds`."""
        for kind in kinds:
            if text.startswith(kind.prefix):
                return None if len(text) > MAX_LENGTH else _read(text, kind)
        return None

    def is_genuine(self, token: Token, secret: bytes) -> bool:
        """Whether this server issued `token` for the grant that has `secret`; in constant time."""
        try:
            expected = self._mac(token.key_id, secret, token.signed)
        except UnknownKey:
            return False
        return hmac.compare_digest(expected, token.mac)

    def _mac(self, key_id: str, secret: bytes, message: bytes) -> bytes:
        return hmac.digest(self._keyring.derive(PURPOSE, key_id) + secret, message, "sha256")


def _read(text: str, kind: Kind) -> Token | None:
    try:
        raw = from_b64url(text[len(kind.prefix) :])
        key_id = raw[FIXED_BYTES:-MAC_BYTES].decode("ascii")
    except ValueError:
        return None
    if len(raw) <= FIXED_BYTES + MAC_BYTES or raw[0] != FORMAT:
        return None
    return Token(
        kind=kind,
        grant_id=GRANT_PREFIX + b64url(raw[1:17]),
        generation=int.from_bytes(raw[17:21]),
        expires_at=int.from_bytes(raw[21:27]),
        scopes=int.from_bytes(raw[27:29]),
        key_id=key_id,
        signed=kind.authenticated + raw[:-MAC_BYTES],
        mac=raw[-MAC_BYTES:],
    )

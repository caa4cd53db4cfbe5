"""Values that mean nothing to whoever carries them: ids, random strings, and secrets that do not print."""

import hashlib
import hmac
import secrets
from binascii import a2b_base64, b2a_base64
from typing import Any, Protocol

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_TO_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FROM_URL_SAFE = bytes.maketrans(b"-_", b"+/")

MASK = "********"
"""What every stored secret reads back as."""


class Randomness(Protocol):
    """Where unguessable bytes come from."""

    def bytes(self, count: int) -> bytes:
        """`count` bytes that nobody can predict."""
        ...


class SystemRandomness:
    """The operating system's generator."""

    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5, RFC 7515 appendix C)."""
    return b2a_base64(data, newline=False).translate(_TO_URL_SAFE, b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """The bytes behind `b64url`; raises `ValueError` when `text` is not base64url."""
    try:
        return a2b_base64(text.encode("ascii").translate(_FROM_URL_SAFE) + b"=" * (-len(text) % 4), strict_mode=True)
    except ValueError as error:
        raise ValueError("not base64url") from error


def new_id(prefix: str, randomness: Randomness) -> str:
    """An identifier such as `auth_…`: the prefix, an underscore and 128 unguessable bits in 22 characters."""
    return f"{prefix}_{b64url(randomness.bytes(16))}"


def hash_of(text: str) -> bytes:
    """SHA-256: what is stored in the place of a token, whose 256 random bits need no slow hash, and of long keys.

    Halves of surrogate pairs, which no token has but anybody may send, are hashed as they stand: no input raises, and
    no two share a hash because of how they are encoded.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def is_id(text: str) -> bool:
    """Whether the text can be an identifier, so that a database may be asked for it."""
    return 0 < len(text) <= 200 and text.isascii() and text.isprintable()


class Secret:
    """A value that must not be seen: it masks itself wherever it is written, and compares in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        raise TypeError("a Secret is not a dictionary key")

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read from a plain string; written as the mask."""
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(strict=True),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

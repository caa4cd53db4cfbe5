"""Reading what others wrote: addresses, numbers, text and JSON, each by one function that bounds before it works.

Each gives None, or raises `ValueError` and nothing else, for what cannot be read. None takes longer than some
milliseconds, whatever it is given: Unicode normalization is quadratic in a run of combining marks, `urlsplit`
normalizes the host that it finds, and `json` recurses as deep as it is told to.
"""

import json
import math
import re
import unicodedata
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard
from urllib.parse import SplitResult, urljoin, urlsplit

LONGEST_URL: Final = 8_192
LONGEST_AUTHORITY: Final = 512
"""A host name has at most 253 characters (RFC 1035 section 2.3.4), a few more where it is written in Unicode."""
MOST_STRINGS: Final = 1_000
LONGEST_STRING: Final = 2_048
"""Of a list in a document."""
LONGEST_RUN: Final = 4_096
"""Characters that are normalized at most: five milliseconds at the worst."""
LARGEST: Final = 4
"""Mebibytes up to which more may stand in a document."""
MOST_CONTAINERS: Final = 60_000
MOST_MEMBERS: Final = 100_000
"""Of a JSON document of a mebibyte, and of a larger one in proportion. What has more is not worth the turn of the event
loop that reading it takes."""

_AUTHORITY = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:)?//([^/?#]*)")
_UNREADABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff\\]")
"""What no URL has and parsers read differently: controls, blanks, the backslash, halves of a surrogate pair."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?")
_BOM: Final = b"\xef\xbb\xbf"


def media_type_of(content_type: str) -> str:
    """The media type of a `Content-Type`, in lower case and without parameters (RFC 9110 section 8.3.1)."""
    return content_type.partition(";")[0].strip().lower()


def read_url(text: object) -> SplitResult | None:
    """The parts of an absolute URL; None for what is none. `port` and `hostname` of the result never raise.

    The scheme is any: who needs https compares. A host, where there is one, may be written in Unicode.
    """
    if not is_bounded_url(text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts if parts.scheme else None


def join_url(base: str, reference: object) -> str | None:
    """`reference` as seen from `base` (RFC 3986 section 5); None for what leads to no readable URL."""
    if not is_bounded_url(reference):
        return None
    try:
        whole = urljoin(base, reference)
    except ValueError:
        return None
    return whole if read_url(whole) is not None else None


def host_of(text: object) -> str | None:
    """The host of an absolute URL, in lower case and without brackets."""
    parts = read_url(text)
    return parts.hostname if parts is not None else None


def read_strings(value: object) -> tuple[str, ...]:
    """The texts in a list of a document; what is empty, or longer than anybody could use, is left out."""
    if not isinstance(value, list):
        return ()
    return tuple(each for each in value[:MOST_STRINGS] if isinstance(each, str) and 0 < len(each) <= LONGEST_STRING)


def read_number(value: object, most: int = 1 << 53) -> int | None:
    """A whole number from 0 to `most`, written as a JSON number or as digits; fractions are dropped.

    None for anything else: a boolean, NaN, an infinity, a negative number, one that is larger.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        text = value.strip(" ")[:40]
        if not _WHOLE.fullmatch(text):
            return None
        value = int(text.partition(".")[0])
    if not isinstance(value, int | float) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return int(value) if 0 <= value <= most else None


def read_json(data: bytes | str) -> Any:
    """A JSON document (RFC 8259) in UTF-8, a byte order mark before it or not (section 8.1).

    NaN, infinities and numbers beyond a double's range are read as null, so that one of them does not cost what stands
    beside it. Texts may hold halves of surrogate pairs: whoever keeps or shows one looks at it first.

    Raises `ValueError` for what is none, for deep nesting, and for more containers or members than are read.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    raw = raw.removeprefix(_BOM)
    refuse_bulk(raw)
    try:
        return _DECODER.decode(raw.decode("utf-8", "surrogatepass"))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def refuse_bulk(raw: bytes) -> None:
    """Raises `ValueError` for JSON of so many parts that reading it would hold everybody up.

    A thread would not help: whoever builds objects holds the interpreter meanwhile.
    """
    size = min(max(1, len(raw) / (1024 * 1024)), LARGEST)
    if raw.count(b"[") + raw.count(b"{") > MOST_CONTAINERS * size or raw.count(b",") > MOST_MEMBERS * size:
        raise ValueError("more than is read here")


def normalized(form: Literal["NFC", "NFKC", "NFKD"], text: str, longest: int) -> str:
    """The text in a normal form (Unicode annex 15). Raises `ValueError` where it has more than `longest` characters.

    The bound is on what was sent, before any work: no form shrinks a text to less than a quarter in practice, so
    callers allow four times what they accept.
    """
    if len(text) > min(longest, LONGEST_RUN):
        raise ValueError("too long")
    return unicodedata.normalize(form, text)


def slug_of(name: str, longest: int, otherwise: str) -> str:
    """The name in at most `longest` lower-case ASCII letters, digits and hyphens; `otherwise` if nothing is left."""
    beginning = normalized("NFKD", name[: 4 * longest], 4 * longest)
    ascii_name = beginning.encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name)[:longest].strip("-") or otherwise


def is_bounded_url(text: object) -> TypeGuard[str]:
    """Whether this is text that `urlsplit` reads in no time, and in the way that others do."""
    if not isinstance(text, str) or len(text) > LONGEST_URL or _UNREADABLE.search(text):
        return False
    authority = _AUTHORITY.match(text)
    return authority is None or len(authority.group(1)) <= LONGEST_AUTHORITY


def is_bounded_key(jwk: Mapping[str, object]) -> bool:
    """Whether checking a signature with this public key (RFC 7517) takes less than a millisecond or two.

    RSA keys have 2,048 to 4,096 bits and an exponent below 2^32 (what cryptographic modules accept, FIPS 186-5 section
    5.1 and RFC 7518 section 3.3); a modulus and exponent of 3,072 bits each take a tenth of a second. Elliptic curves
    have one size each.
    """
    if jwk.get("kty") != "RSA":
        return True
    modulus, exponent = _integer(jwk.get("n")), _integer(jwk.get("e"))
    return 2048 <= modulus.bit_length() <= 4096 and modulus % 2 == 1 and 3 <= exponent < 1 << 32 and exponent % 2 == 1


def _integer(text: object) -> int:
    """A Base64urlUInt (RFC 7518 section 2) of at most 4,096 bits; 0 for anything else."""
    if not isinstance(text, str) or len(text) > 700:
        return 0
    try:
        return int.from_bytes(urlsafe_b64decode(text.encode("ascii") + b"=="))
    except ValueError:
        return 0


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_float=_finite)

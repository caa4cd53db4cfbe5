"""The types of single fields: what a value may be, and a right example for whoever sent a wrong one.

Every message tells what is right and contains nothing of what was sent.
"""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, StrictStr, WithJsonSchema

from drio_mcp.opaque import MASK, Secret
from drio_mcp.outside import is_bounded_url, read_url
from drio_mcp.text import is_plain, is_visible

LONGEST_NAME = 120
LONGEST_URL = 2_048
LONGEST_SECRET = 16_384
MOST_SCOPES = 200
LONGEST_SCOPE = 512
MOST_ORIGINS = 50

FRAMING_HEADERS = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that steer the connection itself (RFC 9110 section 7.6.1, RFC 9112 section 6), unfit for credentials."""

PLACE = re.compile(r"\{([A-Za-z][\w.-]*)\}")
"""A place in an address or another text that is filled in later: `{name}`."""
VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


UP_TO_PATH = re.compile(r"[^/?#]*//[^/?#]*")


def origin_of(url: str) -> str:
    """The origin of an absolute URL in its one form (RFC 6454 section 6.1); raises `ValueError` for what has none."""
    start = UP_TO_PATH.match(url) if is_bounded_url(url) else None
    if start is None:
        raise ValueError("not an absolute URL")
    return _origin_at(start.group())


@lru_cache(maxsize=4_096)
def _origin_at(start: str) -> str:
    """The same of a URL without its path and query, which no cache may keep: they may be a secret."""
    parts = read_url(start)
    if parts is None or not parts.hostname:
        raise ValueError("not an absolute URL")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname.lower()
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in {None, usual} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_web_url(text: str) -> bool:
    parts = read_url(text)
    if parts is None or not parts.hostname:
        return False
    whole = parts.scheme in {"http", "https"} and parts.port != 0
    return whole and "@" not in parts.netloc and "#" not in text and VISIBLE_ASCII.fullmatch(text) is not None


def _check(is_right: Callable[[str], object], longest: int, sentence: str) -> AfterValidator:
    """A validator of one string, refusing with `sentence`."""

    def check(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"must be at most {longest} characters long")
        if not is_right(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check)


def _matches(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).fullmatch


def _check_header(text: str) -> str:
    if text.lower() in FRAMING_HEADERS:
        raise ValueError("must not be a header that steers the connection itself; a right value is X-Api-Key")
    return text


def _check_secret(secret: Secret) -> Secret:
    text = secret.reveal()
    if not 0 < len(text) <= LONGEST_SECRET:
        raise ValueError(f"must be 1 to {LONGEST_SECRET} characters long; null removes it")
    if not is_plain(text):
        raise ValueError("must be one line without control characters, exactly as the provider shows it")
    return secret


def _at_most(count: int) -> BeforeValidator:
    """Refuses a longer list before its items are looked at: each wrong one costs an error of its own."""

    def check(value: Any) -> Any:
        if isinstance(value, list | tuple) and len(value) > count:
            raise ValueError(f"must hold at most {count}")
        return value

    return BeforeValidator(check)


def _check_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(scopes))


def _check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    if not origins:
        raise ValueError("must hold an origin; null stands for those of the endpoints")
    return tuple(dict.fromkeys(origin_of(origin) for origin in origins))


def _is_origin(text: str) -> bool:
    return _is_web_url(text) and urlsplit(text).path == "" and "?" not in text


Name = Annotated[
    StrictStr,
    AfterValidator(str.strip),
    _check(
        lambda text: is_visible(text) and is_plain(text),
        LONGEST_NAME,
        "must be one line of text with something to see in it; a right value is Primary Auth",
    ),
]
ProviderKey = Annotated[
    StrictStr,
    _check(
        _matches(r"[a-z0-9][a-z0-9._-]*"),
        64,
        "must be a provider's key from list_auth_providers; a right value is custom-oauth",
    ),
]
Url = Annotated[
    StrictStr,
    _check(
        _is_web_url,
        LONGEST_URL,
        "must be an absolute https URL without user name and fragment; a right value is https://api.example.com/path",
    ),
]
BaseUrl = Annotated[
    StrictStr,
    _check(
        lambda text: "?" not in text and (_is_web_url(PLACE.sub("x", text)) or PLACE.match(text)),
        LONGEST_URL,
        "must be an absolute https URL without user name, query and fragment; a right value is "
        "https://api.example.com/v1",
    ),
]
"""Where calls go: `{name}` stands for what the provider tells at consent (contract section 3, `providerFacts`)."""
Origin = Annotated[
    StrictStr,
    _check(_is_origin, LONGEST_URL, "must be an origin without a path; a right value is https://api.example.com"),
]
Origins = Annotated[tuple[Origin, ...], _at_most(MOST_ORIGINS), AfterValidator(_check_origins)]
SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,512}")
"""RFC 6749 section 3.3."""


def is_scope(text: str) -> bool:
    """Whether the text is one scope that can be asked for."""
    return len(text) <= LONGEST_SCOPE and SCOPE.fullmatch(text) is not None


def askable_scopes(named: Iterable[str]) -> tuple[str, ...]:
    """Of what others name, the scopes that can be asked for: each once, and as many as a connection may have."""
    return tuple(scope for scope in dict.fromkeys(named) if is_scope(scope))[:MOST_SCOPES]


ScopeName = Annotated[
    StrictStr,
    _check(
        is_scope,
        LONGEST_SCOPE,
        "must be one scope, without spaces and quotes; a right value is contacts:read",
    ),
]
Scopes = Annotated[tuple[ScopeName, ...], _at_most(MOST_SCOPES), AfterValidator(_check_scopes)]
ClientId = Annotated[
    StrictStr,
    _check(  # RFC 6749 appendix A.1
        _matches(r"[\x20-\x7e]+"), 2_048, "must be 1 or more visible ASCII characters; a right value is client_123"
    ),
]
HeaderName = Annotated[
    StrictStr,
    _check(  # RFC 9110 section 5.6.2, token
        _matches(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), 128, "must be the name of a header; a right value is X-Api-Key"
    ),
    AfterValidator(_check_header),
]
HeaderPrefix = Annotated[
    StrictStr,
    _check(
        _matches(r"[\x20-\x7e]*"), 64, "must be visible ASCII, with the space that ends it; a right value is 'Bearer '"
    ),
]
QueryName = Annotated[
    StrictStr,
    _check(_matches(r"[A-Za-z0-9._~\[\]-]+"), 128, "must be the name of a query parameter; a right value is api_key"),
]
Text = Annotated[StrictStr, _check(lambda text: text and is_plain(text), 1_024, "must be one line of text, not empty")]
ToolName = Annotated[StrictStr, _check(lambda text: text and is_plain(text), 256, "must be a tool's name, or a method")]
UserName = Annotated[
    StrictStr,
    _check(  # RFC 7617 section 2: the user-id ends at the first colon
        lambda text: text and is_plain(text) and ":" not in text, 512, "must be one line of text without a colon"
    ),
]
PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s[A-Za-z0-9+/=\s:,-]{40,}\s-----END [A-Z ]*PRIVATE KEY-----\s*")
"""RFC 7468 section 2, and what older programs write before the key when it has a passphrase."""


def _check_private_key(secret: Secret) -> Secret:
    text = secret.reveal().replace("\r\n", "\n").strip()
    if text.startswith("-----BEGIN") and "\n" not in text:
        text = text.replace("\\n", "\n")  # as it stands in JSON files and environments
    if len(text) > LONGEST_SECRET:
        raise ValueError(f"must be at most {LONGEST_SECRET} characters long; null removes it")
    if text != MASK and not text.startswith("{") and PEM.fullmatch(text) is None:
        raise ValueError(
            "must be a private key in PEM form, whole, from -----BEGIN PRIVATE KEY----- to the END line, or the "
            "provider's JSON file that holds one"
        )
    return Secret(text)


PrivateKeyValue = Annotated[
    Secret,
    AfterValidator(_check_private_key),
    WithJsonSchema({"type": "string", "writeOnly": True}, mode="validation"),
    WithJsonSchema({"type": "string"}, mode="serialization"),
]
KeyId = Annotated[StrictStr, _check(_matches(r"[\x21-\x7e]+"), 256, "must be the key's id, as the provider shows it")]
InstallationId = Annotated[
    StrictStr, _check(_matches(r"[0-9]+"), 20, "must be the installation's number; a right value is 12345678")
]
AccessKeyId = Annotated[
    StrictStr, _check(_matches(r"\w+"), 128, "must be an access key's id; a right value is AKIAIOSFODNN7EXAMPLE")
]
SigningName = Annotated[
    StrictStr, _check(_matches(r"[a-z0-9-]+"), 64, "must be as AWS writes it; right values are us-east-1 and lambda")
]
Realm = Annotated[
    StrictStr, _check(_matches(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+"), 128, "must be one line of text without quotes")
]
SecretValue = Annotated[
    Secret,
    AfterValidator(_check_secret),
    WithJsonSchema({"type": "string", "writeOnly": True}, mode="validation"),
    WithJsonSchema({"type": "string"}, mode="serialization"),
]

"""Redirect URIs: which may be registered, and which match what was registered (RFC 6749 section 3.1.2, RFC 8252)."""

import re
from collections.abc import Collection, Iterable
from typing import NoReturn
from urllib.parse import SplitResult

from drio_mcp.config import LOOPBACK_HOSTS
from drio_mcp.errors import OAuthError
from drio_mcp.outside import read_url

MAX_LENGTH = 2048
KNOWN_SCHEMES = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf", "zed"})
"""Private-use schemes of well-known clients that do not follow RFC 8252 section 7.1 (contract section 4)."""

_URI = re.compile(r"[!$%&'()+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
"""The characters of RFC 3986 without `#` (no fragment, RFC 6749 section 3.1.2) and `*` (no wildcard, RFC 9700
section 4.1)."""
_HOST = re.compile(r"[a-z0-9._:-]+")
"""Names and IP addresses. Whatever else RFC 3986 section 3.2.2 admits there, browsers read otherwise than people do,
and it could end the `form-action` of the page that leads there."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_SCRIPTING = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "view-source"})


class RedirectUriRefused(OAuthError):
    """`invalid_redirect_uri` (RFC 7591 section 3.2.2)."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_redirect_uri", description)


def check_redirect_uri(uri: str, further_schemes: Collection[str] = ()) -> None:
    """Raises `RedirectUriRefused` unless a client may register `uri`.

    `further_schemes` are the private-use schemes that the operator allows besides the usual ones.
    """
    if len(uri) > MAX_LENGTH:
        _refuse(f"A redirect URI may have at most {MAX_LENGTH} characters")
    if "#" in uri:
        _refuse("A redirect URI must not have a fragment")
    if "*" in uri:
        _refuse("A redirect URI must not have a wildcard: register each one in full")
    parts = _split(uri)
    if parts is None or not _URI.fullmatch(uri):
        _refuse("A redirect URI must be an absolute URI in plain ASCII")
    if "@" in parts.netloc:
        _refuse("A redirect URI must not have a user name or password")
    if parts.scheme in {"http", "https"}:
        _check_web(parts)
    elif parts.scheme in _SCRIPTING or not _is_private_use(parts.scheme, further_schemes):
        _refuse(
            "A redirect URI must be https, loopback http, or have a private-use scheme with a dot "
            "such as com.example.app (RFC 8252 section 7.1)"
        )
    elif not parts.netloc and not parts.path:
        _refuse("A redirect URI needs something after its scheme")


def _check_web(parts: SplitResult) -> None:
    if not _HOST.fullmatch(parts.hostname or ""):
        _refuse("A redirect URI needs a host, by its name or its address")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
        _refuse("A redirect URI must be https unless its host is 127.0.0.1, [::1] or localhost")


def _is_private_use(scheme: str, further_schemes: Collection[str]) -> bool:
    return "." in scheme or scheme in KNOWN_SCHEMES or scheme in further_schemes


def is_loopback(uri: str) -> bool:
    """Whether `uri` is http to this computer (RFC 8252 section 7.3)."""
    parts = _split(uri)
    return parts is not None and parts.scheme == "http" and parts.hostname in LOOPBACK_HOSTS


def matching(registered: Iterable[str], uri: str) -> str | None:
    """The registered URI that `uri` is, or None.

    Exact string comparison (RFC 9700 section 2.1), except that the port of a loopback redirect is free, because a
    native app takes whichever it gets (RFC 8252 section 7.3). `localhost` is not `127.0.0.1`.
    """
    portless = _portless(uri) if is_loopback(uri) and _URI.fullmatch(uri) else None
    for each in registered:
        if each == uri or (portless is not None and is_loopback(each) and _portless(each) == portless):
            return each
    return None


def _portless(uri: str) -> tuple[str | None, str, str, bool]:
    parts = _split(uri)
    assert parts is not None, "only what is known to be loopback comes here"
    return parts.hostname, parts.path, parts.query, "@" in parts.netloc


def _split(uri: str) -> SplitResult | None:
    """The parts of an absolute URI; None when it is none."""
    parts = read_url(uri)
    return parts if parts is not None and _SCHEME.fullmatch(parts.scheme) else None


def _refuse(description: str) -> NoReturn:
    raise RedirectUriRefused(description)

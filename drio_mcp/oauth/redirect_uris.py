"""Redirect URIs: which may be registered, and which match what was registered (RFC 6749 section 3.1.2, RFC 8252)."""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import NoReturn
from urllib.parse import SplitResult

from drio_mcp.config import is_loopback_name
from drio_mcp.errors import OAuthError
from drio_mcp.outside import read_url

MAX_LENGTH = 2048
KNOWN_SCHEMES = frozenset({"cursor", "vscode", "vscode-insiders", "windsurf", "zed"})
"""Private-use schemes of well-known clients that do not follow RFC 8252 section 7.1 (contract section 4)."""

OWN_HOST = (
    "A redirect URI must not have the host name of this server, whose cookies browsers would send there too: use "
    "another loopback name, such as 127.0.0.1"
)
_URI = re.compile(r"[!$%&'()+,\-./0-9:;=?@A-Z\[\]_a-z~]+")
"""The characters of RFC 3986 without `#` (no fragment, RFC 6749 section 3.1.2) and `*` (no wildcard, RFC 9700
section 4.1)."""
_HOST = re.compile(r"[a-z0-9._:-]+")
"""Names and IP addresses. Whatever else RFC 3986 section 3.2.2 admits there, browsers read otherwise than people do,
and it could end the `form-action` of the page that leads there."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_ACTED_ON = frozenset(
    [
        "javascript",
        "vbscript",
        "livescript",
        "mocha",
        "jscript",
        "data",
        "blob",
        "about",
        "file",
        "filesystem",
        "view-source",
        "jar",
        "resource",
        "res",
        "mk",
        "mhtml",
        "chrome",
        "chrome-extension",
        "chrome-untrusted",
        "moz-extension",
        "safari-web-extension",
        "edge",
        "opera",
        "brave",
        "vivaldi",
        "devtools",
        "mailto",
        "tel",
        "telprompt",
        "sms",
        "smsto",
        "mms",
        "sip",
        "sips",
        "callto",
        "facetime",
        "facetime-audio",
        "imessage",
        "geo",
        "maps",
        "webcal",
        "intent",
        "android-app",
        "market",
        "itms",
        "itms-apps",
        "itms-services",
        "shell",
        "search",
        "search-ms",
        "ldap",
        "ldaps",
        "ftp",
        "ftps",
        "sftp",
        "ssh",
        "telnet",
        "rlogin",
        "smb",
        "afp",
        "nfs",
        "dav",
        "davs",
        "vnc",
        "rdp",
        "news",
        "nntp",
        "gopher",
        "irc",
        "ircs",
        "magnet",
        "apt",
        "help",
        "hcp",
        "x-man-page",
        "prefs",
        "app-settings",
        "ws",
        "wss",
        "cid",
        "mid",
        "urn",
        "tag",
    ]
)
"""Schemes that browsers or systems act on themselves: a link to one would not lead to the client."""


class RedirectUriRefused(OAuthError):
    """`invalid_redirect_uri` (RFC 7591 section 3.2.2)."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_redirect_uri", description)


def check_redirect_uri(uri: str) -> None:
    """Raises `RedirectUriRefused` unless a client may register `uri`."""
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
    elif parts.scheme in _ACTED_ON or parts.scheme.startswith("ms-"):
        _refuse(
            "A redirect URI must be https, loopback http, or have a private-use scheme of the client's own, best one "
            "with a dot such as com.example.app (RFC 8252 section 7.1)"
        )
    elif not parts.netloc and not parts.path:
        _refuse("A redirect URI needs something after its scheme")


def _check_web(parts: SplitResult) -> None:
    if not _HOST.fullmatch(parts.hostname or ""):
        _refuse("A redirect URI needs a host, by its name or its address")
    if parts.scheme == "http" and not is_loopback_name(parts.hostname or ""):
        _refuse("A redirect URI must be https unless its host is 127.0.0.1, [::1] or localhost")


def stays_on_computer(uri: str) -> bool:
    """Whether the answer goes to an app on the person's computer: by loopback http, or by a private-use scheme."""
    parts = _split(uri)
    return parts is not None and (parts.scheme not in {"http", "https"} or is_loopback_http(uri))


def is_anybodys(uri: str, further_schemes: Collection[str] = ()) -> bool:
    """Whether `uri` has a private-use scheme of one word that nobody is known by: any app may have taken it.

    `further_schemes` are those that the operator vouches for (`DRIO_REDIRECT_SCHEMES`) besides the well-known ones.
    """
    parts = _split(uri)
    if parts is None or parts.scheme in {"http", "https"}:
        return False
    return "." not in parts.scheme and parts.scheme not in KNOWN_SCHEMES and parts.scheme not in further_schemes


def is_at_own_host(uri: str, origin: str) -> bool:
    """Whether `uri` is http to the host *name* of a loopback `origin`.

    Browsers send cookies to every port of a host (RFC 6265 section 8.5), so whoever listens there would be sent the
    session of this server. A name can be kept for the server alone; an address such as 127.0.0.1 cannot, because
    clients use it and nothing else (docs/security.md).
    """
    own = _split(origin)
    if own is None or own.scheme != "http":
        return False
    name = own.hostname or ""
    if name.replace(".", "").isdigit() or ":" in name:
        return False
    parts = _split(uri)
    return parts is not None and parts.hostname == name and is_loopback_http(uri)


def is_loopback_http(uri: str) -> bool:
    """Whether `uri` is http to this computer (RFC 8252 section 7.3)."""
    parts = _split(uri)
    return parts is not None and parts.scheme == "http" and is_loopback_name(parts.hostname or "")


def matching(registered: Iterable[str], uri: str) -> str | None:
    """The registered URI that `uri` is, or None.

    Exact string comparison (RFC 9700 section 2.1), except that the port of a loopback redirect is free, because a
    native app takes whichever it gets (RFC 8252 section 7.3). `localhost` is not `127.0.0.1`.
    """
    portless = _portless(uri) if is_loopback_http(uri) and _URI.fullmatch(uri) else None
    for each in registered:
        if each == uri or (portless is not None and is_loopback_http(each) and _portless(each) == portless):
            return each
    return None


def _portless(uri: str) -> tuple[str | None, str, str, bool]:
    parts = _split(uri)
    assert parts is not None, "only what is known to be loopback comes here"
    return parts.hostname, parts.path, parts.query, "@" in parts.netloc


@lru_cache(256)
def _split(uri: str) -> SplitResult | None:
    """The parts of an absolute URI; None when it is none.

    Kept for a while: one request asks several times, and all copies of a client register the same.
    """
    parts = read_url(uri)
    return parts if parts is not None and _SCHEME.fullmatch(parts.scheme) else None


def _refuse(description: str) -> NoReturn:
    raise RedirectUriRefused(description)

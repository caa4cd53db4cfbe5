"""Reading a URL in one way only: what is checked here is, byte for byte, what is connected to and sent."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import NoReturn

import idna

from drio_mcp.outbound.error import OutboundError
from drio_mcp.outside import LONGEST_AUTHORITY, LONGEST_URL, read_url

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL_CHARACTERS = re.compile(r"[!#-;=?-\[\]_a-z~]+")
"""RFC 3986 characters and `[`, `]`, `%`; neither `\\`, blanks, controls nor quotes, which parsers read differently."""
_HOST_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart: `host` in lower case and ASCII, IPv6 without brackets; `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The `Host` header's value (RFC 9110 section 7.2): the port only where it is not the scheme's own."""
        return self._bracketed if self.port == _DEFAULT_PORTS[self.scheme] else self.allow_entry

    @property
    def allow_entry(self) -> str:
        """What an entry of `DRIO_OUTBOUND_ALLOW` must read to admit this target."""
        return f"{self._bracketed}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port (RFC 6454)."""
        return self.scheme, self.host, self.port

    @property
    def is_address(self) -> bool:
        """Whether the host is an IP address rather than a name. Names never end in a number here."""
        return ":" in self.host or self.host.rpartition(".")[2].isdigit()

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def _bracketed(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_target(url: str) -> Target:
    """The target that `url` names. The fragment is dropped.

    Raises `OutboundError` (`address_blocked`) for another scheme, user information, and every spelling of a host that
    two programs could read as two hosts: decimal, octal and hexadecimal IPv4, scoped IPv6, empty labels.
    """
    try:
        parts = read_url(_ascii(url))
    except ValueError:
        parts = None
    if parts is None:
        _refuse("The URL cannot be read")
    port = parts.port
    if parts.scheme not in _DEFAULT_PORTS:
        _refuse("Only https URLs are called")
    if "@" in parts.netloc:
        _refuse("A URL must not carry a user name or password")
    if port == 0:
        _refuse("Port 0 cannot be called")
    is_address = "[" in parts.netloc
    if is_address != (":" in (parts.hostname or "")) or "[" in parts.path or "]" in parts.path:
        _refuse("The URL cannot be read")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _host(parts.hostname or ""), port or _DEFAULT_PORTS[parts.scheme], path)


def _ascii(url: str) -> str:
    """The URL with an international host name in ASCII (RFC 5891); anything else beyond ASCII is an error."""
    if len(url) > LONGEST_URL:
        raise ValueError("longer than any URL")
    scheme, separator, rest = url.partition("://")
    authority = re.match(r"[^/?#]*", rest)
    assert authority is not None
    host = authority.group()
    if not host.isascii():
        if len(host) > LONGEST_AUTHORITY:
            raise ValueError("longer than any host")
        name, colon, port = host.partition(":")
        try:
            host = idna.encode(name, uts46=True).decode("ascii") + colon + port
        except idna.IDNAError as error:
            raise ValueError("not an international domain name") from error
    whole = scheme + separator + host + rest[authority.end() :]
    if not _URL_CHARACTERS.fullmatch(whole.lower()):
        raise ValueError("characters that no URL has")
    return whole


def _host(host: str) -> str:
    if ":" in host:
        if "%" in host:
            _refuse("An address with a zone cannot be called")
        return str(IPv6Address(host))
    name = host.removesuffix(".")
    if not _HOST_NAME.fullmatch(name) or len(name) > 253:
        _refuse("The URL's host is not a host name")
    # WHATWG URL "ends in a number": resolvers read `2130706433`, `0177.1` and `0x7f.1` as IPv4 addresses.
    if _NUMERIC_LABEL.fullmatch(name.rpartition(".")[2]):
        try:
            return str(ip_address(name))
        except ValueError:
            _refuse("The URL's host is an IPv4 address in a form other than four decimal numbers")
    return name


def _refuse(sentence: str) -> NoReturn:
    raise OutboundError("address_blocked", sentence)

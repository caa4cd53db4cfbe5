"""Cross-origin requests (Fetch standard, section 3.2): open where browser-based clients need it, silent elsewhere.

Nothing here relies on cookies, so `*` is right, and a page of any origin can read why it was refused.
"""

import re

Header = tuple[bytes, bytes]

OPEN: tuple[Header, ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"WWW-Authenticate, Mcp-Session-Id, X-Request-Id"),
)
"""On every answer of an open route, errors included: without them a browser hides even the challenge."""

DEFAULT_REQUEST_HEADERS = (
    b"Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Session-Id, Mcp-Method, Mcp-Name"
)
HEADER_NAMES = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*")
MAX_HEADER_NAMES = 1024


def is_preflight(method: str, headers: list[Header]) -> bool:
    """Whether a browser asks if it may send the real request."""
    return method == "OPTIONS" and any(name == b"access-control-request-method" for name, _ in headers)


def preflight_headers(headers: list[Header]) -> list[Header]:
    """The permission for exactly the headers that the browser named (`Mcp-Param-*` names are not known in advance)."""
    wanted = next((value for name, value in headers if name == b"access-control-request-headers"), b"")
    well_formed = len(wanted) <= MAX_HEADER_NAMES and HEADER_NAMES.fullmatch(wanted) is not None
    return [
        (b"access-control-allow-methods", b"GET, POST, PUT, DELETE, OPTIONS"),
        (b"access-control-allow-headers", wanted if well_formed else DEFAULT_REQUEST_HEADERS),
        (b"access-control-max-age", b"7200"),
        (b"vary", b"Access-Control-Request-Headers"),
    ]

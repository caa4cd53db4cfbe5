"""The URL of a proxied call: the caller's path below the connection's address, and never beside it.

Servers and gateways read `..`, `%2e%2e`, `\\` and `//` in more than one way. Whatever one of them could take for a step
upwards or for another host is refused, however often it was encoded: also where an encoded `?`, `#` or `;` ends the
segment for a server that decodes first, and where lax decoders read dots and slashes (longer forms of UTF-8, full-width
letters). Everything else is passed on as it came.
"""

import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit

from drio_mcp.errors import BadRequest

LONGEST = 8_192
DEPTH = 5
"""How many layers of percent-encoding are undone when looking for steps upwards."""
PATH_SAFE = "%/:@!$&'()*+,;=-._~"
"""RFC 3986 section 3.3: what stands in a path as it is."""
QUERY_SAFE = PATH_SAFE + "?[]"
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
OVERLONG = re.compile(r"%(?:c0|c1|e0%80|f0%80%80)%[89ab][0-9a-f]", re.IGNORECASE)
"""What decodes to ASCII where the shortest form is not insisted on (RFC 3629 section 10)."""
ENDS_SEGMENT = re.compile("[;?#]")


def proxied_url(base: str, path: str, query: str) -> str:
    """The URL of `path` (as it was sent, still encoded) below `base`. Raises `BadRequest`.

    `path` has no slash before it; a query of the base stays, in front of the caller's.
    """
    if len(path) + len(query) > LONGEST:
        raise BadRequest("The path is too long to be passed on")
    _check(path)
    parts = urlsplit(base)
    whole = quote(path, safe=PATH_SAFE)
    below = f"{parts.path.rstrip('/')}/{whole}" if whole else parts.path
    both = "&".join(each for each in (parts.query, quote(query, safe=QUERY_SAFE)) if each)
    return f"{parts.scheme}://{parts.netloc}{below}" + (f"?{both}" if both else "")


def _check(path: str) -> None:
    if BROKEN_ESCAPE.search(path):
        raise BadRequest("The path holds a percent sign that encodes nothing")
    text = path
    for _ in range(DEPTH):
        if OVERLONG.search(text):
            raise BadRequest("The path must be UTF-8 in its shortest form")
        _check_segments(unicodedata.normalize("NFKC", text))
        decoded = unquote(text, errors="replace")
        if decoded == text:
            return
        text = decoded
    raise BadRequest("The path is encoded too many times")


def _check_segments(text: str) -> None:
    if any(char < " " or char in "\x7f\\" for char in text):
        raise BadRequest("The path must not hold control characters or backslashes")
    if text.startswith("/"):
        raise BadRequest("The path must not begin with a second slash")
    for segment in text.split("/"):
        # what follows a semicolon is a parameter to some servers, and to those that decode first a question mark or a
        # hash ends the path; what they look at is the rest
        if ENDS_SEGMENT.split(segment)[0].strip() in {".", ".."}:
            raise BadRequest("The path must not hold the segments . and ..")

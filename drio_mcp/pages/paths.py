"""Paths to go on to: only ever our own."""

import re
from urllib.parse import urlencode, urlsplit

PROVIDER_SIGN_IN = "/sign-in/provider"
"""Where signing in at the provider of `DRIO_OIDC_ISSUER` begins."""

LONGEST = 8_000
VISIBLE_ASCII = re.compile(r"[!-~]*")


def own_path(text: str, otherwise: str = "/apps") -> str:
    """`text` when it is a path on this server, else `otherwise`: nobody is sent elsewhere by a link to us.

    Browsers read `//host`, `/\\host` and paths with tabs in them as other hosts; none of these passes.
    """
    fine = (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and len(text) <= LONGEST
        and VISIBLE_ASCII.fullmatch(text) is not None
    )
    if not fine:
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    return otherwise if parts.scheme or parts.netloc else text


def with_query(path: str, **parameters: str) -> str:
    """`path` with the parameters that are not empty."""
    query = urlencode({name: value for name, value in parameters.items() if value})
    return f"{path}?{query}" if query else path

"""Which headers pass through the proxy, in either direction."""

from collections.abc import Iterable, Sequence, Set

from drio_mcp.outside import join_url

Pairs = list[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "expect",
        "http2-settings",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""RFC 9110 section 7.6.1: they speak of one connection, not of the message."""

NOT_SENT = HOP_BY_HOP | {
    "accept-encoding",
    "authorization",
    "content-length",
    "cookie",
    "cookie2",
    "forwarded",
    "a-im",
    "host",
    "if-range",
    "range",
    "via",
    "x-real-ip",
}
"""The caller's own credentials, where the caller sits, and what the client on our side decides itself.

Nothing is compressed on the way and nothing comes in parts (RFC 9110 section 14, RFC 3229), so that a credential which
the provider repeats can be found and masked.
"""

NOT_RETURNED = HOP_BY_HOP | {
    "alt-svc",
    "authentication-info",
    "cache-control",
    "clear-site-data",
    "content-security-policy",
    "content-security-policy-report-only",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "expires",
    "nel",
    "pragma",
    "public-key-pins",
    "refresh",
    "report-to",
    "reporting-endpoints",
    "service-worker-allowed",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "www-authenticate",
    "x-content-type-options",
    "x-drio-error",
    "x-frame-options",
    "x-request-id",
}
"""What would act upon our origin instead of the provider's, or ask the caller for a credential that we hold."""

NOT_SENT_PREFIXES = ("x-forwarded-", "x-drio-", "proxy-", "sec-")
NOT_RETURNED_PREFIXES = ("access-control-", "x-drio-", "proxy-")

HARMLESS: tuple[tuple[str, str], ...] = (
    ("Content-Security-Policy", "sandbox; default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""A provider's page that is opened on our origin runs no script there and sees nothing of it. `nosniff` and `no-store`
stand on all of our answers."""


def request_headers(
    headers: Iterable[tuple[str, str]],
    credential: Sequence[tuple[str, str]],
    usual: Sequence[tuple[str, str]] = (),
    reserved: Set[str] = frozenset(),
) -> Pairs:
    """What is sent on: the caller's headers without the above, and the credential in place of any of that name.

    `usual` are headers that the provider wants on each call; those that the caller sends too stay the caller's.
    `reserved` are names, in lower case, that a signature will set.
    """
    pairs = list(headers)
    dropped = NOT_SENT | _named_by_connection(pairs) | {name.lower() for name, _ in credential} | reserved
    kept = [(n, v) for n, v in pairs if n.lower() not in dropped and not n.lower().startswith(NOT_SENT_PREFIXES)]
    sent = {name.lower() for name, _ in (*kept, *credential)}
    added = [pair for pair in usual if pair[0].lower() not in sent]
    return [*kept, *added, ("Accept-Encoding", "identity"), *credential]


def response_headers(headers: Iterable[tuple[str, str]], url: str) -> Pairs:
    """What is handed back. A relative `Location` (RFC 9110 section 10.2.2) is the provider's: it is made whole."""
    pairs = list(headers)
    dropped = NOT_RETURNED | _named_by_connection(pairs)
    kept = [(n, v) for n, v in pairs if n.lower() not in dropped and not n.lower().startswith(NOT_RETURNED_PREFIXES)]
    whole = [(n, _whole(url, v) if n.lower() in {"location", "content-location"} else v) for n, v in kept]
    return [*whole, *HARMLESS]


def _whole(url: str, reference: str) -> str:
    """The address that `reference` means beside `url`; what cannot be read is passed on as it came."""
    return join_url(url, reference) or reference


def _named_by_connection(headers: Pairs) -> set[str]:
    """RFC 9110 section 7.6.1: `Connection` names further headers that are not passed on."""
    named = ",".join(value for name, value in headers if name.lower() == "connection")
    return {name.strip().lower() for name in named.split(",") if name.strip()}

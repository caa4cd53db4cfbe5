"""The Content-Security-Policy of the pages (contract section 6)."""

from urllib.parse import urlsplit


def content_security_policy(*form_targets: str) -> str:
    """The policy, with `form_targets` as further places to which a form may lead by way of redirects."""
    targets = " ".join(["'self'", *form_targets])
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        f"form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
    )


def form_target(redirect_uri: str) -> str:
    """The source expression that lets a form's answer redirect to `redirect_uri`.

    Browsers apply `form-action` to every redirect that follows the POST, not only to the first request. An origin
    where the grammar has one (Content Security Policy Level 3, section 2.3.1), else the scheme: it knows no IPv6
    literals, and private-use schemes have no origin.
    """
    parts = urlsplit(redirect_uri)
    scheme = parts.scheme.lower()
    host = parts.hostname or ""
    if scheme not in {"http", "https"} or ":" in host or not host:
        return f"{scheme}:"
    ascii_host = host if host.isascii() else host.encode("idna").decode("ascii")
    return f"{scheme}://{ascii_host}" + (f":{parts.port}" if parts.port is not None else "")

"""Proof Key for Code Exchange (RFC 7636), S256 only: `plain` protects from nobody who can read the request."""

import hmac
import re

from authlib.oauth2.rfc7636 import create_s256_code_challenge

from drio_mcp.errors import OAuthError

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""SHA-256 in base64url (section 4.2)."""
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")
"""Section 4.1."""


def check_challenge(challenge: str | None, method: str | None) -> str:
    """The challenge of an authorization request.

    Raises `invalid_request` when it is missing, as section 4.4.1 asks, or of another method: without one the method
    would be `plain` (section 4.3).
    """
    if challenge is None:
        raise OAuthError("invalid_request", "code_challenge is required (PKCE, RFC 7636)")
    if method != "S256":
        raise OAuthError("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError("invalid_request", "code_challenge must be a SHA-256 hash in base64url, 43 characters")
    return challenge


def check_verifier(verifier: str, challenge: str) -> None:
    """Raises `invalid_grant` when the verifier is another one (section 4.6), `invalid_request` when it is too weak."""
    proof: str = create_s256_code_challenge(verifier) if verifier.isascii() else ""
    if not hmac.compare_digest(proof, challenge):
        raise OAuthError(
            "invalid_grant", "code_verifier does not match the code_challenge of the authorization request"
        )
    if not _VERIFIER.fullmatch(verifier):
        raise OAuthError("invalid_request", "code_verifier must have 43 to 128 characters out of A-Z a-z 0-9 - . _ ~")

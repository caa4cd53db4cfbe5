"""What a provider granted, next to what was asked for."""

import json
from collections.abc import Iterable

from drio_mcp.opaque import Secret, from_b64url

UNNAMED = frozenset({"openid", "offline_access", "profile", "email"})
"""Scopes about the sign-in or the refresh token; providers grant them without naming them again."""


def missing_scopes(asked: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """The scopes that were asked for and not granted, in their order."""
    have = set(granted)
    return tuple(scope for scope in asked if scope not in have and scope not in UNNAMED)


def audience_of(token: Secret) -> tuple[str, ...] | None:
    """The `aud` of a token that can be read (RFC 9068 section 2.2); None for all others. Nothing is verified here."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(from_b64url(parts[1]))
    except (ValueError, RecursionError):
        return None
    audience = claims.get("aud") if isinstance(claims, dict) else None
    named = audience if isinstance(audience, list) else [audience]
    return tuple(each for each in named if isinstance(each, str)) or None

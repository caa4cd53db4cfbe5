"""Scopes as clients send them (RFC 6749 section 3.3) and as grants and tokens keep them."""

from collections.abc import Iterable
from functools import lru_cache

from drio_mcp.errors import OAuthError
from drio_mcp.models import DEFAULT_SCOPES, Scope

ADVERTISED = (*DEFAULT_SCOPES, Scope.OFFLINE_ACCESS)
"""`scopes_supported`: some clients ask for all of it, so nothing dangerous may stand here (contract section 3)."""

BITS = {scope: 1 << position for position, scope in enumerate(Scope)}
"""A token carries its scopes as one number, so the order of `Scope` is part of the token format: append only."""

_KNOWN = {scope.value: scope for scope in Scope}
_COMBINATIONS = 1 << len(BITS)
"""How many sets of scopes there are: what is made of one is made once."""


def known(scope: str | None) -> frozenset[Scope]:
    """The scopes named in a space-separated list that this server knows; the others are ignored, not refused.

    RFC 6749 section 3.3 allows it: the token answer says what was granted.
    """
    return frozenset(_KNOWN[name] for name in (scope or "").split() if name in _KNOWN)


@lru_cache(_COMBINATIONS)
def of_grant(text: str) -> frozenset[Scope]:
    """The scopes of a grant, out of the list that it keeps (`to_text`)."""
    return known(text)


def requested(scope: str | None) -> frozenset[Scope]:
    """What an authorization request asks for; the default when it asks for nothing that gives access."""
    wanted = known(scope)
    return wanted if wanted - {Scope.OFFLINE_ACCESS} else wanted.union(DEFAULT_SCOPES)


def requested_of_app(scope: str | None) -> frozenset[Scope]:
    """What a request for an app's own resource asks for: its use, which is all that there is (contract section 8)."""
    return frozenset({Scope.CONNECTIONS_USE}) | (known(scope) & {Scope.OFFLINE_ACCESS})


def narrowed(granted: frozenset[Scope], scope: str | None) -> frozenset[Scope]:
    """What a refresh request asks for (RFC 6749 section 6); all that was granted when it names nothing known.

    Raises `invalid_scope` for more than was granted. `offline_access` gives no access, so it is passed over.
    """
    wanted = known(scope) - {Scope.OFFLINE_ACCESS}
    if not wanted:
        return granted
    if not wanted <= granted:
        raise OAuthError("invalid_scope", "scope names more than was granted; ask for it at the authorization endpoint")
    return wanted | (granted & known(scope))


def to_text(scopes: Iterable[str]) -> str:
    """The space-separated list, always in the same order."""
    return _text_of(frozenset(scopes))


def to_bits(scopes: Iterable[Scope]) -> int:
    """The scopes as the number that a token carries."""
    return _bits_of(frozenset(scopes))


@lru_cache(_COMBINATIONS)
def from_bits(bits: int) -> frozenset[Scope]:
    """The scopes behind `to_bits`."""
    return frozenset(scope for scope, bit in BITS.items() if bits & bit)


@lru_cache(_COMBINATIONS)
def _text_of(scopes: frozenset[str]) -> str:
    return " ".join(scope for scope in Scope if scope in scopes)


@lru_cache(_COMBINATIONS)
def _bits_of(scopes: frozenset[Scope]) -> int:
    return sum(BITS[scope] for scope in scopes)

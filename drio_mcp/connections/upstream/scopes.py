"""What a provider granted, next to what was asked for, compared by the provider's own rules."""

from collections.abc import Iterable

from drio_mcp.connections.catalog.schema import ScopeRules

UNNAMED = frozenset({"openid", "offline_access", "profile", "email"})
"""Scopes about the sign-in or the refresh token; providers grant them without naming them again."""
DEPTH = 4
"""How many steps of implication are followed."""


def missing_scopes(asked: Iterable[str], granted: Iterable[str], rules: ScopeRules | None = None) -> tuple[str, ...]:
    """The scopes that were asked for and not granted, in their order; never one that is only spelt otherwise."""
    rules = rules or ScopeRules()
    if rules.is_set_on_app or not rules.is_reported:
        return ()
    have = _closure({_spelt(each, rules) for each in granted}, rules)
    return tuple(scope for scope in asked if _spelt(scope, rules) not in have and scope not in UNNAMED)


def _closure(granted: set[str], rules: ScopeRules) -> set[str]:
    """All that the granted scopes contain: the same ones under other names, and what they imply."""
    have, new = set(granted), set(granted)
    for _ in range(DEPTH):
        implied = {name for scope in new for name in _implied(scope, rules)}
        new = implied - have
        have |= new
    return have


def _implied(scope: str, rules: ScopeRules) -> Iterable[str]:
    for group in rules.same:
        spelt = [_spelt(each, rules) for each in group]
        if scope in spelt:
            yield from spelt
    for pattern, implied in rules.implies.items():
        rest = _rest(_spelt(pattern, rules), scope)
        if rest is not None:
            yield from (_spelt(each, rules).replace("*", rest) for each in implied)


def _rest(pattern: str, scope: str) -> str | None:
    """What stands for the pattern's `*` in the scope; an empty text for a pattern without one; None if unlike."""
    before, star, after = pattern.partition("*")
    if not star:
        return "" if pattern == scope else None
    fits = scope.startswith(before) and scope.endswith(after) and len(scope) > len(before) + len(after)
    return scope[len(before) : len(scope) - len(after)] if fits else None


def _spelt(scope: str, rules: ScopeRules) -> str:
    return scope.casefold() if rules.ignores_case else scope

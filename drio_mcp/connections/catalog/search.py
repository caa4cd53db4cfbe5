"""Finding providers by the words that people use for them: "google mail", "gmail", "G Suite calendar"."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drio_mcp.connections.catalog.providers import ProviderFacts

MOST_WORDS = 8
LONGEST_NAME = 100


def popularity_of(facts: "ProviderFacts") -> int:
    """How much the provider is used, from 0 to 100; the generic ones come before all."""
    return facts.entry.popularity if facts.entry is not None else 101


def ranked(providers: Iterable["ProviderFacts"], q: str) -> list["ProviderFacts"]:
    """Those that match all words of `q`, best first, of equally good ones the more popular first."""
    phrase = " ".join(q.lower().split())
    words = phrase.split()[:MOST_WORDS]
    scored = []
    for facts in providers:
        scores = [_score(word, facts) for word in words]
        if all(scores):
            entry_popularity = 0 if facts.entry is None else facts.entry.popularity
            total = sum(scores) + _phrase_score(phrase, facts)
            scored.append((-total, -entry_popularity, len(facts.provider.key), facts.provider.key, facts))
    return [facts for *_, facts in sorted(scored, key=lambda each: each[:-1])]


def named(providers: Iterable["ProviderFacts"], words: str) -> "ProviderFacts | None":
    """The provider that is called so: by its key, its name or one of its other names; of several the most used."""
    phrase = _folded(words)
    called = [each for each in providers if phrase in {_folded(name) for name in (each.provider.key, *_names(each))}]
    return max(called, key=popularity_of, default=None)


def nearest(providers: Iterable["ProviderFacts"], words: str, most: int = 5) -> list[str]:
    """Keys of the providers that were perhaps meant: those that have all the words, then those spelled alike."""
    known = list(providers)
    found = [each.provider.key for each in ranked(known, words)]
    keys = {_folded(name): each.provider.key for each in known for name in (*_names(each), each.provider.key)}
    alike = [keys[name] for name in get_close_matches(_folded(words), keys, n=most, cutoff=0.7)]
    return list(dict.fromkeys([*found, *alike]))[:most]


def _folded(name: str) -> str:
    """Letters and digits in lower case: spaces, hyphens and dots are written one way or the other."""
    return "".join(each for each in name[:LONGEST_NAME].lower() if each.isalnum())


def _phrase_score(phrase: str, facts: "ProviderFacts") -> int:
    """What the whole of it adds, where it is a name of the provider."""
    return 300 if phrase in {*_names(facts), facts.provider.key.replace("-", " ")} else 0


def _score(word: str, facts: "ProviderFacts") -> int:
    """How well one lower-case word fits; 0 is not at all."""
    key, name = facts.provider.key, facts.provider.name.lower()
    if word in {key, name}:
        return 100
    if key.startswith(word) or name.startswith(word):
        return 60
    parts = {part for text in (key.replace("-", " "), *_names(facts)) for part in text.split()}
    if word in parts:
        return 50
    if any(part.startswith(word) for part in parts):
        return 40
    if word in key or word in name:
        return 20
    if any(word in origin for origin in facts.origins):
        return 10
    return 5 if word in {facts.provider.kind, facts.entry.category if facts.entry else ""} else 0


def _names(facts: "ProviderFacts") -> Iterator[str]:
    yield facts.provider.name.lower()
    if facts.entry is not None:
        yield from facts.entry.aliases

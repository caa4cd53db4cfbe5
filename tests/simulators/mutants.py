"""Entries that are changed in one fact, under keys of their own, so that one server knows them all."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mutant:
    """A changed entry beside the true one, from which the provider is made."""

    raw: Mapping[str, Any]
    entry: dict[str, Any]
    what: str

    def __str__(self) -> str:
        return self.what


def bred(raw: Mapping[str, Mapping[str, Any]], changes: Iterable[tuple[str, str, Any]]) -> Sequence[Mutant]:
    """The mutants that the changes (key, path, value) make of the entries."""
    found = []
    for number, (key, path, value) in enumerate(changes):
        changed = mutated(raw[key], path, value)
        assert changed != raw[key], f"{key}: the mutation of {path} changes nothing"
        found.append(Mutant(raw[key], changed | {"key": f"{key}-mutant-{number}"}, f"{key}-{path}-{number}"))
    return found


def mutated(raw: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The entry with another value at the path; None takes it away."""
    changed = copy.deepcopy(dict(raw))
    *way, last = path.split(".")
    place: Any = changed
    for step in way:
        place = place[int(step)] if step.isdigit() else place[step]
    if value is None:
        place.pop(last, None)
    else:
        place[last] = value
    return changed

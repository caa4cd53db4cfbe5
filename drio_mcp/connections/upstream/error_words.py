"""What a provider's own words mean, by its catalog entry."""

from collections.abc import Iterable, Mapping
from typing import Any

from drio_mcp.connections.catalog.schema import ErrorWord
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.json_pointer import resolve

LONGEST = 4_096
"""How much of an error's sentence is looked at."""


def meaning_of(
    words: Iterable[ErrorWord],
    status: int | None,
    body: Any,
    errors: Iterable[str] = ("/error",),
    description: str = "",
    sentence: str = "",
) -> Code | None:
    """The code of the first word that fits; `errors` and `description` point at where words and sentences stand.

    `sentence` is what was read of the error otherwise.
    """
    usual = [resolve(body, each) for each in errors]
    if description:
        sentence = str(resolve(body, description) or "")
    sentence = sentence[:LONGEST]
    for word in words:
        told = usual if word.at is None else [resolve(body, word.at)]
        if _fits(word, status, told, sentence):
            return word.means
    return None


def _fits(word: ErrorWord, status: int | None, told: list[Any], sentence: str) -> bool:
    if word.status is not None and word.status != status:
        return False
    if word.text is not None and word.text.casefold() not in sentence.casefold():
        return False
    if word.word is None:
        return word.at is None or any(each is not None for each in told)
    return any(_is_same(word.word, each) for each in told)


def _is_same(word: str | int | bool, told: Any) -> bool:
    if isinstance(word, bool) or isinstance(told, bool):
        return word is told
    return str(word).casefold() == str(told).casefold() if isinstance(told, str | int) else False


def parameters_meaning(words: Iterable[ErrorWord], parameters: Mapping[str, str]) -> Code | None:
    """The same for the parameters of the answer to a consent (RFC 6749 section 4.1.2.1)."""
    return meaning_of(words, None, dict(parameters), ("/error",), "/error_description")

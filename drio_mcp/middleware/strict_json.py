"""JSON as two parsers cannot read it differently: the one reader of every body (RFC 8259, I-JSON of RFC 7493).

UTF-8 without a byte order mark, no member twice, numbers that a double holds, bounded depth. A text that no database
takes is refused by `check_text`, which is apart from it because a tool tells that in its own way.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar

from pydantic_core import PydanticSerializationError, from_json, to_json

T = TypeVar("T")

DEEPEST = 100
"""Levels of arrays and objects."""
MOST_VALUES = 100_000
"""Texts, numbers, members and items in one body."""
LONGEST_AT_ONCE = 32 * 1024
"""Bytes that are read on the event loop; more are read in a thread."""

BLANKS = " \t\n\r"
"""What may stand around a value (RFC 8259 section 2)."""
BLANK_BYTES = BLANKS.encode()

UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class NotStrict(ValueError):
    """Not JSON, or not in the one form; the sentence says what is wrong with it, without a word of it."""


async def unhurried(data: bytes, read: Callable[[bytes], T]) -> T:
    """What `read` makes of a body, without holding the event loop for long. Raises what it raises."""
    return read(data) if len(data) <= LONGEST_AT_ONCE else await asyncio.to_thread(read, data)


def loads(data: bytes | str) -> Any:
    """What the JSON says. Raises `NotStrict`."""
    encoded = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    value = read_as_written(encoded)
    if value is None:
        value = read_closely(data)
    if len(encoded) > MOST_VALUES or encoded.count(b"[") + encoded.count(b"{") > DEEPEST:  # else it cannot be too much
        _check_bounds(value)
    return value


def read_as_written(data: bytes) -> Any:
    """What the JSON says, if it is the very text that is written for it, but for blanks; None for all other.

    Nearly all bodies are, and to write them again takes a fifth of the time that Python's parser takes with a look at
    each object. A member that was named twice would be missing in what is written, and a number that no double holds
    would be another one.
    """
    try:
        value = from_json(data, allow_inf_nan=False)
        written = to_json(value)
    except ValueError:
        return None
    return value if written.translate(None, BLANK_BYTES) == data.translate(None, BLANK_BYTES) else None


def read_closely(data: bytes | str) -> Any:
    """What the JSON says, read member by member. Raises `NotStrict`."""
    try:
        text = (data if isinstance(data, str) else data.decode("utf-8")).strip(BLANKS)
        value, end = DECODER.raw_decode(text)
    except NotStrict:
        raise
    except UnicodeDecodeError:
        raise NotStrict("must be UTF-8") from None
    except RecursionError:
        raise NotStrict(f"is nested deeper than {DEEPEST} levels") from None
    except ValueError:
        raise NotStrict("is not valid JSON") from None
    if end < len(text):
        raise NotStrict("is not valid JSON")
    return value


def check_text(value: Any) -> None:
    """Raises `NotStrict` for text that JSON carries and no database does: U+0000 and lone surrogates."""
    if storable_json(value) is not None:
        return
    for each, _ in walk(value):
        if isinstance(each, str):
            _check(each)
        elif isinstance(each, dict):
            for name in each:
                _check(name)


def storable_json(value: Any) -> bytes | None:
    """The value as JSON; None where `check_text` has to look closer."""
    try:
        text = to_json(value)
    except PydanticSerializationError:  # half of a surrogate pair
        return None
    return None if b"\\u0000" in text else text


def count_values(value: Any) -> int:
    """How many values it is made of, itself included."""
    return sum(1 for _ in walk(value))


def walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value in it with its depth in arrays and objects, without recursion."""
    waiting: list[tuple[Any, int]] = [(value, 0)]
    while waiting:
        each, depth = waiting.pop()
        if isinstance(each, dict):
            depth += 1
            waiting.extend([(member, depth) for member in each.values()])
        elif isinstance(each, list):
            depth += 1
            waiting.extend([(item, depth) for item in each])
        yield each, depth


def _check_bounds(value: Any) -> None:
    for number, (_, depth) in enumerate(walk(value), start=1):
        if depth > DEEPEST:
            raise NotStrict(f"is nested deeper than {DEEPEST} levels")
        if number > MOST_VALUES:
            raise NotStrict(f"holds more than {MOST_VALUES} values")


def _check(text: str) -> None:
    if UNSTORABLE.search(text) is not None:
        raise NotStrict("contains U+0000 or half of a surrogate pair, which no text may hold")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise NotStrict("names a member twice")
    return members


def _constant(name: str) -> NoReturn:
    raise NotStrict("is not valid JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotStrict("holds a number that is too large")
    return number


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)
"""Made once: `json.loads` with a hook makes one per call. It refuses a byte order mark."""

"""The one reader of JSON: what it refuses, and that it refuses everything else that is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.middleware.strict_json import (
    DEEPEST,
    MOST_VALUES,
    NotStrict,
    check_text,
    count_values,
    loads,
    read_as_written,
    read_closely,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_is_written_is_read(value: object) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


NUMBERS = st.sampled_from(["0", "-0", "1", "1.0", "-1.5e-7", "1E5", "1e400", "01", "9" * 400, "0.1", "2.50", "NaN"])
NAMES = st.sampled_from(['"a"', '"a b"', '"\\u0061"', '"\\n"', '"é"', '"\\ud800"', '"\\u0000"', '"\x7f"', '""', "a"])
WRITTEN = st.recursive(
    NUMBERS | NAMES | st.sampled_from(["true", "null", ""]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ", ".join(items) + "]")
        | st.lists(st.tuples(NAMES, inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}: {value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)
"""Texts like JSON: with names twice, escapes, blanks, and numbers of all kinds."""


@given(WRITTEN | st.builds(json.dumps, VALUES))
def test_what_is_read_at_once_is_read_member_by_member_the_same(text: str) -> None:
    data = text.encode()
    at_once = read_as_written(data)
    if at_once is not None:
        assert repr(at_once) == repr(read_closely(data))


def test_what_clients_send_is_read_at_once() -> None:
    for separators in ((",", ":"), (", ", ": ")):
        assert read_as_written(json.dumps({"id": 1, "params": {"é": [1.5, "a b", None]}}, ensure_ascii=False,
                                          separators=separators).encode()) is not None  # fmt: skip


@given(st.binary(max_size=200))
def test_nothing_else_is_raised(data: bytes) -> None:
    try:
        value = loads(data)
    except NotStrict:
        return
    assert count_values(value) >= 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"9" * 5_000,
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b"[" * (DEEPEST + 1) + b"]" * (DEEPEST + 1),
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"[1] 2",
        b"[1,]",
        b"'a'",
    ],
    ids=lambda data: repr(data[:16]),
)
def test_what_two_readers_could_read_differently_is_refused(data: bytes) -> None:
    with pytest.raises(NotStrict):
        loads(data)


def test_depth_is_bounded() -> None:
    assert loads(b"[" * DEEPEST + b"]" * DEEPEST)
    flat = b"[" + b",".join([b"[]"] * (2 * DEEPEST)) + b"]"
    assert len(loads(flat)) == 2 * DEEPEST


def test_the_number_of_values_is_bounded() -> None:
    """The array is a value too."""
    assert loads(b"[" + b",".join([b"1"] * (MOST_VALUES - 1)) + b"]")
    with pytest.raises(NotStrict, match="more than"):
        loads(b"[" + b",".join([b"1"] * MOST_VALUES) + b"]")


@pytest.mark.parametrize("value", ["\0", "\ud800", {"a": ["\udfff"]}, {"\0": 1}, {"\ud800": 1}, ["\\u0000", "\0"]])
def test_text_that_no_database_takes(value: object) -> None:
    with pytest.raises(NotStrict):
        check_text(value)


def test_other_text_passes() -> None:
    check_text({"\n": ["\U0001f600", "\x7f", {"a": None}], "\\u0000": "\\\\u0000"})

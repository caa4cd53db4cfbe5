"""A credential that a provider repeats is masked, wherever the pieces of the answer are cut."""

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.use.masking import Mask
from drio_mcp.opaque import Secret

KEY = "key of 12+3/4"


async def pieces(data: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        yield data[start:end]


@given(
    before=st.text(max_size=20),
    after=st.text(max_size=20),
    spelled=st.sampled_from([KEY, "key%20of%2012%2B3%2F4", "key+of+12%2B3%2F4"]),
    cuts=st.lists(st.integers(0, 100), max_size=12),
)
async def test_however_it_is_cut(before: str, after: str, spelled: str, cuts: list[int]) -> None:
    whole = f"{before}{spelled}{after}{spelled}".encode("utf-8", "surrogatepass")
    out = b"".join([piece async for piece in Mask([Secret(KEY)]).stream(pieces(whole, cuts))])
    assert len(out) == len(whole)
    assert spelled.encode() not in out
    assert out.startswith(before.encode("utf-8", "surrogatepass"))


async def test_what_is_no_secret_is_passed_on_at_once() -> None:
    """Only the beginning of a secret waits for what comes next."""
    stream = Mask([Secret(KEY)]).stream(pieces(b"event: 1\n\nkey of", [10]))
    assert await anext(stream) == b"event: 1\n\n"
    assert await anext(stream) == b"key of"


@pytest.mark.parametrize("secret", ["short", ""])
async def test_short_secrets_are_not_looked_for(secret: str) -> None:
    """They would be found in all sorts of texts."""
    out = [piece async for piece in Mask([Secret(secret)]).stream(pieces(b"a short text", []))]
    assert out == [b"a short text"]


def test_texts() -> None:
    assert Mask([Secret(KEY)]).text(f"https://x.example/?k={KEY}") == f"https://x.example/?k={'*' * len(KEY)}"

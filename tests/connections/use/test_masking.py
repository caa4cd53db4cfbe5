"""A credential that a provider repeats is masked, wherever the pieces of the answer are cut."""

import itertools
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.use.masking import Mask
from drio_mcp.opaque import Secret
from tests.helpers.loop_watch import computing_at_most

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


SPELLED = [
    "p/s+w&d",
    "p%2Fs%2Bw%26d",
    "p%2fs%2bw%26d",
    "p/s%2Bw%26d",
    r"p\/s+w&d",
    r"p\/s+w\u0026d",
    r"p\u002fs\u002bw\u0026d",
    r"p\u002Fs\u002Bw\u0026d",
    "p/s+w&amp;d",
    "p/s&#43;w&amp;d",
    "p/s&#x2B;w&amp;d",
    "p&#47;s&#43;w&#38;d",
    "p&#x2f;s&#x2b;w&#x26;d",
]


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_short_password_in_every_spelling(spelled: str) -> None:
    """Seven characters, as URLs, JSON (also PHP's and Go's) and HTML write them."""
    assert Mask([Secret("p/s+w&d")]).text(f"<{spelled}>") == f"<{'*' * len(spelled)}>"


@pytest.mark.parametrize("secret", ["a" * 16_384, "é/+" * 5_400, "ab" * 8_000 + "c"], ids=["one", "escaped", "two"])
@pytest.mark.parametrize("piece", [b"a" * 65_536, b"ab" * 32_768, b"a"], ids=["alike", "nearly", "single"])
async def test_the_work_is_linear_whatever_the_credential(secret: str, piece: bytes) -> None:
    """Sixteen kilobytes that look like the beginning of themselves everywhere took a minute for 32 MB."""
    mask = Mask([Secret(secret)])
    count = 16 if len(piece) > 1 else 500

    async def many() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield piece

    with computing_at_most(0.5):
        out = b"".join([each async for each in mask.stream(many())])
    assert len(out) == count * len(piece)


@pytest.mark.parametrize("secret", ["sho", ""])
async def test_short_secrets_are_not_looked_for(secret: str) -> None:
    """They would be found in all sorts of texts."""
    out = [piece async for piece in Mask([Secret(secret)]).stream(pieces(b"a short text", []))]
    assert out == [b"a short text"]


def test_texts() -> None:
    assert Mask([Secret(KEY)]).text(f"https://x.example/?k={KEY}") == f"https://x.example/?k={'*' * len(KEY)}"

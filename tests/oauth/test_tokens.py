"""Derived tokens: compact, and forged by nobody who lacks the key ring or the grant's secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.oauth.tokens import GenuineTokens, Kind, Token, Tokens
from drio_mcp.opaque import SystemRandomness, b64url, from_b64url
from drio_mcp.vault import Keyring
from drio_mcp.vault.keyring import Ring

SECRET = bytes(32)
GRANT = "grant_" + b64url(bytes(range(16)))


def tokens(*keys: bytes) -> Tokens:
    ring = {f"k-{number}": key for number, key in enumerate(keys)}
    return Tokens(Keyring(Ring(f"k-{len(keys) - 1}", ring)))


OURS = tokens(b"a" * 32)


def make(made_by: Tokens = OURS, kind: Kind = Kind.ACCESS) -> str:
    return made_by.make(kind, GRANT, SECRET, generation=7, expires_at=1_773_576_000_123, scopes=5)


@given(
    kind=st.sampled_from(Kind),
    generation=st.integers(0, 2**32 - 1),
    expires_at=st.integers(0, 2**48 - 1),
    scopes=st.integers(0, 2**16 - 1),
)
def test_a_token_says_what_was_put_in(kind: Kind, generation: int, expires_at: int, scopes: int) -> None:
    text = OURS.make(kind, GRANT, SECRET, generation=generation, expires_at=expires_at, scopes=scopes)
    read = OURS.read(text, *Kind)
    assert read is not None
    assert (read.kind, read.grant_id, read.generation) == (kind, GRANT, generation)
    assert (read.expires_at, read.scopes) == (expires_at, scopes)
    assert OURS.is_genuine(read, SECRET)
    assert len(text) < 128


def test_the_same_token_is_made_again() -> None:
    assert make() == make()


def test_any_changed_byte_is_noticed() -> None:
    raw = from_b64url(make()[8:])
    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :]
        read = OURS.read(f"drio_at_{b64url(changed)}", Kind.ACCESS)
        assert read is None or not OURS.is_genuine(read, SECRET), position


@pytest.mark.parametrize("kind", [Kind.CODE, Kind.REFRESH])
def test_no_kind_passes_for_another(kind: Kind) -> None:
    read = OURS.read(kind.value + make()[8:], kind)
    assert read is not None
    assert not OURS.is_genuine(read, SECRET)
    assert OURS.read(make(), kind) is None


def test_neither_the_key_ring_nor_the_database_forges_alone() -> None:
    read = OURS.read(make(), Kind.ACCESS)
    assert read is not None
    assert not OURS.is_genuine(read, b"x" * 32), "another grant's secret"
    assert not tokens(b"b" * 32).is_genuine(read, SECRET), "another key under the same id"


def test_a_key_that_is_no_longer_primary_still_counts() -> None:
    rotated = tokens(b"a" * 32, b"b" * 32)
    read = rotated.read(make(), Kind.ACCESS)
    assert read is not None
    assert rotated.is_genuine(read, SECRET)
    newer = OURS.read(make(rotated), Kind.ACCESS)
    assert newer is not None
    assert not OURS.is_genuine(newer, SECRET), "a key that the ring lacks"


@given(st.text(max_size=300))
def test_any_text_can_be_read_without_harm(text: str) -> None:
    assert OURS.read("drio_at_" + text, *Kind) is None or len(text) > 60


def test_random_bytes_are_not_genuine() -> None:
    read = OURS.read("drio_at_" + b64url(b"\x01" + SystemRandomness().bytes(28) + b"k-0" + bytes(32)), Kind.ACCESS)
    assert read is not None
    assert not OURS.is_genuine(read, SECRET)


def test_of_genuine_tokens_a_bounded_number_is_remembered_and_none_of_them_itself() -> None:
    genuine = GenuineTokens(most=3)
    texts = [OURS.make(Kind.ACCESS, GRANT, SECRET, generation=number, expires_at=9, scopes=5) for number in range(5)]
    for text in texts:
        assert genuine.find(text) is None
        read = OURS.read(text, Kind.ACCESS)
        assert read is not None
        genuine.remember(text, read)
    assert len(genuine) == 3
    assert [genuine.find(text) is not None for text in texts] == [False, False, True, True, True]
    known = genuine.find(texts[4])
    assert known is not None
    assert not isinstance(known, Token)
    assert (known.grant_id, known.generation, known.expires_at, known.scopes) == (GRANT, 4, 9, 5)
    assert not any(text in repr(vars(genuine)) for text in texts)

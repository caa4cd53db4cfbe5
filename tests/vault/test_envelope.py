"""Sealing: what was sealed opens with its own binding, and with nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.vault import Binding, Keyring, SealBroken, Vault
from drio_mcp.vault.envelope import Envelope
from drio_mcp.vault.keyring import Ring

RING = Keyring(Ring("", {}).with_new_primary(SystemRandomness()))
VAULT = Vault(RING, SystemRandomness())
HERE = Binding.to("auth_1", "apiKey", ["https://b.example", "https://a.example"])

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
bindings = st.builds(Binding.to, texts, texts, st.lists(texts, max_size=3))


@given(texts, bindings)
def test_open_undoes_seal(text: str, binding: Binding) -> None:
    assert VAULT.open(VAULT.seal(Secret(text), binding), binding).reveal() == text


@given(bindings, bindings)
def test_a_secret_opens_with_its_own_binding_alone(sealed_for: Binding, opened_for: Binding) -> None:
    sealed = VAULT.seal(Secret("s"), sealed_for)
    if sealed_for == opened_for:
        assert VAULT.open(sealed, opened_for).reveal() == "s"
    else:
        with pytest.raises(SealBroken):
            VAULT.open(sealed, opened_for)


def test_the_order_of_origins_does_not_matter() -> None:
    sealed = VAULT.seal(Secret("s"), Binding("auth_1", "apiKey", ("https://b.example", "https://a.example")))
    assert VAULT.open(sealed, HERE).reveal() == "s"


@given(st.data())
def test_an_altered_envelope_does_not_open(data: st.DataObject) -> None:
    sealed = bytearray(VAULT.seal(Secret("a secret"), HERE))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        VAULT.open(bytes(sealed), HERE)


@given(st.binary(max_size=200))
def test_what_is_no_envelope_does_not_open(data: bytes) -> None:
    for use in (lambda: VAULT.open(data, HERE), lambda: VAULT.rewrap(data), lambda: Envelope.unpack(data)):
        with pytest.raises(SealBroken):
            use()


def test_the_same_secret_seals_differently_each_time_and_does_not_show() -> None:
    first, second = VAULT.seal(Secret("a secret"), HERE), VAULT.seal(Secret("a secret"), HERE)
    assert first != second
    assert b"a secret" not in first


@given(texts)
def test_rewrapping_changes_the_key_and_nothing_else(text: str) -> None:
    sealed = VAULT.seal(Secret(text), HERE)
    rotated = RING.rotated()
    after = Vault(rotated, SystemRandomness())
    rewrapped = after.rewrap(sealed)
    assert rewrapped is not None
    assert Envelope.unpack(rewrapped).key_id == rotated.primary_id != Envelope.unpack(sealed).key_id
    assert after.open(rewrapped, HERE).reveal() == text
    assert after.open(sealed, HERE).reveal() == text
    assert after.rewrap(rewrapped) is None


def test_another_ring_opens_nothing() -> None:
    sealed = VAULT.seal(Secret("s"), HERE)
    stranger = Vault(Keyring(Ring("", {}).with_new_primary(SystemRandomness())), SystemRandomness())
    with pytest.raises(SealBroken):
        stranger.open(sealed, HERE)
    with pytest.raises(SealBroken):
        stranger.rewrap(sealed)

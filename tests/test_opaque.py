"""What stands in the store in the place of a token (`opaque.hash_of`)."""

import hashlib

from drio_mcp.opaque import hash_of


def test_the_hash_of_a_token_is_that_of_its_bytes() -> None:
    """Links, sessions and secrets that are stored already are found by it."""
    assert hash_of("drio_ct_Zm9v") == hashlib.sha256(b"drio_ct_Zm9v").digest()


def test_halves_of_surrogate_pairs_are_hashed_apart() -> None:
    """A cookie, a form or a JSON body may hold them; none raises, and none is taken for another or for `?`."""
    texts = ["a?", "a\ud800", "a\udfff", "a\udc80", "a\ufffd", "a\x80"]
    assert len({hash_of(text) for text in texts}) == len(texts)

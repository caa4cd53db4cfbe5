"""Client authentication at somebody else's token endpoint (RFC 6749 section 2.3.1)."""

from base64 import b64decode
from collections.abc import Callable
from urllib.parse import unquote, unquote_plus

import pytest

from drio_mcp.opaque import Secret
from drio_mcp.outbound.oauth_client import authentication


@pytest.mark.parametrize("decode", [unquote, unquote_plus])
def test_whoever_decodes_basic_finds_the_same_id_and_secret(decode: Callable[[str], str]) -> None:
    headers, fields = authentication("client_secret_basic", "a b:c", Secret("p+q %26=é"))
    name, secret = b64decode(headers["Authorization"].removeprefix("Basic ")).decode().split(":")
    assert (decode(name), decode(secret), fields) == ("a b:c", "p+q %26=é", {})


@pytest.mark.parametrize(
    ("method", "secret", "fields"),
    [
        ("client_secret_post", Secret("s"), {"client_id": "c", "client_secret": "s"}),
        ("client_secret_post", None, {"client_id": "c"}),
        ("client_secret_basic", None, {"client_id": "c"}),
        ("none", Secret("s"), {"client_id": "c"}),
    ],
)
def test_what_stands_in_the_body(method: str, secret: Secret | None, fields: dict[str, str]) -> None:
    """A secret is sent by the method that was asked for, and by no other."""
    assert authentication(method, "c", secret) == ({}, fields)

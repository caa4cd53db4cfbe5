"""Settings (contract section 1)."""

import pytest

from drio_mcp.config import Settings, load_settings
from drio_mcp.errors import StartupError


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://DRIO.Example", "https://drio.example"),
        ("https://drio.example:443", "https://drio.example"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("http://Drio.Localhost:8000", "http://drio.localhost:8000"),
        ("https://drio.example:8443", "https://drio.example:8443"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("https://drio.example:80", "https://drio.example:80"),
    ],
)
def test_the_public_url_is_taken_as_browsers_write_it(written: str, origin: str) -> None:
    """Otherwise `resource` is `invalid_target` and our own `Origin` is a stranger's."""
    settings = Settings(public_url=written)
    assert (settings.origin, settings.resource) == (origin, f"{origin}/mcp")


@pytest.mark.parametrize("host", ["localhost", "drio.localhost", "a.b.localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
def test_names_below_localhost_are_loopback(host: str) -> None:
    """RFC 6761 section 6.3; `http` is allowed there."""
    assert Settings(public_url=f"http://{host}:8000").is_loopback


@pytest.mark.parametrize("url", ["http://localhost.example", "http://notlocalhost", "http://drio.example"])
def test_others_are_not(url: str) -> None:
    with pytest.raises(StartupError, match="DRIO_PUBLIC_URL"):
        load_settings(public_url=url)


@pytest.mark.parametrize("name", ["refresh_token_ttl", "access_token_ttl", "registration_limit", "port", "workers"])
def test_numbers_have_an_upper_bound(name: str) -> None:
    """What no database's number holds would fail at the first token instead."""
    with pytest.raises(StartupError, match=f"DRIO_{name.upper()} is wrong"):
        load_settings(**{name: 10**20})

"""One address of ours for each authorization server (RFC 9700 section 4.4.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.catalog.authorization_servers import SLUG, AuthorizationServer, AuthorizationServers
from drio_mcp.connections.catalog.providers import Providers

GOOGLE = ("https://accounts.google.com/o/oauth2/v2/auth", "https://oauth2.googleapis.com/token")
PATHS = st.text("abc/=&%-._~", max_size=20).map(lambda path: f"https://as.example/{path}")


def test_a_slug_never_changes() -> None:
    """It is registered at providers: another one would break every client there."""
    assert AuthorizationServer(*GOOGLE).slug == "accounts-google-com-5dfembky5narmvuw7qmwoiwc"


@given(PATHS, PATHS, PATHS, PATHS)
def test_different_endpoints_have_different_slugs(a: str, b: str, c: str, d: str) -> None:
    first, second = AuthorizationServer(a, b), AuthorizationServer(c, d)
    assert (first.slug == second.slug) == ((a, b) == (c, d))
    assert SLUG.fullmatch(first.slug)


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        (("https://ACCOUNTS.google.com:443/o/oauth2/v2/auth", GOOGLE[1]), True),
        (("https://accounts.google.com/O/oauth2/v2/auth", GOOGLE[1]), False),
        (("http://accounts.google.com/o/oauth2/v2/auth", GOOGLE[1]), False),
        ((GOOGLE[0], "https://evil.example/token"), False),
        ((GOOGLE[1], GOOGLE[0]), False),
        ((f"{GOOGLE[0]}?a=b", GOOGLE[1]), False),
    ],
)
def test_what_is_the_same_server(other: tuple[str, str], is_same: bool) -> None:
    assert (AuthorizationServer(*other).slug == AuthorizationServer(*GOOGLE).slug) is is_same


def test_no_slug_is_taken_for_a_connection() -> None:
    """Addresses of before end in the id of a connection, which holds an underscore."""
    assert SLUG.fullmatch("auth_" + "a" * 22) is None


def test_providers_of_one_server_share_it() -> None:
    servers = AuthorizationServers(Providers())
    gmail = servers.of("google-gmail")
    assert gmail is not None
    assert gmail == servers.of("google-drive") == servers.at(*GOOGLE)
    assert {"google-gmail", "google-drive"} <= set(servers.keys(gmail.slug))
    assert servers.of("zendesk") is None
    assert servers.of("custom-oauth") is None

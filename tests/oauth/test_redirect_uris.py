"""Redirect URIs: RFC 6749 section 3.1.2, RFC 8252 section 7, RFC 9700 section 4.1."""

import pytest

from drio_mcp.oauth.redirect_uris import (
    RedirectUriRefused,
    check_redirect_uri,
    is_anybodys,
    is_at_own_host,
    is_loopback_http,
    matching,
    stays_on_computer,
)

CALLBACK = "https://client.example/cb"


@pytest.mark.parametrize(
    "uri",
    [
        "https://chatgpt.com/connector_platform_oauth_redirect",
        "https://client.example/cb?tenant=1",
        "https://client.example:8443/cb",
        "https://[2001:db8::1]/cb",
        "http://127.0.0.1/",
        "http://127.0.0.1:33418/",
        "http://localhost:1455/callback",
        "http://[::1]:5000/cb",
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "vscode://vscode.github-authentication/did-authenticate",
        "vscode-insiders://x/y",
        "windsurf://cb",
        "zed://cb",
        "com.example.app:/oauth/callback",
        "com.example.app://callback",
    ],
)
def test_what_may_be_registered(uri: str) -> None:
    check_redirect_uri(uri)
    assert matching([uri], uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost.evil.example/cb",
        "http://127.1/cb",
        "http://2130706433/cb",
        "http://0.0.0.0/cb",
        "https://client.example/cb#fragment",
        "https://client.example/cb#",
        "https://*.client.example/cb",
        "https://client.example/*",
        "https://user:password@client.example/cb",
        "https://client.example@evil.example/cb",
        "http://user@127.0.0.1/cb",
        "https:///cb",
        "https://",
        "https://client.example;script-src/cb",
        "https://client.example,x/cb",
        "https://client.example%2eevil.example/cb",
        "https://client.example'x/cb",
        "https://client.example:port/cb",
        "https://client.example\\@evil.example/cb",
        "https://client.example/c b",
        "https://client.example/\tcb",
        "https://clíent.example/cb",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java.script\n:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://client.example/x",
        "ms-word:ofe|u|x",
        "ms-settings:privacy",
        "mailto:eve@example.com",
        "tel:+1900",
        "intent://scan/#Intent;end",
        "view-source:https://client.example",
        "com.example.app:",
        "/callback",
        "client.example/cb",
        "",
        "https://client.example/" + "x" * 2048,
    ],
)
def test_what_may_not_be_registered(uri: str) -> None:
    with pytest.raises(RedirectUriRefused) as caught:
        check_redirect_uri(uri)
    assert caught.value.error == "invalid_redirect_uri"
    assert not uri or uri not in caught.value.message


def test_a_scheme_of_one_word_is_anybodys_unless_it_is_known() -> None:
    """Contract section 4; `DRIO_REDIRECT_SCHEMES` names more that are one app's."""
    for uri in ("warp://oauth/callback", "raycast:callback", "goose://x"):
        check_redirect_uri(uri)
        assert is_anybodys(uri)
        assert stays_on_computer(uri)
    assert not is_anybodys("warp://oauth/callback", ("warp",))
    for uri in ("cursor://anysphere.cursor-mcp/oauth/callback", "com.example.app:/cb", CALLBACK, "http://localhost/cb"):
        assert not is_anybodys(uri)


@pytest.mark.parametrize(
    ("uri", "origin", "is_own"),
    [
        ("http://localhost:5000/cb", "http://localhost:8000", True),
        ("http://drio.localhost/cb", "http://drio.localhost:8000", True),
        ("http://127.0.0.1:5000/cb", "http://localhost:8000", False),
        ("http://localhost:5000/cb", "http://drio.localhost:8000", False),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:8000", False),
        ("http://[::1]:5000/cb", "http://[::1]:8000", False),
        ("https://drio.example/cb", "https://drio.example", False),
    ],
)
def test_the_servers_own_loopback_name_is_no_redirect_host(uri: str, origin: str, is_own: bool) -> None:
    """Cookies ignore ports (RFC 6265 section 8.5); an address stays, because clients use nothing else."""
    assert is_at_own_host(uri, origin) is is_own


def test_loopback_ports_are_free_and_nothing_else_is() -> None:
    """RFC 8252 section 7.3."""
    registered = [
        "http://127.0.0.1:1/cb?x=1",
        "http://localhost/cb",
        "https://client.example:1/cb",
        "https://localhost:1/s",
    ]
    assert matching(registered, "http://127.0.0.1:65535/cb?x=1") == registered[0]
    assert matching(registered, "http://localhost:9/cb") == registered[1]
    for uri in (
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:1/CB?x=1",
        "http://[::1]:1/cb?x=1",
        "http://localhost:9/cb#x",
        "http://user@localhost:9/cb",
        "https://client.example:2/cb",
        "http://localhost:x/cb",
        "https://localhost:9/cb",
        "http://localhost:9/s",
    ):
        assert matching(registered, uri) is None


def test_only_plain_http_to_this_computer_is_loopback() -> None:
    assert is_loopback_http("http://localhost:1/")
    for uri in ("https://localhost/", "http://client.example/", "cursor://localhost/", "http://[::1"):
        assert not is_loopback_http(uri)

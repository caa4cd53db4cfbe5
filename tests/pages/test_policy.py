import pytest

from drio_mcp.pages.policy import content_security_policy, form_target


@pytest.mark.parametrize(
    ("redirect_uri", "source"),
    [
        ("https://claude.ai/api/mcp/auth_callback", "https://claude.ai"),
        ("https://Client.Example:8443/cb?x=1", "https://client.example:8443"),
        ("http://localhost:33418/callback", "http://localhost:33418"),
        ("http://127.0.0.1/", "http://127.0.0.1"),
        ("http://[::1]:8000/cb", "http:"),
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor:"),
        ("com.example.app:/oauth", "com.example.app:"),
        ("https://cl\u0430ude.ai/cb", "https://xn--clude-5ve.ai"),
    ],
)
def test_the_source_that_lets_a_redirect_pass(redirect_uri: str, source: str) -> None:
    assert form_target(redirect_uri) == source


def test_pages_run_no_inline_script_and_are_framed_by_nobody() -> None:
    policy = content_security_policy("https://claude.ai")
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "form-action 'self' https://claude.ai;" in policy

import pytest

from drio_mcp.pages.paths import own_path, with_query


@pytest.mark.parametrize("path", ["/", "/apps", "/api/v1/auth/authorize?a=b&c=%2F%2Fd", "/account#tokens", "/a//b"])
def test_own_paths_are_followed(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "apps",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "https://evil.example",
        "https:evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "/\x00",
        "/ü",
        "/" + "x" * 8_000,
        "//[",
    ],
)
def test_nobody_is_sent_elsewhere(path: str) -> None:
    """Open redirect (RFC 9700 section 4.11)."""
    assert own_path(path, "/safe") == "/safe"


def test_only_filled_parameters_are_passed_on() -> None:
    assert with_query("/sign-in", next="/a?b=c&d", email="") == "/sign-in?next=%2Fa%3Fb%3Dc%26d"
    assert with_query("/sign-in", next="") == "/sign-in"

"""Which form of error answers where, and where browser scripts may call."""

import pytest

from drio_mcp.middleware.families import Family, family_of, is_open


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/api/v1/me", "api"),
        ("/api/v1/nope", "api"),
        ("/api/openapi.json", "api"),
        ("/api/v1/auth/token", "oauth"),
        ("/api/v1/auth/nope", "oauth"),
        ("/api/v1/authority", "api"),
        ("/api/v1/auth/authorize", "page"),
        ("/api/v1/auth/callback", "page"),
        ("/.well-known/nope", "oauth"),
        ("/token", "oauth"),
        ("/register", "oauth"),
        ("/authorize", "page"),
        ("/mcp", "mcp"),
        ("/mcpx", "page"),
        ("/", "page"),
        ("/nope", "page"),
    ],
)
def test_family(path: str, family: Family) -> None:
    """Contract section 3, "Unknown routes answer in the form of their family"."""
    assert family_of(path) is family


@pytest.mark.parametrize(
    "path",
    [
        "/mcp",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
        "/api/v1/auth/register",
        "/api/v1/auth/register/client_1",
        "/api/v1/auth/token",
        "/api/v1/auth/refresh",
        "/api/v1/auth/revoke",
        "/api/v1/auth/jwks",
        "/token",
        "/register",
    ],
)
def test_open_to_scripts_of_every_origin(path: str) -> None:
    """Contract section 4."""
    assert is_open(path)


@pytest.mark.parametrize(
    "path", ["/", "/sign-in", "/api/v1/me", "/api/v1/auth/authorize", "/authorize", "/api/v1/auth/introspect"]
)
def test_closed_to_scripts_of_other_origins(path: str) -> None:
    assert not is_open(path)

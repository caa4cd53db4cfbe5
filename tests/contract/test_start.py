"""Contract section 1, "Start": commands, first start, settings."""

import json
import re
import stat
from pathlib import Path

import pytest

from drio_mcp import __version__
from tests.helpers.server import PASSWORD

from .process import ADA, Program


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


def test_from_the_first_start_to_a_token(program: Program) -> None:
    """First start with no account prints the MCP URL and a one-time link that creates the first account."""
    with program.serving() as served:
        assert served.mcp_line == f"MCP URL: {served.url}/mcp"
        printed = re.search(r"http://\S+/setup\?token=\S+$", served.next_line())
        assert printed
        assert stat.S_IMODE(program.folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((program.folder / "keys.json").stat().st_mode) == 0o600
        anew = program.run("setup-link").stdout.strip()
        assert re.fullmatch(rf"{served.url}/setup\?token=\S+", anew), "printed anew by `drio-mcp setup-link`"
        with served.browser() as browser:
            browser.open(anew).submit(name="Ada", email=ADA, password=PASSWORD)
            assert browser.page is not None
            assert browser.page.status_code == 200
        with served.client() as http:
            assert http.get(anew).status_code >= 400, "single use"
        assert anew.rpartition("=")[2] not in served.log()
        (listed,) = json.loads(program.run("users", "list", "--json").stdout)
        assert (listed["email"], listed["operator"]) == (ADA, True)
        created = program.run("tokens", "create", "--email", ADA)
        assert re.fullmatch(r"drio_at_\S+\n", created.stdout), "prints one bearer token"
        with served.client(created.stdout.strip()) as api:
            assert api.get("/api/v1/me").json()["user"]["email"] == ADA
            assert [app["name"] for app in api.get("/api/v1/apps").json()["apps"]] == ["My app"]
        use = program.run("tokens", "create", "--email", ADA, "--scope", "connections:use", "--ttl", "60")
        with served.client(use.stdout.strip()) as api:
            assert api.get("/api/v1/me").status_code == 403, "only what --scope names"
        assert created.stdout.strip() not in served.log()


def test_version_and_wrong_usage(program: Program) -> None:
    """Exit status 0, 1 (failed) or 2 (wrong usage); errors go to stderr in one sentence."""
    version = program.run("--version")
    assert (version.returncode, version.stdout) == (0, f"drio-mcp {__version__}\n")
    for arguments, status in (
        (("users", "create"), 2),
        (("no-such-command",), 2),
        (("clients", "revoke", "client_none"), 1),
        (("tokens", "create", "--email", "nobody@example.com"), 1),
    ):
        ended = program.run(*arguments)
        assert (ended.returncode, ended.stdout) == (status, "")
        assert re.fullmatch(r"drio-mcp: [^\n]+\n", ended.stderr), ended.stderr


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("PUBLIC_URL", "http://drio.example.com", "https://drio.example.com"),
        ("PUBLIC_URL", "https://drio.example.com/", "https://drio.example.com"),
        ("PUBLIC_URL", "https://drio.example.com:port", "https://drio.example.com"),
        ("HOST", "999.1.1.1", "127.0.0.1"),
        ("PORT", "eighty", "8000"),
        ("DATABASE_URL", "mysql://localhost/drio", "postgresql://drio@localhost/drio"),
        ("KEYS", "secret", "keys.json"),
        ("REGISTRATION", "maybe", "open"),
        ("REGISTRATION_LIMIT", "0", "100"),
        ("SIGNUP", "yes", "closed"),
        ("OIDC_ISSUER", "http://login.example.com", "https://login.example.com"),
        ("OUTBOUND_ALLOW", ":9000", "localhost:9000"),
        ("OUTBOUND_ALLOW", "localhost", "localhost:9000"),
        ("SECRET_DIR", "/no/such/folder", "/run/secrets"),
        ("REDIRECT_SCHEMES", "javascript", "myapp"),
        ("ALLOWED_ORIGINS", "https://a.example/", "https://inspector.example.com"),
        ("TRUSTED_PROXIES", "proxy", "10.0.0.0/8"),
        ("MCP_SECRETS", "never", "link"),
        ("ACCESS_TOKEN_TTL", "-1", "3600"),
        ("REFRESH_TOKEN_TTL", "soon", "2592000"),
        ("LOG", "xml", "json"),
    ],
)
def test_a_wrong_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str,
    example: str,
) -> None:
    """One sentence naming the variable, the value's problem and a right example."""
    from drio_mcp.cli import run

    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv(f"DRIO_{name}", value)
    assert run(["serve"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert re.fullmatch(rf"drio-mcp: DRIO_{name} is [^\n]+\n", said.err), said.err
    assert example in said.err
    assert value not in said.err.replace(example, ""), "the value itself is not shown: it may be a secret"


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ({"DRIO_OIDC_ISSUER": "https://login.example.com"}, "DRIO_OIDC_CLIENT_ID"),
        ({"DRIO_OIDC_CLIENT_ID": "client_123"}, "DRIO_OIDC_ISSUER"),
        ({"DRIO_OIDC_CLIENT_SECRET": "s3cret"}, "DRIO_OIDC_ISSUER"),
    ],
)
def test_half_a_sign_in_provider_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: dict[str, str],
    missing: str,
) -> None:
    """The settings that belong together are given together."""
    from drio_mcp.cli import run

    for name, value in {"DRIO_DATA_DIR": str(tmp_path / "data"), **given}.items():
        monkeypatch.setenv(name, value)
    assert run(["serve"]) == 1
    assert re.fullmatch(rf"drio-mcp: {missing} is missing: [^\n]+; a right value is \S+\n", capsys.readouterr().err)

"""`drio-mcp doctor`: every fault that it knows, made for real, and the change that it says to make."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from drio_mcp.doctor import network
from drio_mcp.doctor.network import HttpExchange
from tests.helpers.server import running_server
from tests.upstreams.openid import OpenIdProvider
from tests.upstreams.serving import upstream
from tests.upstreams.tls import CertificateAuthority

from .conftest import Drio

Findings = dict[str, dict[str, str]]
Doctor = Callable[[], Findings]


@pytest.fixture
def doctor(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs the doctor, by default on a free port, and gives its findings by name."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("DRIO_PORT", str(free.getsockname()[1]))

    def run() -> Findings:
        result = drio("doctor", "--json")
        findings = {each["check"]: each for each in json.loads(result.out)}
        assert result.status == any(each["level"] == "failed" for each in findings.values())
        assert all(each["change"] for each in findings.values() if each["level"] != "ok")
        return findings

    return run


@pytest.fixture
def data(drio: Drio, tmp_path: Path) -> Path:
    """A data folder that was used."""
    assert drio("users", "create", "--email", "ada@example.com").status == 0
    return tmp_path / "data"


def test_a_sound_installation_has_no_fault(doctor: Doctor, data: Path, drio: Drio) -> None:
    findings = doctor()
    assert {each["level"] for each in findings.values()} == {"ok", "warning"}
    assert findings["public URL"]["detail"] == "no server is running"
    assert findings["database"]["detail"].endswith("belongs to these keys")
    shown = drio("doctor")
    assert shown.status == 0
    assert "→ start drio-mcp serve" in shown.out


def test_nothing_is_made_by_looking(doctor: Doctor, tmp_path: Path) -> None:
    doctor()
    assert not (tmp_path / "data").exists()


def test_a_wrong_setting_is_a_finding(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_PUBLIC_URL", "http://drio.example.com")
    findings = doctor()
    assert list(findings) == ["settings"]
    assert "must be https" in findings["settings"]["detail"]


@pytest.mark.parametrize(
    ("name", "check"), [("", "data folder"), ("keys.json", "keys"), ("drio.db", "database")], ids=str
)
def test_what_others_may_read_is_found(doctor: Doctor, data: Path, name: str, check: str) -> None:
    (data / name).chmod(0o755)
    finding = doctor()[check]
    assert finding["level"] == "failed"
    assert finding["change"].startswith("chmod ")


def test_keys_that_are_lost_or_broken_are_found(doctor: Doctor, data: Path) -> None:
    ring = (data / "keys.json").read_text()
    (data / "keys.json").unlink()
    assert "is missing" in doctor()["database"]["detail"]
    (data / "keys.json").write_text("{")
    (data / "keys.json").chmod(0o600)
    assert doctor()["keys"]["level"] == "failed"
    (data / "keys.json").write_text(ring)
    assert doctor()["keys"]["level"] == "ok"


def test_a_damaged_database_is_found(doctor: Doctor, data: Path) -> None:
    (data / "drio.db").write_bytes(b"overwritten" * 1000)
    finding = doctor()["database"]
    assert (finding["level"], "restore" in finding["change"]) == ("failed", True)


def test_a_database_from_before_an_upgrade_is_a_warning(doctor: Doctor, data: Path) -> None:
    import sqlite3

    connection = sqlite3.connect(data / "drio.db")
    connection.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    connection.commit()
    connection.close()
    finding = doctor()["database"]
    assert (finding["level"], "1 more" in finding["detail"]) == ("warning", True)
    assert "backup" in finding["change"]


def test_postgresql_is_asked_too(
    doctor: Doctor, drio: Drio, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIO_DATABASE_URL", postgres_url)
    assert "will make its tables" in doctor()["database"]["detail"]
    drio("migrate")
    findings = doctor()
    assert findings["database"]["detail"].endswith("belongs to these keys")
    assert findings["clock"]["detail"] == "it agrees with the others"


def test_postgresql_that_is_not_there_is_found(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_DATABASE_URL", "postgresql://drio:hidden@127.0.0.1:1/drio")
    finding = doctor()["database"]
    assert finding["level"] == "failed"
    assert "hidden" not in json.dumps(finding)


class Somebody(BaseHTTPRequestHandler):
    """Another program with a clock of its own."""

    def do_GET(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def somebody(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Has our port; gives its origin."""
    with HTTPServer(("127.0.0.1", 0), Somebody) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        monkeypatch.setenv("DRIO_PORT", str(server.server_port))
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_program_at_our_port_is_found(doctor: Doctor, somebody: str) -> None:
    findings = doctor()
    assert findings["port"]["level"] == "failed"
    assert "not from drio-mcp" in findings["public URL"]["detail"]


def test_a_clock_that_is_behind_is_found(doctor: Doctor, somebody: str) -> None:
    finding = doctor()["clock"]
    assert finding["level"] == "failed"
    assert "behind" in finding["detail"]


@pytest.mark.parametrize(("skew", "level"), [(29_000, "ok"), (-31_000, "failed"), (31_000, "failed")])
def test_half_a_minute_of_skew_is_too_much(skew: int, level: str) -> None:
    assert network.clock([HttpExchange(skew=1_000), HttpExchange(skew=skew), HttpExchange()], None).level == level


def test_a_running_server_is_looked_at_from_outside(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path / "data") as server:
        port = server.url.rpartition(":")[2]
        monkeypatch.setenv("DRIO_PORT", port)
        findings = doctor()
        assert findings["port"]["detail"] == f"drio-mcp answers on 127.0.0.1:{port}"
        assert findings["metadata"]["level"] == findings["proxy"]["level"] == "ok"
        assert findings["public URL"]["level"] == "warning", "a loopback address serves nobody else"
        assert findings["clock"]["detail"] == "it agrees with the others"

        monkeypatch.setenv("DRIO_PUBLIC_URL", f"http://localhost:{port}")
        mismatch = doctor()["metadata"]
        assert mismatch["level"] == "failed"
        assert f"DRIO_PUBLIC_URL=http://localhost:{port}" in mismatch["change"]


def test_forged_addresses_are_found(doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server trusts whoever sits at 127.0.0.1, and nobody there mends the header."""
    with running_server(tmp_path / "data", trusted_proxies=("127.0.0.1/32",)) as server:
        monkeypatch.setenv("DRIO_PORT", server.url.rpartition(":")[2])
        assert "made up" in doctor()["proxy"]["detail"]
        monkeypatch.setenv("DRIO_TRUSTED_PROXIES", "127.0.0.1/32")
        finding = doctor()["proxy"]
        assert (finding["level"], "another machine" in finding["change"]) == ("warning", True)
        monkeypatch.setenv("DRIO_TRUSTED_PROXIES", "0.0.0.0/0")
        assert "anybody" in doctor()["proxy"]["detail"]


def test_a_public_url_without_a_good_certificate_is_found(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path / "data") as server, upstream(authority=CertificateAuthority()) as secure:
        monkeypatch.setenv("DRIO_PORT", server.url.rpartition(":")[2])
        monkeypatch.setenv("DRIO_PUBLIC_URL", secure.origin)
        finding = doctor()["public URL"]
    assert (finding["level"], "certificate" in finding["change"]) == ("failed", True)


def test_the_sign_in_provider_is_asked(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = OpenIdProvider(lambda: 0)
    with upstream(provider) as running:
        monkeypatch.setenv("DRIO_OIDC_ISSUER", running.origin)
        monkeypatch.setenv("DRIO_OIDC_CLIENT_ID", "drio")
        assert "DRIO_OUTBOUND_ALLOW" in doctor()["sign-in provider"]["change"]
        monkeypatch.setenv("DRIO_OUTBOUND_ALLOW", running.host_port)
        assert "client secret" in doctor()["sign-in provider"]["detail"]
        monkeypatch.setenv("DRIO_OIDC_CLIENT_SECRET", "hidden")
        assert doctor()["sign-in provider"]["level"] == "ok"
        provider.metadata_claims = {"issuer": f"{running.origin}/"}
        wrong = doctor()["sign-in provider"]
        assert (wrong["level"], "DRIO_OIDC_ISSUER" in wrong["change"]) == ("failed", True)

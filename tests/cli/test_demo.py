"""`drio-mcp demo`, as somebody who has never seen it lives through it: connect, expire, heal."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from drio_mcp.cli.demo import stage
from drio_mcp.cli.demo.service import DemoService
from drio_mcp.cli.demo.stage import settings_of
from drio_mcp.errors import StartupError
from drio_mcp.opaque import SystemRandomness
from tests.conftest import FakeClock
from tests.helpers.browser import Browser

WAIT_SECONDS = 30


def read_until(process: "subprocess.Popen[str]", wanted: str) -> str:
    """What is printed, up to a line with `wanted`."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if wanted in line:
            return said
    raise AssertionError(f"never said {wanted!r}: {said}")


def allow(browser: Browser, link: str) -> None:
    """Press the button of the link's page, then the one at the service, and come back."""
    browser.open(link)
    browser.submit(form_with="csrf")
    assert browser.left_to is not None
    answer = httpx2.post(browser.left_to, trust_env=False)
    assert answer.status_code == 303
    browser.open(answer.headers["location"])


def test_a_connection_becomes_valid_expires_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_DATABASE_URL", f"sqlite:///{tmp_path / 'real.db'}")
    monkeypatch.setenv("DRIO_DATA_DIR", str(tmp_path / "real"))
    command = [sys.executable, "-m", "drio_mcp", "demo", "--port", "0", "--lifetime", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = read_until(process, "status pending")
            [mcp_url] = re.findall(r"MCP URL +(\S+)", said)
            [(email, password)] = re.findall(r"Account +(\S+), password (\S+)", said)
            [service] = re.findall(r"Demo service (\S+)", said)
            [link] = re.findall(r"^ +(http://\S+/connect/\S+)$", said, re.MULTILINE)
            [(url, token)] = re.findall(r"curl -s (\S+) -H 'Authorization: Bearer (\S+)'", said)
            parts = urlsplit(mcp_url)
            [app_url] = re.findall(r"App's URL +(\S+)", said)
            assert httpx2.post(app_url, json={}, trust_env=False).status_code == 401

            with Browser(f"{parts.scheme}://{parts.netloc}") as browser:
                browser.open(link).sign_in(email, password)
                allow(browser, link)
                read_until(process, "status valid")
                read_until(process, "renewed")  # the token ran out, and nobody had to do anything

                httpx2.post(f"{service}/withdraw", trust_env=False)
                said = read_until(process, "open this link to heal it")
                assert "needs_reauth" in said
                allow(browser, re.findall(r"(http://\S+/connect/\S+)", said)[-1])
                read_until(process, "status valid")
            auth = httpx2.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False).json()["auth"]
            assert [each["status"] for each in auth] == ["valid"]
            assert auth[0]["use"] == {"mode": "all", "tools": {"write_note": "ask"}}
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=WAIT_SECONDS) == 0
        finally:
            process.kill()
    assert list(tmp_path.iterdir()) == [], "nothing that was set up for real was touched"


def test_the_demo_takes_no_setting_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_PUBLIC_URL", "https://drio.example.com")
    monkeypatch.setenv("DRIO_KEYS", "somebody's")
    monkeypatch.setenv("DRIO_SIGNUP", "open")
    service = DemoService("http://127.0.0.1:9000", 30, FakeClock(), SystemRandomness())
    settings = settings_of(tmp_path, 8000, service)
    assert (settings.public_url, settings.keys, settings.signup) == ("", None, "closed")
    assert settings.outbound_allow == ("127.0.0.1:9000",)


def test_where_the_usual_port_is_taken_another_is_found_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(stage, "USUAL_PORT", port)
        with stage._our_socket(None) as ours:
            found = ours.getsockname()[1]
        assert capsys.readouterr().out == f"Port {port} is taken, so this runs on port {found}.\n"
        assert found != port
        with pytest.raises(StartupError):  # a port that was asked for is not exchanged
            stage._our_socket(port)

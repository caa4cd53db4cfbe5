"""The files under deploy/: read as their programs read them, and run where the programs are installed."""

import configparser
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from drio_mcp import metrics
from drio_mcp.cli import cli
from drio_mcp.config import Settings
from drio_mcp.store import migrate
from tests.helpers.server import running_server

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
SETTINGS = {f"DRIO_{name.upper()}" for name in Settings.model_fields}


def own_names(text: str) -> set[str]:
    """The settings that a text names, beside those of compose and Caddy themselves."""
    return set(re.findall(r"\bDRIO_[A-Z_]+\b", text)) - {"DRIO_DOMAIN", "DRIO_UPSTREAM"}


@pytest.mark.parametrize("file", sorted(DEPLOY.iterdir()), ids=lambda path: path.name)
def test_only_settings_that_exist_are_named(file: Path) -> None:
    assert own_names(file.read_text()) <= SETTINGS | {"DRIO_"}


def test_the_unit_finds_the_python_that_uv_fetched(tmp_path: Path) -> None:
    """`ProtectHome` hides root's home, where uv puts it by itself: the documented command names another place."""
    unit = (DEPLOY / "drio-mcp.service").read_text()
    assert "ProtectHome=yes" in unit
    [command] = re.findall(r"^make -C /opt/drio-mcp (install .*)$", (ROOT / "docs" / "deployment.md").read_text(), re.M)
    seen = tmp_path / "seen"
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\necho "$UV_PYTHON_INSTALL_DIR" >> {seen}\nexit 1\n')
    uv.chmod(0o755)
    makefile = tmp_path / "clone"
    makefile.mkdir()
    shutil.copy(ROOT / "Makefile", makefile)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(["make", "-C", str(makefile), *command.split()], env=environment, capture_output=True, check=False)
    assert seen.read_text().splitlines() == ["/opt/drio-mcp/.python"]
    assert "ExecStart=/opt/drio-mcp/.venv/bin/drio-mcp serve" in unit


@pytest.fixture
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_compose_fits_together(compose: dict[str, Any]) -> None:
    """Only the proxy is reachable from outside, and the server believes the proxy's network and nobody else."""
    services = compose["services"]
    assert [name for name, service in services.items() if "ports" in service] == ["caddy"]
    environment = services["drio"]["environment"]
    [network] = compose["networks"]["default"]["ipam"]["config"]
    assert environment["DRIO_TRUSTED_PROXIES"] == network["subnet"]
    assert "@postgres/" in environment["DRIO_DATABASE_URL"]
    assert services["drio"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    mounted = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", ())}
    assert {name for name in mounted if not name.startswith(".")} == set(compose["volumes"])
    for name in mounted - set(compose["volumes"]):
        assert (DEPLOY / name).exists()
    built = services["drio"]["build"]
    assert (DEPLOY / built["context"] / built["dockerfile"]).exists()


def test_the_settings_of_compose_are_taken(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in compose["services"]["drio"]["environment"].items():
        filled = re.sub(r"\$\{(\w+):\?[^}]*\}", "example", str(value)).replace("https://example", "https://example.com")
        monkeypatch.setenv(name, filled)
    settings = Settings()
    assert settings.resource == "https://example.com/mcp"
    assert settings.metrics == "0.0.0.0:9464"


METRIC = re.compile(r"\bdrio_\w+")


def series() -> set[str]:
    """The names under which Prometheus knows what is counted."""
    histograms = {f"{each.name}_{part}" for each in metrics.HISTOGRAMS for part in ("bucket", "count", "sum")}
    text = (ROOT / "drio_mcp" / "api" / "metrics.py").read_text()
    gauges = set(re.findall(r'"(drio_\w+)"', text)) - {"drio_build", "drio_mcp"}
    return {f"{each.name}_total" for each in metrics.COUNTERS} | histograms | gauges | {"drio_build_info"}


def test_the_dashboard_shows_metrics_that_exist_and_misses_none() -> None:
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = set(METRIC.findall(" ".join(expressions)))
    assert named <= series()
    counted = {each.name for each in (*metrics.COUNTERS, *metrics.HISTOGRAMS)}
    assert {name for name in counted if not any(each.startswith(name) for each in named)} == set()
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(one.count("(") == one.count(")") and one.count("{") == one.count("}") for one in expressions)


def test_alerts_watch_metrics_that_exist() -> None:
    [group] = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]:
        assert set(METRIC.findall(rule["expr"])) <= series(), rule["alert"]
        assert METRIC.findall(rule["expr"]), rule["alert"]
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert set(rule["annotations"]) == {"summary", "description"}


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, with continued lines joined."""
    text = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in lines]


def test_the_dockerfile_copies_what_exists_and_the_context_lets_through() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [
        name for word, rest in instructions() if word == "COPY" and "--from" not in rest for name in rest.split()[:-1]
    ]
    assert set(copied) == {line[1:] for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_runs_the_server_as_nobody_in_particular() -> None:
    last = instructions()[[word for word, _ in instructions()].index("ENV") :]
    found = dict(last)
    assert found["USER"] == "drio"
    assert (found["ENTRYPOINT"], found["CMD"]) == ('["drio-mcp"]', '["serve"]')
    assert found["VOLUME"] == "/data"
    assert "serve" in cli.commands


def unit() -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEPLOY / "drio-mcp.service")
    return parser


def test_the_unit_waits_longer_than_the_server_takes_to_end() -> None:
    from drio_mcp.cli.http.server import GRACE_SECONDS

    assert int(unit()["Service"]["TimeoutStopSec"]) > GRACE_SECONDS
    assert unit()["Service"]["ExecStart"].endswith("/drio-mcp serve")
    assert unit()["Service"]["StateDirectoryMode"] == "0700"


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """Where systemd is not installed there is nothing to ask."""
    analyze = shutil.which("systemd-analyze")
    text = (DEPLOY / "drio-mcp.service").read_text()
    copy = tmp_path / "drio-mcp.service"
    copy.write_text(text.replace("/opt/drio-mcp/.venv/bin/drio-mcp", shutil.which("true") or "/bin/true"))
    if analyze is not None:
        said = subprocess.run([analyze, "verify", str(copy)], capture_output=True, text=True)
        assert (said.returncode, [line for line in said.stderr.splitlines() if "drio-mcp.service" in line]) == (0, [])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def nginx(folder: Path, port: int, upstream: str) -> list[str]:
    """nginx with deploy/nginx.conf, without its certificates, on a port of ours."""
    text = (DEPLOY / "nginx.conf").read_text()
    text = re.sub(r"server \{\n    listen 80;.*?\n\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r" *(ssl_certificate|listen \[)[^\n]*\n", "", text)
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};").replace("127.0.0.1:8000", upstream)
    assert f"listen 127.0.0.1:{port};" in text
    temporary = "".join(f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi"))
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log stderr; events {{}} http {{ scgi_temp_path {folder}/scgi;"
        f"{temporary}\n{text}\n}}"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def caddy(folder: Path, port: int, upstream: str) -> list[str]:
    """Caddy with deploy/Caddyfile, which takes both addresses from its environment."""
    (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + (DEPLOY / "Caddyfile").read_text())
    values = [f"DRIO_DOMAIN=http://127.0.0.1:{port}", f"DRIO_UPSTREAM={upstream}", f"HOME={folder}"]
    return ["env", *values, "caddy", "run", "--adapter", "caddyfile", "--config", str(folder / "Caddyfile")]


@contextmanager
def proxied(command: list[str], port: int) -> Iterator[httpx2.Client]:
    path = os.environ["PATH"] + ":/usr/sbin"
    with subprocess.Popen(command, env={"PATH": path}, stderr=subprocess.DEVNULL) as process:
        try:
            transport = httpx2.HTTPTransport(retries=10)  # until it listens
            with httpx2.Client(transport=transport, base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield client
        finally:
            process.terminate()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("proxy", [nginx, caddy], ids=["nginx", "caddy"])
def test_a_proxy_passes_everything_on_and_lets_nobody_claim_an_address(
    proxy: Callable[[Path, int, str], list[str]], tmp_path: Path
) -> None:
    """Needs nginx and Caddy, as packages of most systems give them."""
    port = free_port()
    with running_server(tmp_path / "data", trusted_proxies=("127.0.0.1/32",)) as server:
        command = proxy(tmp_path, port, server.url.removeprefix("http://"))
        with proxied(command, port) as client:
            answer = client.get("/healthz?address", headers={"X-Forwarded-For": "203.0.113.77"})
            assert answer.json() == {"status": "ok", "address": "127.0.0.1"}
            assert client.post("/mcp").headers["www-authenticate"].startswith("Bearer ")
            assert client.get("/.well-known/oauth-authorization-server").json()["issuer"] == server.url
            assert client.post("/api/v1/auth/token", content=b"x" * 2_000_000).status_code == 413


def test_the_newest_migration_is_in_the_package() -> None:
    """What the upgrade guide relies on: numbers without gaps."""
    versions = [each.version for each in migrate.known_migrations()]
    assert versions == list(range(1, len(versions) + 1))

"""The official conformance suites: the server suite for every revision it knows, and the authorization suite.

The suite expects the SDK examples' demonstration tools, prompts and resources. What fails for want of these stands in
`expected-failures-REVISION.yaml`, each line with its reason; the suite itself fails when one of them passes.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.clients.emulations.hosted import HostedClient
from tests.clients.node import environment, install, node
from tests.clients.person import Person
from tests.clients.running import RunningServer, free_port, running_server

pytestmark = pytest.mark.slow

EXPECTED_FAILURES = Path(__file__).parent
TIMEOUT = 300


def suite() -> list[str]:
    """The command, so far without arguments."""
    return [node(), str(install() / "@modelcontextprotocol" / "conformance" / "dist" / "index.js")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as started:
        yield started


def registered(server: RunningServer, redirect_uri: str) -> HostedClient:
    """A public client that is known to the server."""
    client = HostedClient(server.mcp, redirect_uri, "conformance", {"token_endpoint_auth_method": "none"})
    client.discover()
    client.register()
    return client


@pytest.mark.parametrize("revision", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_the_server_suite(server: RunningServer, tmp_path: Path, revision: str) -> None:
    client = registered(server, "http://127.0.0.1:3999/callback")
    with Person(server.origin) as person:
        client.redeem(person.decide(client.authorization_url()))
    server.bearer = client.tokens["access_token"]
    command = [*suite(), "server", "--url", server.mcp, "--suite", "all", "--spec-version", revision]
    expected = EXPECTED_FAILURES / f"expected-failures-{revision}.yaml"
    done = subprocess.run(
        [*command, "--expected-failures", str(expected), "--output-dir", str(tmp_path)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]


def test_the_authorization_suite(server: RunningServer, tmp_path: Path) -> None:
    port = free_port()
    client = registered(server, f"http://127.0.0.1:{port}/callback")
    command = [*suite(), "authorization", "--url", server.origin, "--client-id", client.client["client_id"]]
    with (
        subprocess.Popen(
            [*command, "--port", str(port), "--resource", server.mcp, "--output-dir", str(tmp_path)],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
        Person(server.origin) as person,
    ):
        assert process.stdout is not None
        output = ""
        for line in process.stdout:
            output += line
            if line.startswith(f"{server.origin}/api/v1/auth/authorize?"):
                httpx2.get(person.decide(line.strip()), trust_env=False)
    assert process.returncode == 0, output
    assert "authorization-code-grant" in output

"""What others make of openapi.json: a strict linter finds nothing, and a generated typed client works."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.clients.node import environment, install, node
from tests.helpers.server import RunningServer, Someone


def test_a_strict_linter_finds_nothing(http: httpx2.Client) -> None:
    """Every reference resolves, every parameter and response is well formed (OpenAPI 3.1)."""
    document = http.get("/api/v1/openapi.json").json()
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("@redocly/cli/bin/cli.js", "lint", "openapi.json", "--format", "json"),
        ("@stoplight/spectral-cli/dist/index.js", "lint", "openapi.json", "--format", "json", "--quiet"),
    ],
    ids=["redocly", "spectral"],
)
def test_the_linters_of_the_trade_warn_of_nothing(
    http: httpx2.Client, tmp_path: Path, command: tuple[str, ...]
) -> None:
    """Redocly's and Spectral's recommended rules, which want tags, descriptions, a licence, a contact and examples that
    are right. A document that lacks its tags is told so, so the check checks something."""
    (tmp_path / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    document = http.get("/api/v1/openapi.json").json()
    program, *arguments = command
    for is_whole in (True, False):
        if not is_whole:
            document["paths"]["/api/v1/me"]["get"] |= {"parameters": [{"name": "x", "in": "path", "schema": {}}]}
        (tmp_path / "openapi.json").write_text(json.dumps(document))
        said = subprocess.run(
            [node(), str(install() / program), *arguments],
            cwd=tmp_path,
            env=environment(REDOCLY_TELEMETRY="off", REDOCLY_SUPPRESS_UPDATE_NOTICE="true"),
            capture_output=True,
            text=True,
        )
        found = json.loads(said.stdout[said.stdout.index("{" if "redocly" in program else "[") :])
        problems = found["problems"] if isinstance(found, dict) else found
        assert bool(problems) != is_whole, problems


@pytest.mark.slow
def test_a_typed_client_generates_and_works(
    server: RunningServer, ada: Someone, http: httpx2.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openapi.json").write_text(http.get("/api/v1/openapi.json").text)
    (tmp_path / "config.yml").write_text("post_hooks: []\n")  # it would format its code with tools of ours
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "openapi.json", "--meta", "none"]
    generated = subprocess.run(
        [*command, "--config", "config.yml", "--output-path", "drio_generated"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert generated.returncode == 0, generated.stdout + generated.stderr
    assert "Warning" not in generated.stdout, "it leaves nothing out"

    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module
    with module("drio_generated").AuthenticatedClient(base_url=server.url, token=ada.token) as client:
        me = module("drio_generated.api.account.get_me").sync(client=client)
        assert me.user.email == ada.email
        [app] = module("drio_generated.api.apps.list_apps").sync(client=client).apps
        models = module("drio_generated.models")
        body = models.CreateAuthConnection(name="Generated", provider_key="custom-bearer")
        made = module("drio_generated.api.connections.create_auth_connection").sync(app.id, client=client, body=body)
        assert (made.auth.name, made.auth.status.value) == ("Generated", "draft")
        wrong = module("drio_generated.api.connections.get_auth_connection").sync(app.id, "auth_none", client=client)
        assert wrong.error.code == "not_found"

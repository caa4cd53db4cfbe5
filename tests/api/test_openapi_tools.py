"""What others make of openapi.json: a strict linter finds nothing, and a generated typed client works."""

import importlib
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.helpers.server import RunningServer, Someone


def test_a_strict_linter_finds_nothing(http: httpx2.Client) -> None:
    """Every reference resolves, every parameter and response is well formed (OpenAPI 3.1)."""
    document = http.get("/api/v1/openapi.json").json()
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


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
        me = module("drio_generated.api.default.get_me").sync(client=client)
        assert me.user.email == ada.email
        [app] = module("drio_generated.api.default.list_apps").sync(client=client).apps
        models = module("drio_generated.models")
        body = models.CreateAuthConnection(name="Generated", provider_key="custom-bearer")
        made = module("drio_generated.api.default.create_auth_connection").sync(app.id, client=client, body=body)
        assert (made.auth.name, made.auth.status.value) == ("Generated", "draft")
        wrong = module("drio_generated.api.default.get_auth_connection").sync(app.id, "auth_none", client=client)
        assert wrong.error.code == "not_found"

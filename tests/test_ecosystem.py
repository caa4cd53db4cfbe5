"""What registries and models read about the product is right: server.json, and llms.txt in both places."""

import json
import re
from pathlib import Path
from typing import Any

import click
import httpx2
import pytest

from drio_mcp import __version__
from drio_mcp.api.routes import OPERATIONS
from drio_mcp.cli import cli
from drio_mcp.config import Settings
from tests.helpers.fixtures import http, server  # noqa: F401 - fixtures

ROOT = Path(__file__).parent.parent


@pytest.fixture
def entry() -> dict[str, Any]:
    """server.json, in the form of the MCP registry's schema of 2025-12-11."""
    loaded: dict[str, Any] = json.loads((ROOT / "server.json").read_text())
    return loaded


def test_the_registry_would_take_the_entry(entry: dict[str, Any]) -> None:
    """A reverse-DNS name with one slash, a sentence of at most 100 characters, exact versions, a transport each."""
    assert re.fullmatch(r"[a-zA-Z0-9.-]+\.[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 0 < len(entry["description"]) <= 100
    assert entry["version"] == __version__
    [package] = entry["packages"]
    assert (package["registryType"], package["identifier"], package["version"]) == ("pypi", "drio-mcp", __version__)
    assert package["transport"]["type"] == "streamable-http"


def test_the_package_says_that_the_entry_is_its_own(entry: dict[str, Any]) -> None:
    """The registry looks for this mark in the description that the package index shows, which is the README."""
    assert f"mcp-name: {entry['name']}" in (ROOT / "README.md").read_text()


def test_the_entry_starts_what_exists(entry: dict[str, Any]) -> None:
    [package] = entry["packages"]
    [argument] = package["packageArguments"]
    assert isinstance(cli.commands[argument["value"]], click.Command)
    named = {variable["name"]: variable["default"] for variable in package["environmentVariables"]}
    for name, default in named.items():
        field = Settings.model_fields[name.removeprefix("DRIO_").lower()]
        assert str(field.default).removeprefix("./") == default.removeprefix("./")
    assert set(re.findall(r"{(\w+)}", package["transport"]["url"])) <= set(named)


def test_llms_txt_of_the_repository_points_at_files() -> None:
    text = (ROOT / "llms.txt").read_text()
    assert text.startswith("# drio-mcp\n\n> ")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_llms_txt_of_a_server_points_at_itself(http: httpx2.Client) -> None:  # noqa: F811
    answer = http.get("/llms.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert f"{http.base_url}".rstrip("/") + "/mcp" in answer.text
    for link in re.findall(r"\]\(([^)]+)\)", answer.text):
        assert http.get(link).status_code == 200
    tools = {each.name for each in OPERATIONS}
    assert set(re.findall(r"`(\w+_\w+)`", answer.text)) <= tools

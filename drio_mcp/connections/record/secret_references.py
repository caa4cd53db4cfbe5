"""References to secrets that the operator keeps: `env:DRIO_SECRET_…` and `file:` below `DRIO_SECRET_DIR`.

Only operators' connections may hold one (contract section 3, `secretRef`), and nothing else can be named, so that no
account can read the server's own environment or files.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from drio_mcp.opaque import Secret

ENVIRONMENT = re.compile(r"env:(DRIO_SECRET_[A-Z0-9_]{1,100})")
SETTINGS = frozenset({"DRIO_SECRET_DIR"})
"""Names that look like a secret's and are the server's own settings."""
LARGEST_FILE = 64 * 1024
EXAMPLE = "a right value is env:DRIO_SECRET_LINEAR or file:linear.txt"


class SecretUnavailable(Exception):
    """The reference is well-formed, and nothing can be read there now."""


class SecretReferences:
    """Checks and reads references. `environ` are the process's variables, handed in."""

    def __init__(self, secret_dir: Path | None, environ: Mapping[str, str]) -> None:
        self._secret_dir = secret_dir
        self._environ = environ

    def problem(self, reference: str) -> str | None:
        """What is wrong with a reference that somebody wants to store, or None."""
        if reference.startswith("env:"):
            name = ENVIRONMENT.fullmatch(reference)
            if name is None or name[1] in SETTINGS:
                return f"must name a variable that begins with DRIO_SECRET_; {EXAMPLE}"
            return None
        if not reference.startswith("file:"):
            return f"must begin with env: or file:; {EXAMPLE}"
        if self._secret_dir is None:
            return "cannot be a file, because the operator has not set DRIO_SECRET_DIR"
        if self._locate(reference) is None:
            return f"must name a file below DRIO_SECRET_DIR; {EXAMPLE}"
        return None

    def read(self, reference: str) -> Secret:
        """The secret behind a stored reference, without the line break at its end. Raises `SecretUnavailable`."""
        if self.problem(reference) is not None:
            raise SecretUnavailable
        value = self._environ.get(reference[4:]) if reference.startswith("env:") else self._read_file(reference)
        if not value:
            raise SecretUnavailable
        return Secret(value)

    def _locate(self, reference: str) -> Path | None:
        """The real file, every symbolic link followed, if it lies below the folder."""
        name = reference.removeprefix("file:")
        if self._secret_dir is None or not name or "\0" in name:
            return None
        try:
            folder = self._secret_dir.resolve()
            path = (folder / name).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links that lead in a circle
            return None
        return path if path != folder and path.is_relative_to(folder) else None

    def _read_file(self, reference: str) -> str:
        path = self._locate(reference)
        try:
            assert path is not None
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise SecretUnavailable
                content = file.read(LARGEST_FILE + 1)
            if len(content) > LARGEST_FILE:
                raise SecretUnavailable
            return content.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError):
            raise SecretUnavailable from None

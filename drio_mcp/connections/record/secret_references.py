"""References to secrets that the operator keeps: `env:DRIO_SECRET_…` and `file:` below `DRIO_SECRET_DIR`.

Only operators' connections may hold one (contract section 3, `secretRef`), and nothing else can be named, so that no
account can read the server's own environment or files. A reference works only at the origins that stand beside it
(contract section 1): in `DRIO_SECRET_…_ORIGINS`, separated by commas, or in the file of its name with `.origins`
behind, one a line. So whoever has an operator's token, or leads an operator's model, sends it nowhere else.
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from drio_mcp.connections.fields import origin_of
from drio_mcp.opaque import Secret

ENVIRONMENT = re.compile(r"env:(DRIO_SECRET_[A-Z0-9_]{1,100})")
SETTINGS = frozenset({"DRIO_SECRET_DIR"})
"""Names that look like a secret's and are the server's own settings."""
ORIGINS_VARIABLE, ORIGINS_FILE = "_ORIGINS", ".origins"
"""What is added to the name of a secret, where the origins are that it may go to."""
LARGEST_FILE = 64 * 1024
EXAMPLE = "a right value is env:DRIO_SECRET_LINEAR or file:linear.txt"


class SecretUnavailable(Exception):
    """The reference is well-formed, and nothing can be read there now, or nothing that may go where it is wanted. The
    sentence says what to set."""


class SecretReferences:
    """Checks and reads references. `environ` are the process's variables, handed in."""

    def __init__(self, secret_dir: Path | None, environ: Mapping[str, str]) -> None:
        self._secret_dir = secret_dir
        self._environ = environ

    def problem(self, reference: str) -> str | None:
        """What is wrong with a reference that somebody wants to store, or None."""
        if reference.startswith("env:"):
            name = ENVIRONMENT.fullmatch(reference)
            if name is None or name[1] in SETTINGS or name[1].endswith(ORIGINS_VARIABLE):
                return f"must name a variable that begins with DRIO_SECRET_; {EXAMPLE}"
            return None
        if not reference.startswith("file:"):
            return f"must begin with env: or file:; {EXAMPLE}"
        if self._secret_dir is None:
            return "cannot be a file, because the operator has not set DRIO_SECRET_DIR"
        if self._locate(reference) is None or reference.endswith(ORIGINS_FILE):
            return f"must name a file below DRIO_SECRET_DIR; {EXAMPLE}"
        return None

    def read(self, reference: str, origin: str | None) -> Secret:
        """The secret behind a stored reference, without the line break at its end, for sending it to `origin`; None is
        no origin: a secret that the operator keeps is not handed out. Raises `SecretUnavailable`."""
        if self.problem(reference) is not None:
            raise SecretUnavailable("What secretRef names cannot be a secret's place any more")
        if origin is None:
            raise SecretUnavailable("What the operator keeps is not handed out; call the API through the proxy")
        if origin not in self._origins_of(reference):
            example = "a right value is https://api.linear.app"
            raise SecretUnavailable(
                f"{self._beside(reference)} must name the origin that the secret goes to; {example}"
            )
        value = self._value(reference)
        if not value:
            raise SecretUnavailable("What secretRef names is empty, or cannot be read")
        return Secret(value)

    def _beside(self, reference: str) -> str:
        """Where its origins stand, as an operator would look for it."""
        if reference.startswith("env:"):
            return reference.removeprefix("env:") + ORIGINS_VARIABLE
        return f"The file {reference.removeprefix('file:')}{ORIGINS_FILE} in DRIO_SECRET_DIR"

    def _origins_of(self, reference: str) -> frozenset[str]:
        is_variable = reference.startswith("env:")
        text = self._value(reference + (ORIGINS_VARIABLE if is_variable else ORIGINS_FILE)) or ""
        named = text.split(",") if is_variable else text.splitlines()
        return frozenset(origin for each in named if (origin := _origin(each)) is not None)

    def _value(self, name: str) -> str | None:
        return self._environ.get(name[4:]) if name.startswith("env:") else self._read_file(name)

    def _locate(self, reference: str) -> tuple[Path, tuple[str, ...]] | None:
        """The folder, and the parts of the way from it to the real file, every symbolic link followed, if that lies
        below the folder."""
        name = reference.removeprefix("file:")
        if self._secret_dir is None or not name or "\0" in name:
            return None
        try:
            folder = self._secret_dir.resolve()
            path = (folder / name).resolve()
        except (OSError, RuntimeError):  # RuntimeError: links that lead in a circle
            return None
        if path == folder or not path.is_relative_to(folder):
            return None
        return folder, path.relative_to(folder).parts

    def _read_file(self, reference: str) -> str | None:
        """What the file holds, None where it cannot be read.

        It is opened step by step from the folder, and no step may be a link: one that was put there since the way was
        looked at leads nowhere.
        """
        located = self._locate(reference)
        if located is None:
            return None
        folder, parts = located
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            for number, part in enumerate(parts, start=1):
                kind = os.O_NONBLOCK if number == len(parts) else os.O_DIRECTORY
                above = descriptor
                try:
                    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | kind, dir_fd=above)
                finally:
                    os.close(above)
            with os.fdopen(descriptor, "rb") as file:
                content = file.read(LARGEST_FILE + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
            return content.decode().removesuffix("\n").removesuffix("\r") if len(content) <= LARGEST_FILE else None
        except (OSError, UnicodeDecodeError):
            return None


def _origin(text: str) -> str | None:
    try:
        return origin_of(text.strip())
    except ValueError:
        return None

"""Answers that the database would not take, kept sealed in files until it does.

A refresh token that a provider has just rotated may exist nowhere else. The file is on disk before the error is told.
"""

import os
from pathlib import Path

from drio_mcp.opaque import Secret
from drio_mcp.vault import Binding, SealBroken, Vault

FIELD = "stray"


class UnstoredAnswers:
    """One file per connection at most, in a folder that is made when it is first needed."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault

    def put(self, connection_id: str, payload: Secret) -> None:
        """Keep the payload, durably, in place of an earlier one."""
        sealed = self._vault.seal(payload, Binding.to(connection_id, FIELD))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = self._folder / f".{connection_id}.{os.getpid()}"
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._folder / connection_id)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def find(self, connection_id: str) -> Secret | None:
        """What was kept for the connection, if it opens."""
        try:
            return self._vault.open((self._folder / connection_id).read_bytes(), Binding.to(connection_id, FIELD))
        except (FileNotFoundError, SealBroken):
            return None

    def remove(self, connection_id: str) -> None:
        """It has been taken over."""
        (self._folder / connection_id).unlink(missing_ok=True)

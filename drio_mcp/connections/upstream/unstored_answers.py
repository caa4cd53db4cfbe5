"""Answers that the database would not take, kept sealed in files until it does.

A refresh token that a provider has just rotated may exist nowhere else. Room for the answer is reserved before the
provider is asked, so that it can be kept on a full disk too; it is on disk before the error is told.
"""

import itertools
import os
import re
from contextlib import suppress
from pathlib import Path

from drio_mcp.disk import sync
from drio_mcp.opaque import Secret
from drio_mcp.vault import Binding, SealBroken, Vault

FIELD = "stray"
ROOM = 64 * 1024
"""Bytes that are reserved; an answer that is larger takes what it can get."""
LENGTH_BYTES = 4
SET_ID = re.compile(r"[A-Za-z0-9_-]{1,120}")


class UnstoredAnswers:
    """One file for a set of tokens at most, in a folder that is made when it is first needed.

    A file begins with the length of what it holds. Room is files without a set, in a folder beside it: they are made
    once and used by one attempt after the other, because making and removing one costs more than a refresh.
    """

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        self._in_memory: dict[str, Secret] = {}
        self._rooms = folder.with_name(f"{folder.name}-room")
        self._spare: list[Path] = []
        self._reserved: dict[str, Path] = {}
        self._numbers = itertools.count(1)

    @property
    def has_spare(self) -> bool:
        """Whether `reserve` has nothing to do with the disk."""
        return bool(self._spare)

    def reserve(self, set_id: str) -> None:
        """Make sure that there is room. Raises `OSError` when there is none."""
        if set_id in self._reserved:
            return
        try:
            room = self._spare.pop()
        except IndexError:
            room = self._new_room()
        self._reserved[set_id] = room

    def _new_room(self) -> Path:
        if not self._rooms.exists():
            self._rooms.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync(self._rooms.parent)
        room = self._rooms / f"{os.getpid()}-{next(self._numbers)}"
        try:
            with open(os.open(room, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as file:
                _allocate(file.fileno())
        except OSError:
            with suppress(OSError):
                room.unlink()
            raise
        sync(self._rooms)
        return room

    def close(self) -> None:
        """Give the room back that nobody uses."""
        while self._spare:
            with suppress(OSError):
                self._spare.pop().unlink(missing_ok=True)

    def put(self, set_id: str, payload: Secret) -> None:
        """Keep the payload, durably, in place of an earlier one; in memory where the disk fails altogether."""
        try:
            self._write(set_id, payload)
            self._in_memory.pop(set_id, None)
        except OSError:
            self._in_memory[set_id] = payload

    def _write(self, set_id: str, payload: Secret) -> None:
        sealed = self._vault.seal(payload, Binding.to(set_id, FIELD))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = Path(self._path(set_id))
        is_new = not path.exists()
        if is_new and (room := self._reserved.pop(set_id, None)) is not None:
            with suppress(FileNotFoundError):
                room.rename(path)
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.seek(LENGTH_BYTES)
            file.write(sealed)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)  # the length last: a crash before it leaves what was there
            file.write(len(sealed).to_bytes(LENGTH_BYTES))
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync(self._folder)

    def find(self, set_id: str) -> Secret | None:
        """What was kept for the set, if it opens."""
        if set_id in self._in_memory:
            return self._in_memory[set_id]
        try:
            with open(self._path(set_id), "rb", buffering=0) as file:
                content = file.read()
            length = int.from_bytes(content[:LENGTH_BYTES])
            if length == 0:
                return None
            return self._vault.open(content[LENGTH_BYTES : LENGTH_BYTES + length], Binding.to(set_id, FIELD))
        except (OSError, SealBroken):
            return None

    def release(self, set_id: str) -> None:
        """It has been taken over, or is not needed."""
        self._in_memory.pop(set_id, None)
        with suppress(OSError):
            os.unlink(self._path(set_id))
        room = self._reserved.pop(set_id, None)
        if room is not None:
            self._spare.append(room)

    def set_ids(self) -> set[str]:
        """The sets for which something is kept, or room reserved."""
        try:
            return {name for name in os.listdir(self._folder) if SET_ID.fullmatch(name)} | set(self._in_memory)
        except OSError:
            return set(self._in_memory)

    def _path(self, set_id: str) -> str:
        assert SET_ID.fullmatch(set_id)
        return f"{self._folder}/{set_id}"


def _allocate(descriptor: int) -> None:
    """Real blocks of the disk, not a hole."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, ROOM)
    elif os.fstat(descriptor).st_size < ROOM:
        os.lseek(descriptor, 0, os.SEEK_END)
        os.write(descriptor, b"\0" * (ROOM - os.fstat(descriptor).st_size))

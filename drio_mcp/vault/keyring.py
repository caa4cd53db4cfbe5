"""The ring of keys that everything secret is derived from or wrapped with (contract section 1, `DRIO_KEYS`).

A ring is JSON: `{"version": 1, "primary": "k-…", "keys": {"k-…": "32 bytes in base64url", …}}`. What is new uses the
primary key; the others stay so that what they made keeps working.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from drio_mcp.config import Settings
from drio_mcp.disk import sync
from drio_mcp.errors import StartupError
from drio_mcp.opaque import Randomness, Secret, SystemRandomness, b64url, from_b64url

FORMAT_VERSION = 1
KEY_BYTES = 32
MAX_KEY_ID = 32
FILE_NAME = "keys.json"
CHECK_PURPOSE = "key check/1"


class UnknownKey(KeyError):
    """The ring holds no key of that id."""


@dataclass(frozen=True, slots=True, repr=False)
class Ring:
    """Keys by id, and which of them is used for what is new."""

    primary: str
    keys: Mapping[str, bytes]

    @classmethod
    def parse(cls, text: str) -> "Ring":
        """Read the JSON form; raises `ValueError` that says what is wrong and contains nothing of the text."""
        try:
            document = json.loads(text)
        except ValueError:
            raise ValueError("is not JSON") from None
        if not isinstance(document, dict) or document.get("version") != FORMAT_VERSION:
            raise ValueError(f"is not a key ring of version {FORMAT_VERSION}")
        encoded, primary = document.get("keys"), document.get("primary")
        if not isinstance(encoded, dict) or not isinstance(primary, str) or primary not in encoded:
            raise ValueError("has no primary key")
        return cls(primary, {key_id: _read_key(key_id, value) for key_id, value in encoded.items()})

    def dump(self) -> str:
        """The JSON form."""
        keys = {key_id: b64url(key) for key_id, key in self.keys.items()}
        return json.dumps({"version": FORMAT_VERSION, "primary": self.primary, "keys": keys}, indent=2) + "\n"

    def with_new_primary(self, randomness: Randomness) -> "Ring":
        """The ring with one more key, which is primary from then on."""
        key_id = f"k-{b64url(randomness.bytes(9))}"
        return Ring(key_id, {**self.keys, key_id: randomness.bytes(KEY_BYTES)})


def _read_key(key_id: str, value: object) -> bytes:
    if not 0 < len(key_id) <= MAX_KEY_ID or not all(c.isascii() and (c.isalnum() or c in "-_") for c in key_id):
        raise ValueError("has a key id that is not 1 to 32 letters, digits, '-' or '_'")
    if not isinstance(value, str):
        raise ValueError("has a key that is no text")
    try:
        key = from_b64url(value)
    except ValueError:
        raise ValueError("has a key that is not base64url") from None
    if len(key) != KEY_BYTES:
        raise ValueError("has a key that is not 32 bytes long")
    return key


class Keyring:
    """The keys in use. A key that another process added to the file is found when it is first asked for."""

    def __init__(self, ring: Ring, source: Path | None = None, *, is_kept: bool = True) -> None:
        self._ring = ring
        self._source = source
        self._is_kept = is_kept
        self._derived: dict[tuple[str, str], bytes] = {}

    @classmethod
    def load(cls, settings: Settings, randomness: Randomness | None = None) -> "Keyring":
        """The ring of `DRIO_KEYS`, or of the file `DATA_DIR/keys.json`, which is made when there is none.

        Raises `StartupError` when either cannot be used, and then changes nothing.
        """
        keyring = cls.find(settings, randomness)
        keyring.keep()
        return keyring

    @classmethod
    def find(cls, settings: Settings, randomness: Randomness | None = None) -> "Keyring":
        """The same, but where there is no file none is made: the ring lives in memory until `keep`.

        So a server can first ask the database whether there ought to have been one.
        """
        if settings.keys is not None:
            return cls(_ring_of_setting(settings.keys))
        path = settings.data_dir / FILE_NAME
        if not path.exists():
            fresh = Ring("", {}).with_new_primary(randomness or SystemRandomness())
            return cls(fresh, path, is_kept=False)
        return cls(_ring_of_file(path), path)

    def keep(self) -> None:
        """Write a ring that `find` made to its file. Where another process was faster, its ring is taken instead.

        Raises `StartupError`.
        """
        if self._is_kept or self._source is None:
            return
        _create(self._source, self._ring)
        self._ring = _ring_of_file(self._source)
        self._derived.clear()
        self._is_kept = True

    @property
    def is_kept(self) -> bool:
        """False while the ring is one that `find` made because there was no file."""
        return self._is_kept

    @property
    def place(self) -> str:
        """Where the ring comes from, in words."""
        return "DRIO_KEYS" if self._source is None else f"The key file {self._source}"

    def check_values(self) -> dict[str, bytes]:
        """A value per key by which that key is known again, and which gives nothing of it away."""
        return {key_id: self.derive(CHECK_PURPOSE, key_id) for key_id in self._ring.keys}

    @property
    def primary_id(self) -> str:
        return self._ring.primary

    @property
    def ids(self) -> tuple[str, ...]:
        """All keys of the ring, oldest first."""
        return tuple(self._ring.keys)

    def derive(self, purpose: str, key_id: str | None = None) -> bytes:
        """32 bytes for one purpose (HKDF-SHA256, RFC 5869), from the primary key or the one named.

        Raises `UnknownKey`.
        """
        key_id = key_id or self._ring.primary
        cached = self._derived.get((purpose, key_id))
        if cached is None:
            expand = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=b"drio-mcp", info=purpose.encode())
            cached = self._derived[purpose, key_id] = expand.derive(self._key(key_id))
        return cached

    def rotated(self, randomness: Randomness | None = None) -> "Keyring":
        """A ring with a new primary key and all the old ones; it replaces the file when this one came from a file."""
        randomness = randomness or SystemRandomness()
        self.keep()
        if self._source is None:
            return Keyring(self._ring.with_new_primary(randomness))
        with _locked(self._source.parent):
            ring = _ring_of_file(self._source).with_new_primary(randomness)
            os.replace(_write_aside(self._source, ring), self._source)
            sync(self._source.parent)
        return Keyring(ring, self._source)

    def dump(self) -> Secret:
        """The JSON form, for whoever keeps the ring in `DRIO_KEYS`."""
        return Secret(self._ring.dump())

    def _key(self, key_id: str) -> bytes:
        if key_id not in self._ring.keys and self._source is not None:
            self._ring = _ring_of_file(self._source)
        try:
            return self._ring.keys[key_id]
        except KeyError:
            raise UnknownKey(key_id) from None


def _ring_of_setting(value: Secret) -> Ring:
    try:
        return Ring.parse(value.reveal())
    except ValueError as error:
        raise StartupError(
            f"DRIO_KEYS {error}; a right value is the content of a file keys.json that drio-mcp made"
        ) from None


def _ring_of_file(path: Path) -> Ring:
    try:
        return Ring.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise StartupError(
            f"The key file {path} cannot be read: restore it from a backup, or correct its mode"
        ) from None
    except ValueError as error:
        raise StartupError(f"The key file {path} {error}: restore it from a backup") from None


def _create(path: Path, ring: Ring) -> None:
    """Put a ring where none was. Of two processes that start at once the first wins and the other reads its file."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = _write_aside(path, ring)
    except OSError as error:
        raise StartupError(
            f"The folder {path.parent} cannot be written ({error.strerror}): name another one in DRIO_DATA_DIR"
        ) from None
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
    sync(path.parent)


def _write_aside(path: Path, ring: Ring) -> Path:
    """The ring in a new file beside `path`, on disk and readable by its owner alone."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(ring.dump())
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    return aside


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder against another rotation."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

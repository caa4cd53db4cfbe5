"""The envelope around each secret.

Every secret has a data key of its own (AES-256-GCM); the data key is wrapped by a key made from the ring. Rotation
therefore wraps 32 bytes per secret anew and never touches the secret. What a secret belongs to (its owner, its field
and the origins it may be sent to) is authenticated with it, so that a sealed value copied to another row opens nowhere.
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drio_mcp.opaque import Randomness, Secret
from drio_mcp.vault.keyring import Keyring, UnknownKey

ENVELOPE_VERSION = 1
NONCE_BYTES = 12
DATA_KEY_BYTES = 32
WRAPPED_KEY_BYTES = DATA_KEY_BYTES + 16
PURPOSE = "vault/1"


class SealBroken(Exception):
    """A sealed value does not open: it was altered, belongs elsewhere, or its key is gone. Says no more on purpose."""

    def __init__(self) -> None:
        super().__init__("A sealed secret cannot be opened")


@dataclass(frozen=True, slots=True)
class Binding:
    """What a secret is for: its owner's id, the field, and the origins that it may be sent to."""

    owner: str
    field: str
    origins: tuple[str, ...] = ()

    @classmethod
    def to(cls, owner: str, field: str, origins: Iterable[str] = ()) -> "Binding":
        """The binding with its origins in their one order."""
        return cls(owner, field, tuple(sorted(set(origins))))

    def associated_data(self) -> bytes:
        """The binding as bytes, the same for the same binding and for no other."""
        return json.dumps([ENVELOPE_VERSION, self.owner, self.field, sorted(set(self.origins))]).encode()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The sealed form, versioned: version, key id, wrapped data key, ciphertext."""

    key_id: str
    wrap_nonce: bytes
    wrapped_key: bytes
    nonce: bytes
    ciphertext: bytes

    def pack(self) -> bytes:
        return header(self.key_id) + self.wrap_nonce + self.wrapped_key + self.nonce + self.ciphertext

    @classmethod
    def unpack(cls, sealed: bytes) -> "Envelope":
        """Read a sealed value; raises `SealBroken` for what is none."""
        if len(sealed) < 2 or sealed[0] != ENVELOPE_VERSION:
            raise SealBroken
        end_of_id = 2 + sealed[1]
        fixed = end_of_id + NONCE_BYTES + WRAPPED_KEY_BYTES + NONCE_BYTES
        if len(sealed) < fixed + 16 or not sealed[2:end_of_id].isascii():
            raise SealBroken
        wrapped_at = end_of_id + NONCE_BYTES
        nonce_at = wrapped_at + WRAPPED_KEY_BYTES
        return cls(
            key_id=sealed[2:end_of_id].decode("ascii"),
            wrap_nonce=sealed[end_of_id:wrapped_at],
            wrapped_key=sealed[wrapped_at:nonce_at],
            nonce=sealed[nonce_at:fixed],
            ciphertext=sealed[fixed:],
        )


def header(key_id: str) -> bytes:
    """The envelope's beginning, which the wrapped data key is bound to."""
    encoded = key_id.encode("ascii")
    return struct.pack("BB", ENVELOPE_VERSION, len(encoded)) + encoded


class Vault:
    """Seals and opens secrets with the keys of one ring."""

    def __init__(self, keyring: Keyring, randomness: Randomness) -> None:
        self._keyring = keyring
        self._randomness = randomness

    def seal(self, secret: Secret, binding: Binding) -> bytes:
        """The secret in an envelope that opens only with the same binding."""
        data_key = self._randomness.bytes(DATA_KEY_BYTES)
        nonce = self._randomness.bytes(NONCE_BYTES)
        ciphertext = AESGCM(data_key).encrypt(nonce, secret.reveal().encode(), binding.associated_data())
        return self._wrap(data_key, nonce, ciphertext).pack()

    def open(self, sealed: bytes, binding: Binding) -> Secret:
        """The secret; raises `SealBroken` when it was altered, sealed for another binding, or its key is unknown."""
        envelope = Envelope.unpack(sealed)
        cipher = AESGCM(self._unwrap(envelope))
        try:
            return Secret(cipher.decrypt(envelope.nonce, envelope.ciphertext, binding.associated_data()).decode())
        except InvalidTag as error:
            raise SealBroken from error

    def rewrap(self, sealed: bytes) -> bytes | None:
        """The same secret under the primary key, or None when it is already; raises `SealBroken`."""
        envelope = Envelope.unpack(sealed)
        if envelope.key_id == self._keyring.primary_id:
            return None
        return self._wrap(self._unwrap(envelope), envelope.nonce, envelope.ciphertext).pack()

    def _wrap(self, data_key: bytes, nonce: bytes, ciphertext: bytes) -> Envelope:
        key_id = self._keyring.primary_id
        wrap_nonce = self._randomness.bytes(NONCE_BYTES)
        wrapped = AESGCM(self._keyring.derive(PURPOSE, key_id)).encrypt(wrap_nonce, data_key, header(key_id))
        return Envelope(key_id, wrap_nonce, wrapped, nonce, ciphertext)

    def _unwrap(self, envelope: Envelope) -> bytes:
        try:
            key = self._keyring.derive(PURPOSE, envelope.key_id)
            return AESGCM(key).decrypt(envelope.wrap_nonce, envelope.wrapped_key, header(envelope.key_id))
        except (InvalidTag, UnknownKey) as error:
            raise SealBroken from error

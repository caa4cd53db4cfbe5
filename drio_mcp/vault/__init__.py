"""Sealing of secrets: a ring of key-encryption keys, and an envelope with a data key around each secret."""

from drio_mcp.vault.envelope import Binding, SealBroken, Vault
from drio_mcp.vault.keyring import Keyring, UnknownKey

__all__ = ["Binding", "Keyring", "SealBroken", "UnknownKey", "Vault"]

"""What every capability may stand on: settings, time, chance, the database, the vault, and the way out."""

from dataclasses import dataclass

from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.opaque import Randomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database
from drio_mcp.vault import Keyring, Vault


@dataclass(frozen=True, slots=True)
class Foundations:
    """One of each. A capability that needs most of them takes them together, all others name what they need."""

    settings: Settings
    clock: Clock
    randomness: Randomness
    db: Database
    keyring: Keyring
    vault: Vault
    outbound: Outbound

"""`Idempotency-Key`: the same key and body within a day give the first answer again (contract section 3)."""

import hashlib
import hmac
import json
from typing import Any

from drio_mcp.models import Model
from drio_mcp.opaque import Secret
from drio_mcp.vault import Keyring

PURPOSE = "idempotency/1"
LONGEST_KEY = 255


def fingerprint(keyring: Keyring, body: Model) -> bytes:
    """Stands for the body, secrets included: a keyed hash, which nobody without the ring can try guesses against.

    The oldest key makes it, so that a rotation in between changes nothing.
    """
    key = keyring.derive(PURPOSE, keyring.ids[0])
    return hmac.digest(key, json.dumps(_revealed(body), sort_keys=True).encode(), hashlib.sha256)


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if hasattr(value, "model_fields_set"):
        return {name: _revealed(getattr(value, name)) for name in value.model_fields_set}
    if isinstance(value, tuple | list):
        return [_revealed(each) for each in value]
    return value

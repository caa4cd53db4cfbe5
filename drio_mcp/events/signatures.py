"""Signatures of messages, by the rules of Standard Webhooks 1.0 (symmetric scheme `v1`)."""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping

from drio_mcp.opaque import Randomness, Secret

PREFIX = "whsec_"
SECRET_BYTES = 32
"""The rules ask for 24 to 64."""


def new_secret(randomness: Randomness) -> Secret:
    """A secret as its owner is shown it: `whsec_` and base64."""
    return Secret(PREFIX + base64.b64encode(randomness.bytes(SECRET_BYTES)).decode("ascii"))


def signature(secret: Secret, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 of id, time (seconds) and body with full stops between them."""
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode("ascii")


def signed_headers(secrets: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
    """The headers of a message; with two secrets, as after a new one was made, it carries both signatures."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(each, message_id, timestamp, body) for each in secrets),
    }

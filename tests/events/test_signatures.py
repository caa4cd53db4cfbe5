"""Signatures by the rules of Standard Webhooks 1.0."""

import base64

from drio_mcp.events.signatures import new_secret, signature, signed_headers
from drio_mcp.opaque import Secret, SystemRandomness


def test_the_published_example() -> None:
    """The example of the Standard Webhooks reference libraries."""
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_holds_as_many_random_bytes_as_the_rules_ask_for() -> None:
    secret = new_secret(SystemRandomness()).reveal()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64


def test_with_two_secrets_a_message_carries_both_signatures() -> None:
    secrets = [new_secret(SystemRandomness()) for _ in range(2)]
    headers = signed_headers(secrets, "msg_1", 1614265330, b"{}")
    assert headers["webhook-id"] == "msg_1"
    assert headers["webhook-timestamp"] == "1614265330"
    both = [signature(each, "msg_1", 1614265330, b"{}") for each in secrets]
    assert headers["webhook-signature"] == " ".join(both)

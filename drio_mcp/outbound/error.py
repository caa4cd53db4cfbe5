"""What can go wrong on the way out."""

from typing import Literal

OutboundCode = Literal[
    "address_blocked",
    "dns_failure",
    "tls_failure",
    "timeout",
    "endpoint_unreachable",
    "redirect_refused",
    "response_too_large",
    "malformed_response",
    "missing_configuration",
]
"""Those of the contract's diagnosis codes that a call can end in before anyone has judged the answer."""


class OutboundError(Exception):
    """A call that gave no usable answer: a diagnosis code, and one sentence without hosts, values or secrets.

    `str()` gives `code: sentence`, the form of a connection's `lastError`.
    """

    def __init__(self, code: OutboundCode, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence

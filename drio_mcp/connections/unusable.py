"""A connection that cannot be used now, with the code that says why."""

from drio_mcp.connections.diagnosis_codes import CODES, Code


class Unusable(Exception):
    """Why a connection gives no credential: a diagnosis code and a sentence without values."""

    def __init__(self, code: Code, sentence: str | None = None) -> None:
        self.code = code
        self.sentence = sentence or CODES[code].summary
        super().__init__(f"{code}: {self.sentence}")

"""The API reference as data: each printed request with the answers printed after it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FILE = Path(__file__).parents[1] / "data" / "drio-auth-api.txt"
CURL = re.compile(
    r'curl -X (?P<method>[A-Z]+) "(?P<url>[^"]+)"(?P<options>(?: \\ -H "[^"]*")*)(?: \\ -d \'(?P<body>[^\']*)\')?'
)


@dataclass(frozen=True, slots=True)
class Printed:
    """One request of the reference, and the JSON documents printed below it: the answer, then errors."""

    method: str
    path: str
    body: Any
    documents: tuple[Any, ...]

    @property
    def answer(self) -> Any:
        return self.documents[0]

    @property
    def errors(self) -> tuple[Any, ...]:
        return self.documents[1:]


def read_reference() -> list[Printed]:
    """Every request that the reference prints, in order."""
    text = FILE.read_text(encoding="utf-8")
    found = []
    for match in CURL.finditer(text):
        body = match["body"]
        found.append(
            Printed(
                match["method"],
                urlsplit(match["url"]).path,
                None if body is None else json.loads(body),
                tuple(_documents(text, match.end())),
            )
        )
    return found


def _documents(text: str, position: int) -> list[Any]:
    decoder = json.JSONDecoder()
    documents = []
    while text[position : position + 1] == "{":
        document, position = decoder.raw_decode(text, position)
        documents.append(document)
    return documents


def missing_from(printed: Any, answered: Any, path: str = "") -> list[str]:
    """What of `printed` the answer lacks or has in another type; the paths, with both types.

    `null` in either stands for a value that may be missing, so it fits every type.
    """
    if printed is None or answered is None:
        return []
    if type(printed) is not type(answered):
        return [f"{path or '(all)'}: {type(answered).__name__} instead of {type(printed).__name__}"]
    if isinstance(printed, dict):
        lacking = [f"{path}.{name}: missing" for name in printed if name not in answered]
        shared = printed.keys() & answered.keys()
        return lacking + [
            each for name in shared for each in missing_from(printed[name], answered[name], f"{path}.{name}")
        ]
    if isinstance(printed, list):
        return [each for item in answered for each in missing_from(printed[0], item, f"{path}[]")] if printed else []
    return []

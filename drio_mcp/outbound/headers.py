"""The header fields of what is sent to the outside, and of what comes back."""

from collections.abc import Iterable, Iterator, Mapping

Fields = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]


class Headers(Mapping[str, str]):
    """Header fields, whose names are found without regard to case; one may stand there several times.

    What stands there several times reads as one list with commas (RFC 9110 section 5.3). Raises `UnicodeEncodeError`
    for text that cannot be sent: fields are ASCII (RFC 9110 section 5.5).
    """

    __slots__ = ("_values", "raw")

    def __init__(self, fields: Fields = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self.raw: list[tuple[bytes, bytes]] = [(_sendable(name), _sendable(value)) for name, value in pairs]
        """As they are sent, or as they came."""
        self._values: dict[str, list[str]] = {}
        for name, value in self.multi_items():
            self._values.setdefault(name, []).append(value)

    def multi_items(self) -> list[tuple[str, str]]:
        """Names in lower case and values, one by one."""
        return [(name.decode("latin-1").lower(), _text(value)) for name, value in self.raw]

    def get_list(self, name: str) -> list[str]:
        """The values of that name, one by one."""
        return list(self._values.get(name.lower(), ()))

    def without(self, *names: str) -> "Headers":
        """All others; `names` in lower case."""
        return Headers([(name, value) for name, value in self.raw if name.decode("latin-1").lower() not in names])

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _sendable(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("ascii")


def _text(value: bytes) -> str:
    """Beyond ASCII servers send UTF-8, or the Latin-1 of old (RFC 9110 section 5.5)."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")

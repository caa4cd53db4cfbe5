"""Server-sent events (HTML standard, section 9.2), read as they come: each byte is looked at once."""

from dataclasses import dataclass

BOM = b"\xef\xbb\xbf"
MOST_RETRY_DIGITS = 9


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. `id` is the stream's last event id so far, `retry` a wish in milliseconds, `name` its type."""

    data: bytes
    id: str | None
    retry: int | None
    name: str = "message"


class EventReader:
    """Turns chunks of a stream into events. Whoever reads bounds the stream; only the event under way is kept."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._id: str | None = None
        self._retry: int | None = None
        self._name = b""
        self._after_cr = False
        self._is_first = True

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that `chunk` completes. Lines end in CR, LF or both, also across chunks."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            return []
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        found: list[ServerSentEvent] = []
        for part in ended:
            self._line += part
            line = bytes(self._line)
            self._line.clear()
            if (event := self._take(line)) is not None:
                found.append(event)
        self._line += rest
        return found

    def _take(self, line: bytes) -> ServerSentEvent | None:
        if self._is_first:
            self._is_first = False
            line = line.removeprefix(BOM)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace") or None
        elif name == b"retry" and value.isdigit() and len(value) <= MOST_RETRY_DIGITS:
            self._retry = int(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        """An event without data is none, except that it may tell where to take the stream up again."""
        name, self._name = self._name.decode("utf-8", "replace") or "message", b""
        if not self._data and self._id is None and self._retry is None:
            return None
        event = ServerSentEvent(b"\n".join(self._data), self._id, self._retry, name)
        self._data.clear()
        return event

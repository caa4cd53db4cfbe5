"""Server-sent events (HTML standard, section 9.2), read as they arrive: each byte is looked at once."""

from drio_mcp.outbound.error import OutboundError

MOST_EVENTS = 2_000
"""Of one answer: more is a stream that is not meant to end."""
LONGEST_EVENT = 10 * 1024 * 1024


class EventReader:
    """Turns the pieces of a stream into the data of its events; their other fields mean nothing here."""

    def __init__(self, most_events: int = MOST_EVENTS, longest: int = LONGEST_EVENT) -> None:
        self._left = most_events
        self._longest = longest
        self._line = bytearray()
        """The beginning of a line whose end has not arrived."""
        self._data: list[bytes] = []
        self._size = 0
        self._ended_in_cr = False
        self._is_first = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that end in `chunk`. Raises `OutboundError` (`response_too_large`)."""
        if self._ended_in_cr and chunk[:1] == b"\n":  # CR LF that was cut in two
            chunk = chunk[1:]
        if not chunk:
            return []
        self._ended_in_cr = chunk.endswith(b"\r")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        whole = bytes(self._line) + chunk[:end] if end else b""
        if end:
            self._line.clear()
        self._line += chunk[end:]
        self._bound(len(self._line))
        if self._is_first and whole:
            whole, self._is_first = whole.removeprefix(b"\xef\xbb\xbf"), False
        events: list[bytes] = []
        for line in whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]:
            if not line:
                self._end_event(events)
            elif line.startswith(b"data"):
                self._take(line[4:])
        return events

    def _take(self, rest: bytes) -> None:
        if rest[:1] not in {b"", b":"}:
            return  # a field whose name only begins like that
        value = rest[1:].removeprefix(b" ")
        self._data.append(value)
        self._size += len(value) + 1
        self._bound(self._size)

    def _end_event(self, events: list[bytes]) -> None:
        if not self._data:
            return
        events.append(b"\n".join(self._data))
        self._data, self._size = [], 0
        self._left -= 1
        if self._left < 0:
            raise OutboundError("response_too_large", "The answer is a stream of more events than are read here")

    def _bound(self, size: int) -> None:
        if size > self._longest:
            raise OutboundError("response_too_large", "The answer is larger than is read here")

"""Log lines on standard error: one per request, as text for people or JSON for machines.

Neither paths nor queries are logged, because one-time tokens travel in them: a line names the route instead. Nor is the
text of an exception, which may hold what somebody submitted.

This is the standard library's `logging` with a formatter: structlog would import rich with it, a quarter of the start.
"""

import asyncio
import atexit
import json
import logging
import sys
import traceback
from typing import Any, Literal, TextIO

from drio_mcp.clock import SystemClock, rfc3339

Form = Literal["text", "json"]

FIELDS = "fields"
"""Name of the `extra` that carries a record's fields: `log.info("…", extra=fields(job="sweep"))`."""


class LineFormatter(logging.Formatter):
    """One line per record, in either form."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        values = dict(getattr(record, FIELDS, {}))
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            values |= {"exception": type(error).__qualname__, "at": place_of(error)}
        return self.line(round(record.created * 1000), record.levelname.lower(), record.getMessage(), values)

    def line(self, now: int, level: str, event: str, values: dict[str, Any]) -> str:
        """`now` is in milliseconds; values that are None are left out."""
        if self._form == "json":
            present = {name: value for name, value in values.items() if value is not None}
            return json.dumps({"timestamp": rfc3339(now), "level": level, "event": event, **present}, default=str)
        told = [f"{name}={value}" for name, value in values.items() if value is not None]
        text = " ".join([rfc3339(now), f"{level:<7}", event, *told])
        return text.replace("\n", "\\n").replace("\r", "\\r")


class RequestLog:
    """The line per request, written past the logging module, whose record costs more than the line.

    Lines of requests that are answered in one turn of the event loop are written together, in its next turn, or when
    the program ends before that.
    """

    def __init__(self, form: Form, stream: TextIO | None = None) -> None:
        self._formatter = LineFormatter(form)
        self._stream = stream
        self._now = SystemClock().now
        self._lines: list[str] = []
        self._is_due = False
        atexit.register(self.flush)

    def expect(self) -> None:
        """A line is about to come: said before the answer is sent, so that its line is written before it leaves."""
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def write(self, **values: Any) -> None:
        """Note the line of one request."""
        self._lines.append(self._formatter.line(self._now(), "info", "request", values))
        self.expect()

    def flush(self) -> None:
        """Write what was noted."""
        self._is_due = False
        if self._lines:
            lines, self._lines = self._lines, []
            stream = self._stream or sys.stderr
            stream.write("\n".join(lines) + "\n")
            stream.flush()


def configure_logging(form: Form, stream: TextIO | None = None) -> None:
    """Send all records of the process to `stream` (standard error): ours from `info`, libraries' from `warning`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("drio_mcp").setLevel(logging.INFO)


def fields(**values: Any) -> dict[str, dict[str, Any]]:
    """The `extra` of a record that has fields."""
    return {FIELDS: values}


def place_of(error: BaseException) -> str:
    """Where an exception came from, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-8:]))

"""Log lines on standard error: one per request, as text for people or JSON for machines.

Neither paths nor queries are logged, because one-time tokens travel in them: a line names the route instead.
"""

import logging
import sys
import traceback
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, WrappedLogger


def configure_logging(form: Literal["text", "json"], stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to `stream` (standard error) in one form."""
    stream = stream or sys.stderr
    render: Any = structlog.processors.JSONRenderer() if form == "json" else render_text
    shared: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        place_of_exception,
    ]
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("drio_mcp").setLevel(logging.INFO)


def place_of_exception(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Replace an exception by its type and place: its text may hold what somebody submitted."""
    raised = event.pop("exc_info", None)
    error = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["exception"] = type(error).__qualname__
        event["at"] = place_of(error)
    return event


def place_of(error: BaseException) -> str:
    """Where an exception came from, innermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames[-8:]))


def render_text(logger: WrappedLogger, method: str, event: EventDict) -> str:
    """`TIME level event key=value …` on one line."""
    head = f"{event.pop('timestamp', '')} {event.pop('level', ''):<7} {event.pop('event', '')}"
    line = " ".join([head, *(f"{key}={value}" for key, value in event.items() if value is not None)])
    return line.replace("\n", "\\n").replace("\r", "\\r")

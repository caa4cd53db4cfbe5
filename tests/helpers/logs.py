"""What the program logs, for tests that look at it."""

import contextlib
import io
import logging
from collections.abc import Iterator

from drio_mcp.middleware.logs import configure_logging


@contextlib.contextmanager
def captured_log() -> Iterator[io.StringIO]:
    """The log as JSON lines, with everybody else's handlers put back at the end."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    stream = io.StringIO()
    configure_logging("json", stream)
    try:
        yield stream
    finally:
        root.handlers = handlers
        root.setLevel(level)

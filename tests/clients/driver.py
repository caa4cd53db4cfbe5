"""The Python side of `driver.mjs`: a client process that obeys one JSON object a line."""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

Action = Callable[[dict[str, Any]], Awaitable[Any]]


def _write(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def open_in_browser(url: str) -> str:
    """Let the person decide; gives the URL that led back here. Blocks."""
    _write({"open": url})
    callback = json.loads(sys.stdin.readline())["callback"]
    if callback is None:
        raise RuntimeError("the person was asked to sign in again")
    return str(callback)


async def advance(command: dict[str, Any]) -> None:
    """Let time pass for this process, as it passes for the server."""
    now, seconds = time.time, command["seconds"]
    time.time = lambda: now() + seconds


async def obey(given: Mapping[str, Action]) -> None:
    """Carry out commands until standard input ends."""
    actions = {"advance": advance, **given}
    while line := await asyncio.to_thread(sys.stdin.readline):
        command = json.loads(line)
        try:
            _write({"result": await actions[command["do"]](command)})
        except Exception as error:
            _write({"error": f"{type(error).__name__}: {_root(error)}", "cause": ""})


def _root(error: BaseException) -> str:
    """What is inside nested exception groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"

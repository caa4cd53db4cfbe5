"""Several processes on one port (DRIO_WORKERS): started from one that has everything loaded, and started again.

The first process loads the program and forks; it serves nobody, opens no database and runs no event loop, because none
of these survive a fork. Its workers share the listening socket, so that the one with time takes the next connection.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

import click

QUICK_SECONDS = 5.0
"""A worker that lived no longer is started again only after a pause."""
LONGEST_PAUSE_SECONDS = 5.0
MOST_QUICK = 5
"""So many in a row that died at once mean that none will live."""

Work = Callable[[int], int]
"""What a worker does, given its number; its exit status."""


@dataclass(slots=True)
class Workers:
    """`count` processes that do the same `work`, each started again when it dies."""

    count: int
    work: Work
    _running: dict[int, tuple[int, float]] = field(default_factory=dict)
    """By process id: the worker's number, and when it began."""
    _is_ending: bool = False
    _quick: int = 0
    _lifeline: tuple[int, int] = (-1, -1)

    def run(self) -> int:
        """Work until a signal ends it, which waits for what is under way; the exit status."""
        if threading.active_count() != 1:
            raise RuntimeError("threads do not survive a fork")
        self._lifeline = os.pipe()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, self._end)
        for number in range(self.count):
            self._start(number)
        while self._running:
            process, status = os.waitpid(-1, 0)
            if process in self._running:
                self._ended(process, os.waitstatus_to_exitcode(status))
        return 0 if self._quick < MOST_QUICK else 1

    def _start(self, number: int) -> None:
        handled = (signal.SIGTERM, signal.SIGINT)
        signal.pthread_sigmask(signal.SIG_BLOCK, handled)
        try:
            process = os.fork()
            if process:
                self._running[process] = number, time.monotonic()
                return
            for each in handled:
                signal.signal(each, signal.SIG_DFL)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)
        status = 1
        try:
            self._end_with_the_first()
            status = self.work(number)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)  # nothing of the first process is to be done again at the end of this one

    def _ended(self, process: int, status: int) -> None:
        number, began = self._running.pop(process)
        if self._is_ending:
            return
        lived = time.monotonic() - began
        self._quick = self._quick + 1 if lived < QUICK_SECONDS else 0
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        click.echo(f"drio-mcp: worker {number} ended {how}", err=True)
        if self._quick >= MOST_QUICK:
            self._end()
            return
        if self._quick > 1:
            time.sleep(min(2 ** (self._quick - 3), LONGEST_PAUSE_SECONDS))
        if not self._is_ending:
            self._start(number)

    def _end(self, sig: int | None = None, frame: FrameType | None = None) -> None:
        """Let all end in order; who asks twice does not want to wait."""
        told = signal.SIGKILL if self._is_ending and sig == signal.SIGINT else signal.SIGTERM
        self._is_ending = True
        for process in tuple(self._running):
            os.kill(process, told)

    def _end_with_the_first(self) -> None:
        """In a worker: when the first process is gone, however it ended, nobody would start or end this one."""
        reading, writing = self._lifeline
        os.close(writing)

        def watch() -> None:
            os.read(reading, 1)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=watch, name="lifeline", daemon=True).start()

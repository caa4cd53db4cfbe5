"""Programs that print an authorization URL for a person: their output is watched and the person sent there."""

import os
import threading
from collections.abc import Callable
from typing import BinaryIO

import httpx2

from tests.clients.driver import open_in_browser
from tests.clients.node import environment


def quiet_environment(home: str, **more: str) -> dict[str, str]:
    """For a program that keeps its state in `home` and finds no browser to start."""
    return environment(HOME=home, BROWSER="/bin/true", DISPLAY="", NO_COLOR="1", **more)


class Watched:
    """A pipe for a program's messages; `marker` comes before the URL, on its line or the line before."""

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._reading, self.writing = os.pipe()
        self.when_refused: Callable[[], object] = lambda: None
        """Called when the person does not go where the program wants."""
        threading.Thread(target=self._watch, args=(os.fdopen(self._reading, "rb"),), daemon=True).start()

    def close(self) -> None:
        """No more messages."""
        os.close(self.writing)

    def _watch(self, messages: BinaryIO) -> None:
        announced = False
        for raw in messages:
            line = raw.decode(errors="replace").strip()
            announced = announced or self._marker in line
            url = next((word for word in line.split() if "/api/v1/auth/authorize?" in word), None)
            if announced and url is not None:
                announced = False
                self._decide(url)

    def _decide(self, url: str) -> None:
        try:
            callback = open_in_browser(url)
        except RuntimeError:
            self.when_refused()
            return
        httpx2.get(callback, trust_env=False)

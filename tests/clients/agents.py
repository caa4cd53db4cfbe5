"""Claude Code and Codex as they are published, each with a model that is scripted: they add the URL, sign in, and talk.

Both start with an empty home and an environment of their own: nothing of the person who runs the tests is read, and
nothing but loopback is spoken to.
"""

import contextlib
import json
import os
import pty
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2

from tests.clients.node import node, program
from tests.clients.scripted_model import CALL, ScriptedModel
from tests.helpers.browser import Browser
from tests.helpers.gateway import App
from tests.helpers.oauth import walk_through
from tests.helpers.three_upstreams import Outcome

NAME = "app"
"""Under which the URL is added."""
SECONDS = 90


class Agent(ABC):
    """What both have in common: a home, and a browser that is a script, which notes what it is to open."""

    def __init__(self, home: Path, app: App, model: ScriptedModel) -> None:
        self.home = home
        self.app = app
        self.model = model
        self._opened = home / "opened"
        browser = home / "browser"
        browser.write_text(
            f'#!/bin/sh\nprintf "%s" "$1" > "{self._opened}.part"\nmv "{self._opened}.part" "{self._opened}"\n'
        )
        browser.chmod(0o755)
        self.environment = {
            "HOME": str(home),
            "PATH": f"{Path(node()).parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "BROWSER": str(browser),
            "NO_COLOR": "1",
            "TERM": "xterm",
        }

    def run(self, *command: str) -> str:
        """The output of a command that works."""
        done = subprocess.run(
            command,
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{command}: {done.stdout} {done.stderr}"
        return done.stdout

    def sign_in(self, *command: str) -> None:
        """Run a command that sends the person to the browser, and let the owner of the app allow everything there."""
        controller, terminal = pty.openpty()
        with subprocess.Popen(
            command, cwd=self.home, env=self.environment, stdin=terminal, stdout=terminal, stderr=terminal
        ) as process:
            os.close(terminal)
            try:
                wait_until(lambda: self._opened.exists() or process.poll() is not None)
                with Browser(self.app.server.url) as browser:
                    back = walk_through(browser, self._opened.read_text(), self.app.owner, choices="all")
                assert httpx2.get(back, trust_env=False, follow_redirects=True).status_code == 200
                assert process.wait(SECONDS) == 0
            finally:
                process.kill()
                os.close(controller)

    def tools(self) -> set[str]:
        prefix = self.prefix
        return {name.removeprefix(prefix) for name in self.model.tools if name.startswith(prefix)}

    def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        before = len(self.model.results)
        self.say(f"{CALL}{json.dumps({'name': self.prefix + name, 'arguments': arguments})}")
        assert len(self.model.results) == before + 1, self.model.requests[-1]
        return self.outcome(self.model.results[-1])

    prefix: str = ""
    """What the program puts before the names of tools."""

    @abstractmethod
    def say(self, prompt: str) -> None:
        """One turn of the conversation."""

    @abstractmethod
    def outcome(self, result: dict[str, Any]) -> Outcome:
        """What its model was told of a call."""


class ClaudeCode(Agent):
    """`claude`, one process for the whole conversation."""

    prefix = f"mcp__{NAME}__"

    def __init__(self, home: Path, app: App, model: ScriptedModel) -> None:
        super().__init__(home, app, model)
        self._program = program("@anthropic-ai/claude-code-*/claude")
        self._process: subprocess.Popen[str] | None = None
        self.opened: list[str] = []
        """The pages that it asked its person to open."""
        self.when_opened: Callable[[str], object] = lambda url: None
        """What the person does there, before they say that they opened it."""
        self.environment |= {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": "scripted",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "ENABLE_TOOL_SEARCH": "false",
        }

    def add(self) -> None:
        self.run(self._program, "mcp", "add", "--transport", "http", NAME, self.app.url)
        self.sign_in(self._program, "mcp", "login", NAME)

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        command = [self._program, "-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"]
        with subprocess.Popen(
            [*command, "--allowedTools", f"mcp__{NAME}"],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as self._process:
            deadline = threading.Timer(SECONDS, self._process.kill)
            deadline.start()
            try:
                self.say("Hello.")
                yield
            finally:
                deadline.cancel()
                self._process.kill()

    def say(self, prompt: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._send({"type": "user", "message": {"role": "user", "content": prompt}})
        for line in self._process.stdout:
            heard = json.loads(line)
            if heard.get("type") == "result":
                return
            if heard.get("type") == "control_request":
                asked = heard["request"]
                assert asked["subtype"] == "elicitation", asked
                self.opened.append(asked["url"])
                self.when_opened(asked["url"])
                answer = {"subtype": "success", "request_id": heard["request_id"], "response": {"action": "accept"}}
                self._send({"type": "control_response", "response": answer})
        raise AssertionError("the program ended")

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()

    def outcome(self, result: dict[str, Any]) -> Outcome:
        content = result["content"]
        text = content if isinstance(content, str) else "\n".join(block.get("text", "") for block in content)
        return Outcome(result.get("is_error", False), text)


class Codex(Agent):
    """`codex exec`, a process for each turn of one conversation."""

    prefix = f"mcp__{NAME}"

    def __init__(self, home: Path, app: App, model: ScriptedModel) -> None:
        super().__init__(home, app, model)
        self._program = program(".bin/codex")
        self._is_begun = False
        (home / ".codex").mkdir()
        (home / ".codex" / "config.toml").write_text(
            'model = "scripted"\n'
            'model_provider = "scripted"\n'
            'cli_auth_credentials_store = "file"\n'
            'mcp_oauth_credentials_store = "file"\n'
            "check_for_update_on_startup = false\n"
            "[analytics]\nenabled = false\n"
            "[model_providers.scripted]\n"
            f'name = "Scripted"\nbase_url = "{model.url}/v1"\nwire_api = "responses"\n'
        )

    def add(self) -> None:
        self.sign_in(self._program, "mcp", "add", NAME, "--url", self.app.url)

    @contextlib.contextmanager
    def talking(self) -> Iterator[None]:
        self.say("Hello.")
        yield

    def say(self, prompt: str) -> None:
        options = ["--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]
        again = ["resume", "--last"] if self._is_begun else []
        self.run(self._program, "exec", *again, *options, prompt)
        self._is_begun = True

    def outcome(self, result: dict[str, Any]) -> Outcome:
        output = result["output"]
        text = output if isinstance(output, str) else "\n".join(part.get("text", "") for part in output)
        return Outcome("The call failed (" in text or '{"error":' in text, text)


def wait_until(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < ends_at
        time.sleep(0.05)

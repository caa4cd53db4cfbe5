"""Times a newcomer's path: `python -m bench.newcomer` clones, serves, sets up an account and makes the first tool call.

Everything happens in a temporary folder and on a free port. Packages come from wherever this machine's pip gets them.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from html import unescape
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

ROOT = Path(__file__).parents[1]
GOAL_SECONDS = 60
ACCOUNT = {"email": "ada@example.com", "name": "Ada", "password": "correct horse battery staple"}
LIST_APPS = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "list_apps", "arguments": {}}}


class Stopwatch:
    """Says how long each step took."""

    def __init__(self) -> None:
        self._began = self._last = time.monotonic()

    def lap(self, step: str) -> None:
        now = time.monotonic()
        sys.stdout.write(f"{now - self._last:6.1f} s  {step}\n")
        self._last = now

    def total(self) -> float:
        return self._last - self._began


def set_up(link: str) -> None:
    """Fill in the setup page as a browser would."""
    browser = build_opener(HTTPCookieProcessor())
    page = browser.open(link).read().decode()
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    form = {name: unescape(value) for name, value in hidden} | ACCOUNT
    request = Request(link, urlencode(form).encode(), {"Origin": link.partition("/setup")[0]})
    browser.open(request).read()


def first_tool_call(mcp_url: str, token: str) -> str:
    """The text of the answer of `list_apps`."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    answer = build_opener().open(Request(mcp_url, json.dumps(LIST_APPS).encode(), headers)).read()
    text: str = json.loads(answer)["result"]["content"][0]["text"]
    return text


def main() -> int:
    """Walk the path, and give 1 when it took longer than the goal."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "drio-mcp"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        watch.lap("clone")
        environment = os.environ | {"DRIO_PORT": "0"}
        with subprocess.Popen(
            ["make", "serve"], cwd=clone, env=environment, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                said = iter(line.strip() for line in server.stdout)
                mcp_url = next(line for line in said if line.startswith("MCP URL: ")).removeprefix("MCP URL: ")
                link = next(said).rpartition(" ")[2]
                watch.lap("make serve: installed and listening")
                set_up(link)
                watch.lap("account made on the setup page")
                command = [str(clone / ".venv/bin/drio-mcp"), "tokens", "create", "--email", ACCOUNT["email"]]
                token = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True).stdout.strip()
                watch.lap("token made")
                text = first_tool_call(mcp_url, token)
                watch.lap(f"first tool call: {text.splitlines()[0]}")
            finally:
                server.terminate()
    sys.stdout.write(f"{watch.total():6.1f} s  in all; the goal is {GOAL_SECONDS} s\n")
    return int(watch.total() > GOAL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

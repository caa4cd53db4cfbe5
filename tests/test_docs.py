"""The documentation tells the truth: what is generated is fresh, what can be pasted works, what is linked exists."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from drio_mcp.cli import cli
from tests.generate import PARTS, with_part
from tests.helpers.server import RunningServer, running_server

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "bench" / "README.md", *(ROOT / "docs").rglob("*.md")])
PASTED = ["README.md", "docs/quickstart.md", "docs/rest.md", "docs/events.md", "docs/gateway.md"]
"""Pages whose `sh` blocks are run one after the other against a server, as a reader would paste them."""

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```\w*\n(.*?)^```|`([^`\n]+)`", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"(?<![\w/-])(?:\.venv/bin/)?drio-mcp ([a-z][a-z-]*(?: [a-z][a-z-]*)?)")


def blocks(page: Path, language: str) -> list[str]:
    """The page's code blocks of one language."""
    return [code for tag, code in BLOCK.findall(page.read_text(encoding="utf-8")) if tag == language]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize(("file", "name"), [(file, name) for file, name, _ in PARTS])
def test_what_is_generated_is_fresh(file: str, name: str) -> None:
    make = next(make for part_file, part_name, make in PARTS if (part_file, part_name) == (file, name))
    text = (ROOT / file).read_text(encoding="utf-8")
    assert text == with_part(text, name, make()), "run: python -m tests.generate"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(text):
        address, _, anchor = target.partition("#")
        if urlsplit(address).scheme:
            continue
        linked = page if not address else (page.parent / address).resolve()
        assert linked.exists(), target
        if anchor and linked.suffix == ".md":
            assert anchor in anchors(linked), target


def anchors(page: Path) -> set[str]:
    """The addresses of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.replace("`", "")).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_json_is_json(page: Path) -> None:
    for code in blocks(page, "json"):
        json.loads(code)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    code = "\n".join(block or span for block, span in CODE.findall(page.read_text(encoding="utf-8")))
    for words in COMMAND.findall(code):
        command: click.Command | None = cli
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            command = command.get_command(click.Context(command), word)
            assert command is not None, f"drio-mcp {words}"


@pytest.mark.parametrize("target", ["serve", "test"])
def test_the_two_commands_on_top_are_targets(target: str) -> None:
    tops = [code.strip() for code in blocks(ROOT / "README.md", "sh")]
    assert f"make {target}" in tops
    subprocess.run(["make", "--dry-run", target], cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path / "data") as running:
        running.add_person("you@example.com", is_operator=True)
        yield running


@pytest.mark.parametrize("page", PASTED)
def test_what_can_be_pasted_works(page: str, server: RunningServer, tmp_path: Path) -> None:
    """All `sh` blocks of the page but the `make` ones, in one shell that stops at the first failure."""
    command = tmp_path / ".venv" / "bin" / "drio-mcp"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m drio_mcp "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    port = str(urlsplit(server.url).port)
    script = "\n".join(code for code in blocks(ROOT / page, "sh") if not code.startswith("make "))
    checked = 'curl() { command curl --fail-with-body --max-time 20 "$@"; }\n' + script.replace(":8000", f":{port}")
    done = subprocess.run(
        ["sh", "-euc", checked],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "DRIO_DATA_DIR": str(tmp_path / "data"),
            "DRIO_PORT": port,
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"error"' not in done.stdout


def test_where_the_program_comes_from_is_said_in_one_place() -> None:
    """Who moves it changes one line."""
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "llms.txt", ROOT / "bench" / "README.md"]
    assert [path.name for path in texts if "git clone" in path.read_text(encoding="utf-8")] == ["deployment.md"]


def test_the_architecture_names_what_there_is() -> None:
    """Each path on the page, from the repository's root or below `drio_mcp/`: who follows one finds it."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w./])[a-z_]+(?:/[a-z_]+)*(?:\.py|/(?![\w(]))", page))
    assert {"drio_mcp/services.py", "connections/record/status.py", "tools/", "config.py"} <= named
    assert not {path for path in named if not ((ROOT / path).exists() or (ROOT / "drio_mcp" / path).exists())}

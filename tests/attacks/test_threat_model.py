"""`docs/security.md` tells the truth: every defence names tests, and each of them exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
REFERENCE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ATTACKS = PAGE.partition("## Attacks and defences")[2].partition("## What is not defended")[0]


def defined_in(path: Path) -> set[str]:
    """The names of the test functions of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.walk(tree) if isinstance(node, functions) and node.name.startswith("test_")}


@pytest.mark.parametrize("file", sorted({file for file, _ in REFERENCE.findall(PAGE)}))
def test_every_test_that_is_named_exists(file: str) -> None:
    named = {name for path, name in REFERENCE.findall(PAGE) if path == file}
    assert named <= defined_in(ROOT / file)


def test_every_attack_names_its_test() -> None:
    rows = [line for line in ATTACKS.splitlines() if line.startswith("| ") and not line.startswith("| attack ")]
    assert len(rows) > 60
    assert [row for row in rows if not REFERENCE.search(row.split(" | ")[-1])] == []


def test_every_attack_test_stands_in_the_table() -> None:
    """A defence that only a test knows is not part of anybody's threat model."""
    files = {path.name for path in Path(__file__).parent.glob("test_*.py")} - {Path(__file__).name}
    assert files == {Path(file).name for file, _ in REFERENCE.findall(ATTACKS) if file.startswith("tests/attacks/")}

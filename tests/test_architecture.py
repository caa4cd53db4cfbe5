"""The house keeps its rooms (docs/architecture): imports go one way, and no room is added without a word."""

import ast
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

import drio_mcp

PACKAGE = Path(drio_mcp.__path__[0])
ROOMS = {
    "__main__",
    "accounts",
    "api",
    "app",
    "background",
    "cli",
    "clock",
    "config",
    "connections",
    "doctor",
    "errors",
    "foundations",
    "events",
    "metrics",
    "middleware",
    "models",
    "oauth",
    "opaque",
    "outbound",
    "outside",
    "pages",
    "services",
    "store",
    "text",
    "tools",
    "tracing",
    "vault",
}
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 500
LONGEST_FUNCTION = 80


MOST_PARAMETERS = 7


@contextmanager
def loggers_as_they_were() -> Iterator[None]:
    """The linter configures logging for itself, which silences every logger that there is."""
    before = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for logger in before:
        logger.disabled = False


def test_imports_go_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The contracts stand in pyproject.toml."""
    with loggers_as_they_were():
        status = lint_imports(config_filename=str(PACKAGE.parent / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_the_rooms_are_these() -> None:
    assert {module.name for module in pkgutil.iter_modules(drio_mcp.__path__)} == ROOMS


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_holds_one_idea_and_its_functions_fit_a_screen(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_configuration_reads_the_environment(source: Path) -> None:
    """Law 7. Secret references `env:DRIO_SECRET_…` are read by their own resolver."""
    allowed = {"config.py", "connections/record/secret_references.py"}
    names = {f"{owner}.{name}" for owner, name in attributes(source) if owner == "os"}
    if str(source.relative_to(PACKAGE)) not in allowed:
        assert not names & {"os.environ", "os.getenv"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_clock_and_the_generator_know_time_and_chance(source: Path) -> None:
    """Law 6: whoever needs the hour or randomness is handed a `Clock` or a `Randomness`."""
    found = {f"{owner}.{name}" for owner, name in attributes(source)}
    forbidden = {
        "time.time",
        "time.time_ns",
        "datetime.now",
        "datetime.utcnow",
        "secrets.token_bytes",
        "secrets.token_hex",
        "secrets.token_urlsafe",
    }
    if source.name not in {"clock.py", "opaque.py"}:
        assert not found & forbidden


def attributes(source: Path) -> Iterator[tuple[str, str]]:
    """Every `name.attribute` of the file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.value.id, node.attr


def test_a_class_name_is_used_once() -> None:
    """Who reads a name knows which class it is, without looking where it was imported from."""
    where: dict[str, list[str]] = {}
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(str(source.relative_to(PACKAGE)))
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_a_class_is_built_from_can_be_kept_in_mind(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len(named) - 1 <= MOST_PARAMETERS, f"line {node.lineno}"


def test_every_module_says_what_it_is() -> None:
    silent = [
        module.name
        for module in pkgutil.walk_packages(drio_mcp.__path__, "drio_mcp.")
        if not (importlib.import_module(module.name).__doc__ or "").strip()
    ]
    assert not silent

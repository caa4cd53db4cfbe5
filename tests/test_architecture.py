"""The house keeps its rooms (docs/architecture): imports go one way, and no room is added without a word."""

import ast
import importlib
import logging
import pkgutil
import re
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
    "disk",
    "loading",
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
TESTS = Path(__file__).parent
MIRRORED = [
    *("connections", "oauth", "accounts", "store", "outbound", "vault"),
    *("tools", "pages", "api", "middleware", "events", "cli"),
]
"""Folders of tests that stand for a room of the package; the others (flows, attacks, …) go through all of it."""
MOST_UNMIRRORED = 60
"""Statements in the functions of a module of `connections` that has no test file of its own."""
HOSTILE, LIFE = "flows/test_app_server_hostile.py", "flows/test_app_server_life.py"
TESTED_BY = {
    "connecting/imports": ("cli/test_import.py", "test_nangos_export"),
    "connecting/survey": ("connections/connecting/test_discovery.py", "test_server_metadata_that_cannot_be_read"),
    "health/checks": ("connections/health/test_validation.py", "test_a_key_is_proven_by_the_difference_that_it_makes"),
    "health/probes": ("connections/health/test_validation.py", "test_the_catalogs_probe_is_asked"),
    "upstream/client_findings": (
        "attacks/test_token_words.py",
        "test_a_code_that_the_first_try_voids_costs_one_click",
    ),
    "upstream/mcp/servers": (LIFE, "test_when_lists_are_asked_for_anew"),
    "upstream/mcp/tools": (HOSTILE, "test_what_exceeds_is_left_out_and_named"),
    "upstream/mcp/wire": (HOSTILE, "test_an_answer_that_is_none"),
    "upstream/provider_clients": ("connections/upstream/test_shared_clients.py", "test_the_order_own_app_server"),
    "upstream/provider_rules": ("simulators/test_oauth.py", "test_an_entry_connects_is_used_renews_and_is_revoked"),
    "upstream/refresh_decisions": ("connections/upstream/test_refresh_machine.py", "test_any_history"),
    "upstream/stored_tokens": (
        "connections/upstream/test_refresh.py",
        "test_a_rotated_refresh_token_takes_the_place_of_the_former",
    ),
    "upstream/token_requests": (
        "connections/upstream/test_shared_clients.py",
        "test_how_the_client_authenticates_is_found_out_once",
    ),
    "upstream/unstored_answers": (
        "connections/upstream/test_refresh.py",
        "test_an_answer_that_the_database_does_not_take_is_found_again",
    ),
    "use/gateway/approvals": (LIFE, "test_an_approval_is_for_one_client_and_one_call_for_ten_minutes"),
    "use/gateway/gateway": ("contract/test_gateway.py", "test_asking_first"),
    "use/gateway/mcp_calls": (LIFE, "test_healing_in_the_conversation"),
}
"""Modules of `connections` that are one with another's behaviour: where that is tested, and one test that holds it."""


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


@pytest.mark.parametrize("room", MIRRORED)
def test_a_folder_of_tests_is_a_room_of_the_package(room: str) -> None:
    folders = {path.parent.relative_to(TESTS) for path in (TESTS / room).rglob("test_*.py")}
    assert folders
    assert not {str(folder) for folder in folders if not (PACKAGE / folder / "__init__.py").is_file()}


def test_who_looks_for_the_tests_of_a_module_finds_them() -> None:
    """Each module of a room of `connections` has its own, or it is small, or it is said where they are."""
    for source in SOURCES:
        module = source.relative_to(PACKAGE).with_suffix("")
        if module.parts[0] == "connections" and len(module.parts) > 2 and module.name != "__init__":
            key = "/".join(module.parts[1:])
            has_own = (TESTS / module.parent / f"test_{module.name}.py").is_file()
            if statements_in_functions(source) > MOST_UNMIRRORED:
                assert has_own != (key in TESTED_BY), key


@pytest.mark.parametrize("module", TESTED_BY)
def test_what_is_tested_elsewhere_is_tested_there(module: str) -> None:
    assert (PACKAGE / "connections" / f"{module}.py").is_file()
    file, test = TESTED_BY[module]
    assert re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(encoding="utf-8"), re.MULTILINE), test


def statements_in_functions(source: Path) -> int:
    """How much a module does, in lines on which a statement begins; texts and declarations do not count."""
    tree = ast.parse(source.read_text(encoding="utf-8"))
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    parts = [node for each in functions for part in each.body for node in ast.walk(part)]
    return len({node.lineno for node in parts if isinstance(node, ast.stmt) and not is_text(node)})


def is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

"""Every part of the whole runs, and prints the form of bench/README.md."""

import importlib.util
from pathlib import Path

import pytest

from bench import __main__ as main
from bench import parts, peers
from bench.compare import Plan
from bench.figures import Figure, Section
from bench.load import LoadError
from bench.workloads import OIDC_PROVIDER, PRODUCT, workloads

TINY = Plan(connections=2, rounds=1, seconds=0.05, starts=1, codes=10, rows=300, quick=True, only=(), tell=print)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["peers", "app", "postgresql", "processes"])
def test_a_part_runs(name: str, tmp_path: Path) -> None:
    sections = parts.PARTS[name](tmp_path, TINY)
    assert all(figure.line().count(" | ") >= 4 for section in sections for figure in section.figures)
    found = {figure.name: figure for section in sections for figure in section.figures}
    if name == "processes":
        for lost in (
            "registrations through 3 processes that were refused (503)",
            "acknowledged registrations that are lost",
        ):
            assert found[lost].value == 0
        assert found["private memory of a worker"].value > 0


def test_a_section_is_a_table_under_its_title_with_what_was_left_out() -> None:
    section = Section("Peers", [Figure("register", 2.0, "times", 1.0, detail="2 / 1 /s")], ["FastMCP was left out."])
    assert section.markdown().splitlines() == [
        "### Peers",
        "",
        "| figure | measured | goal | | in detail |",
        "|---|---:|---:|---|---|",
        "| register | 2 times | ≥ 1 times | reached | 2 / 1 /s |",
        "",
        "FastMCP was left out.",
    ]
    assert Section("Peers", [], ["Nothing."]).markdown() == "### Peers\n\nNothing."


def test_what_is_not_installed_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(peers, "HERE", tmp_path)
    others, notes = peers.installed()
    assert len(others) == 1
    assert [note.split(" is not")[0] for note in notes] == ["FastMCP", "Node's oidc-provider"]


def test_a_server_without_tools_is_not_asked_to_call_one() -> None:
    fitting = [each.name for each in workloads(1) if each.fits(OIDC_PROVIDER)]
    assert fitting == ["metadata", "register", "exchange", "refresh"]
    assert all(each.fits(PRODUCT) for each in workloads(1))


def test_a_part_that_cannot_be_measured_does_not_end_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def broken(folder: Path, plan: Plan) -> list[Section]:
        raise LoadError("nothing answers")

    def missed(folder: Path, plan: Plan) -> list[Section]:
        return [Section("Other", [Figure("slow", 1.0, "/s", 2.0)])]

    assert [main.measure(each, TINY) for each in (broken, missed)] == [None, False]
    said = capsys.readouterr().out
    assert "could not be measured: nothing answers" in said
    assert "| slow | 1 /s | ≥ 2 /s | **missed** |" in said

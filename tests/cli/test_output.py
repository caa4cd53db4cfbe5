"""What commands print fits a terminal of 80 columns, as a table where that fits and row by row where it does not."""

import pytest

from drio_mcp.cli.output import print_table

COLUMNS = {"name": "Name", "madeAt": "Made", "isOn": "On"}
ROW = {"name": "Weather", "madeAt": "2026-03-15T12:00:00.000Z", "isOn": True}


def test_what_fits_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([ROW, {**ROW, "name": "[bold]Stocks[/bold]"}], COLUMNS, empty="None")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Name", "Made", "On"]
    assert [line.split()[0] for line in lines[2:]] == ["Weather", "[bold]Stocks[/bold]"]
    assert "2026-03-15 12:00 " in lines[2]
    assert "yes" in lines[2]


def test_what_does_not_fit_is_told_row_by_row(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 70
    print_table([{**ROW, "name": long}, {**ROW, "madeAt": None}], COLUMNS, empty="None")
    assert capsys.readouterr().out == (f"Name  {long}\nMade  2026-03-15 12:00\nOn    yes\n\nName  Weather\nOn    yes\n")


def test_nothing_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], COLUMNS, empty="There is none")
    assert capsys.readouterr().out == "There is none\n"

"""The bench of a full database runs, and says of each figure whether its goal is reached."""

from pathlib import Path

import pytest

from bench import scale
from bench.figures import Figure, table_of


@pytest.mark.slow
async def test_every_figure_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "OWN", 5)
    monkeypatch.setattr(scale, "APPS", 3)
    figures = await scale.measure(tmp_path, 300, 2)
    assert len(figures) == 10
    assert all(each.value > 0 for each in figures)
    [disk] = [each for each in figures if each.unit == "bytes"]
    assert 1_000 < disk.value < 5_000


def test_a_goal_is_reached_from_its_own_side() -> None:
    assert Figure("fast", 301, "/s", 300).is_reached
    assert not Figure("slow", 299, "/s", 300).is_reached
    assert Figure("small", 3.0, "times", 3.0, is_most=True).is_reached
    assert not Figure("large", 3.1, "times", 3.0, is_most=True).is_reached
    table = table_of([Figure("any", 12.34, "ms"), Figure("large", 1234.5, "ms", 50, True, "of two")])
    assert table.splitlines()[2:] == [
        "| any | 12.3 ms |  |  |  |",
        "| large | 1,234 ms | ≤ 50 ms | **missed** | of two |",
    ]

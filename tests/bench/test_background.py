"""The benches of background work run, and count what was really done."""

from pathlib import Path

import pytest

from bench.background import Rate, measure


@pytest.mark.parametrize("what", ["refreshes", "checks"])
async def test_everything_that_is_due_is_worked_off(tmp_path: Path, what: str) -> None:
    rate = await measure(tmp_path, what, 0.0, 20)
    assert rate.count == 20
    assert rate.seconds > 0


def test_a_rate_is_a_figure_beside_its_goal() -> None:
    [rate, computing] = Rate("checks", 0.0, 1_000, 1.0, 2.0).figures()
    assert rate.line() == "| checks at a provider that takes 0 s, a process | 1,000 /s | ≥ 500 /s | reached |  |"
    assert (computing.value, computing.unit, computing.goal) == (2.0, "ms", None)
    [late, _] = Rate("refreshes", 1.0, 32, 1.0, 1.0).figures()
    assert late.line() == (
        "| refreshes at a provider that takes 1 s, of slots / latency | 50 % | ≥ 90 % | **missed** |  |"
    )


def test_a_late_provider_is_measured_against_its_slots() -> None:
    assert "50% of slots / latency" in Rate("refreshes", 2.0, 160, 10.0, 0.1).line()
    assert "goal 500" in Rate("checks", 0.0, 160, 10.0, 0.1).line()

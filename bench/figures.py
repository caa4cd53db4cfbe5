"""One line of the whole table: a figure beside its goal."""

from collections.abc import Iterable
from dataclasses import dataclass

HEAD = "| figure | measured | goal | |\n|---|---:|---:|---|"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in which unit, and what is wanted of it; `is_most` where less is better."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    is_most: bool = False

    @property
    def is_reached(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.is_most else self.value >= self.goal

    def line(self) -> str:
        """The figure as a row of a table in Markdown."""
        goal = "" if self.goal is None else f"{'≤' if self.is_most else '≥'} {number(self.goal)} {self.unit}"
        mark = "" if self.goal is None else ("reached" if self.is_reached else "**missed**")
        return f"| {self.name} | {number(self.value)} {self.unit} | {goal} | {mark} |"


def number(value: float) -> str:
    """With as many digits as tell something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table_of(figures: Iterable[Figure]) -> str:
    """A table in the form of bench/README.md."""
    return "\n".join([HEAD, *(each.line() for each in figures)])

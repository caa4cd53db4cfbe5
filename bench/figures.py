"""The one layout of everything that is measured: a figure beside its goal, and what it was made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

HEAD = "| figure | measured | goal | | in detail |\n|---|---:|---:|---|---|"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, in which unit, and what is wanted of it; `is_most` where less is better.

    `detail` is what the figure was made of, for people.
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    is_most: bool = False
    detail: str = ""

    @property
    def is_reached(self) -> bool:
        if self.goal is None:
            return True
        return self.value <= self.goal if self.is_most else self.value >= self.goal

    def line(self) -> str:
        """The figure as a row of a table in Markdown."""
        goal = "" if self.goal is None else f"{'≤' if self.is_most else '≥'} {number(self.goal)} {self.unit}".rstrip()
        mark = "" if self.goal is None else ("reached" if self.is_reached else "**missed**")
        return f"| {self.name} | {f'{number(self.value)} {self.unit}'.rstrip()} | {goal} | {mark} | {self.detail} |"


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that belong together, and sentences about what could not be measured."""

    title: str
    figures: Sequence[Figure]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """It in the form of bench/README.md."""
        table = [table_of(self.figures)] if self.figures else []
        return "\n\n".join([f"### {self.title}", *table, *self.notes])


def number(value: float) -> str:
    """With as many digits as tell something."""
    if value == int(value) and abs(value) < 100:
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table_of(figures: Sequence[Figure]) -> str:
    """A table in the form of bench/README.md."""
    return "\n".join([HEAD, *(each.line() for each in figures)])

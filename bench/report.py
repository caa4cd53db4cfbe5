"""Figures: one line per workload, our server against the baseline, as medians over the rounds."""

from dataclasses import dataclass, field
from statistics import median

from rich import box
from rich.table import Table

from bench.load import Measured

COLD_START_GOAL_SECONDS = 0.6
IDLE_MEMORY_GOAL_MEGABYTES = 85.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one workload against one server: per second, milliseconds, and microseconds of CPU per request."""

    per_second: float
    p50: float
    p99: float
    cpu: float

    @classmethod
    def of(cls, measured: Measured, cpu_seconds: float) -> "Sample":
        return cls(
            measured.per_second,
            measured.quantile(0.5),
            measured.quantile(0.99),
            cpu_seconds / measured.answers * 1e6,
        )


@dataclass(slots=True)
class Comparison:
    """The rounds of one workload. Each round measured both servers one after the other."""

    name: str
    goal: float | None
    ours: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)

    def ratio(self, figure: str) -> float:
        """The median over the rounds of ours divided by theirs."""
        pairs = zip(self.ours, self.theirs, strict=True)
        ratios: list[float] = [getattr(our, figure) / (getattr(their, figure) or 1) for our, their in pairs]
        return median(ratios)

    def is_reached(self) -> bool:
        return self.goal is None or self.ratio("per_second") >= self.goal


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server costs before anybody uses it, and after: seconds and megabytes."""

    cold_start: float
    idle_memory: float
    memory_after: float


def workload_table(comparisons: list[Comparison]) -> Table:
    """Ours / theirs for each figure, and the ratio that the goal is about."""
    table = Table(box=box.MARKDOWN)
    for heading in ("workload", "requests/s", "ratio", "goal", "p50 ms", "p99 ms", "CPU µs/request", "CPU ratio"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    for each in comparisons:
        table.add_row(
            each.name,
            pair(each, "per_second", 0),
            f"{each.ratio('per_second'):.2f}",
            "" if each.goal is None else f"{each.goal:g} {'✓' if each.is_reached() else '✗'}",
            pair(each, "p50", 2),
            pair(each, "p99", 2),
            pair(each, "cpu", 0),
            f"{each.ratio('cpu'):.2f}",
        )
    return table


def pair(comparison: Comparison, figure: str, digits: int) -> str:
    """`ours / theirs`, medians."""
    ours, theirs = (median(getattr(sample, figure) for sample in side) for side in (comparison.ours, comparison.theirs))
    return f"{ours:,.{digits}f} / {theirs:,.{digits}f}"


def footprint_table(ours: Footprint, theirs: Footprint) -> Table:
    """Cold start and memory."""
    table = Table(box=box.MARKDOWN)
    for heading in ("footprint", "drio-mcp", "mcp SDK", "ratio", "goal"):
        table.add_column(heading, justify="left" if heading == "footprint" else "right")
    for label, figure, unit, goal in (
        ("cold start to the first answer", "cold_start", "s", COLD_START_GOAL_SECONDS),
        ("memory when idle", "idle_memory", "MB", IDLE_MEMORY_GOAL_MEGABYTES),
        ("memory after the load", "memory_after", "MB", None),
    ):
        our, their = getattr(ours, figure), getattr(theirs, figure)
        mark = "" if goal is None else f"< {goal:g} {unit} {'✓' if our < goal else '✗'}"
        table.add_row(label, f"{our:.2f} {unit}", f"{their:.2f} {unit}", f"{our / their:.2f}", mark)
    return table


def is_light(footprint: Footprint) -> bool:
    """Whether cold start and idle memory are below their goals."""
    return footprint.cold_start < COLD_START_GOAL_SECONDS and footprint.idle_memory < IDLE_MEMORY_GOAL_MEGABYTES

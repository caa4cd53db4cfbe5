"""What two servers did with the same work, as figures: medians over the rounds, ours against the other."""

from dataclasses import dataclass, field
from statistics import median

from bench.figures import Figure
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

    def ratio(self, of: str) -> float:
        """The median over the rounds of ours divided by theirs."""
        pairs = zip(self.ours, self.theirs, strict=True)
        ratios: list[float] = [getattr(our, of) / (getattr(their, of) or 1) for our, their in pairs]
        return median(ratios)

    def figure(self) -> Figure:
        """Ours / theirs in requests per second beside the goal, and the figures of both."""
        latency = f"p50 {self._both('p50', 2)} ms, p99 {self._both('p99', 2)} ms"
        detail = f"{self._both('per_second', 0)} /s, {latency}, CPU {self._both('cpu', 0)} µs: {self.ratio('cpu'):.2f}"
        return Figure(self.name, self.ratio("per_second"), "times", self.goal, detail=detail)

    def late_figure(self, goal: float) -> Figure:
        """Ours / theirs of the 99th percentiles."""
        return Figure(f"{self.name}, p99", self.ratio("p99"), "times", goal, True, f"{self._both('p99', 2)} ms")

    def _both(self, of: str, digits: int) -> str:
        ours, theirs = (median(getattr(sample, of) for sample in side) for side in (self.ours, self.theirs))
        return f"{ours:,.{digits}f} / {theirs:,.{digits}f}"


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a server costs before anybody uses it, and after: seconds and megabytes."""

    cold_start: float
    idle_memory: float
    memory_after: float


def footprint_figures(ours: Footprint, theirs: dict[str, Footprint]) -> list[Figure]:
    """Cold start and memory of ours beside the goals, and those of the others."""
    found = []
    for name, of, unit, goal in (
        ("cold start to the first answer", "cold_start", "s", COLD_START_GOAL_SECONDS),
        ("memory when idle", "idle_memory", "MB", IDLE_MEMORY_GOAL_MEGABYTES),
        ("memory after the load", "memory_after", "MB", None),
    ):
        others = ", ".join(f"{label} {getattr(each, of):.2f}" for label, each in theirs.items())
        found.append(Figure(name, getattr(ours, of), unit, goal, goal is not None, others))
    return found

"""What a check finds, and the change that it says to make."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor. `change` is what to do, where there is something to do."""

    check: str
    level: Level
    detail: str
    change: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def ok(check: str, detail: str) -> Finding:
    return Finding(check, "ok", detail)


def warning(check: str, detail: str, change: str) -> Finding:
    return Finding(check, "warning", detail, change)


def failed(check: str, detail: str, change: str) -> Finding:
    return Finding(check, "failed", detail, change)

"""A brake on refreshes that an API's refusals ask for: an API that refuses every token is not mended by new ones."""

from dataclasses import dataclass

from drio_mcp.clock import HOUR, MINUTE, Clock

MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Row:
    """Refusals in a row: the generation whose refresh was let through last, when, and the how many-th it was."""

    generation: int
    at: int
    streak: int

    def pause(self) -> int:
        return min(MINUTE << (self.streak - 1), HOUR)


class RefusalBrake:
    """The first refusal of a connection is followed by a refresh, each further one in a row by a longer pause.

    It is kept in the process: at worst, each process finds out for itself.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._refusals: dict[str, _Row] = {}

    def may_refresh(self, connection_id: str, generation: int) -> bool:
        """Whether a token of that generation, refused now, is worth a refresh; if so, that is counted.

        Of many calls that had the same token refused, all may: they share one refresh.
        """
        now = self._clock.now()
        row = self._refusals.pop(connection_id, None)
        if row is None or not 0 <= now - row.at < row.pause():
            row = _Row(generation, now, 1 if row is None else min(row.streak + 1, 10))
        self._refusals[connection_id] = row
        if len(self._refusals) > MOST_REMEMBERED:
            self._refusals.pop(next(iter(self._refusals)))
        return row.generation == generation

    def accepted(self, connection_id: str) -> None:
        """The API took a token of the connection: the row of refusals is over."""
        self._refusals.pop(connection_id, None)

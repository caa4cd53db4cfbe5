"""The numbers of several processes: each writes its own slot, everybody reads all, and none are lost with a process."""

import pytest

from drio_mcp import metrics
from drio_mcp.api.metrics import _summed
from drio_mcp.metrics import HEADER, REFRESH_FAILURES, Board, Counter, Histogram, add, numbers_of


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    made = Board(2)
    monkeypatch.setattr(metrics, "_board", made)
    made.take(0)
    return made


def other(board: Board, numbers: dict[str, object]) -> None:
    """The process of the other slot."""
    board._own = 1
    board.publish(numbers)
    board._own = 0


def test_the_numbers_of_all_are_summed(board: Board) -> None:
    theirs = numbers_of() | {"longest_turn": 0.5}
    theirs["counters"] = {"drio_refresh_failures": [[["a code of this test"], 3]]}
    theirs["histograms"] = {"drio_database_commit_decisions": [[[], [1] * 9, 12.0]]}
    other(board, theirs)
    REFRESH_FAILURES.add("a code of this test")
    before = sum(metrics.COMMIT_BATCH.counts.get((), [0] * 9))
    counters, histograms = _summed(metrics.others())
    [failures] = [each for each in counters if each.name == "drio_refresh_failures"]
    [batches] = [each for each in histograms if each.name == "drio_database_commit_decisions"]
    assert failures.values["a code of this test",] == 4
    assert sum(batches.counts[()]) == before + 9
    assert REFRESH_FAILURES.values["a code of this test",] == 1, "this process's own stay as they are"


def test_who_comes_after_a_dead_process_counts_on(board: Board) -> None:
    other(board, numbers_of() | {"counters": {"drio_refresh_failures": [[["of the dead"], 7]]}, "histograms": {}})
    board.take(1)
    assert REFRESH_FAILURES.values["of the dead",] == 7
    REFRESH_FAILURES.add("of the dead")
    board.publish(numbers_of())
    board.take(0)
    [seen] = board.others()
    assert [["of the dead"], 8] in seen["counters"]["drio_refresh_failures"]


def test_what_a_process_was_writing_when_it_died_is_not_read(board: Board) -> None:
    other(board, numbers_of())
    turn, length = HEADER.unpack_from(board._slots[1])
    HEADER.pack_into(board._slots[1], 0, turn + 1, length)
    assert board.others() == []
    other(board, numbers_of())
    assert len(board.others()) == 1, "and the next one writes a whole turn again"


def test_a_process_alone_has_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_board", None)
    assert metrics.others() == []
    assert _summed([]) == (metrics.COUNTERS, metrics.HISTOGRAMS)


def test_numbers_too_many_for_a_slot_leave_the_former_ones(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    other(board, {"jobs": {"kept": [1, 2, 3.0, False]}})
    monkeypatch.setattr(metrics, "SLOT_BYTES", 10)
    other(board, {"jobs": {}})
    assert metrics.jobs()["kept"].ran_at == 2


def test_labels_keep_their_types() -> None:
    """A status is a number, and stays one on its way through JSON."""
    counter, histogram = Counter("c", "", ("family", "status")), Histogram("h", "", (1.0,), ("family",))
    numbers = {"counters": {"c": [[["api", 200], 2]]}, "histograms": {"h": [[["api"], [1, 0], 0.5]]}}
    add(numbers, [counter], [histogram])
    add(numbers, [counter], [histogram])
    assert counter.values == {("api", 200): 4}
    assert (histogram.counts, histogram.sums) == ({("api",): [2, 0]}, {("api",): 1.0})

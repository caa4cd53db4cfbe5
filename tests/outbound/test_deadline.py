"""Deadlines of a program that stood still."""

import asyncio
from collections.abc import Iterator

import pytest

from drio_mcp.outbound.deadline import GRACE_SECONDS, deadline
from tests.helpers.virtual_loop import VirtualLoop


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    loop = VirtualLoop()
    yield loop
    loop.close()


async def wait_for(answer: "asyncio.Future[str]", ends_at: float) -> str:
    async with deadline(ends_at):
        return await answer


def begin(loop: VirtualLoop) -> tuple["asyncio.Future[str]", "asyncio.Task[str]"]:
    answer: asyncio.Future[str] = loop.create_future()
    task = loop.create_task(wait_for(answer, 60))
    loop.settle()
    return answer, task


def ended(task: "asyncio.Task[str]") -> bool:
    return task.done() and isinstance(task.exception(), TimeoutError)


def test_it_ends_in_time(loop: VirtualLoop) -> None:
    _, task = begin(loop)
    loop.moment = 59.9
    loop.settle()
    assert not task.done()
    loop.moment = 60.5
    loop.settle()
    assert ended(task)


def test_what_arrived_while_nobody_ran_is_read(loop: VirtualLoop) -> None:
    """Timers come first, then what the sockets hold: without the grace the timer would win."""
    answer, task = begin(loop)
    loop.moment = 300
    loop.settle()
    answer.set_result("the only one")
    loop.settle()
    assert task.result() == "the only one"


def test_it_is_put_off_once(loop: VirtualLoop) -> None:
    _, task = begin(loop)
    loop.moment = 300
    loop.settle()
    assert not task.done()
    loop.moment = 300 + GRACE_SECONDS
    loop.settle()
    assert ended(task)


def test_what_is_over_is_left_alone(loop: VirtualLoop) -> None:
    answer, task = begin(loop)
    loop.moment = 300
    loop.settle()
    answer.set_result("there")
    loop.settle()
    loop.moment = 400
    loop.settle()
    assert task.result() == "there"


def test_another_failure_passes(loop: VirtualLoop) -> None:
    answer, task = begin(loop)
    answer.set_exception(ValueError("other"))
    loop.settle()
    assert isinstance(task.exception(), ValueError)

"""Loading what no start needs (drio_mcp/loading.py)."""

import asyncio
import threading

import pytest

from drio_mcp.loading import load


async def test_one_loads_after_the_other() -> None:
    """Else two that import one another in a circle would see halves of modules."""
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def first() -> None:
        begun.set()
        go_on.wait(30)
        order.append("first")

    slow = asyncio.create_task(load(first))
    await asyncio.to_thread(begun.wait, 30)
    quick = asyncio.create_task(load(lambda: order.append("second")))
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(slow, quick)
    assert order == ["first", "second"]


async def test_a_failure_is_the_callers_and_keeps_nobody_out() -> None:
    with pytest.raises(ModuleNotFoundError):
        await load(lambda: __import__("drio_mcp.no_such_module"))
    assert await load(lambda: 1) == 1

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from drio_mcp.accounts.passwords import Passwords, check_strength
from drio_mcp.errors import Unavailable, ValidationFailed
from drio_mcp.opaque import Secret

RIGHT = Secret("correct horse battery")
WRONG = Secret("incorrect horse battery")


async def test_a_hash_verifies_its_password_and_no_other(passwords: Passwords) -> None:
    stored = await passwords.hash(RIGHT)
    assert await passwords.verify(RIGHT, stored)
    assert not await passwords.verify(WRONG, stored)


async def test_the_default_is_argon2id_with_the_parameters_of_rfc_9106_section_4() -> None:
    parameters = extract_parameters(await Passwords().hash(RIGHT))
    assert parameters.type is Type.ID
    assert (parameters.time_cost, parameters.memory_cost, parameters.parallelism) == (3, 65536, 4)
    assert parameters.salt_len == 16


async def test_equal_passwords_have_different_hashes(passwords: Passwords) -> None:
    assert await passwords.hash(RIGHT) != await passwords.hash(RIGHT)


async def test_composed_and_decomposed_letters_are_the_same_password(passwords: Passwords) -> None:
    stored = await passwords.hash(Secret("Zo\u00eb reads a book"))
    assert await passwords.verify(Secret("Zoe\u0308 reads a book"), stored)


async def test_nothing_matches_a_missing_hash(passwords: Passwords) -> None:
    assert not await passwords.verify(RIGHT, None)
    assert not await passwords.verify(Secret("a password that nobody has"), None)


async def test_nothing_matches_a_hash_that_is_none(passwords: Passwords) -> None:
    assert not await passwords.verify(RIGHT, "no PHC string")


async def test_new_parameters_make_an_old_hash_outdated(passwords: Passwords) -> None:
    stored = await passwords.hash(RIGHT)
    assert not passwords.is_outdated(stored)
    assert Passwords(time_cost=2, memory_cost=8, parallelism=1).is_outdated(stored)


@pytest.mark.parametrize("length", [12, 256])
def test_lengths_that_are_allowed(length: int) -> None:
    check_strength(Secret("x" * length))


@pytest.mark.parametrize("length", [0, 11, 257, 1_000_000])
def test_lengths_that_are_refused_without_repeating_the_password(length: int) -> None:
    with pytest.raises(ValidationFailed) as caught:
        check_strength(Secret("x" * length))
    assert caught.value.problems[0].path == "password"
    assert "xxx" not in caught.value.message


class Gate:
    """A computation that stands still until it is opened, and counts how many stand in it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def __call__(self) -> bool:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.entered.release()
        self.open.wait(10)
        with self._lock:
            self.at_once -= 1
        return True


@contextmanager
def gate() -> Iterator[Gate]:
    made = Gate()
    try:
        yield made
    finally:
        made.open.set()


async def test_a_flood_computes_few_at_once_and_turns_the_rest_away() -> None:
    """RFC 9106 makes each computation expensive, so their number is what an attacker must not choose."""
    passwords = Passwords(time_cost=1, memory_cost=8, parallelism=1, at_once=2, waiting=3)
    with gate() as held:
        callers = [asyncio.create_task(passwords._compute(held)) for _ in range(20)]
        await asyncio.to_thread(held.entered.acquire)
        await asyncio.to_thread(held.entered.acquire)
        refused = [caller for caller in callers if caller.done()]
        held.open.set()
        results = await asyncio.gather(*callers, return_exceptions=True)
    assert len(refused) == 15
    assert sum(isinstance(result, Unavailable) for result in results) == 15
    assert results.count(True) == 5
    assert held.most == 2
    assert await passwords.hash(RIGHT)


async def test_callers_that_hang_up_do_not_make_room_for_more_work_than_there_is() -> None:
    passwords = Passwords(time_cost=1, memory_cost=8, parallelism=1, at_once=1, waiting=1)
    with gate() as held:
        first = asyncio.create_task(passwords._compute(held))
        await asyncio.to_thread(held.entered.acquire)
        first.cancel()
        second = asyncio.create_task(passwords._compute(held))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await passwords._compute(held)
        held.open.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second
    assert held.most == 1

"""Head and body of an answer leave together, in order, and before the connection closes."""

import asyncio

from drio_mcp.cli.http.one_write import MOST_BYTES, GatheringTransport


class Wire(asyncio.Transport):
    """Keeps what a real transport would put on the wire, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


async def test_what_is_written_in_one_turn_leaves_at_once_and_in_order() -> None:
    wire = Wire()
    transport = GatheringTransport(wire, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.writes == []
    await asyncio.sleep(0)
    transport.write(b"next")
    await asyncio.sleep(0)
    assert wire.writes == [b"head body", b"next"]


async def test_closing_sends_what_waits_first() -> None:
    wire = Wire()
    transport = GatheringTransport(wire, asyncio.get_running_loop())
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert wire.writes == [b"last words"]
    assert wire.is_closed


async def test_a_long_answer_does_not_pile_up() -> None:
    wire = Wire()
    transport = GatheringTransport(wire, asyncio.get_running_loop())
    for _ in range(4):
        transport.write(b"x" * (MOST_BYTES // 2))
    assert len(wire.writes) == 2


async def test_everything_else_is_the_transports_own() -> None:
    wire = Wire()
    transport = GatheringTransport(wire, asyncio.get_running_loop())
    assert not transport.is_closing()
    transport.close()
    assert transport.is_closing()

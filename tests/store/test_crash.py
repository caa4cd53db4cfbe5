"""A process that is killed in the middle of its writes: what it acknowledged is there, and nothing is there by half."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drio_mcp.config import Settings
from drio_mcp.store import Query, open_database

from ..conftest import FakeClock
from . import writer

PAIRS = Query("SELECT id, twin FROM acknowledged", lambda id, twin: (id, twin))
INTEGRITY = Query("PRAGMA integrity_check", str)


@pytest.mark.parametrize("writes", [1, 1000])
async def test_every_acknowledged_write_survives_a_kill(
    database_url: str, tmp_path: Path, clock: FakeClock, writes: int
) -> None:
    with subprocess.Popen(
        [sys.executable, writer.__file__, database_url, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(writes)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout.read().splitlines()]

    async with open_database(Settings(database_url=database_url, data_dir=tmp_path), clock) as database:
        pairs = dict(await database.read(lambda tx: tx.all(PAIRS)))
        if database_url.startswith("sqlite"):
            assert await database.read(lambda tx: tx.all(INTEGRITY)) == ["ok"]
    assert set(acknowledged) <= set(pairs)
    assert all(pairs.get(twin) == id for id, twin in pairs.items()), "no half of a decision"

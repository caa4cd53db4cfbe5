"""`keys rotate` beside clients that refresh: how much longer they wait, and how large the write-ahead log becomes."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.compare import Peer, connected
from bench.figures import Figure
from bench.load import Answer, Lane, LoadError, run
from bench.servers import compiled
from bench.workloads import PRODUCT, refresh_lanes

CLIENTS = 4
LATE_GOAL, LOG_GOAL_MB = 3.0, 100.0
LONGEST_SECONDS = 7200.0
LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class While:
    """What a connection does until a process has ended."""

    process: "subprocess.Popen[bytes]"
    lane: Lane

    def request(self) -> bytes | None:
        return self.lane.request() if self.process.poll() is None else None

    def answered(self, answer: Answer) -> None:
        self.lane.answered(answer)


async def measure(folder: Path, data: Path, seconds: float) -> list[Figure]:
    """The server runs on the database in `data`, and the command in a process of its own."""
    with servers.product(folder, DATA_DIR=str(data)) as server:
        async with connected(Peer(server.name, [server], PRODUCT), CLIENTS) as target:
            lanes = await refresh_lanes(target)
            await run(target.connections, lanes, seconds / 2)  # to warm up
            quiet = await run(target.connections, lanes, seconds)
            with subprocess.Popen(
                [sys.executable, "-m", "drio_mcp", "keys", "rotate"],
                env={**compiled(), "DRIO_DATA_DIR": str(data)},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as rotating:
                watching = asyncio.ensure_future(largest(data / "drio.db-wal", rotating))
                busy: Sequence[Lane] = [While(rotating, lane) for lane in lanes]
                beside = await run(target.connections, busy, LONGEST_SECONDS)
                log = await watching
            if rotating.returncode:
                raise LoadError("the keys could not be rotated")
    late, usual = beside.quantile(0.99), quiet.quantile(0.99)
    detail = f"{late:.1f} / {usual:.1f} ms, {beside.per_second:,.0f} / {quiet.per_second:,.0f} /s"
    return [
        Figure("p99 of refreshes while keys rotate / quiet", late / usual, "times", LATE_GOAL, True, detail),
        Figure("write-ahead log while keys rotate", log, "MB", LOG_GOAL_MB, True, f"in {beside.seconds:,.0f} s"),
    ]


async def largest(file: Path, process: "subprocess.Popen[bytes]") -> float:
    """The size that the file had at most until the process ended, in megabytes."""
    found = 0.0
    while process.poll() is None:
        found = max(found, os.stat(file).st_size / 1e6)
        await asyncio.sleep(LOOK_SECONDS)
    return found

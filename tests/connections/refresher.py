"""A process that refreshes one connection's tokens; the kill test lets it die at a step of its choice."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from drio_mcp.clock import SystemClock
from drio_mcp.config import Settings
from drio_mcp.connections.upstream.refresh import RefreshStep
from drio_mcp.store import open_database
from tests.connections.refreshing import engine_on


async def main(database_url: str, folder: Path, host_port: str, connection_id: str, dies_at: str) -> None:
    def on_step(step: RefreshStep) -> None:
        if step == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    clock = SystemClock()
    async with open_database(Settings(database_url=database_url, data_dir=folder), clock) as database:
        engine = engine_on(database, clock, folder, host_port, on_step=on_step)
        async with engine.outbound:
            await engine.refresh.refresh(connection_id, seen=1)


if __name__ == "__main__":
    database_url, folder, host_port, connection_id, dies_at = sys.argv[1:]
    asyncio.run(main(database_url, Path(folder), host_port, connection_id, dies_at))

"""A process that writes as fast as it can and says which writes were acknowledged; the crash test kills it."""

import asyncio
import os
import sys
from pathlib import Path

from drio_mcp.clock import SystemClock
from drio_mcp.config import Settings
from drio_mcp.store import Statement, Transaction, open_database

CREATE = Statement("CREATE TABLE acknowledged (id BIGINT PRIMARY KEY, twin BIGINT NOT NULL)")
ADD = Statement("INSERT INTO acknowledged (id, twin) VALUES (:id, :twin)")
CALLERS = 16


def add_pair(tx: Transaction, id: int) -> None:
    """Two rows that exist together or not at all."""
    tx.run(ADD, id=id, twin=-id)
    tx.run(ADD, id=-id, twin=id)


async def main(database_url: str, folder: Path) -> None:
    async with open_database(Settings(database_url=database_url, data_dir=folder), SystemClock()) as database:
        await database.write(lambda tx: tx.run(CREATE))

        async def write_on(caller: int) -> None:
            for id in range(caller + 1, sys.maxsize, CALLERS):
                await database.write(add_pair, id)
                os.write(1, f"{id}\n".encode())

        await asyncio.gather(*(write_on(caller) for caller in range(CALLERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))

"""How often a use of a connection asks the database; the check of the caller's own token is one read more."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.record.answers import TokenRequest
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.services import Services
from tests.conftest import FakeClock
from tests.connections.broken import keyed, mcp


class CountingDatabase:
    """Counts the transactions of another database."""

    def __init__(self, db: Any) -> None:
        self._db = db
        self.counted: Counter[str] = Counter()

    async def read(self, *decision: Any) -> Any:
        self.counted["read"] += 1
        return await self._db.read(*decision)

    async def write(self, *decision: Any) -> Any:
        self.counted["write"] += 1
        return await self._db.write(*decision)


@pytest.mark.parametrize("stage", [keyed, mcp], ids=["a key", "a token"])
async def test_a_proxied_call_is_one_read_and_one_write(stage: Any, tmp_path: Path, clock: FakeClock) -> None:
    async with stage(tmp_path, clock) as scene:
        here = scene.here
        counting: Any = CountingDatabase(here.services.db)
        services = Services(replace(here.services.foundations, db=counting))
        call = ProxiedCall("GET", "", "", (), None)
        async with services.proxy.call(here.actor, here.app_id, scene.auth.id, call) as passed:
            assert passed.status < 500
        assert counting.counted["read"] == 1
        assert counting.counted["write"] == 1


async def test_a_hand_out_is_one_read_and_one_write(tmp_path: Path, clock: FakeClock) -> None:
    async with mcp(tmp_path, clock) as scene:
        here = scene.here
        counting: Any = CountingDatabase(here.services.db)
        services = Services(replace(here.services.foundations, db=counting))
        await services.use.token(here.actor, here.app_id, scene.auth.id, TokenRequest())
        assert counting.counted == {"read": 1, "write": 1}

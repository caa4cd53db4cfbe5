"""The decisions around a connection's care, on both databases."""

import asyncio
from pathlib import Path

from drio_mcp.clock import HOUR
from drio_mcp.connections.record.history import Event, record_use
from drio_mcp.connections.record.schemas import HistoryQuery, Status
from drio_mcp.store import Transaction
from drio_mcp.store.validations import FIRST_MS
from tests.conftest import FakeClock
from tests.connections.place import place_at
from tests.upstreams import KeyedApi, answers, upstream
from tests.upstreams.api import KEY


async def test_the_job_the_status_and_the_history(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    with upstream(KeyedApi()) as provider:
        async with place_at(tmp_path, clock, provider, database_url=database_url) as here:
            config = {"headerName": "X-Api-Key", "apiKey": KEY, "apiBaseUrl": f"{provider.origin}/v1/me"}
            auth = await here.create(providerKey="custom-api-key", config=config, status="valid")
            services = here.services
            await services.validation.validate_due(clock.now())
            clock.advance(milliseconds=FIRST_MS)
            assert sum(await asyncio.gather(*(services.validation.validate_due(clock.now()) for _ in range(4)))) == 1
            provider.faults.at("probe", answers(401, {}))
            await services.validation.validate(here.actor, here.app_id, auth.id)
            told = (await services.diagnoses.diagnose(here.actor, here.app_id, auth.id)).diagnosis
            assert told.code == "key_rejected"
            assert (await here.get(auth)).status == Status.INVALID
            query = HistoryQuery(limit=2)
            page = await services.history.list(here.actor.user_id, here.app_id, auth.id, query)
            assert [line.outcome for line in page.history] == ["key_rejected", "ok"]
            assert page.next_cursor is not None


async def test_uses_at_once_are_one_line(database_url: str, tmp_path: Path, clock: FakeClock) -> None:
    async with place_at(tmp_path, clock, database_url=database_url) as here:
        auth = await here.create(providerKey="custom-bearer", config={"accessToken": "x"})

        def use(tx: Transaction) -> None:
            record_use(tx, here.actor, here.app_id, auth.id, Event.USED, clock.now())

        await here.services.db.write(use)
        await asyncio.gather(*(here.services.db.write(use) for _ in range(20)))
        clock.advance(milliseconds=HOUR)
        await here.services.db.write(use)
        lines = [(row.event, row.times) for row in await here.history(auth)]
    assert lines == [("used", 1), ("used", 21), ("created", 1)]

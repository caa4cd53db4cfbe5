"""Services on a database of each kind, with an app whose owner listens, and a receiver."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from drio_mcp.config import Settings
from drio_mcp.opaque import Secret
from drio_mcp.services import build_services
from tests.conftest import FakeClock
from tests.events.receiver import Receiver
from tests.events.scene import Scene
from tests.helpers.server import cheap_passwords
from tests.upstreams.serving import Upstream, upstream


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def receiving(receiver: Receiver) -> Iterator[Upstream]:
    with upstream(receiver) as running:
        yield running


@pytest.fixture
async def scene(
    database_url: str, tmp_path: Path, clock: FakeClock, receiver: Receiver, receiving: Upstream
) -> AsyncIterator[Scene]:
    settings = Settings(database_url=database_url, data_dir=tmp_path, outbound_allow=(receiving.host_port,))
    services = build_services(settings, clock=clock, passwords=cheap_passwords())
    async with services.running():
        ada = await services.people.create("ada@example.com", "Ada", Secret("correct horse battery"))
        [app] = await services.apps.list(ada.id)
        yield Scene(services, clock, ada, app.id, receiver, receiving)

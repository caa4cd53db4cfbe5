"""Whatever happens to a grant, in whatever order: one live chain at most, and nothing comes back from the dead."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from drio_mcp.config import Settings
from drio_mcp.errors import OAuthError
from drio_mcp.oauth.refresh import GRACE_MS
from drio_mcp.services import build_services
from tests.conftest import FakeClock

from .conftest import AuthServer


class GrantMachine(RuleBasedStateMachine):
    """A client that holds every answer it ever got and presents any of them at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        clock = FakeClock()
        self.server = AuthServer(build_services(Settings(data_dir=Path(self.folder.name)), clock=clock), clock)
        self.answers: list[dict[str, Any]] = []
        """Every answer that differs from those before, in their order."""
        self.chain: list[int] = []
        """The places of those that count: a voided one stands in none."""
        self.voided: set[int] = set()
        self.used: set[int] = set()
        self.rotated_at = 0
        self.is_revoked = False

    def teardown(self) -> None:
        self.runner.run(self.server.services.db.close())
        self.runner.close()
        self.folder.cleanup()

    @initialize()
    def connect(self) -> None:
        async def begin() -> None:
            await self.server.services.db.open()
            self.server.user_id = (await self.server.services.people.create("ada@example.com", "Ada", None)).id
            self.client_id, answer = await self.server.connect()
            self.answers.append(answer)
            self.chain.append(0)

        self.runner.run(begin())
        self.rotated_at = self.server.clock.now()

    @rule(back=st.integers(min_value=0, max_value=4))
    def refresh(self, back: int) -> None:
        """Present the refresh token of the newest answer, or of one that many answers older, voided ones too."""
        index = max(len(self.answers) - 1 - back, 0)
        expected = self.expected(index)
        try:
            answer = self.runner.run(self.server.refresh(self.client_id, self.answers[index]["refresh_token"]))
        except OAuthError:
            assert expected in {"refused", "revoked"}
            self.is_revoked = True
            return
        if expected == "same":
            assert answer["refresh_token"] == self.answers[self.chain[-1]]["refresh_token"], "two chains"
            return
        assert expected in {"next", "new"}
        assert answer["refresh_token"] not in {each["refresh_token"] for each in self.answers}
        if expected == "new":
            self.voided.add(self.chain.pop())
        self.answers.append(answer)
        self.chain.append(len(self.answers) - 1)
        self.rotated_at = self.server.clock.now()

    def expected(self, index: int) -> str:
        """The contract in five lines."""
        if self.is_revoked:
            return "refused"
        if index == self.chain[-1]:
            return "next"
        if len(self.chain) < 2 or index != self.chain[-2]:
            return "revoked"
        if self.server.clock.now() - self.rotated_at < GRACE_MS:
            return "same"
        return "revoked" if self.chain[-1] in self.used else "new"

    @rule(back=st.integers(min_value=0, max_value=4))
    def use(self, back: int) -> None:
        """Present an access token to the resource."""
        index = max(len(self.answers) - 1 - back, 0)
        if self.runner.run(self.server.works(self.answers[index]["access_token"])):
            assert not self.is_revoked
            assert index not in self.voided
            self.used.add(index)

    @rule(seconds=st.sampled_from([1, 10, 29, 30, 31, 3599, 3600, 86_400]))
    def wait(self, seconds: int) -> None:
        self.server.clock.advance(seconds=seconds)

    @rule()
    def disconnect(self) -> None:
        """The person ends it on the account page."""

        async def end() -> None:
            for grant in await self.server.services.grants.for_user(self.server.user_id):
                await self.server.services.grants.revoke(self.server.user_id, grant.id)

        if len(self.answers) > 2:
            self.runner.run(end())
            self.is_revoked = True

    @invariant()
    def the_dead_stay_dead(self) -> None:
        if self.is_revoked:
            for answer in self.answers[-3:]:
                assert not self.runner.run(self.server.works(answer["access_token"]))
        elif self.chain:
            newest = self.answers[self.chain[-1]]["refresh_token"]
            grants = self.runner.run(self.server.services.grants.for_user(self.server.user_id))
            assert len(grants) == 1, f"the grant of {newest[:12]} is gone"


TestGrantMachine = GrantMachine.TestCase
TestGrantMachine.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

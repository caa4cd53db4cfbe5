"""A connection whose tokens a provider issued, and the engine that refreshes them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from drio_mcp.clock import Clock
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.crud import ConnectionCrud
from drio_mcp.connections.record.history import Actor, Event
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.connections.upstream.refresh import RefreshStep, TokenRefresh
from drio_mcp.connections.upstream.refresh_decisions import RefreshDecisions
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, REFRESH_TOKEN, StoredTokens
from drio_mcp.connections.upstream.token_answers import TokenSet
from drio_mcp.connections.upstream.token_endpoints import TokenEndpoints
from drio_mcp.connections.upstream.token_requests import TokenClient
from drio_mcp.connections.upstream.unstored_answers import UnstoredAnswers
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.outbound import Outbound
from drio_mcp.store import Database, Transaction, token_sets
from drio_mcp.store.connections import ConnectionRow
from drio_mcp.store.token_sets import TokenSetRow
from drio_mcp.vault import Keyring, Vault
from tests.upstreams.authorization import AuthorizationServer, Family

RANDOMNESS = SystemRandomness()


@dataclass(frozen=True, slots=True)
class Engine:
    """The refreshing of one process, and what tests ask of its store."""

    db: Database
    decisions: RefreshDecisions
    refresh: TokenRefresh
    tokens: StoredTokens
    unstored: UnstoredAnswers
    connections: ConnectionCrud
    outbound: Outbound

    async def connect(self, actor: Actor, app_id: str, server: AuthorizationServer, lifetime: int = 3600) -> str:
        """A connection that the provider has just issued tokens to; gives its id."""
        client = server.add_client("https://drio.example.com/callback")
        family = Family(client.id, "read write", None, ["rt-first"], {"at-first": time.time() + lifetime})
        server.families.append(family)
        body = {
            "providerKey": "custom-oauth",
            "name": "Upstream",
            "config": {
                "type": "oauth",
                **client.config(server.origin),
                "scopes": ["read", "write"],
            },
        }
        view = await self.connections.create(actor, app_id, CreateAuthConnection.model_validate(body))
        now = self.tokens._clock.now()
        first = TokenSet(
            Secret("at-first"), "Bearer", now, now + lifetime * 1000, Secret("rt-first"), ("read", "write")
        )

        def keep(tx: Transaction) -> None:
            connection = repository.find(tx, view.auth.id)
            assert connection is not None
            self.decisions.keep(tx, actor, connection, first, Event.CONNECTED)

        await self.db.write(keep)
        return view.auth.id

    async def state(self, connection_id: str) -> tuple[ConnectionRow, TokenSetRow | None, str | None, str | None]:
        """The connection, its token set, the access token and the refresh token as stored."""

        def read(tx: Transaction) -> tuple[ConnectionRow, TokenSetRow | None, str | None, str | None]:
            connection = repository.find(tx, connection_id)
            assert connection is not None
            values = [self.tokens.unseal(tx, connection, field) for field in (ACCESS_TOKEN, REFRESH_TOKEN)]
            access, refresh = (None if value is None else value.reveal() for value in values)
            return connection.row, tx.one(token_sets.FIND, connection_id=connection_id), access, refresh

        return await self.db.read(read)


def engine_on(
    db: Database,
    clock: Clock,
    folder: Path,
    host_port: str,
    *,
    pause: Callable[[float], object] | None = None,
    on_step: Callable[[RefreshStep], None] | None = None,
    outbound: Outbound | None = None,
) -> Engine:
    """The engine on an open database, with the key ring of `folder`; it may reach the provider at `host_port`."""
    settings = Settings(data_dir=folder, outbound_allow=(host_port,))
    keyring = Keyring.load(settings)
    vault, providers, outbound = Vault(keyring, RANDOMNESS), Providers(), outbound or Outbound(settings)
    references = SecretReferences(None, {})
    tokens = StoredTokens(clock, vault, providers)
    unstored = UnstoredAnswers(folder / "strays", vault)
    foundations = Foundations(settings, clock, RANDOMNESS, db, keyring, vault, outbound)
    options: dict[str, object] = {"pause": pause, "on_step": on_step}
    decisions = RefreshDecisions(foundations, tokens, TokenEndpoints(settings, providers, references, tokens))
    refresh = TokenRefresh(
        foundations,
        decisions,
        TokenClient(outbound, clock, RANDOMNESS),
        unstored,
        **{name: value for name, value in options.items() if value is not None},  # type: ignore[arg-type]
    )
    connections = ConnectionCrud(foundations, providers, references)
    return Engine(db, decisions, refresh, tokens, unstored, connections, outbound)

"""The tools that a client may call: of each connection that it may use, and what becomes of a call."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.health.probes import Subject
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.use_rules import UseMode, UseRules
from drio_mcp.connections.upstream.credentials import Credential
from drio_mcp.connections.upstream.mcp.tools import Listing, UpstreamTool
from drio_mcp.connections.use.gateway.agreement import Agreement, Difference
from drio_mcp.connections.use.gateway.client import GatewayClient
from drio_mcp.connections.use.gateway.mcp_calls import McpCalls
from drio_mcp.connections.use.gateway.names import exposed_name, prefix_of
from drio_mcp.connections.use.gateway.permissions import find_permitted
from drio_mcp.connections.use.gateway.policy import Decision, decide, usable_methods
from drio_mcp.errors import Unavailable
from drio_mcp.store import Database, Transaction, upstreams
from drio_mcp.store.agreed_tools import AgreedRow

LISTED_AT_ONCE = 16
"""Servers that are asked for their tools at the same time, for one list."""


@dataclass(frozen=True, slots=True)
class Usable:
    """A connection that the client may use, by the owner's rules and its consent."""

    subject: Subject
    consent: UseMode
    credential: Credential | None = None
    """For a call of one of its tools, where it was asked for and could be had at once."""

    @property
    def id(self) -> str:
        return self.subject.connection.id

    @property
    def key(self) -> str:
        return self.subject.connection.row.key

    @property
    def rules(self) -> UseRules:
        return self.subject.connection.use

    @property
    def is_mcp(self) -> bool:
        return self.subject.is_mcp

    @property
    def is_disabled(self) -> bool:
        """It is in no list; who calls it all the same is told why it cannot be used."""
        return self.subject.connection.is_disabled

    @property
    def methods(self) -> Mapping[str, Decision]:
        """Of an API: what may be called, at least after asking."""
        return {} if self.is_mcp else usable_methods(self.rules, self.consent)

    @property
    def words(self) -> str:
        """What people call it, for the search."""
        row, facts = self.subject.connection.row, self.subject.facts
        return f"{row.key} {row.name} {facts.provider.name if facts is not None else ''}"


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of a connected MCP server as the client sees it. `name` is its name there."""

    name: str
    usable: Usable
    tool: UpstreamTool
    decision: Decision
    difference: Difference | None = None

    @property
    def definition(self) -> dict[str, Any]:
        """The server's own definition, under the client's name."""
        return {**self.tool.definition, "name": self.name}


class Toolbox:
    """Finds the connections and the tools of a client."""

    def __init__(self, db: Database, providers: Providers, calls: McpCalls, agreement: Agreement) -> None:
        self._db = db
        self._providers = providers
        self._calls = calls
        self._agreement = agreement

    async def usable(self, client: GatewayClient, tool: str | None = None) -> list[Usable]:
        """The connections that the client may use anything of; with `tool` with the credential for a call of it."""
        return await self._db.read(self._usable, client, tool)

    async def offered(self, usable: Iterable[Usable]) -> list[OfferedTool]:
        """The tools that may be called, at least after asking. What cannot be listed now does not hide the others.

        A server that does not answer is represented by its tools as they were last, so that a call of one can tell
        what is the matter and how it is mended.
        """
        gate = asyncio.Semaphore(LISTED_AT_ONCE)

        async def of(each: Usable) -> list[OfferedTool]:
            async with gate:
                try:
                    return await self.of(each)
                except (Fault, Unavailable):
                    return self._offered(each, await self._as_before(each), {})

        lists = await asyncio.gather(*(of(each) for each in usable if each.is_mcp and not each.is_disabled))
        return [tool for tools in lists for tool in tools if tool.decision is not Decision.BLOCK]

    async def of(self, usable: Usable) -> list[OfferedTool]:
        """All tools of one connection, also those that may not be called. Raises `Fault`."""
        listing = await self._calls.listing(usable.subject)
        differences = await self._agreement.differences(usable.id, listing)
        return self._offered(usable, listing, differences)

    async def listing_of(self, user_id: str, connection_id: str) -> Listing | Fault | None:
        """The tools of the person's connection for a page, or why they cannot be had; None for an API."""
        subject = await self._db.read(self._subject_of, user_id, connection_id)
        if subject is None or not subject.is_mcp:
            return None
        try:
            return await self._calls.listing(subject)
        except Fault as error:
            return error

    def known(self, usable: Usable) -> list[OfferedTool]:
        """The tools of one connection as they were listed last, without asking anybody."""
        last = self._calls.last(usable.subject)
        return [] if last is None else self._offered(usable, last, {})

    def named_by(self, usable: Sequence[Usable], name: str) -> list[Usable]:
        """The connections whose tool `name` could be."""
        return [each for each in usable if each.is_mcp and name.startswith(prefix_of(each.key))]

    async def _as_before(self, usable: Usable) -> Listing:
        last = self._calls.last(usable.subject)
        if last is not None:
            return last
        rows = await self._agreement.last_agreed(usable.id)
        return Listing(tuple(_tool_of(row) for row in rows))

    def _offered(self, usable: Usable, listing: Listing, differences: Mapping[str, Difference]) -> list[OfferedTool]:
        found: dict[str, OfferedTool] = {}
        for tool in listing.tools:
            name, difference = exposed_name(usable.key, tool.name), differences.get(tool.name)
            decision = decide(
                usable.rules,
                usable.consent,
                tool.name,
                reads=tool.reads,
                is_new_or_changed=difference is not None,
            )
            found.setdefault(name, OfferedTool(name, usable, tool, decision, difference))
        return list(found.values())

    def _usable(self, tx: Transaction, client: GatewayClient, tool: str | None) -> list[Usable]:
        found = [Usable(self._subject(tx, each), consent) for each, consent in find_permitted(tx, client)]
        if tool is None:
            return found
        meant = {each.id for each in self.named_by(found, tool)}
        return [self._with_credential(tx, each) if each.id in meant else each for each in found]

    def _with_credential(self, tx: Transaction, usable: Usable) -> Usable:
        return replace(usable, credential=self._calls.credential_in(tx, usable.subject))

    def _subject_of(self, tx: Transaction, user_id: str, connection_id: str) -> Subject | None:
        found = repository.find_of(tx, connection_id, user_id)
        return None if found is None else self._subject(tx, found)

    def _subject(self, tx: Transaction, connection: Connection) -> Subject:
        facts = self._providers.find(connection.row.provider_key)
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        return Subject(connection, facts, upstream, connection.origins(self._providers))


def _tool_of(row: AgreedRow) -> UpstreamTool:
    definition = json.loads(row.definition)
    reads = (definition.get("annotations") or {}).get("readOnlyHint") is True
    return UpstreamTool(row.name, definition, reads, bytes(row.digest))

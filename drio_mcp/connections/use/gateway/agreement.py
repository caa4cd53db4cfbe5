"""Whether a tool is still what its person agreed to (contract section 8, "Changed tools").

The first list of a connection's server is agreed to with the connection's use. After that, a tool whose name, title,
description, schemas or annotations changed, and a new one that writes, is asked about until the person has looked at
the difference. A new tool that reads is agreed to as it comes.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

from drio_mcp.clock import MINUTE, Clock
from drio_mcp.connections.upstream.mcp.tools import COMPARED, Listing, UpstreamTool
from drio_mcp.store import Database, Transaction, agreed_tools
from drio_mcp.store.agreed_tools import FIRST, AgreedRow

HELD_MS = MINUTE // 12
"""How long a comparison holds: another process may have been where the person looked."""


class Difference(StrEnum):
    """In what a tool is not as agreed."""

    NEW = "new"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class ToolChange:
    """A tool beside what was agreed to: the members that differ, each with its text before and now."""

    name: str
    difference: Difference
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class _Compared:
    listing: Listing
    differences: dict[str, Difference]
    at: int


class Agreement:
    """Compares the lists of servers with what was agreed to."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._compared: dict[str, _Compared] = {}

    async def differences(self, connection_id: str, listing: Listing) -> dict[str, Difference]:
        """The tools of `listing` to be asked about, by their server's name."""
        known, now = self._compared.get(connection_id), self._clock.now()
        if known is not None and known.listing is listing and now - known.at < HELD_MS:
            return known.differences
        differences, agreed = await self._db.read(_compare, connection_id, listing)
        if agreed:
            await self._db.write(_agree, connection_id, agreed, now)
        self._compared[connection_id] = _Compared(listing, differences, now)
        return differences

    async def changes(self, connection_id: str, listing: Listing) -> list[ToolChange]:
        """The same with what differs, for the person."""
        differences = await self.differences(connection_id, listing)
        tools = {tool.name: tool for tool in listing.tools}
        return await self._db.read(
            lambda tx: [_change(tx, connection_id, tools[name], each) for name, each in differences.items()]
        )

    async def agree(self, connection_id: str, tools: list[UpstreamTool]) -> None:
        """The person has looked at these tools as they are now."""
        await self._db.write(_agree, connection_id, tools, self._clock.now())
        self._compared.pop(connection_id, None)

    async def last_agreed(self, connection_id: str) -> list[AgreedRow]:
        """The tools as they were agreed to, for when the server cannot be asked."""
        return await self._db.read(lambda tx: tx.all(agreed_tools.LIST, connection_id=connection_id))


def _compare(tx: Transaction, connection_id: str, listing: Listing) -> tuple[dict[str, Difference], list[UpstreamTool]]:
    """What differs, and what is agreed to without asking."""
    known = agreed_tools.digests(tx, connection_id)
    if FIRST not in known:
        return {}, [*listing.tools, _TAKEN]
    differences: dict[str, Difference] = {}
    agreed = []
    for tool in listing.tools:
        if tool.name in known:
            if known[tool.name] != tool.fingerprint:
                differences[tool.name] = Difference.CHANGED
        elif tool.reads:
            agreed.append(tool)
        else:
            differences[tool.name] = Difference.NEW
    return differences, agreed


def _agree(tx: Transaction, connection_id: str, tools: list[UpstreamTool], now: int) -> None:
    for tool in tools:
        agreed_tools.put(tx, connection_id, AgreedRow(tool.name, tool.fingerprint, json.dumps(tool.definition)), now)


_TAKEN = UpstreamTool(FIRST, {}, reads=True, fingerprint=b"")


def _change(tx: Transaction, connection_id: str, tool: UpstreamTool, difference: Difference) -> ToolChange:
    row = tx.one(agreed_tools.FIND, connection_id=connection_id, name=tool.name)
    before = {} if row is None else json.loads(row.definition)
    lines = tuple(
        (member, _shown(before.get(member)), _shown(tool.definition.get(member)))
        for member in COMPARED
        if before.get(member) != tool.definition.get(member)
    )
    return ToolChange(tool.name, difference, lines)


def _shown(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

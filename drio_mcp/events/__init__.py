"""Telling others what happens to connections: an outbox and webhooks (contract section 9).

A change and its messages are one transaction: whoever is about to change a connection says so (`store.database.Watch`),
and at the end of the decision the outbox compares what was with what is. A background stream delivers.

A webhook is `active`, or `failing` since a message could not be delivered for three days; it is tried on, and the first
success makes it active again. Its owner disables it, or its receiver does by answering 410.

A message waits (due) -> is claimed (due again when the claim runs out) -> is delivered and gone, or waits longer and
longer, up to three days. Messages of one connection go one after the other; different connections do not wait for each
other.
"""

from drio_mcp.events.delivery import Deliveries
from drio_mcp.events.outbox import Outbox
from drio_mcp.events.webhooks import Webhooks

__all__ = ["Deliveries", "Outbox", "Webhooks"]

"""Whether an MCP server sends people to another authorization server than its connection was allowed at."""

import asyncio
from collections.abc import Mapping
from typing import Any

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.survey import Survey
from drio_mcp.connections.connecting.well_known import (
    Unbelievable,
    bounded,
    check_resource,
    is_same_issuer,
    resource_metadata_urls,
)
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.outbound import Outbound
from drio_mcp.outside import read_url

SECONDS = 5.0


def moved_sentence(issuer: str) -> str:
    """What the person is told, who has to allow it anew there."""
    return f"The MCP server names another authorization server now ({bounded(issuer)}): allow it anew there"


async def another_issuer(
    outbound: Outbound,
    connection: Connection,
    target: str | None,
    server: Mapping[str, Any],
    named_at: str | None = None,
) -> str | None:
    """The issuer that the resource metadata of `target` names (RFC 9728), if it names none that is used; else None.

    `named_at` is where a challenge says that the metadata is (section 5.1), `server` what is kept of the authorization
    server that is used.
    """
    used = connection.config.get("token_endpoint")
    if connection.config["type"] != ConfigType.MCP_OAUTH or used is None or target is None:
        return None
    survey = Survey(outbound, SECONDS)
    places = dict.fromkeys([*([] if named_at is None else [named_at]), *resource_metadata_urls(target)])
    looks = await asyncio.gather(*(survey.document(url, "resource metadata") for url in places))
    for look in looks:
        if look.document is None:
            continue
        try:
            _, issuers, _ = check_resource(look.document, target)
        except Unbelievable:
            continue
        is_used = any(_is_used(each, server.get("issuer"), used) for each in issuers)
        return None if is_used or not issuers else issuers[0]
    return None


def _is_used(issuer: str, ours: str | None, token_endpoint: str) -> bool:
    """Where no metadata named our issuer, its token endpoint's origin stands for it."""
    if ours is not None:
        return is_same_issuer(issuer, ours)
    return read_url(issuer) is not None and origin_of(issuer) == origin_of(token_endpoint)

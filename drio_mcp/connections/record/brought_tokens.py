"""Tokens that somebody brings along from elsewhere (contract section 3): `config.accessToken` and `refreshToken`.

They become what a consent would have brought: sealed under the names of tokens, with a token set beside them, so that
they are used, refreshed and revoked like any others. Whether they are good only the provider can tell: until then the
connection is `pending`.
"""

import json
from collections.abc import Set

from drio_mcp.connections.config_types import SELF_GRANTED
from drio_mcp.connections.record.clients import CONSENTED
from drio_mcp.connections.record.config_rules import Config
from drio_mcp.opaque import MASK
from drio_mcp.store import Transaction, token_sets

STORED_AS = {"access_token": "upstream_access_token", "refresh_token": "upstream_refresh_token"}
"""Under which name each is sealed, where a person would allow access at the provider."""
MARK = "has_brought_tokens"
"""The member of a stored configuration that says so; nobody sees it."""


def is_taken(config: Config) -> bool:
    """Whether a connection of this type takes tokens in place of a person's consent."""
    return config.get("type") in CONSENTED


def stored_name(config: Config, field: str) -> str:
    """The name that a secret member of `config` is sealed under."""
    return STORED_AS.get(field, field) if is_taken(config) else field


def shown(config: Config, secrets: Set[str]) -> dict[str, str]:
    """The masks of tokens that were brought along."""
    if MARK not in config:
        return {}
    return {field: MASK for field, name in STORED_AS.items() if name in secrets}


def keep(
    tx: Transaction,
    connection_id: str,
    set_id: str,
    config: Config,
    secrets: Set[str],
    now: int,
    expires_at: int | None = None,
) -> None:
    """A token set for them, inside the decision that seals them. Without an access token it is refreshed at once."""
    is_refreshable = STORED_AS["refresh_token"] in secrets
    has_access = STORED_AS["access_token"] in secrets
    ends_at = expires_at if has_access else now
    scopes = config.get("scopes")
    brought = token_sets.Refreshed(
        token_type="Bearer",  # noqa: S106
        scopes=None if not scopes else json.dumps(list(scopes)),
        obtained_at=now,
        expires_at=ends_at,
        refresh_expires_at=None,
        is_refreshable=int(is_refreshable),
        due_at=ends_at if is_refreshable else None,
    )
    token_sets.put(tx, connection_id, set_id, brought)


def problem(config: Config, field: str) -> str | None:
    """Why a type takes no such member, or None."""
    if field == "refresh_token" and not is_taken(config):
        return "goes with the types oauth and mcp_oauth"
    if field == "access_token" and config.get("type") in SELF_GRANTED:
        return "is fetched with the client's own credentials; leave it out"
    return None

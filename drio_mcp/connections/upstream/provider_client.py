"""The shapes of provider clients (contract section 7): what is sent in, what is read out."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from drio_mcp.clock import rfc3339
from drio_mcp.connections.fields import ClientId, Name, ProviderKey, SecretValue, Url, origin_of
from drio_mcp.connections.record.clients import Origin
from drio_mcp.connections.record.schemas import ReadOnly
from drio_mcp.errors import Problem
from drio_mcp.models import Model, Moment
from drio_mcp.opaque import MASK
from drio_mcp.store.provider_clients import ProviderClientRow

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post"]


class ProviderClient(Model):
    """A provider client as it reads; the secret is the mask."""

    id: str
    app_id: str | None
    authorization_server: str
    provider_keys: tuple[str, ...]
    name: str
    client_id: str
    client_secret: str | None
    token_endpoint_auth_method: AuthMethod | None
    redirect_uri: str
    origin: Origin
    secret_expires_at: Moment | None
    connections: int
    last_error: str | None


class CreateProviderClient(Model):
    """A client that somebody registered at a provider: which server it belongs to, and what was given for it."""

    provider_key: ProviderKey | None = Field(default=None, description="A provider of the catalog, or both endpoints.")
    variables: dict[str, str] | None = Field(default=None, description="The provider's variables, where it has some.")
    authorization_endpoint: Url | None = None
    token_endpoint: Url | None = None
    client_id: ClientId
    client_secret: SecretValue | None = None
    token_endpoint_auth_method: AuthMethod | None = Field(
        default=None, description="Absent: it is found out at the first use."
    )
    name: Name | None = None


class UpdateProviderClient(Model):
    """A JSON merge patch (RFC 7396). Endpoints never change: a client belongs to its server."""

    name: Name | None = None
    client_id: ClientId | None = None
    client_secret: SecretValue | None = None
    token_endpoint_auth_method: AuthMethod | None = None
    id: ReadOnly = None
    app_id: ReadOnly = None
    authorization_server: ReadOnly = None
    provider_keys: ReadOnly = None
    redirect_uri: ReadOnly = None
    origin: ReadOnly = None
    secret_expires_at: ReadOnly = None
    connections: ReadOnly = None
    last_error: ReadOnly = None


WRITABLE = ("name", "client_id", "client_secret", "token_endpoint_auth_method")


class ProviderClientQuery(Model):
    """Which part of the list to read."""

    limit: int = Field(default=100, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=200)] | None = None


class ProviderClientAnswer(Model):
    """One provider client; `dryRun` stands there when nothing was changed."""

    provider_client: ProviderClient
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class ProviderClientsAnswer(Model):
    """Provider clients in the order they were made; `nextCursor` stands there when there is more."""

    provider_clients: tuple[ProviderClient, ...]
    next_cursor: str | None = Field(default=None, exclude_if=lambda value: value is None)


def shown(
    row: ProviderClientRow,
    *,
    provider_keys: tuple[str, ...],
    has_secret: bool,
    auth_method: str | None,
    redirect_uri: str,
    connections: int,
) -> ProviderClient:
    """The client as its owner reads it."""
    ends_at = row.secret_expires_at
    return ProviderClient.model_validate(
        {
            "id": row.id,
            "app_id": row.app_id,
            "authorization_server": row.issuer or origin_of(row.authorization_endpoint),
            "provider_keys": provider_keys,
            "name": row.name,
            "client_id": row.client_id,
            "client_secret": MASK if has_secret else None,
            "token_endpoint_auth_method": auth_method,
            "redirect_uri": redirect_uri,
            "origin": Origin(row.origin),
            "secret_expires_at": None if ends_at is None else rfc3339(ends_at),
            "connections": connections,
            "last_error": row.last_error,
        }
    )


def patch_problems(now: ProviderClient, patch: UpdateProviderClient) -> Iterator[Problem]:
    """What a patch may not say. Members that are read-only may be sent back as they were read."""
    sent = patch.model_dump(by_alias=True, include=patch.model_fields_set)
    read = now.model_dump(mode="json", by_alias=True)
    for name, value in sent.items():
        if name not in _WRITABLE_ALIASES and _as_read(value) != read[name]:
            yield Problem(name, "is read-only; leave it out")
    for name in ("name", "client_id"):
        if name in patch.model_fields_set and getattr(patch, name) is None:
            yield Problem(_ALIASES[name], "must not be null; leave it out to keep it")
    if now.origin is not Origin.MANUAL:
        if patch.client_id not in {None, now.client_id}:
            yield Problem("clientId", "belongs to a client that the server registered itself; make another client")
        if "client_secret" in patch.model_fields_set and not _keeps(patch, now):
            yield Problem("clientSecret", "belongs to a client that the server registered itself; make another client")


def _keeps(patch: UpdateProviderClient, now: ProviderClient) -> bool:
    secret = patch.client_secret
    return now.client_secret is None if secret is None else secret.reveal() == MASK


def _as_read(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


_ALIASES = {name: str(field.alias) for name, field in UpdateProviderClient.model_fields.items()}
_WRITABLE_ALIASES = frozenset(_ALIASES[name] for name in WRITABLE)

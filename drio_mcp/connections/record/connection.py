"""A connection as the rules see it: its row, its configuration unpacked, and which of its secrets are stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.record import brought_tokens
from drio_mcp.connections.record.clients import FINDINGS, ClientInUse, server_of
from drio_mcp.connections.record.config_rules import Config, allowed_origins, wanted_of_person
from drio_mcp.connections.record.schemas import SECRET_FIELDS, AuthConfig, AuthConnection, Status, UseSettings
from drio_mcp.connections.record.use_rules import UseRules
from drio_mcp.opaque import MASK
from drio_mcp.store.connections import ConnectionRow

HIDDEN = frozenset({"key_parts", brought_tokens.MARK, FINDINGS})
"""Members of a stored configuration that are nobody's to read."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; `secrets` are the fields that hold a sealed value."""

    row: ConnectionRow
    config: Config
    secrets: frozenset[str]
    client: ClientInUse | None = None
    """The provider client that it uses, while it has no client of its own."""

    @classmethod
    def of(cls, row: ConnectionRow, secrets: frozenset[str], client: ClientInUse | None = None) -> "Connection":
        return cls(row, json.loads(row.config), secrets, client)

    @property
    def id(self) -> str:
        return self.row.id

    @property
    def is_disabled(self) -> bool:
        """Whether it was switched off, by its status or by `config.enabled`."""
        return self.row.status == Status.DISABLED or self.config.get("enabled") is False

    @property
    def etag(self) -> str:
        """Names this version of this connection (RFC 9110 section 8.8.3, the opaque part of a strong validator)."""
        return f"{self.row.id}.{self.row.version}"

    @property
    def secret_ref(self) -> str | None:
        """Where the secret lives: the operator's reference, our own vault, or nowhere yet."""
        return self.row.secret_ref or (f"sealed://{self.row.id}" if self.secrets else None)

    @property
    def wanted(self) -> tuple[str, ...]:
        """The fields that a person should fill in on a page before the connection can go on."""
        if self.row.status not in {Status.DRAFT, Status.NEEDS_REAUTH, Status.INVALID}:
            return ()
        return wanted_of_person(self.config, self.secrets, self.row.secret_ref is not None)

    @property
    def use(self) -> UseRules:
        """What clients of the app's MCP server may use of it."""
        return UseRules.of(self.row.use_rules)

    @property
    def client_id(self) -> str | None:
        """Of its own client, or of the one that it uses."""
        own: str | None = self.config.get("client_id")
        return own or (None if self.client is None else self.client.row.client_id)

    @property
    def config_in_use(self) -> Config:
        """The configuration with the client id that is in force."""
        return self.config if self.client_id is None else {**self.config, "client_id": self.client_id}

    @property
    def callback(self) -> str:
        """The last part of its redirect URI: its client's, its own from before, or its authorization server's."""
        if self.client is not None and "client_id" not in self.config:
            return self.client.row.callback
        server = None if self.row.has_own_callback else server_of(self.config)
        return self.id if server is None else server.slug

    def origins(self, providers: Providers) -> frozenset[str]:
        """Where the connection's secrets may be sent (contract section 3, `allowedOrigins`)."""
        return allowed_origins(self.config, providers.find(self.row.provider_key))

    def with_row(self, **changes: Any) -> "Connection":
        """The same connection with `changes` of its row; not of its configuration."""
        return replace(self, row=replace(self.row, **changes))

    def with_config(self, config: Config, **changes: Any) -> "Connection":
        """The same connection with another configuration and with `changes` of its row."""
        return replace(
            self, row=replace(self.row, config=json.dumps(config, separators=(",", ":")), **changes), config=config
        )

    def read(self, providers: Providers) -> AuthConnection:
        """The connection as everybody reads it: secrets are the mask."""
        row, provider = self.row, providers.describe(self.row.provider_key)
        return AuthConnection(
            id=row.id,
            app_id=row.app_id,
            provider_id=provider.id,
            provider_key=row.provider_key,
            provider_name=provider.name,
            key=row.key,
            name=row.name,
            status=Status(row.status),
            config=AuthConfig.model_validate(self._shown()),
            secret_ref=self.secret_ref,
            grants=tuple(json.loads(row.grants)),
            last_validated_at=None if row.last_validated_at is None else rfc3339(row.last_validated_at),
            last_error=row.last_error,
            created_at=rfc3339(row.created_at),
            updated_at=rfc3339(row.updated_at),
            use=UseSettings.of(self.use),
        )

    def _shown(self) -> Mapping[str, Any]:
        shown = self._client_shown() | {name: value for name, value in self.config.items() if name not in HIDDEN}
        if "last_registered_at" in shown:
            shown["last_registered_at"] = rfc3339(shown["last_registered_at"])
        if self.row.is_default is not None:
            shown["is_default"] = bool(self.row.is_default)
        shown |= brought_tokens.shown(self.config, self.secrets)
        return shown | {field: MASK for field in self.secrets if field in SECRET_FIELDS}

    def _client_shown(self) -> dict[str, Any]:
        """What a connection's owner sees of its client: of an operator's nothing, of an app's the id."""
        client = self.client
        if client is None or client.is_operators or "client_id" in self.config:
            return {}
        shown: dict[str, Any] = {"client_id": client.row.client_id}
        if client.row.registered_at is not None:
            shown["last_registered_at"] = client.row.registered_at
        if client.row.app_id is not None and client.row.registration_client_uri is not None:
            shown["registration_client_uri"] = client.row.registration_client_uri
        hidden = client.secrets if client.row.app_id is not None else client.secrets & {"client_secret"}
        return shown | dict.fromkeys(hidden, MASK)

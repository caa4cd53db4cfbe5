"""A connection as the rules see it: its row, its configuration unpacked, and which of its secrets are stored."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from drio_mcp.clock import rfc3339
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.record.config_rules import Config, allowed_origins, wanted_of_person
from drio_mcp.connections.record.schemas import SECRET_FIELDS, AuthConfig, AuthConnection, Status
from drio_mcp.opaque import MASK
from drio_mcp.store.connections import ConnectionRow


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection; `secrets` are the fields that hold a sealed value."""

    row: ConnectionRow
    config: Config
    secrets: frozenset[str]

    @classmethod
    def of(cls, row: ConnectionRow, secrets: frozenset[str]) -> "Connection":
        return cls(row, json.loads(row.config), secrets)

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

    def origins(self, providers: Providers) -> frozenset[str]:
        """Where the connection's secrets may be sent (contract section 3, `allowedOrigins`)."""
        return allowed_origins(self.config, providers.find(self.row.provider_key))

    def with_row(self, **changes: Any) -> "Connection":
        """The same connection with `changes` of its row; not of its configuration."""
        return replace(self, row=replace(self.row, **changes))

    def with_config(self, config: Config, **changes: Any) -> "Connection":
        """The same connection with another configuration and with `changes` of its row."""
        return Connection(replace(self.row, config=json.dumps(config), **changes), config, self.secrets)

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
        )

    def _shown(self) -> Mapping[str, Any]:
        shown = {name: value for name, value in self.config.items() if name != "key_parts"}
        if "last_registered_at" in shown:
            shown["last_registered_at"] = rfc3339(shown["last_registered_at"])
        if self.row.is_default is not None:
            shown["is_default"] = bool(self.row.is_default)
        return shown | {field: MASK for field in self.secrets if field in SECRET_FIELDS}

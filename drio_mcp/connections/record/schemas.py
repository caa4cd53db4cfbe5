"""The shapes of auth connections: what is sent in, what is read out (contract section 3, "Auth connection")."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from drio_mcp.connections.catalog.providers import Provider
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.fields import (
    AccessKeyId,
    BaseUrl,
    ClientId,
    HeaderName,
    HeaderPrefix,
    InstallationId,
    KeyId,
    Name,
    Origins,
    PrivateKeyValue,
    ProviderKey,
    QueryName,
    Realm,
    Scopes,
    SecretValue,
    SigningName,
    Text,
    ToolName,
    Url,
    UserName,
)
from drio_mcp.connections.record.use_rules import MOST_TOOLS_SET, ToolSetting, UseMode, UseRules
from drio_mcp.errors import NextStep
from drio_mcp.models import Model, Moment


class Status(StrEnum):
    """Where a connection stands. A client may write `draft`, `valid` and `disabled`; evidence sets the others."""

    DRAFT = "draft"
    PENDING = "pending"
    VALID = "valid"
    EXPIRING = "expiring"
    DEGRADED = "degraded"
    NEEDS_REAUTH = "needs_reauth"
    INVALID = "invalid"
    DISABLED = "disabled"


WRITABLE_STATUSES = (Status.DRAFT, Status.VALID, Status.DISABLED)

WritableStatus = Annotated[Status, WithJsonSchema({"type": "string", "enum": [*WRITABLE_STATUSES]})]
"""Any status may be sent back unchanged; only these may be set."""

ReadOnly = SkipJsonSchema[Any]
"""A member that may be sent back as it was read, and not otherwise. It is in no published input schema."""

RegistrationAuthMode = Literal["none", "initial_access_token"]


def _set() -> Any:
    """A member that stands in the answer only when it is set."""
    return Field(default=None, exclude_if=lambda value: value is None)


class AuthConfig(Model):
    """A connection's configuration as it reads: only what is set, and every secret as the mask."""

    type: ConfigType
    authorization_endpoint: str | None = _set()
    token_endpoint: str | None = _set()
    registration_endpoint: str | None = _set()
    registration_auth_mode: RegistrationAuthMode | None = _set()
    registration_initial_access_token: str | None = _set()
    registration_access_token: str | None = _set()
    registration_client_uri: str | None = _set()
    last_registered_at: Moment | None = _set()
    client_id: str | None = _set()
    client_secret: str | None = _set()
    header_name: str | None = _set()
    api_key: str | None = _set()
    api_key_secret: str | None = _set()
    query_param_name: str | None = _set()
    header_prefix: str | None = _set()
    access_token: str | None = _set()
    refresh_token: str | None = _set()
    username: str | None = _set()
    password: str | None = _set()
    private_key: str | None = _set()
    passphrase: str | None = _set()
    key_id: str | None = _set()
    subject: str | None = _set()
    installation_id: str | None = _set()
    access_key_id: str | None = _set()
    secret_access_key: str | None = _set()
    session_token: str | None = _set()
    region: str | None = _set()
    service: str | None = _set()
    token_secret: str | None = _set()
    realm: str | None = _set()
    scopes: tuple[str, ...] | None = _set()
    audience: str | None = _set()
    enabled: bool | None = _set()
    is_default: bool | None = _set()
    api_base_url: str | None = _set()
    allowed_origins: tuple[str, ...] | None = _set()
    variables: dict[str, str] | None = _set()
    provider_facts: dict[str, str] | None = _set()


class UseSettings(Model):
    """What clients of the app's MCP server may use of a connection (contract section 8).

    `tools` goes by the MCP server's own names of its tools, for an API by the HTTP method.
    """

    mode: UseMode
    tools: dict[str, ToolSetting]

    @classmethod
    def of(cls, rules: UseRules) -> "UseSettings":
        return cls(mode=rules.mode, tools=dict(rules.tools))


USE_UNSET = UseSettings(mode=UseMode.ALL, tools={})

_SETTING = {"type": "string", "enum": [*ToolSetting]}
ToolSettings = Annotated[
    dict[ToolName, ToolSetting | None],
    Field(max_length=MOST_TOOLS_SET),
    WithJsonSchema({"type": "object", "properties": {"POST": _SETTING}, "additionalProperties": _SETTING}),
]
"""By the MCP server's own names of its tools, for an API by the method."""


class UsePatch(Model):
    """A merge patch of it: absent keeps, `null` clears, also for single tools."""

    mode: UseMode | None = None
    tools: ToolSettings | None = None


class AuthConnection(Model):
    """An auth connection as it reads."""

    id: str
    app_id: str
    provider_id: str
    provider_key: str
    provider_name: str
    key: str
    name: str
    status: Status
    config: AuthConfig
    secret_ref: str | None
    grants: tuple[str, ...]
    last_validated_at: Moment | None
    last_error: str | None
    created_at: Moment | None = _set()
    updated_at: Moment | None = _set()
    use: UseSettings = Field(default=USE_UNSET, exclude_if=lambda value: value == USE_UNSET)
    """Stands in the answer only when it is set: without it everything may be used."""

    @property
    def is_disabled(self) -> bool:
        """Whether it was switched off, by its status or by `config.enabled`."""
        return self.status is Status.DISABLED or self.config.enabled is False


class ConfigInput(Model):
    """A configuration as a model may write it: everything but secrets."""

    type: ConfigType | None = Field(default=None, description="How calls are authorized; default: the provider's.")
    authorization_endpoint: Url | None = None
    token_endpoint: Url | None = None
    registration_endpoint: Url | None = None
    registration_auth_mode: RegistrationAuthMode | None = None
    registration_client_uri: Url | None = None
    last_registered_at: ReadOnly = None
    client_id: ClientId | None = None
    header_name: HeaderName | None = None
    query_param_name: QueryName | None = None
    header_prefix: HeaderPrefix | None = None
    username: UserName | None = None
    scopes: Scopes | None = None
    audience: Text | None = None
    enabled: StrictBool | None = None
    is_default: StrictBool | None = Field(default=None, description="Makes it the app's only default.")
    api_base_url: BaseUrl | None = Field(default=None, description="Where calls through the connection go.")
    allowed_origins: Origins | None = Field(default=None, description="Where the secret may be sent.")
    variables: ReadOnly = None
    provider_facts: ReadOnly = None


class ConfigBesideKeys(ConfigInput):
    """What belongs to a key and is entered with it, on the page or by REST; a model has no use for it."""

    key_id: KeyId | None = Field(default=None, description="`kid` of the JWTs that are signed.")
    subject: Text | None = Field(default=None, description="For whom a JWT is signed, where that is somebody else.")
    installation_id: InstallationId | None = None
    access_key_id: AccessKeyId | None = None
    region: SigningName | None = Field(default=None, description="For which AWS region calls are signed.")
    service: SigningName | None = Field(default=None, description="For which AWS service calls are signed.")
    realm: Realm | None = Field(default=None, description="The realm of OAuth 1.0.")


class ConfigWithSecrets(ConfigBesideKeys):
    """A configuration as REST takes it. The mask `********` keeps a stored secret, `null` removes it."""

    registration_initial_access_token: SecretValue | None = None
    registration_access_token: SecretValue | None = None
    client_secret: SecretValue | None = None
    api_key: SecretValue | None = None
    api_key_secret: SecretValue | None = None
    access_token: SecretValue | None = None
    refresh_token: SecretValue | None = None
    password: SecretValue | None = None
    private_key: PrivateKeyValue | None = Field(
        default=None, description="In PEM form, or the provider's JSON file that holds it."
    )
    passphrase: SecretValue | None = Field(default=None, description="Of the private key, if it has one.")
    secret_access_key: SecretValue | None = None
    session_token: SecretValue | None = None
    token_secret: SecretValue | None = None


SECRET_FIELDS = tuple(name for name in ConfigWithSecrets.model_fields if name not in ConfigBesideKeys.model_fields)
"""The members of `config` that are write-only."""


class ConnectionInput(Model):
    """What creating and changing have in common."""

    status: WritableStatus | None = None
    config: ConfigInput | None = None
    secret_ref: Text | None = Field(
        default=None, description="env:DRIO_SECRET_… or file:…, for operators: where the server finds the secret."
    )
    grants: Scopes | None = None


class NewConnection(ConnectionInput):
    """A new connection, without secrets."""

    name: Name
    provider_key: ProviderKey


class CreateAuthConnection(NewConnection):
    """A new connection."""

    config: ConfigWithSecrets | None = None


class ConnectionPatch(ConnectionInput):
    """A JSON merge patch (RFC 7396) without secrets: absent keeps, `null` clears, arrays replace."""

    name: Name | None = None
    use: UsePatch | None = None
    id: ReadOnly = None
    app_id: ReadOnly = None
    provider_id: ReadOnly = None
    provider_key: ReadOnly = None
    provider_name: ReadOnly = None
    key: ReadOnly = None
    last_validated_at: ReadOnly = None
    last_error: ReadOnly = None
    created_at: ReadOnly = None
    updated_at: ReadOnly = None


class UpdateAuthConnection(ConnectionPatch):
    """A JSON merge patch (RFC 7396): absent keeps, `null` clears, arrays replace."""

    config: ConfigWithSecrets | None = None


READ_ONLY_FIELDS = tuple(
    name for name in ConnectionPatch.model_fields if name not in {*ConnectionInput.model_fields, "name", "use"}
)


class ConnectionQuery(Model):
    """Which connections to list."""

    status: Status | None = None
    provider_key: ProviderKey | None = None
    limit: int = Field(default=100, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=200)] | None = None


class WaitQuery(Model):
    """How long the answer may be held back while the connection waits for its person, in seconds."""

    wait: int = Field(default=0, ge=0, le=55)


class RemovalQuery(Model):
    """How to delete: by a dry run, or with ten minutes to take it back."""

    dry_run: bool = False
    undo: bool = False


class Connect(Model):
    """The page on which the owner enters what a model must not see, and until when it works."""

    url: str
    expires_at: Moment


class HistoryActor(Model):
    """Who did it: a client, a person on a page of ours, or a job of ours."""

    type: str
    name: str


class HistoryEntry(Model):
    """What happened to a connection. `outcome` is `ok` or a diagnosis code.

    A call through the MCP server of the app has three members more: the tool (for an API the method), the client,
    and for how many milliseconds.
    """

    at: Moment
    event: str
    actor: HistoryActor
    outcome: str
    detail: str | None
    tool: str | None = _set()
    client: str | None = _set()
    duration_ms: int | None = _set()


class HistoryQuery(Model):
    """Which part of a history to read."""

    limit: int = Field(default=50, ge=1, le=100)
    cursor: Annotated[str, Field(max_length=200)] | None = None


class HistoryAnswer(Model):
    """A connection's history, newest first; `nextCursor` stands there when there is more."""

    history: tuple[HistoryEntry, ...]
    next_cursor: str | None = _set()


class ConnectionAnswer(Model):
    """One connection; `dryRun` stands there when nothing was changed.

    Where a person must act, a tool gives the link at once as `connect`, and REST as `nextStep.url` of the diagnosis.
    """

    auth: AuthConnection
    connect: Connect | None = _set()
    next_step: NextStep | None = _set()
    """A tool's alone, where a model asked to wait and it waits for its person still: what comes next."""
    dry_run: bool | None = _set()


class ConnectionsAnswer(Model):
    """An app's connections and the providers that go with them; `nextCursor` stands there when there is more."""

    auth: tuple[AuthConnection, ...]
    providers: tuple[Provider, ...]
    next_cursor: str | None = _set()


class ConnectionDeleted(Model):
    """`deleted` is true also for a dry run, which says so beside it."""

    deleted: bool = True
    undo_until: str | None = _set()
    """Until when the owner, or `restore` of the tool that changes connections, brings it back."""
    dry_run: bool | None = _set()


class ProvidersAnswer(Model):
    """Providers, the best matches first."""

    providers: tuple[Provider, ...]


class ProviderAnswer(Model):
    """One provider."""

    provider: Provider

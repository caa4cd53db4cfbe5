"""The shapes of what is asked of connections, and of the answers: connect, validation, diagnosis, use (section 3)."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema

from drio_mcp.connections.diagnosis_codes import Code, Mender
from drio_mcp.connections.fields import Name, Scopes
from drio_mcp.connections.record.schemas import AuthConnection, Connect
from drio_mcp.errors import NextStep
from drio_mcp.models import Model, Moment


class Method(StrEnum):
    """How a connection comes about (contract section 3, `plan.method`)."""

    EXISTING = "existing"
    CLIENT_METADATA_DOCUMENT = "client_metadata_document"
    DYNAMIC_REGISTRATION = "dynamic_registration"
    PRESET = "preset"
    OPENAPI = "openapi"
    API_KEY = "api_key"


class DiagnosisEvidence(Model):
    """One check: what was looked at, how it came out, and what that tells. No values, no secrets."""

    check: str
    result: Literal["passed", "failed", "skipped"]
    detail: str


class Diagnosis(Model):
    """What is the matter with a connection, who has to act, and by what."""

    code: Code
    summary: str
    actor: Mender
    evidence: tuple[DiagnosisEvidence, ...] = ()
    next_step: NextStep


class PlanEvidence(Model):
    """One URL that was looked at: the HTTP status (null without an answer) and what it told."""

    url: str
    status: int | None
    finding: str


class ConnectPlan(Model):
    """How a connection comes about, why so, and what happens next."""

    method: Method
    evidence: tuple[PlanEvidence, ...]
    steps: tuple[str, ...]


VARIABLES = {
    "type": "object",
    "description": "The provider's variables; list_auth_providers names them.",
    "properties": {name: {"type": "string"} for name in ("subdomain", "region", "tenant", "domain", "host", "shop")},
    "additionalProperties": {"type": "string"},
}
"""The most usual names: some models fill in nothing but named members."""


class ConnectAuth(Model):
    """What to connect: a URL, or a provider of the catalog."""

    target: str | None = Field(
        default=None, min_length=1, max_length=2048, description="URL of an MCP server, an API or a site."
    )
    provider_key: str | None = Field(default=None, min_length=1, max_length=64)
    """The key, or the words by which people call the service."""
    name: Name | None = Field(default=None, description="Another name makes another connection.")
    scopes: Scopes | None = None
    variables: Annotated[dict[str, str], WithJsonSchema(VARIABLES)] | None = None


class ConnectAnswer(Model):
    """The connection, the link for its owner (null when nobody has to click), and how it was decided."""

    auth: AuthConnection
    connect: Connect | None
    plan: ConnectPlan
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class ValidationCheck(Model):
    """How a connection was looked at, and how it came out. `expiresAt` is its expected end, where one is known."""

    ok: bool
    code: Code
    message: str
    checked_at: Moment
    expires_at: Moment | None = None
    evidence: tuple[DiagnosisEvidence, ...]


class ValidationAnswer(Model):
    """The connection after the check, and the check."""

    auth: AuthConnection
    check: ValidationCheck
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class DiagnosisAnswer(Model):
    """What is the matter with a connection."""

    diagnosis: Diagnosis


class TokenRequest(Model):
    """The scopes that the caller is going to use; without any, those that were granted."""

    scopes: Scopes | None = None


class IssuedToken(Model):
    """A token to use at the provider now. `expiresAt` is null where the provider names no end."""

    access_token: str
    token_type: str
    expires_at: Moment | None
    scopes: tuple[str, ...]


class TokenAnswer(Model):
    """The token; of a dry run it is the mask."""

    token: IssuedToken
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)

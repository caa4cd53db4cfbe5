"""The shapes of what is asked of a connection that exists: validation, diagnosis and use (contract section 3)."""

from pydantic import Field

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import Scopes
from drio_mcp.connections.record.outcomes import Diagnosis, DiagnosisEvidence
from drio_mcp.connections.record.schemas import AuthConnection
from drio_mcp.models import Model


class ValidationCheck(Model):
    """How a connection was looked at, and how it came out. `expiresAt` is its expected end, where one is known."""

    ok: bool
    code: Code
    message: str
    checked_at: str
    expires_at: str | None = None
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
    expires_at: str | None
    scopes: tuple[str, ...]


class TokenAnswer(Model):
    """The token; of a dry run it is the mask."""

    token: IssuedToken
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)

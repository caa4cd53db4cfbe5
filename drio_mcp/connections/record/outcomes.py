"""What calls that reach out to a provider tell: a plan, a diagnosis, and the call or the page that comes next."""

from typing import Any, Literal

from pydantic import Field

from drio_mcp.connections.connecting.plan import Method
from drio_mcp.connections.diagnosis_codes import Actor, Code
from drio_mcp.connections.fields import Name, ProviderKey, Scopes
from drio_mcp.connections.record.schemas import AuthConnection, Connect
from drio_mcp.models import Model


class NextStep(Model):
    """The tool that comes next with its arguments, or the page that a person has to open."""

    tool: str | None = None
    arguments: dict[str, Any] | None = None
    url: str | None = None


class DiagnosisEvidence(Model):
    """One check: what was looked at, how it came out, and what that tells. No values, no secrets."""

    check: str
    result: Literal["passed", "failed", "skipped"]
    detail: str


class Diagnosis(Model):
    """What is the matter with a connection, who has to act, and by what."""

    code: Code
    summary: str
    actor: Actor
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


class ConnectAuth(Model):
    """What to connect: a URL, or a provider of the catalog."""

    target: str | None = Field(
        default=None, min_length=1, max_length=2048, description="URL of an MCP server, an API or a site."
    )
    provider_key: ProviderKey | None = None
    name: Name | None = Field(default=None, description="Another name makes another connection.")
    scopes: Scopes | None = None
    variables: dict[str, str] | None = Field(
        default=None, description="The provider's variables, e.g. {subdomain: acme}."
    )


class ConnectAnswer(Model):
    """The connection, the link for its owner (null when nobody has to click), and how it was decided."""

    auth: AuthConnection
    connect: Connect | None
    plan: ConnectPlan
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)

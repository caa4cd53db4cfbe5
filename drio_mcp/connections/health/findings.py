"""An examination: what is looked at, what was found on the way, and what is concluded."""

from dataclasses import dataclass, field
from typing import Literal

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.health.probes import Subject
from drio_mcp.connections.health.verdicts import Verdict
from drio_mcp.connections.record.answers import DiagnosisEvidence
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.upstream.credentials import Credential
from drio_mcp.connections.upstream.mcp.tools import LeftOut
from drio_mcp.store.token_sets import TokenSetRow


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found. `scopes` are those granted and `expires_at` (milliseconds) the expected end, where known.

    `is_conclusive` is false where there was nothing to ask, so that nothing follows.
    """

    connection: Connection
    code: Code
    sentence: str
    evidence: tuple[DiagnosisEvidence, ...]
    scopes: tuple[str, ...] | None = None
    expires_at: int | None = None
    is_refreshable: bool = False
    grant_ends_at: int | None = None
    """When the person has to allow it again, whatever is renewed until then; where that is soon."""
    is_conclusive: bool = True
    wanted: tuple[str, ...] = ()
    """Scopes that the other side named as lacking: the next consent asks for them too."""
    target: str | None = None
    has_moved: bool = False
    """Whether the MCP server names another authorization server now."""
    lacking: tuple[LeftOut, ...] = ()
    """What was left out of an MCP server's list of tools."""

    @property
    def is_ok(self) -> bool:
        return self.code is Code.OK


@dataclass(slots=True)
class Case:
    """One examination under way."""

    subject: Subject
    tokens: TokenSetRow | None
    is_dry: bool
    is_thorough: bool
    evidence: list[DiagnosisEvidence] = field(default_factory=list)
    credential: Credential | None = None
    verdict: Verdict | None = None
    doubt: tuple[Code, str] | None = None
    """What is wrong and does no harm yet: the finding when everything else is in order."""
    is_conclusive: bool = True
    metadata_at: str | None = None
    """Where a challenge said that the resource metadata is."""
    has_moved: bool = False

    @property
    def connection(self) -> Connection:
        return self.subject.connection

    def note(self, check: str, result: Literal["passed", "failed", "skipped"], detail: str) -> None:
        """Add a line of evidence."""
        self.evidence.append(DiagnosisEvidence(check=check, result=result, detail=detail))

    def passed(self, check: str, detail: str) -> None:
        self.note(check, "passed", detail)

    def failed(self, check: str, detail: str) -> None:
        """Add a failure, unless that check has told one already; what passed before it is told no more."""
        if not any(each.check == check and each.result == "failed" for each in self.evidence):
            self.evidence = [each for each in self.evidence if each.check != check]
            self.note(check, "failed", detail)

    def overrule(self, check: str, why: str) -> None:
        """Let what a check told count for nothing."""
        self.evidence = [
            each.model_copy(update={"result": "skipped", "detail": f"{each.detail}; {why}"})
            if each.check == check
            else each
            for each in self.evidence
        ]

    def skipped(self, check: str, detail: str) -> None:
        """Add that it was skipped, unless it has told something already: each check stands there once."""
        if not any(each.check == check for each in self.evidence):
            self.note(check, "skipped", detail)


CHECK_OF = {
    Code.DISABLED: "enabled",
    Code.MISSING_CONFIGURATION: "configuration",
    Code.UNSUPPORTED_AUTH: "configuration",
    Code.SECRET_UNAVAILABLE: "secrets",
    Code.ORIGIN_CHANGED: "origins",
    Code.ADDRESS_BLOCKED: "address",
    Code.DNS_FAILURE: "address",
    Code.TLS_FAILURE: "address",
    Code.TIMEOUT: "address",
    Code.ENDPOINT_UNREACHABLE: "address",
    Code.REDIRECT_REFUSED: "address",
    Code.AWAITING_CONSENT: "consent",
    Code.CONSENT_DENIED: "consent",
    Code.CONSENT_EXPIRED: "consent",
    Code.METADATA_INVALID: "metadata",
    Code.ISSUER_MISMATCH: "metadata",
    Code.CLIENT_UNKNOWN: "client",
    Code.CLIENT_SECRET_WRONG: "client",
    Code.CLIENT_SECRET_EXPIRED: "client",
    Code.REGISTRATION_REFUSED: "client",
    Code.REAUTHORIZATION_REQUIRED: "grant",
    Code.TOKEN_EXPIRED: "grant",
    Code.SCOPE_MISSING: "scopes",
}
"""The name of the check that a code belongs to, where it is not the one that found it."""

"""Whether an authorization server still publishes what a connection was made from (RFC 8414)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drio_mcp.connections.connecting.moved_servers import another_issuer
from drio_mcp.connections.connecting.survey import Look, Survey
from drio_mcp.connections.connecting.well_known import Unbelievable, check_server, server_metadata_urls
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.health.probes import Subject
from drio_mcp.connections.record.answers import DiagnosisEvidence
from drio_mcp.outbound import Outbound

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class MetadataFinding:
    """What the metadata told. A doubt does no harm to tokens that are there; a new consent would fail on it."""

    evidence: DiagnosisEvidence
    doubt: tuple[Code, str] | None = None


class MetadataCheck:
    """Reads the metadata of the server behind a connection once more."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def another_issuer(self, subject: Subject, named_at: str | None) -> str | None:
        """The issuer that the MCP server names instead of the one that is used, in the metadata `named_at` or in the
        usual places; None where it names that one."""
        target = subject.upstream.target if subject.upstream is not None else None
        return await another_issuer(self._outbound, subject.connection, target, subject.server, named_at)

    async def check(self, server: Mapping[str, Any]) -> MetadataFinding:
        """What the server of that issuer publishes now."""
        issuer: str = server["issuer"]
        survey = Survey(self._outbound, SECONDS)
        looks = await asyncio.gather(*(survey.document(url, "server metadata") for url in server_metadata_urls(issuer)))
        found = next((look for look in looks if look.document is not None), None)
        if found is None:
            broken = next((look for look in looks if look.code is not None), looks[0])
            doubt = (Code.METADATA_INVALID, broken.finding) if broken.code == Code.METADATA_INVALID else None
            return MetadataFinding(_evidence(broken, "failed" if doubt else "skipped"), doubt)
        try:
            now = check_server(found.document, issuer, self._outbound.check)
        except Unbelievable as error:
            judged = found.faulty(error.code, error.sentence)
            return MetadataFinding(_evidence(judged, "failed"), (Code(error.code), error.sentence))
        if now.token_endpoint != server.get("token_endpoint"):
            sentence = "The metadata names another token endpoint than the connection uses"
            return MetadataFinding(_evidence(found.faulty("", sentence), "failed"))
        return MetadataFinding(_evidence(found.faulty("", "It names the issuer and endpoints that are used"), "passed"))


def _evidence(look: Look, result: Any) -> DiagnosisEvidence:
    status = "no answer" if look.status is None else f"status {look.status}"
    return DiagnosisEvidence(check="metadata", result=result, detail=f"GET {look.url}: {look.finding} ({status})")

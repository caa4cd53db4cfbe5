"""What is the matter with a connection, who must act, and the exact call or page that comes next."""

from dataclasses import replace

from drio_mcp.clock import rfc3339
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.health.checks import Examiner
from drio_mcp.connections.health.findings import Examination
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import Diagnosis, DiagnosisAnswer, DiagnosisEvidence
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.next_step import diagnosis_of, is_operators_to_mend, refusal
from drio_mcp.connections.upstream.person_action import is_mended_on_page
from drio_mcp.errors import DrioError, NotFound
from drio_mcp.store import Database, upstreams


class Diagnoses:
    """Examines thoroughly and says what to do."""

    def __init__(self, db: Database, examiner: Examiner, links: Links) -> None:
        self._db = db
        self._examiner = examiner
        self._links = links

    async def diagnose(self, actor: Actor, app_id: str, id_or_key: str) -> DiagnosisAnswer:
        """Run every check that changes nothing: no token endpoint is asked, nothing is written. Raises `NotFound`."""
        found = await self._db.read(repository.get, actor.user_id, app_id, id_or_key)
        examination = await self._examiner.examine(found.id, is_dry=True, is_thorough=True)
        if examination is None:
            raise NotFound("Auth connection not found")
        return DiagnosisAnswer(diagnosis=self._diagnosis_for(actor, _with_forecast(_with_lacking(examination))))

    async def of(self, actor: Actor, connection: Connection, error: Fault) -> Diagnosis:
        """The diagnosis of a use that failed, with what is known without looking any further."""
        upstream = await self._db.read(lambda tx: tx.one(upstreams.FIND, connection_id=connection.id))
        evidence = DiagnosisEvidence(check="use", result="failed", detail=error.sentence)
        target = upstream.target if upstream is not None else None
        examination = Examination(connection, error.code, error.sentence, (evidence,), target=target)
        return self._diagnosis_for(actor, examination)

    async def refusal(self, actor: Actor, connection: Connection, error: Fault) -> DrioError:
        """The same as an error: 503 for what mends itself, 409 for what somebody must mend (contract section 3)."""
        return refusal(await self.of(actor, connection, error), error)

    def _diagnosis_for(self, actor: Actor, examination: Examination) -> Diagnosis:
        connection, code = examination.connection, examination.code
        connect = None
        is_forecast = examination.is_ok and examination.grant_ends_at is not None
        is_persons = is_mended_on_page(connection, code, examination.sentence) or is_forecast
        if is_persons and not is_operators_to_mend(connection, code):
            connect = self._links.derive(actor.user_id, connection)
        return diagnosis_of(
            connection,
            code,
            examination.sentence,
            evidence=examination.evidence,
            connect=connect,
            target=examination.target,
        )


def _with_forecast(examination: Examination) -> Examination:
    """A grant that its provider ends soon works until then, and the diagnosis says so beforehand."""
    if not examination.is_ok or examination.grant_ends_at is None:
        return examination
    until = rfc3339(examination.grant_ends_at)
    line = DiagnosisEvidence(check="grant", result="passed", detail=f"The provider ends the grant at {until}")
    sentence = f"It works until {until}, when the provider ends the grant; allow it again before"
    return replace(examination, sentence=sentence, evidence=(*examination.evidence, line))


def _with_lacking(examination: Examination) -> Examination:
    """A server whose list was served in part works, and the diagnosis says what is left out all the same."""
    if not examination.is_ok or not examination.lacking:
        return examination
    sentence = "; ".join(each.sentence for each in examination.lacking)
    return replace(examination, code=examination.lacking[0].code, sentence=f"It works, but for some tools: {sentence}")

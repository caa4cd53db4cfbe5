"""One call that connects: look around, choose the best way, make the connection, and say what the person has to do.

The same call again gives the same connection. What a provider's metadata says is read anew only for a connection that
came to nothing the first time.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.discovery import Discoverer
from drio_mcp.connections.connecting.draft import Draft, draft_of
from drio_mcp.connections.connecting.links import Links
from drio_mcp.connections.connecting.moved_servers import moved_sentence
from drio_mcp.connections.connecting.plan import ONE_CLICK, Evidence, Plan
from drio_mcp.connections.connecting.target import ConnectTarget, catalog_plan, one_click_server, read_target
from drio_mcp.connections.diagnosis_codes import NEXT_STEPS, Code, Fault, last_error
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.answers import ConnectAnswer, ConnectAuth, ConnectPlan, Method, PlanEvidence
from drio_mcp.connections.record.clients import CONSENTED, Origin
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.crud import ConnectionCrud
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.merge_patch import READ_ONLY_CONFIG
from drio_mcp.connections.record.next_step import diagnosis_of, refusal
from drio_mcp.connections.record.schemas import (
    AuthConnection,
    ConfigInput,
    Connect,
    ConnectionAnswer,
    ConnectionPatch,
    Status,
)
from drio_mcp.connections.record.status import WORKING, error_of
from drio_mcp.connections.upstream.person_action import asks_consent, is_mended_on_page, needs_person
from drio_mcp.connections.upstream.provider_rules import RULED
from drio_mcp.connections.upstream.registrations import ProviderRegistrations
from drio_mcp.foundations import Foundations
from drio_mcp.store import Transaction, provider_clients, upstreams
from drio_mcp.store.dry_run import decide
from drio_mcp.store.upstreams import UpstreamRow

FOLLOWED = WORKING | {Status.NEEDS_REAUTH, Status.INVALID}
"""Those that were allowed once; the others were discovered a moment ago."""
ALLOW = ("Open the link and allow access",)


@dataclass(frozen=True, slots=True)
class Connected:
    """What came of it; `connect` is None when nobody has to click."""

    auth: AuthConnection
    connect: Connect | None
    plan: ConnectPlan
    is_new: bool
    is_dry_run: bool

    @property
    def answer(self) -> ConnectAnswer:
        """It as REST and tools give it."""
        return ConnectAnswer(auth=self.auth, connect=self.connect, plan=self.plan, dry_run=self.is_dry_run or None)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A connection and the plan to tell of, as one decision left them."""

    connection: Connection
    plan: ConnectPlan
    is_new: bool = False


class Connector:
    """Connects URLs and providers."""

    def __init__(
        self,
        foundations: Foundations,
        providers: Providers,
        connections: ConnectionCrud,
        discoverer: Discoverer,
        registrations: ProviderRegistrations,
        links: Links,
    ) -> None:
        self._db = foundations.db
        self._clock = foundations.clock
        self._providers = providers
        self._connections = connections
        self._discoverer = discoverer
        self._registrations = registrations
        self._links = links

    async def connect(self, actor: Actor, app_id: str, body: ConnectAuth, *, dry_run: bool = False) -> Connected:
        """The connection of what `body` names: found, mended, or made. Whatever stands there, a connection comes of it.

        A dry run looks around and changes nothing. Raises `NotFound`, `ValidationFailed` and `Conflict`.
        """
        wanted = read_target(body, self._providers)
        found = await self._db.read(self._find, actor, app_id, wanted)
        if found is not None and not await self._is_to_be_found_anew(found):
            outcome = await decide(self._db, dry_run, lambda tx: self._again(tx, actor, app_id, found.id, wanted))
        else:
            draft = draft_of(await self._plan(app_id, wanted), self._providers, wanted.name, wanted.scopes)
            wanted = replace(
                wanted, targets=(*wanted.targets, draft.plan.target)
            )  # perhaps another address than was named
            outcome = await decide(self._db, dry_run, lambda tx: self._hold(tx, actor, app_id, wanted, draft))
        connection = outcome.connection if dry_run else await self._get_client(actor, outcome.connection)
        return Connected(
            auth=connection.read(self._providers),
            connect=await self._invite(actor, connection, wanted) if not dry_run else None,
            plan=outcome.plan,
            is_new=outcome.is_new,
            is_dry_run=dry_run,
        )

    async def register(self, actor: Actor, app_id: str, id_or_key: str, *, dry_run: bool = False) -> ConnectionAnswer:
        """Register our client at the provider, now. A new one needs the person's consent anew: then there is a link.

        Raises `NotFound`, and with a diagnosis `Conflict` where it is impossible, or the provider refuses, and
        `Unavailable` where the provider can be asked again later.
        """
        before = await self._db.read(repository.get, actor.user_id, app_id, id_or_key)
        try:
            if dry_run:
                await self._registrations.check(before.id)
                return ConnectionAnswer(auth=before.read(self._providers), dry_run=True)
            after = await self._registrations.register_again(actor, before.id)
        except Fault as error:
            now = await self._db.read(repository.find, before.id) or before
            is_on_page = is_mended_on_page(now, error.code, error.sentence)
            link = self._links.derive(actor.user_id, now) if is_on_page else None
            raise refusal(diagnosis_of(now, error.code, error.sentence, connect=link), error) from None
        connect = await self._links.create(actor.user_id, after.id) if needs_person(after) else None
        return ConnectionAnswer(auth=after.read(self._providers), connect=connect)

    async def follow(self, actor: Actor, connection_id: str) -> bool:
        """Lead the connection to the authorization server that its MCP server names now, if that is another one than
        the one it was allowed at: there the person has to allow it anew. Gives whether it was led anywhere.
        """
        found = await self._db.read(repository.find, connection_id)
        if found is None or found.row.status not in FOLLOWED:
            return False
        upstream = await self._db.read(lambda tx: tx.one(upstreams.FIND, connection_id=connection_id))
        target = None if upstream is None else upstream.target
        issuer = await self._discoverer.another_issuer(found, target, "{}" if upstream is None else upstream.server)
        if issuer is None or target is None:
            return False
        plan = await self._discoverer.discover(target)
        if not _leads_elsewhere(found, plan):
            return False
        draft = draft_of(plan, self._providers, found.row.name, _scopes_there(found, plan))
        return await self._db.write(self._move, actor, found, draft, issuer)

    async def _is_to_be_found_anew(self, found: Connection) -> bool:
        """Whether discovery failed before, or leads elsewhere now: an MCP server may name other authorization servers
        than the one that its connection was allowed at."""
        if await self._db.read(_came_to_nothing, found):
            return True
        upstream = await self._db.read(lambda tx: tx.one(upstreams.FIND, connection_id=found.id))
        if not _may_have_moved(found) or upstream is None or upstream.target is None:
            return False
        return _has_moved(found, await self._discoverer.discover(upstream.target))

    async def _plan(self, app_id: str, wanted: ConnectTarget) -> Plan:
        """The best way. At a provider's own MCP server a click is enough, where its API wants a client made by hand.

        Where such a client was entered already, for the app or the server, a click is enough at the API too.
        """
        if wanted.entry is not None:
            plan, entry = catalog_plan(wanted.entry), wanted.entry
        else:
            plan = await self._discoverer.discover(wanted.targets[0])
            found_entry = self._entry_of_site(plan)
            if found_entry is None:
                return plan
            entry = found_entry
        server = one_click_server(entry)
        if server is None or await self._db.read(_has_client, app_id, plan):
            return plan
        found = await self._discoverer.discover(server)
        evidence = (*plan.evidence, *found.evidence)
        if found.problem is not None or found.method not in ONE_CLICK:
            return replace(plan, evidence=evidence)
        return replace(found, provider_key=entry.key, evidence=evidence)

    def _entry_of_site(self, plan: Plan) -> CatalogEntry | None:
        """The provider whose site was named. Who names the API itself wants that, and nothing beside it."""
        facts = self._providers.find(plan.provider_key) if plan.provider_key is not None else None
        is_by_hand = plan.method is Method.PRESET and plan.problem is None
        if facts is None or facts.entry is None or not is_by_hand or origin_of(plan.target) in facts.origins:
            return None
        return facts.entry

    async def _get_client(self, actor: Actor, connection: Connection) -> Connection:
        """A client registered now, so that a refusal is told now; the click would do it too."""
        is_ours_to_get = connection.config["type"] in CONSENTED and "registration_endpoint" in connection.config
        if not is_ours_to_get or connection.client_id is not None or connection.row.status != Status.PENDING:
            return connection
        try:
            return await self._registrations.ensure(actor, connection.id)
        except Fault:
            return await self._db.read(repository.find, connection.id) or connection

    async def _invite(self, actor: Actor, connection: Connection, wanted: ConnectTarget) -> Connect | None:
        is_working = connection.row.status in WORKING
        lacks_scopes = not set(wanted.scopes or ()) <= set(json.loads(connection.row.grants))
        if not needs_person(connection) and not (is_working and asks_consent(connection) and lacks_scopes):
            return None
        return await self._links.create(actor.user_id, connection.id)

    # Decisions

    def _find(self, tx: Transaction, actor: Actor, app_id: str, wanted: ConnectTarget) -> Connection | None:
        """The app's connection of what is wished; another name makes another connection."""
        repository.owner_of(tx, actor.user_id, app_id)
        for target in wanted.targets:
            for connection_id in tx.all(upstreams.FIND_BY_TARGET, target=target, app_id=app_id):
                connection = repository.find(tx, connection_id)
                assert connection is not None
                row = connection.row
                if wanted.provider_key in {None, row.provider_key} and wanted.name in {None, row.name}:
                    return connection
        return None

    def _again(self, tx: Transaction, actor: Actor, app_id: str, connection_id: str, wanted: ConnectTarget) -> _Outcome:
        """What exists, asked to be connected once more: only scopes that it does not have yet are new."""
        connection = repository.get(tx, actor.user_id, app_id, connection_id)
        if asks_consent(connection) and not _has_asked_for(connection, wanted):
            scopes = tuple(dict.fromkeys([*connection.config.get("scopes", ()), *(wanted.scopes or ())]))
            patch = ConnectionPatch(config=ConfigInput(scopes=scopes))
            connection = self._connections.change(tx, actor, connection, patch)
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        evidence = () if upstream is None else tuple(PlanEvidence(**each) for each in json.loads(upstream.evidence))
        plan = ConnectPlan(method=Method.EXISTING, evidence=evidence, steps=_steps_again(connection))
        return _Outcome(connection, plan)

    def _hold(self, tx: Transaction, actor: Actor, app_id: str, wanted: ConnectTarget, draft: Draft) -> _Outcome:
        """Make the connection, or make anew what came to nothing; of two calls at once the second finds it made."""
        repository.hold(tx, app_id)
        before = self._find(tx, actor, app_id, wanted)
        if before is not None and not (_came_to_nothing(tx, before) or _has_moved(before, draft.plan)):
            return self._again(tx, actor, app_id, before.id, wanted)
        if before is None:
            made = self._connections.add(tx, actor, app_id, draft.body)
        else:
            made = self._mend(tx, actor, before, draft)
        settled = self._settle(tx, actor, made, draft, wanted.variables)
        has_client = settled.client is not None and settled.client.is_manual
        plan = replace(draft.plan, steps=ALLOW) if has_client else draft.plan
        return _Outcome(settled, _shown(plan), is_new=before is None)

    def _mend(self, tx: Transaction, actor: Actor, before: Connection, draft: Draft) -> Connection:
        assert draft.body.config is not None
        written = before.config.keys() & ConfigInput.model_fields.keys() - {"type", *READ_ONLY_CONFIG}
        cleared = dict.fromkeys(written) | draft.body.config.model_dump(exclude_unset=True, by_alias=False)
        before = before.with_row(provider_key=draft.body.provider_key)
        return self._connections.change(tx, actor, before, ConnectionPatch(config=ConfigInput(**cleared)))

    def _move(self, tx: Transaction, actor: Actor, seen: Connection, draft: Draft, issuer: str) -> bool:
        repository.hold(tx, seen.row.app_id)
        before = repository.find(tx, seen.id)
        if before is None or before.config != seen.config:
            return False  # somebody was quicker
        after = self._settle(tx, actor, self._mend(tx, actor, before, draft), draft, {})
        if after.row.status == Status.PENDING:
            told = last_error(Code.REAUTHORIZATION_REQUIRED, moved_sentence(issuer))
            repository.store(tx, after.with_row(status=Status.NEEDS_REAUTH, last_error=told), self._clock.now())
        return True

    def _settle(
        self, tx: Transaction, actor: Actor, made: Connection, draft: Draft, variables: Mapping[str, str]
    ) -> Connection:
        plan, config, now = draft.plan, dict(made.config), self._clock.now()
        if variables and plan.config_type in RULED:
            config["variables"] = dict(variables)
            if plan.config_type is ConfigType.AWS_SIGV4:
                config |= {name: variables[name] for name in ("region", "service") if name in variables}
        seen = now if plan.config_type is ConfigType.NONE and plan.problem is None else made.row.last_validated_at
        has_client = made.client is not None and draft.status is Status.DRAFT and plan.problem is None
        status = Status.PENDING if has_client else draft.status
        changed = made.with_config(config, status=status, last_error=draft.last_error, last_validated_at=seen)
        after = repository.store(tx, changed, now)
        upstreams.put(tx, after.id, _upstream(plan))
        if plan.method is Method.CLIENT_METADATA_DOCUMENT and plan.problem is None and after.client is None:
            return self._registrations.bind_document(tx, actor, after.id)
        return after


def _has_client(tx: Transaction, app_id: str, plan: Plan) -> bool:
    """Whether somebody entered a client for the authorization server of the plan."""
    if plan.server is None or plan.server.authorization_endpoint is None:
        return False
    server = AuthorizationServer(plan.server.authorization_endpoint, plan.server.token_endpoint)
    clients = tx.all(provider_clients.LIST_AT, slug=server.slug, app_id=app_id)
    return any(each.origin == Origin.MANUAL for each in clients)


def _has_asked_for(connection: Connection, wanted: ConnectTarget) -> bool:
    return set(wanted.scopes or ()) <= set(connection.config.get("scopes", ()))


def _came_to_nothing(tx: Transaction, connection: Connection) -> bool:
    """Whether discovery failed and nobody has done anything by hand since, so that it is worth trying again."""
    upstream = tx.one(upstreams.FIND, connection_id=connection.id)
    is_stuck = connection.row.status in {Status.INVALID, Status.DRAFT} and error_of(connection) in NEXT_STEPS
    return is_stuck and not connection.secrets and upstream is not None and upstream.server == "{}"


def _may_have_moved(connection: Connection) -> bool:
    is_broken = connection.row.status in {Status.INVALID, Status.NEEDS_REAUTH, Status.DEGRADED}
    return is_broken and connection.config["type"] == ConfigType.MCP_OAUTH and "token_endpoint" in connection.config


def _has_moved(connection: Connection, plan: Plan) -> bool:
    return _may_have_moved(connection) and _leads_elsewhere(connection, plan)


def _leads_elsewhere(connection: Connection, plan: Plan) -> bool:
    server = plan.server if plan.problem is None and plan.config_type is ConfigType.MCP_OAUTH else None
    return server is not None and server.token_endpoint != connection.config.get("token_endpoint")


def _scopes_there(connection: Connection, plan: Plan) -> tuple[str, ...] | None:
    """The scopes that are asked for already, if the other server knows them; else those that it asks for itself."""
    asked = tuple(connection.config.get("scopes", ()))
    known = () if plan.server is None else plan.server.scopes_supported
    return asked if asked and set(asked) <= set(known) else None


def _upstream(plan: Plan) -> UpstreamRow:
    """What is kept of the plan. MCP servers always get to hear for whom a token is meant (RFC 8707)."""
    is_mcp = plan.config_type is ConfigType.MCP_OAUTH
    return UpstreamRow(
        target=plan.target,
        method=plan.method,
        resource=plan.resource or (plan.target if is_mcp else None),
        server="{}" if plan.server is None else json.dumps(asdict(plan.server)),
        evidence=json.dumps([_shown_evidence(each).model_dump() for each in plan.evidence]),
        is_mcp=int(plan.is_mcp or is_mcp),
    )


def _shown(plan: Plan) -> ConnectPlan:
    steps = plan.steps if plan.problem is None else (plan.problem.next_step, *plan.steps)
    evidence = tuple(_shown_evidence(each) for each in plan.evidence)
    return ConnectPlan(method=plan.method, evidence=evidence, steps=steps)


def _shown_evidence(evidence: Evidence) -> PlanEvidence:
    return PlanEvidence(url=evidence.url, status=evidence.status, finding=evidence.finding)


def _steps_again(connection: Connection) -> tuple[str, ...]:
    status = connection.row.status
    if status == Status.DISABLED:
        return ("It exists and is disabled: set its status to draft to enable it",)
    if needs_person(connection):
        return ("It exists already: open the link to finish it", "For a second one, call again with another name")
    return ("It is connected already", "For a second one, call again with another name")

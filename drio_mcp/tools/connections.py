"""The tools about auth connections and the providers that they are made for."""

from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, Field, StrictBool
from pydantic.json_schema import SkipJsonSchema

from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.next_step import while_waiting
from drio_mcp.connections.record.schemas import (
    AuthConnection,
    ConfigInput,
    ConfigWithSecrets,
    Connect,
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionPatch,
    ConnectionQuery,
    CreateAuthConnection,
    NewConnection,
    UpdateAuthConnection,
)
from drio_mcp.models import Model
from drio_mcp.tools.next_step import WAIT_FOR_PERSON, with_arguments
from drio_mcp.tools.tool import Answer, Call

M = TypeVar("M", bound=BaseModel)


def _refuse_reference(reference: str | None) -> str | None:
    if reference is not None:
        raise ValueError("is not taken by tools: an operator sets it by REST")
    return reference


NoReference = Annotated[SkipJsonSchema[str | None], AfterValidator(_refuse_reference)]
"""Where REST takes a reference to a secret of the server's own (contract section 3): no model names one."""

CLEARED_BY_NULL = Field(default=None, description="Only what changes; a member that is null is cleared.")


class InApp(Model):
    """Where the path of the REST call names the app."""

    app_id: str | None = None


class OnConnection(InApp):
    """Where it names a connection too."""

    auth_id: str


class Write(Model):
    """The query of every write."""

    dry_run: StrictBool = False


class ListConnections(ConnectionQuery, InApp):
    """The query of the REST call, in an app."""


class CreateConnection(NewConnection, InApp, Write):
    """The REST body without secrets, in an app."""

    secret_ref: NoReference = None


class CreateConnectionWithSecrets(CreateAuthConnection, InApp, Write):
    """The REST body, in an app."""

    secret_ref: NoReference = None


class WaitFor(Model):
    """Where the query of the REST call says how long to wait."""

    wait_seconds: int = Field(default=0, ge=0, le=55, description="Waits so long for the person.")


class ReadConnection(OnConnection, WaitFor):
    """Which connection."""


class ConnectionActions(Model):
    """What else can be asked of a connection beside its change."""

    renew_secret: StrictBool = Field(default=False, description="Gives a link to enter a new secret.")
    restore: StrictBool = Field(default=False, description="Takes back a deletion, for 10 minutes.")


class UpdateConnection(ConnectionPatch, OnConnection, Write, ConnectionActions):
    """The REST body without secrets, for a connection."""

    app_id: str | None = None
    config: ConfigInput | None = CLEARED_BY_NULL
    secret_ref: NoReference = None


class UpdateConnectionWithSecrets(UpdateAuthConnection, OnConnection, Write, ConnectionActions):
    """The REST body, for a connection."""

    app_id: str | None = None
    config: ConfigWithSecrets | None = CLEARED_BY_NULL
    secret_ref: NoReference = None


class DeleteConnection(OnConnection, Write):
    """Which connection."""


async def app_of(call: Call, arguments: InApp) -> str:
    """The app that is meant. Raises `NotFound`, or says which to name when there are several."""
    return (await call.services.apps.resolve(call.user_id, arguments.app_id)).id


def body_of(model: type[M], arguments: BaseModel) -> M:
    """The part of the arguments that is the body of the REST call, with nothing set that was not sent."""
    sent = {name: getattr(arguments, name) for name in arguments.model_fields_set if name in model.model_fields}
    return model.model_construct(set(sent), **sent)


async def list_auth_connections(call: Call, arguments: ListConnections) -> Answer:
    query = ConnectionQuery(
        status=arguments.status,
        provider_key=arguments.provider_key,
        limit=arguments.limit,
        cursor=arguments.cursor,
    )
    apps = 1 if arguments.app_id else await call.services.apps.count(call.user_id)
    if apps > 1:
        answer = await call.services.connections.list_of_person(call.user_id, query)
        where = f"{apps} apps"
    else:
        where = await app_of(call, arguments)
        answer = await call.services.connections.list(call.user_id, where, query)
    lines = [f"{len(answer.auth)} auth connection{'' if len(answer.auth) == 1 else 's'} in {where}:"]
    lines += [f"- {auth.name}: {summary(auth)}{reason(auth)}" for auth in answer.auth]
    if apps > 1 and len(answer.auth) == query.limit:
        lines.append("There may be more: name an appId")
    if answer.next_cursor is not None:
        lines.append(f"There are more: call again with cursor {answer.next_cursor}")
    return Answer(answer, "\n".join(lines))


async def get_auth_connection(call: Call, arguments: ReadConnection) -> Answer:
    app_id = await app_of(call, arguments)
    await call.services.waiting.settled(call.user_id, app_id, arguments.auth_id, arguments.wait_seconds)
    auth = (await call.services.connections.get(call.user_id, app_id, arguments.auth_id)).auth
    config = auth.config.model_dump_json(exclude={"type"})
    lines = [f"{auth.name}: {summary(auth)}", f"config: {config}"]
    if auth.last_error is not None:
        lines.append(f"Last error: {auth.last_error}")
    history = await call.services.history.last(auth.id)
    lines += [f"{each.at} {each.event} by {each.actor.name}: {each.outcome}" for each in history]
    step = while_waiting(auth)
    if step is not None:
        lines.append(f"Next: call {step.tool}{with_arguments(step.arguments)} for what it waits for, and the link.")
    waited_for = step if arguments.wait_seconds else None
    return Answer(ConnectionAnswer(auth=auth, next_step=waited_for), "\n".join(lines))


async def create_auth_connection(call: Call, arguments: CreateConnection | CreateConnectionWithSecrets) -> Answer:
    app_id = await app_of(call, arguments)
    model = NewConnection if isinstance(arguments, CreateConnection) else CreateAuthConnection
    view = await call.services.connections.create(
        Actor.client(call.principal), app_id, body_of(model, arguments), dry_run=arguments.dry_run
    )
    return await changed(call, view, "Would create" if arguments.dry_run else "Created")


async def update_auth_connection(call: Call, arguments: UpdateConnection | UpdateConnectionWithSecrets) -> Answer:
    app_id = await app_of(call, arguments)
    model = ConnectionPatch if isinstance(arguments, UpdateConnection) else UpdateAuthConnection
    patch = body_of(model, arguments)
    if arguments.restore:
        actor = Actor.client(call.principal)
        await call.services.removals.restore(actor, app_id, arguments.auth_id, dry_run=arguments.dry_run)
    view = await call.services.connections.update(
        Actor.client(call.principal), app_id, arguments.auth_id, patch, dry_run=arguments.dry_run
    )
    return await changed(call, view, "Would change to" if arguments.dry_run else "Now", renews=arguments.renew_secret)


async def delete_auth_connection(call: Call, arguments: DeleteConnection) -> Answer:
    app_id = await app_of(call, arguments)
    until = await call.services.removals.remove_by_key(
        Actor.client(call.principal), app_id, arguments.auth_id, dry_run=arguments.dry_run
    )
    if arguments.dry_run:
        return Answer(ConnectionDeleted(dry_run=True), "Would delete the auth connection. Nothing was changed.")
    text = (
        f"Disabled; the auth connection is deleted with its secrets at {until}. "
        "Until then update_auth_connection with restore: true brings it back."
    )
    return Answer(ConnectionDeleted(undo_until=until), text)


async def changed(call: Call, view: View, verb: str, *, renews: bool = False) -> Answer:
    """The connection after a write, with the link for its owner where a person must enter something, or wants to."""
    connect = await call.services.links.offer(call.user_id, view)
    if renews and connect is None and not view.is_dry_run:
        connect = await call.services.links.create(call.user_id, view.auth.id)
    answer = ConnectionAnswer(auth=view.auth, connect=connect, dry_run=view.is_dry_run or None)
    lines = [f"{verb}: {view.auth.name}, {summary(view.auth)}"]
    if view.is_dry_run:
        lines.append("Nothing was changed.")
    if connect is not None:
        lines.append(invitation(connect))
    return Answer(answer, "\n".join(lines))


def summary(auth: AuthConnection) -> str:
    """A connection in one line."""
    default = ", default" if auth.config.is_default else ""
    return f"authId {auth.id} (key {auth.key}), {auth.provider_key}, {auth.config.type}, {auth.status}{default}"


def reason(auth: AuthConnection) -> str:
    """Why it is as it is, where something is the matter."""
    return "" if auth.last_error is None else f" ({auth.last_error})"


def invitation(connect: Connect) -> str:
    """What the model should pass on."""
    return (
        f"It needs something that only its owner should type. Give the person this link, which works once until "
        f"{connect.expires_at}: {connect.url}\n{WAIT_FOR_PERSON}"
    )

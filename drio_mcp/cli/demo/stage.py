"""Where the demonstration takes place: both servers in one process, and somebody who tells what happens."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from drio_mcp.accounts import Person
from drio_mcp.app import create_app
from drio_mcp.cli.demo.service import DemoService
from drio_mcp.cli.http.listening import listen
from drio_mcp.cli.http.server import Server
from drio_mcp.clock import SECOND, SystemClock, rfc3339
from drio_mcp.config import Settings
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import UpdateAuthConnection
from drio_mcp.errors import StartupError
from drio_mcp.models import DEFAULT_SCOPES
from drio_mcp.oauth.resources import app_resource
from drio_mcp.opaque import Secret, SystemRandomness, b64url
from drio_mcp.services import Services, build_services
from drio_mcp.store import history

USUAL_PORT = 8000
EMAIL = "demo@example.com"
TOKEN_SECONDS = 86_400
LOOK_SECONDS = 0.25
ROUND_SECONDS = 1.0
"""How often due refreshes are looked for: more often than in earnest, where tokens live longer."""

INTRODUCTION = """
drio-mcp demo. Everything here is gone when you press Ctrl-C.

  MCP URL      {mcp}
  App's URL    {app_mcp}   (what is connected, to be used)
  Account      {email}, password {password}
  Demo service {service}   (its access tokens live {lifetime} seconds)

1. Open this link, sign in, and press Allow at the demo service:
   {link}
2. Watch below: the connection becomes valid, and each time its token runs out it is refreshed by itself.
3. Press "Withdraw the access" at {service}: the next refresh fails, the connection says so,
   and a new link comes below that heals it.
4. Add the app's URL to an assistant and choose Everything: it can list your notes at once. To write one it is given a
   link first, where you see exactly what would be written; the same call then works.

The same over REST:
   curl -s {api}/auth -H 'Authorization: Bearer {token}'

What happens:"""


def perform(folder: Path, port: int | None, lifetime: int) -> None:
    """Serve until a signal comes. Without a port it is 8000, or a free one where another program has that."""
    with contextlib.ExitStack() as sockets:
        ours, theirs = sockets.enter_context(_our_socket(port)), sockets.enter_context(_listen(0))
        service = DemoService(_origin(theirs), lifetime, SystemClock(), SystemRandomness())
        services = build_services(settings_of(folder, ours.getsockname()[1], service))
        app = create_app(services.settings, services=services)
        logging.getLogger("drio_mcp").setLevel(logging.WARNING)
        DemoServer(app, services, service, theirs.getsockname()[1]).run(sockets=[ours, theirs])


def _our_socket(port: int | None) -> socket.socket:
    if port is not None:
        return _listen(port)
    try:
        return _listen(USUAL_PORT)
    except StartupError:
        free = _listen(0)
        click.echo(f"Port {USUAL_PORT} is taken, so this runs on port {free.getsockname()[1]}.")
        return free


def _listen(port: int) -> socket.socket:
    return listen("127.0.0.1", port, host_setting="--port", port_setting="--port")


def settings_of(folder: Path, port: int, service: DemoService) -> Settings:
    """The defaults, whatever the environment says: a demonstration touches no real database and no real keys."""
    values = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    values |= {"data_dir": folder, "port": port, "outbound_allow": (service.origin.removeprefix("http://"),)}
    return Settings(**values)


class DemoServer(Server):
    """Both applications on their ports, and the story as soon as they answer."""

    def __init__(self, app: Starlette, services: Services, service: DemoService, service_port: int) -> None:
        super().__init__(app)
        self.config.app = ByPort(app, {service_port: service.app()})
        self._story = Story(services, service)
        self._telling: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._telling = asyncio.create_task(self._story.tell())
        self._telling.add_done_callback(self._end_with_the_story)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait([self._telling])
        await super().shutdown(sockets)

    def _end_with_the_story(self, telling: asyncio.Task[None]) -> None:
        """Without its story the demonstration is over."""
        if not telling.cancelled() and (failure := telling.exception()) is not None:
            click.echo(f"drio-mcp: The demo cannot go on ({type(failure).__name__})", err=True)
            self.should_exit = True


class ByPort:
    """One application per port; the first for everything else."""

    def __init__(self, app: ASGIApp, others: Mapping[int, ASGIApp]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        port = scope["server"][1] if scope["type"] == "http" else -1
        await self._others.get(port, self._app)(scope, receive, send)


@dataclass
class Story:
    """Prepares an account and a connection, and then says whatever changes."""

    services: Services
    service: DemoService

    async def tell(self) -> None:
        """Until it is cancelled."""
        password = b64url(self.services.randomness.bytes(12))
        person = await self.services.people.create(EMAIL, "Demo", Secret(password), is_operator=True)
        [app] = await self.services.apps.list(person.id)
        token = await self.services.grants.issue_personal(person.id, DEFAULT_SCOPES, TOKEN_SECONDS, "Demo")
        auth_id, link = await self._connect(person, app.id)
        asked = UpdateAuthConnection.model_validate({"use": {"tools": {"write_note": "ask"}}})
        await self.services.connections.update(Actor.person(person.id, person.name), app.id, auth_id, asked)
        origin = self.services.settings.origin
        click.echo(
            INTRODUCTION.format(
                mcp=self.services.settings.resource,
                app_mcp=app_resource(self.services.settings, app.public_mcp_id),
                email=EMAIL,
                password=password,
                service=self.service.origin,
                lifetime=self.service.lifetime,
                link=link,
                api=f"{origin}/api/v1/apps/{app.id}",
                token=token,
            )
        )
        await self._watch(person, app.id, auth_id)

    async def _connect(self, person: Person, app_id: str) -> tuple[str, str]:
        """The connection to the demo service, and the link that its owner opens."""
        actor = Actor.person(person.id, person.name)
        connected = await self.services.connect.connect(
            actor, app_id, ConnectAuth(target=self.service.target, name="Demo notes")
        )
        return connected.auth.id, connected.connect.url if connected.connect is not None else ""

    async def _watch(self, person: Person, app_id: str, auth_id: str) -> None:
        """Say each event of the connection and each change of its status; refresh what is due."""
        clock, status, looked_at = self.services.clock, "", 0
        place: dict[str, Any] = {"at": 0, "connection_id": "", "number": 0}
        while True:
            if clock.now() - looked_at >= ROUND_SECONDS * SECOND:
                looked_at = clock.now()
                await self.services.token_refresh.refresh_due(looked_at)
            rows = await self.services.db.read(lambda tx: tx.all(history.LIST_AFTER, limit=100, **place))  # noqa: B023
            for connection_id, _, row in rows:
                place = {"at": row.at, "connection_id": connection_id, "number": row.number}
                self._say(f"{row.event}, by {row.actor_name}: {row.detail or row.outcome}")
            auth = (await self.services.connections.get(person.id, app_id, auth_id)).auth
            if auth.status != status:
                status = auth.status
                self._say(f"status {status}" + (f": {auth.last_error}" if auth.last_error else ""))
                if status in {"needs_reauth", "invalid"}:
                    _, link = await self._connect(person, app_id)
                    self._say(f"open this link to heal it: {link}")
            await asyncio.sleep(LOOK_SECONDS)

    def _say(self, what: str) -> None:
        """One line with the hour, in UTC."""
        click.echo(f"  {rfc3339(self.services.clock.now())[11:19]}  {what}")


def _origin(listener: socket.socket) -> str:
    host, port = listener.getsockname()
    return f"http://{host}:{port}"

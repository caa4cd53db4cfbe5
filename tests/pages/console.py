"""Ada, her app, and what she does with its connections."""

from dataclasses import dataclass
from typing import Any

from drio_mcp.accounts import Person
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection, ConnectionPatch, CreateAuthConnection
from drio_mcp.store import Statement
from tests.pages.conftest import Site, Visitor

FOUND = Statement("UPDATE connections SET status = :status, last_error = :last_error WHERE id = :id")

OAUTH: dict[str, Any] = {
    "name": "HubSpot",
    "providerKey": "custom-oauth",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
        "tokenEndpoint": "https://accounts.example.com/oauth/token",
        "clientId": "client_123",
        "scopes": ["contacts:read"],
    },
}
KEY: dict[str, Any] = {
    "name": "Weather",
    "providerKey": "custom-api-key",
    "config": {"headerName": "X-Api-Key", "headerPrefix": "Key ", "apiBaseUrl": "https://api.weather.example"},
}


@dataclass(slots=True)
class Console:
    """One person's app, seen from inside and from her browser."""

    site: Site
    visitor: Visitor
    person: Person
    app_id: str

    @property
    def path(self) -> str:
        return f"/apps/{self.app_id}"

    def at(self, auth: AuthConnection) -> str:
        """The connection's page."""
        return f"{self.path}/auth/{auth.id}"

    async def create(self, body: dict[str, Any]) -> AuthConnection:
        view = await self.site.services.connections.create(
            self.actor, self.app_id, CreateAuthConnection.model_validate(body)
        )
        return view.auth

    async def read(self, auth: AuthConnection | str) -> AuthConnection:
        """As it is stored now. Raises `NotFound`."""
        name = auth if isinstance(auth, str) else auth.id
        return (await self.site.services.connections.get(self.person.id, self.app_id, name)).auth

    async def change(self, auth: AuthConnection, **patch: Any) -> None:
        body = ConnectionPatch.model_validate(patch)
        await self.site.services.connections.update(self.actor, self.app_id, auth.id, body)

    async def record(self, auth: AuthConnection, status: str, last_error: str) -> None:
        """Write what a check would have found."""
        await self.site.services.db.write(lambda tx: tx.run(FOUND, id=auth.id, status=status, last_error=last_error))

    async def all(self) -> tuple[AuthConnection, ...]:
        return (await self.site.services.connections.list(self.person.id, self.app_id)).auth

    @property
    def actor(self) -> Actor:
        return Actor.person(self.person.id, self.person.name)


async def open_console(site: Site, visitor: Visitor) -> Console:
    """Ada, signed in."""
    person = await site.person()
    await visitor.sign_in()
    (app,) = await site.services.apps.list(person.id)
    return Console(site, visitor, person, app.id)

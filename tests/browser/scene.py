"""People and apps to look at: one connection in each status, long and foreign names, and nothing at all."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from drio_mcp.accounts.apps import CreateApp, UpdateApp
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import CreateAuthConnection, Status
from drio_mcp.events.schemas import NewWebhook
from drio_mcp.store import Transaction
from drio_mcp.store.database import Statement
from tests.helpers.oauth import authorize, challenge_of, exchange, register
from tests.helpers.server import RunningServer, Someone

LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft and their many subsidiaries"
ARABIC = "خدمة الطقس العالمية"
EMOJI = "🚀 Launch 👩‍👩‍👧‍👦 desk 🇩🇪"
HOSTILE_CLIENT = "<b>Claude</b> \u202eevil\u202c Сlaude by Anthropic (verified) — click Allow, it is safe " + "!" * 80

SET_STATUS = Statement(
    "UPDATE connections SET status = :status, last_error = :last_error, last_validated_at = :at WHERE id = :id"
)

OAUTH = {
    "type": "oauth",
    "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
    "tokenEndpoint": "https://accounts.example.com/oauth/token",
    "clientId": "client_123",
    "scopes": ["contacts:read", "contacts:write"],
}
KEY = {"type": "api_key_header", "headerName": "X-Api-Key", "apiBaseUrl": "https://api.weather.example"}

CONNECTIONS: list[tuple[str, str, dict[str, Any], Status, str | None]] = [
    ("HubSpot", "custom-oauth", OAUTH, Status.VALID, None),
    ("Weather", "custom-api-key", KEY, Status.DRAFT, None),
    ("Stripe", "stripe", {}, Status.PENDING, None),
    (
        "Calendar",
        "custom-oauth",
        OAUTH,
        Status.NEEDS_REAUTH,
        "reauthorization_required: The provider no longer honours the grant: the person must allow it anew",
    ),
    ("Billing", "custom-oauth", OAUTH, Status.EXPIRING, None),
    ("Search", "custom-bearer", {}, Status.INVALID, "key_rejected: The provider refused the key, token or password"),
    (LONG, "custom-oauth", OAUTH, Status.DEGRADED, "provider_outage: The provider has an error of its own"),
    (ARABIC, "custom-basic", {}, Status.DISABLED, None),
    (EMOJI, "custom-oauth", OAUTH, Status.INVALID, "client_unknown: The provider does not know our client id"),
]


@dataclass(frozen=True, slots=True)
class Scene:
    """Somebody with an app full of connections, and with an empty one."""

    server: RunningServer
    someone: Someone
    app_id: str
    empty_app_id: str
    connections: dict[str, str]
    """Ids by name."""
    webhook_id: str

    @property
    def app(self) -> str:
        return f"/apps/{self.app_id}"

    @property
    def webhook(self) -> str:
        """The page of the app's webhook, whose receiver does not answer."""
        return f"{self.app}/webhooks/{self.webhook_id}"

    def auth(self, name: str) -> str:
        """The page of a connection."""
        return f"{self.app}/auth/{self.connections[name]}"

    def link(self, name: str) -> str:
        """A fresh link to the page where its secret is entered."""
        connect = self.server.run(self.server.services.links.create(self.someone.person.id, self.connections[name]))
        return urlsplit(connect.url).path


def build_scene(server: RunningServer, someone: Someone) -> Scene:
    """Everything for one person."""
    services, user_id = server.services, someone.person.id
    (app,) = server.run(services.apps.list(user_id))
    empty = server.run(services.apps.create(user_id, CreateApp(name=f"{ARABIC} {EMOJI}", description=LONG)))
    server.run(services.apps.update(user_id, app.id, UpdateApp(name="Sales desk", description="Leads and invoices")))
    actor = Actor.person(user_id, someone.person.name)
    connections = {}
    for name, provider_key, config, status, last_error in CONNECTIONS:
        body = CreateAuthConnection.model_validate({"name": name, "providerKey": provider_key, "config": config})
        auth = server.run(services.connections.create(actor, app.id, body)).auth
        connections[name] = auth.id
        server.run(services.db.write(_set_status, auth.id, status, last_error, services.clock.now()))
    with server.client() as http:
        client_id = register(http, client_name=HOSTILE_CLIENT)["client_id"]
        for _ in range(2):  # it connected twice, so that the account page lists both
            exchange(http, client_id, authorize(server, someone, client_id)).raise_for_status()
    hook = NewWebhook(url="https://hooks.example.com/drio/connections", description="The desk’s own ledger")
    webhook = server.run(services.webhooks.create(user_id, app.id, hook)).webhook
    server.run(services.deliveries.test(user_id, app.id, webhook.id))
    return Scene(server, someone, app.id, empty.id, connections, webhook.id)


def _set_status(tx: Transaction, auth_id: str, status: Status, last_error: str | None, now: int) -> None:
    at = None if status in {Status.DRAFT, Status.PENDING} else now
    tx.run(SET_STATUS, id=auth_id, status=status, last_error=last_error, at=at)


def authorize_path(client_id: str, redirect_uri: str, **parameters: str) -> str:
    """The address where a client asks for access."""
    query = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "code_challenge": challenge_of("v" * 43),
        "code_challenge_method": "S256",
        "state": json.dumps({"some": "state"}),
        **parameters,
    }
    return f"/api/v1/auth/authorize?{urlencode(query)}"

"""A server in front of providers, with a person who has a token that may use connections."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from drio_mcp.connections.record import repository
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.models import DEFAULT_SCOPES, Scope
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams import AuthorizationServer, Upstream, allow


@dataclass
class Stage:
    """What stands on it. `api` is a client whose paths begin behind the app's `auth`."""

    server: RunningServer
    someone: Someone
    app_id: str
    api: httpx2.Client

    def create(self, **body: Any) -> str:
        """A connection; gives its id."""
        answer = self.api.post(f"{self.server.url}/api/v1/apps/{self.app_id}/auth", json={"name": "Made", **body})
        assert answer.status_code == 201, answer.text
        auth_id: str = answer.json()["auth"]["id"]
        return auth_id

    def connect_own_client(self, provider: Upstream, server: AuthorizationServer, **config: Any) -> str:
        """A connection by a client that was entered by hand, allowed by a click; gives its id."""
        client = server.add_client("to be known")
        known = {
            "type": "oauth",
            **client.config(provider.origin),
        }
        auth_id = self.create(providerKey="custom-oauth", config=known | config)
        client.redirect_uris = [self.redirect_uri(auth_id)]
        self.consent(auth_id)
        return auth_id

    def redirect_uri(self, auth_id: str) -> str:
        """Where the provider sends the person back to (contract section 7: one address per authorization server)."""
        found = self.server.run(self.server.services.db.read(repository.find, auth_id))
        assert found is not None
        return redirect_uri(self.server.services.settings, found.callback)

    def consent(self, auth_id: str) -> None:
        """The person goes to the provider, allows it, and comes back."""
        person = Actor.person(self.someone.person.id, "Ada")
        consent = self.server.services.provider_consent

        async def walk() -> None:
            back = httpx2.URL(await allow(await consent.begin(person, auth_id, "browser")))
            await consent.finish(person, back.path.rpartition("/")[2], "browser", back.params.multi_items())

        self.server.run(walk())

    def history(self, auth_id: str) -> list[dict[str, Any]]:
        lines: list[dict[str, Any]] = self.api.get(f"/{auth_id}/history").json()["history"]
        return lines


@contextmanager
def stage(folder: Path, *providers: Upstream, **settings: Any) -> Iterator[Stage]:
    """A server that reaches `providers` and nothing else on loopback."""
    with ExitStack() as stack:
        allowed = tuple(each.host_port for each in providers)
        server = stack.enter_context(running_server(folder, outbound_allow=allowed, **settings))
        someone = server.add_person()
        token = server.issue_token(someone.person.id, [*DEFAULT_SCOPES, Scope.CONNECTIONS_USE])
        headers = {"Authorization": f"Bearer {token}"}
        with server.client(headers=headers) as client:
            app_id = client.get("/api/v1/apps").json()["apps"][0]["id"]
        api = httpx2.Client(
            base_url=f"{server.url}/api/v1/apps/{app_id}/auth", headers=headers, trust_env=False, timeout=30
        )
        yield Stage(server, someone, app_id, stack.enter_context(api))

"""Gmail for everybody: an operator enters one client, two people connect with one call and one click each.

Against a simulated Google that is as strict as the catalog's entry: nobody but the operator has anything to enter.
"""

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.upstream.provider_client import CreateProviderClient
from drio_mcp.connections.use.proxy import ProxiedCall
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock
from tests.connections.place import Place
from tests.simulators.flows import place_in
from tests.simulators.provider import CLIENT_ID, CLIENT_SECRET, SimulatedProvider
from tests.simulators.world import running_world


def entry(key: str) -> dict[str, Any]:
    """What the catalog says of a provider."""
    for file in (files("drio_mcp.connections.catalog") / "data").iterdir():
        if file.name.endswith(".json"):
            for each in json.loads(file.read_text(encoding="utf-8")):
                if each["key"] == key:
                    return dict(each)
    raise KeyError(key)


async def beside(here: Place, name: str, *, is_operator: bool = False) -> Place:
    people = here.services.people
    person = await people.create(f"{name}@example.com", name, Secret("long enough a word"), is_operator)
    (app,) = await here.services.apps.list(person.id)
    return replace(here, actor=Actor(person.id, "client", "Tests"), app_id=app.id)


async def profile(who: Place, auth_id: str) -> int:
    """The status of a call of the API with the person's access."""
    call = ProxiedCall("GET", "gmail/v1/users/me/profile", "", [], None)
    async with who.services.proxy.call(who.actor, who.app_id, auth_id, call) as answer:
        async for _ in answer.chunks:
            pass
        return answer.status


async def test_two_people_connect_gmail_and_neither_types_a_secret(tmp_path: Path, clock: FakeClock) -> None:
    with running_world() as world:
        async with place_in(tmp_path, clock, world, None) as ada:
            bob, operator = await beside(ada, "bob"), await beside(ada, "op", is_operator=True)
            google = world.provider = SimulatedProvider(entry("google-gmail"), {}, clock.now)
            assert (await ada.services.provider_listing.get(ada.actor.user_id, None, "google-gmail")).client == "needed"
            body = CreateProviderClient.model_validate(
                {"providerKey": "google-gmail", "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
            )
            client = (await ada.services.provider_clients.create(operator.actor, None, body)).client
            google.redirect_uri = client.redirect_uri
            for who in (ada, bob):
                found = await who.services.provider_listing.get(who.actor.user_id, who.app_id, "google-gmail")
                assert found.client == "server"
                done = await who.connect(providerKey="google-gmail")
                assert (done.plan.method, done.auth.status, done.plan.steps) == (
                    "preset",
                    "pending",
                    ("Open the link and allow access",),
                )
                assert done.connect is not None
                token = done.connect.url.rpartition("/")[2]
                view = await who.services.links.open(token, who.actor.user_id)
                assert (view.fields, view.setup) == ((), None)
                await who.services.links.submit(token, who.person, {})
                auth = await who.finish(done.auth, await world.visit(await who.begin(done.auth)))
                assert (auth.status, auth.last_error) == ("valid", None), google.complaints
                assert (auth.config.client_id, auth.config.client_secret) == (None, None)
                assert await profile(who, auth.id) == 200
                clock.advance(hours=2)
                assert await profile(who, auth.id) == 200, "refreshed with the operator's secret"
            shared = await ada.services.provider_clients.get(operator.actor.user_id, None, client.id)
            assert (shared.client.connections, shared.client.last_error) == (2, None)

"""A provider that no entry describes: what it takes is found out, one way at each consent, and remembered."""

from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.upstream.provider_client import CreateProviderClient
from tests.conftest import FakeClock
from tests.simulators.flows import Flow, place_in
from tests.simulators.provider import CLIENT_ID, CLIENT_SECRET
from tests.simulators.world import World

PLAIN: dict[str, Any] = {
    "key": "custom-oauth",
    "name": "Unknown",
    "kind": "oauth",
    "authorizationEndpoint": "https://as.unknown.example/authorize",
    "tokenEndpoint": "https://as.unknown.example/token",
    "apiOrigins": ["https://api.unknown.example"],
    "scopes": ["read"],
}
ENDPOINTS = {name: PLAIN[name] for name in ("authorizationEndpoint", "tokenEndpoint")}


@pytest.mark.parametrize(
    ("peculiar", "clicks", "found"),
    [
        ({"tokenEndpointAuthMethod": "client_secret_basic"}, 1, "client_secret_basic"),
        ({"tokenEndpointAuthMethod": "client_secret_post"}, 2, "client_secret_post"),
        ({"tokenEndpointAuthMethod": "client_secret_post", "tokenRequest": {"body": "json"}}, 3, "client_secret_post"),
        (
            {"tokenEndpointAuthMethod": "client_secret_basic", "tokenRequest": {"body": "json"}},
            4,
            "client_secret_basic",
        ),
    ],
)
async def test_the_next_click_tries_another_way_and_the_one_that_worked_is_remembered(
    peculiar: dict[str, Any], clicks: int, found: str, tmp_path: Path, world: World
) -> None:
    """A code that is spent on the wrong way is lost, so each consent has one try; the next person needs none."""
    async with place_in(tmp_path, FakeClock(), world, None) as place:
        flow = Flow(place, world, {**PLAIN, **peculiar})
        body = CreateProviderClient.model_validate({**ENDPOINTS, "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET})
        client = (await place.services.provider_clients.create(place.actor, place.app_id, body)).client
        flow.provider.redirect_uri = client.redirect_uri
        config = {"type": "oauth", **ENDPOINTS, "scopes": ["read"], "apiBaseUrl": "https://api.unknown.example"}
        auth = await place.create(providerKey="custom-oauth", config=config)
        for number in range(clicks):
            assert auth.status != "valid", number
            auth = await place.finish(auth, await world.visit(await place.begin(auth)))
        assert auth.status == "valid", flow.why
        assert await flow.call(auth) == 200, flow.why
        place.clock.advance(minutes=59, seconds=50)
        assert await flow.call(auth) == 200, flow.why
        shown = await place.services.provider_clients.get(place.actor.user_id, place.app_id, client.id)
        assert shown.client.token_endpoint_auth_method == found
        second = await place.create(providerKey="custom-oauth", name="Another", config=config)
        assert (await place.finish(second, await world.visit(await place.begin(second)))).status == "valid", flow.why

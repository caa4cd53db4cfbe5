"""Things that happen at the same moment, over real HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from tests.helpers.oauth import Code, authorize, register, sign_in
from tests.helpers.server import RunningServer, Someone

AT_ONCE = 20


async def at_once(server: RunningServer, work: Callable[[httpx2.AsyncClient], Awaitable[Any]], count: int) -> list[Any]:
    """The results of `work`, done by that many clients on connections of their own at the same time."""
    clients = [httpx2.AsyncClient(base_url=server.url, trust_env=False, timeout=30) for _ in range(count)]
    try:
        await asyncio.gather(*(client.get("/healthz") for client in clients))  # connected before the race starts
        return await asyncio.gather(*map(work, clients))
    finally:
        await asyncio.gather(*(client.aclose() for client in clients))


async def test_twenty_refreshes_of_one_token_leave_the_person_signed_in(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    """Contract section 4: refresh is idempotent; parallel tabs get the same successor."""
    client_id, tokens = sign_in(server, http, ada)

    async def refresh(client: httpx2.AsyncClient) -> httpx2.Response:
        data = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": tokens["refresh_token"]}
        return await client.post("/api/v1/auth/token", data=data)

    answers = await at_once(server, refresh, AT_ONCE)
    assert [answer.status_code for answer in answers] == [200] * AT_ONCE
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    headers = {"Authorization": f"Bearer {answers[0].json()['access_token']}"}
    assert http.get("/api/v1/me", headers=headers).status_code == 200


async def test_one_code_is_redeemed_once(server: RunningServer, http: httpx2.Client, ada: Someone) -> None:
    """RFC 6749 section 4.1.2: single use, and a second use ends what the first one got."""
    client_id = register(http)["client_id"]
    code: Code = authorize(server, ada, client_id)

    async def redeem(client: httpx2.AsyncClient) -> httpx2.Response:
        data = {
            "grant_type": "authorization_code",
            "client_id": client_id,
            "code": code.value,
            "code_verifier": code.verifier,
            "redirect_uri": code.redirect_uri,
        }
        return await client.post("/api/v1/auth/token", data=data)

    answers = await at_once(server, redeem, 8)
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7
    won = next(answer.json() for answer in answers if answer.status_code == 200)
    headers = {"Authorization": f"Bearer {won['access_token']}"}
    assert http.get("/api/v1/me", headers=headers).status_code == 401


async def test_at_most_one_default_per_app(server: RunningServer, api: httpx2.Client, ada: Someone) -> None:
    """Contract section 3: setting `isDefault` clears the other in the same transaction."""
    app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
    path = f"/api/v1/apps/{app_id}/auth"
    ids = [
        api.post(path, json={"name": f"Number {number}", "providerKey": "custom-bearer"}).json()["auth"]["id"]
        for number in range(8)
    ]
    left = iter(ids)

    async def make_default(client: httpx2.AsyncClient) -> httpx2.Response:
        body = {"config": {"isDefault": True}}
        return await client.patch(f"{path}/{next(left)}", json=body, headers=ada.headers)

    answers = await at_once(server, make_default, len(ids))
    assert [answer.status_code for answer in answers] == [200] * len(ids)
    connections = api.get(path).json()["auth"]
    assert sum(each["config"].get("isDefault", False) for each in connections) == 1


async def test_same_idempotency_key_at_once_creates_one(
    server: RunningServer, api: httpx2.Client, ada: Someone
) -> None:
    """Contract section 3: the same key and body give the first answer again."""
    app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
    path = f"/api/v1/apps/{app_id}/auth"

    async def create(client: httpx2.AsyncClient) -> httpx2.Response:
        body = {"name": "Once", "providerKey": "custom-oauth"}
        return await client.post(path, json=body, headers={**ada.headers, "Idempotency-Key": "the-key"})

    answers = await at_once(server, create, 8)
    assert len({answer.json()["auth"]["id"] for answer in answers}) == 1
    assert len(api.get(path).json()["auth"]) == 1

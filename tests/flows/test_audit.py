"""What the audit log says of a person's deeds: who, with which client, and from where."""

from typing import Any

import httpx2

from tests.helpers.oauth import authorize, exchange, refresh, register
from tests.helpers.server import RunningServer, Someone


def lines_of(server: RunningServer, user_id: str) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        return [line async for line in server.services.audit.lines() if line.get("userId") == user_id]

    return server.run(read())


def test_consent_reuse_and_revocation_name_client_and_address(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    client_id = register(http)["client_id"]
    answer = exchange(http, client_id, authorize(server, ada, client_id)).json()
    second = refresh(http, client_id, answer["refresh_token"]).json()
    refresh(http, client_id, second["refresh_token"])
    assert refresh(http, client_id, answer["refresh_token"]).status_code == 400
    other = exchange(http, client_id, authorize(server, ada, client_id)).json()
    http.post("/api/v1/auth/revoke", data={"token": other["refresh_token"], "client_id": client_id})
    lines = {line["event"]: line for line in lines_of(server, ada.person.id)}
    for event in ("consent_given", "reuse_detected", "grant_revoked"):
        assert (lines[event]["clientId"], lines[event]["address"]) == (client_id, "127.0.0.1"), event


def test_what_a_client_did_to_a_connection_names_person_client_and_address(
    server: RunningServer, http: httpx2.Client, ada: Someone
) -> None:
    client_id = register(http)["client_id"]
    token = exchange(http, client_id, authorize(server, ada, client_id)).json()["access_token"]
    body = {"name": "Weather", "providerKey": "custom-api-key", "config": {"headerName": "X-Api-Key"}}
    with server.client(headers={"Authorization": f"Bearer {token}"}) as api:
        (app,) = api.get("/api/v1/apps").json()["apps"]
        made = api.post(f"/api/v1/apps/{app['id']}/auth", json=body).json()["auth"]
    (line,) = [line for line in lines_of(server, ada.person.id) if line.get("connectionId") == made["id"]]
    assert (line["clientId"], line["address"]) == (client_id, "127.0.0.1")
    assert line["actor"] == {"type": "client", "name": "Test client"}

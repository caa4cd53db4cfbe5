"""Tokens that are brought along from elsewhere (contract section 3): taken by REST in place of a person's consent."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.opaque import MASK
from tests.api.stage import Stage, stage
from tests.upstreams import AuthorizationServer, KeyedApi, Upstream, upstream


def body(provider: Upstream, client: Any, **config: Any) -> dict[str, Any]:
    return {
        "providerKey": "custom-oauth",
        "name": "Brought",
        "config": {
            **client.config(provider.origin),
            "apiBaseUrl": f"{provider.origin}/v1/me",
            "scopes": ["read"],
            **config,
        },
    }


def issued(server: AuthorizationServer, client: Any) -> tuple[str, str]:
    """Tokens that the provider issued to the client somewhere else."""
    from tests.upstreams.authorization import Family

    family = Family(client.id, "read")
    server.families.append(family)
    family.access_tokens["at-elsewhere"] = 10.0**12
    family.refresh_tokens.append("rt-elsewhere")
    return "at-elsewhere", "rt-elsewhere"


def token_of(here: Stage, auth_id: str) -> httpx2.Response:
    return here.api.post(f"/{auth_id}/token")


def test_they_are_used_renewed_and_never_shown(tmp_path: Path) -> None:
    server = AuthorizationServer()
    with (
        upstream(server, KeyedApi(style="bearer", accepts=server.accepts)) as provider,
        stage(tmp_path, provider) as here,
    ):
        client = server.add_client("unused")
        access, refresh = issued(server, client)
        auth_id = here.create(**body(provider, client, accessToken=access, refreshToken=refresh))
        auth = here.api.get(f"/{auth_id}").json()["auth"]
        assert (auth["config"]["accessToken"], auth["config"]["refreshToken"]) == (MASK, MASK)
        assert (auth["status"], auth["lastError"]) == ("pending", None)
        assert access not in str(auth)
        assert token_of(here, auth_id).json()["token"]["accessToken"] == access
        checked = here.api.post(f"/{auth_id}/validate").json()
        assert (checked["check"]["ok"], checked["auth"]["status"]) == (True, "valid")
        assert here.api.post(f"/{auth_id}/refresh").status_code == 200
        newer = token_of(here, auth_id).json()["token"]["accessToken"]
        assert newer != access
        kept = here.api.patch(f"/{auth_id}", json={"config": {"accessToken": MASK, "refreshToken": MASK}})
        assert kept.status_code == 200
        assert token_of(here, auth_id).json()["token"]["accessToken"] == newer


def test_a_refresh_token_alone_is_enough(tmp_path: Path) -> None:
    server = AuthorizationServer()
    with (
        upstream(server, KeyedApi(style="bearer", accepts=server.accepts)) as provider,
        stage(tmp_path, provider) as here,
    ):
        client = server.add_client("unused")
        _, refresh = issued(server, client)
        auth_id = here.create(**body(provider, client))
        assert here.api.get(f"/{auth_id}").json()["auth"]["config"].get("refreshToken") is None
        changed = here.api.patch(f"/{auth_id}", json={"config": {"refreshToken": refresh}})
        assert (changed.status_code, changed.json()["auth"]["status"]) == (200, "pending")
        assert token_of(here, auth_id).status_code == 200
        assert here.api.get(f"/{auth_id}").json()["auth"]["status"] == "valid"


def test_what_the_provider_does_not_honour_is_told(tmp_path: Path) -> None:
    server = AuthorizationServer()
    with upstream(server) as provider, stage(tmp_path, provider) as here:
        client = server.add_client("unused")
        auth_id = here.create(**body(provider, client, refreshToken="rt-unknown"))
        answer = token_of(here, auth_id)
        assert (answer.status_code, answer.json()["error"]["details"]["code"]) == (409, "reauthorization_required")


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"type": "oauth_client_credentials", "accessToken": "t"}, "config.accessToken"),
        ({"type": "oauth_client_credentials", "refreshToken": "t"}, "config.refreshToken"),
        ({"type": "oauth", "refreshToken": ""}, "config.refreshToken"),
    ],
)
def test_other_types_take_none(tmp_path: Path, config: dict[str, Any], path: str) -> None:
    with stage(tmp_path) as here:
        sent = {"name": "X", "providerKey": "custom-oauth", "config": config}
        answer = here.api.post(f"{here.server.url}/api/v1/apps/{here.app_id}/auth", json=sent)
        assert answer.status_code == 400
        assert [each["path"] for each in answer.json()["error"]["details"]] == [path]

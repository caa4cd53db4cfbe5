"""`/api/v1/me/tokens`: a person's own tokens, listed and ended; none is made with a token (faults of stolen ones)."""

import httpx2
import pytest

from drio_mcp.models import DEFAULT_SCOPES, Scope
from tests.helpers.server import RunningServer, Someone


def listed(api: httpx2.Client) -> dict[str, dict[str, object]]:
    answer = api.get("/api/v1/me/tokens")
    assert answer.status_code == 200
    return {each["id"]: each for each in answer.json()["tokens"]}


def with_token(server: RunningServer, token: str) -> httpx2.Client:
    return server.client(headers={"Authorization": f"Bearer {token}"})


def test_a_token_is_listed_without_its_worth_and_ended(server: RunningServer, ada: Someone, api: httpx2.Client) -> None:
    before = set(listed(api))
    token = server.issue_token(ada.person.id, [Scope.CONNECTIONS_READ, Scope.OPENID])
    ((token_id, shown),) = ((name, each) for name, each in listed(api).items() if name not in before)
    assert set(shown) == {"id", "name", "scopes", "createdAt", "usedAt", "expiresAt"}
    assert shown["scopes"] == ["openid", "connections:read"]
    assert token not in api.get("/api/v1/me/tokens").text
    with with_token(server, token) as script:
        assert script.get("/api/v1/me").status_code == 200
        assert api.delete(f"/api/v1/me/tokens/{token_id}?dryRun=true").json() == {"deleted": True, "dryRun": True}
        assert script.get("/api/v1/me").status_code == 200
        assert api.delete(f"/api/v1/me/tokens/{token_id}").json() == {"deleted": True}
        assert script.get("/api/v1/me").status_code == 401
    assert api.delete(f"/api/v1/me/tokens/{token_id}").status_code == 404
    assert set(listed(api)) == before


def test_a_token_may_end_itself(server: RunningServer, ada: Someone) -> None:
    with with_token(server, server.issue_token(ada.person.id, list(DEFAULT_SCOPES))) as script:
        own = list(listed(script))[-1]
        assert script.delete(f"/api/v1/me/tokens/{own}").status_code == 200
        assert script.get("/api/v1/me").status_code == 401


def test_somebody_elses_token_does_not_exist_and_stays(server: RunningServer, ada: Someone, api: httpx2.Client) -> None:
    bob = server.add_person()
    with server.client(headers=bob.headers) as others:
        for token_id in listed(others):
            assert api.delete(f"/api/v1/me/tokens/{token_id}").status_code == 404
            assert token_id not in listed(api)
        assert others.get("/api/v1/me").status_code == 200


@pytest.mark.parametrize("scopes", [[Scope.OPENID, Scope.CONNECTIONS_WRITE], [Scope.CONNECTIONS_USE], [Scope.OPENID]])
def test_narrow_tokens_see_and_end_none(server: RunningServer, ada: Someone, scopes: list[Scope]) -> None:
    with with_token(server, server.issue_token(ada.person.id, scopes)) as script:
        assert script.get("/api/v1/me/tokens").status_code == 403
        assert script.delete("/api/v1/me/tokens/grant_x").status_code == 403


def test_none_is_made_with_a_token(api: httpx2.Client) -> None:
    """What a stolen token made would outlive its end; the page asks for the password."""
    answer = api.post("/api/v1/me/tokens", json={"name": "mine", "scopes": ["connections:use"]})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")

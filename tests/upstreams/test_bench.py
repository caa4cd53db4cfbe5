"""The bench itself: what other tests conclude from it must be true of it."""

import base64
import hashlib
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx2
import pytest

from tests.upstreams import (
    AuthorizationServer,
    KeyedApi,
    McpServer,
    Site,
    allow,
    deny,
    malformed_json,
    too_many_requests,
    upstream,
)
from tests.upstreams.api import KEY, Style
from tests.upstreams.authorization import INITIAL_ACCESS_TOKEN
from tests.upstreams.tls import CertificateAuthority

VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
CALLBACK = "https://drio.example.com/callback"


def authorization_url(server: AuthorizationServer, client_id: str) -> str:
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": CALLBACK,
        "state": "the-state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return f"{server.origin}/authorize?{urlencode(parameters)}"


def tokens(server: AuthorizationServer, form: dict[str, str]) -> httpx2.Response:
    return httpx2.post(f"{server.origin}/token", data=form, trust_env=False)


async def test_a_person_consents_and_the_refresh_token_rotates_and_reuse_revokes() -> None:
    server = AuthorizationServer(registration="open")
    with upstream(server) as provider:
        registered = httpx2.post(
            f"{server.origin}/register",
            json={"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"},
            trust_env=False,
        ).json()
        back = parse_qs(urlsplit(await allow(authorization_url(server, registered["client_id"]))).query)
        assert back["state"] == ["the-state"]
        assert back["iss"] == [server.issuer]
        base = {"client_id": registered["client_id"]}
        redeem = base | {
            "grant_type": "authorization_code",
            "code": back["code"][0],
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
        }
        first = tokens(server, redeem).json()
        assert server.accepts(first["access_token"])
        refresh = base | {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
        second = tokens(server, refresh).json()
        assert server.is_live_refresh_token(second["refresh_token"])
        assert tokens(server, refresh).json()["error"] == "invalid_grant"
        assert not server.accepts(second["access_token"])
        assert provider.log.count("token") == 3
        assert provider.log.of("token")[1].form["grant_type"] == "refresh_token"


async def test_a_denial_comes_back_as_access_denied() -> None:
    server = AuthorizationServer()
    with upstream(server):
        client = server.add_client(CALLBACK)
        assert "error=access_denied" in await deny(authorization_url(server, client.id))


def test_faults_come_in_order_and_end() -> None:
    server = AuthorizationServer()
    with upstream(server) as provider:
        provider.faults.at("metadata", too_many_requests(9), times=1)
        provider.faults.at("metadata", malformed_json(), times=1)
        url = f"{server.origin}/.well-known/openid-configuration"
        answers = [httpx2.get(url, trust_env=False) for _ in range(3)]
        assert answers[0].headers["retry-after"] == "9"
        with pytest.raises(ValueError, match="Unterminated"):
            answers[1].json()
        assert answers[2].json()["issuer"] == server.issuer


def test_registration_with_an_initial_access_token() -> None:
    server = AuthorizationServer(registration="token")
    with upstream(server):
        url, body = f"{server.origin}/register", {"redirect_uris": [CALLBACK]}
        assert httpx2.post(url, json=body, trust_env=False).status_code == 401
        headers = {"Authorization": f"Bearer {INITIAL_ACCESS_TOKEN}"}
        assert httpx2.post(url, json=body, headers=headers, trust_env=False).status_code == 201


def test_an_mcp_server_challenges_and_then_lists_its_tools() -> None:
    mcp = McpServer(accepts=lambda token: token == "good", scope="read")
    with upstream(mcp, Site()):
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        refused = httpx2.post(mcp.url, json=call, trust_env=False)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == f'Bearer resource_metadata="{mcp.metadata_url}", scope="read"'
        assert httpx2.get(mcp.metadata_url, trust_env=False).json()["resource"] == mcp.url
        good = httpx2.post(mcp.url, json=call, headers={"Authorization": "Bearer good"}, trust_env=False)
        assert good.json()["result"]["tools"][0]["name"] == "list_things"


@pytest.mark.parametrize(
    ("style", "headers", "query"),
    [
        ("header", {"X-Api-Key": KEY}, {}),
        ("query", {}, {"X-Api-Key": KEY}),
        ("bearer", {"Authorization": f"Bearer {KEY}"}, {}),
        ("basic", {"Authorization": "Basic " + base64.b64encode(KEY.encode()).decode()}, {}),
    ],
)
def test_keys_in_every_place(style: Style, headers: dict[str, str], query: dict[str, str]) -> None:
    with upstream(KeyedApi(style=style)) as provider:
        url = f"{provider.origin}/v1/me"
        assert httpx2.get(url, headers=headers, params=query, trust_env=False).status_code == 200
        assert httpx2.get(url, trust_env=False).status_code == 401


def test_tls_under_a_name() -> None:
    authority = CertificateAuthority()
    with upstream(Site(), name="localhost", authority=authority) as provider:
        page = httpx2.get(provider.origin, verify=authority.client_context(), trust_env=False)
        assert page.status_code == 200

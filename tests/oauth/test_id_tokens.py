"""ID tokens: OpenID Connect Core sections 2 and 3.1.3."""

import base64
import hashlib
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from drio_mcp.clock import HOUR
from drio_mcp.models import Principal, Profile
from drio_mcp.oauth.userinfo import userinfo

from .conftest import AuthServer


async def claims_of(server: AuthServer, id_token: str) -> dict[str, Any]:
    """Verified as a client would, by the published keys."""
    published: Any = await server.services.signing_keys.jwks()
    keys = KeySet.import_key_set(published)
    return dict(jwt.decode(id_token, keys, algorithms=["ES256"]).claims)


async def test_it_says_who_signed_in_when_and_for_whom(server: AuthServer) -> None:
    """Section 2: iss, sub, aud, exp, iat, auth_time, nonce; section 3.1.3.6: at_hash."""
    client_id, answer = await server.connect(nonce="n-0S6_WzA2Mj")
    now = server.clock.now() // 1000
    half = hashlib.sha256(answer["access_token"].encode()).digest()[:16]
    assert await claims_of(server, answer["id_token"]) == {
        "iss": "http://127.0.0.1:8000",
        "sub": server.user_id,
        "aud": client_id,
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "nonce": "n-0S6_WzA2Mj",
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
    }


async def test_auth_time_is_when_the_person_signed_in(local: AuthServer) -> None:
    client_id = await local.register()
    authorization = local.services.authorization
    checked = await authorization.check(local.request(client_id))
    url = await authorization.approve(checked, local.user_id, local.clock.now() - HOUR)
    answer = await local.redeem(client_id, url.partition("code=")[2].partition("&")[0])
    claims = await claims_of(local, answer["id_token"])
    assert claims["auth_time"] == local.clock.now() // 1000 - 3600
    assert "nonce" not in claims


async def test_without_openid_there_is_none_and_a_refresh_gives_none(local: AuthServer) -> None:
    """Contract section 4: `id_token` when `openid` was granted by a code."""
    client_id, answer = await local.connect(scope="connections:read")
    assert "id_token" not in answer
    client_id, answer = await local.connect()
    assert "id_token" not in await local.refresh(client_id, answer["refresh_token"])


@pytest.mark.parametrize(
    ("scopes", "names"),
    [
        ({"openid"}, {"sub"}),
        ({"openid", "profile"}, {"sub", "name", "picture"}),
        ({"openid", "email"}, {"sub", "email", "email_verified"}),
    ],
)
def test_userinfo_says_what_the_scopes_reach(scopes: set[str], names: set[str]) -> None:
    """Section 5.4."""
    profile = Profile("ada@example.com", "Ada", "https://i.example/a.png", None, is_email_verified=False)
    claims = userinfo(Principal("user_1", profile, "g", "c", "C", frozenset(scopes), expires_at=0))
    assert set(claims) == names
    assert claims["sub"] == "user_1"

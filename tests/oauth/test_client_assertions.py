"""`private_key_jwt`: RFC 7523 section 3, OpenID Connect Core section 9."""

import json
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from drio_mcp.oauth.client_assertions import ASSERTION_TYPE

from .conftest import AuthServer, refused

KEY = ECKey.generate_key("P-256", parameters={"kid": "one"})
OTHER = ECKey.generate_key("P-256", parameters={"kid": "one"})
RSA = RSAKey.generate_key(2048, parameters={"kid": "rsa"})
ISSUER = "http://127.0.0.1:8000"


async def signing_client(server: AuthServer, **metadata: Any) -> str:
    keys = [KEY.as_dict(private=False), RSA.as_dict(private=False)]
    return await server.register(token_endpoint_auth_method="private_key_jwt", jwks={"keys": keys}, **metadata)


def assertion(server: AuthServer, client_id: str, key: Any = KEY, alg: str = "ES256", **changes: Any) -> str:
    now = server.clock.now() // 1000
    claims = {"iss": client_id, "sub": client_id, "aud": ISSUER, "exp": now + 60, "iat": now, "jti": "j", **changes}
    header = {"alg": alg, "kid": key.kid} if key.kid else {"alg": alg}
    return jwt.encode(header, {k: v for k, v in claims.items() if v is not None}, key, algorithms=[alg])


async def redeem(server: AuthServer, client_id: str, code: str, signed: str, /, **more: str | None) -> dict[str, Any]:
    return await server.redeem(
        client_id, code, **{"client_assertion": signed, "client_assertion_type": ASSERTION_TYPE, **more}
    )


@pytest.mark.parametrize("named", [True, False])
async def test_a_signature_proves_the_client(server: AuthServer, named: bool) -> None:
    client_id = await signing_client(server)
    code = await server.approve(client_id)
    more = {} if named else {"client_id": None}
    assert await redeem(server, client_id, code, assertion(server, client_id), **more)


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/api/v1/auth/token", [ISSUER]])
async def test_the_audience_is_the_issuer_or_the_endpoint(local: AuthServer, audience: Any) -> None:
    """RFC 7523 section 3 item 3."""
    client_id = await signing_client(local)
    signed = assertion(local, client_id, aud=audience)
    assert await redeem(local, client_id, await local.approve(client_id), signed)


async def test_rsa_signatures_work_too(local: AuthServer) -> None:
    client_id = await signing_client(local)
    for alg, jti in (("RS256", "1"), ("PS256", "2")):
        signed = assertion(local, client_id, RSA, alg, jti=jti)
        assert await redeem(local, client_id, await local.approve(client_id), signed)


async def test_an_assertion_is_good_once(server: AuthServer) -> None:
    """RFC 7523 section 3 item 7: replay."""
    client_id = await signing_client(server)
    signed = assertion(server, client_id)
    assert await redeem(server, client_id, await server.approve(client_id), signed)
    code = await server.approve(client_id)
    with refused("invalid_client"):
        await redeem(server, client_id, code, signed)
    assert await redeem(server, client_id, code, assertion(server, client_id, jti="another"))


async def test_an_assertion_whose_request_fails_is_used_up_all_the_same(server: AuthServer) -> None:
    """Its `jti` is recorded by itself, so that whoever sees it in a failed request cannot use it."""
    client_id = await signing_client(server)
    signed = assertion(server, client_id)
    with refused("invalid_grant"):
        await redeem(server, client_id, "drio_ac_x", signed)
    for _ in range(2):
        with refused("invalid_client"):
            await redeem(server, client_id, await server.approve(client_id), signed)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://elsewhere.example"},
        {"aud": [ISSUER, "https://elsewhere.example"]},
        {"aud": None},
        {"aud": {}},
        {"aud": [{}]},
        {"exp": 1},
        {"exp": None},
        {"exp": 1 << 39},
        {"exp": "soon"},
        {"nbf": 1 << 39},
        {"iat": 1 << 39},
        {"jti": None},
        {"jti": "j" * 257},
        {"jti": 5},
        {"jti": "\0"},
        {"iss": "client_other"},
        {"sub": None},
    ],
)
async def test_wrong_claims_are_refused(local: AuthServer, changes: dict[str, Any]) -> None:
    """RFC 7523 section 3 items 1 to 7."""
    client_id = await signing_client(local)
    code = await local.approve(client_id)
    with refused("invalid_client"):
        await redeem(local, client_id, code, assertion(local, client_id, **changes))


@pytest.mark.parametrize("name", ["sub", "jti"])
async def test_half_of_a_surrogate_pair_is_no_text(local: AuthServer, name: str) -> None:
    """RFC 8259 section 8.2: what no database takes is the sender's mistake, not a failure of ours."""
    client_id = await signing_client(local)
    claims = json.loads(jws.extract_compact(assertion(local, client_id).encode()).payload) | {name: "\ud800"}
    signed = jws.serialize_compact({"alg": "ES256"}, json.dumps({**claims, "iss": claims["sub"]}), KEY)
    with refused("invalid_client"):
        await redeem(local, client_id, await local.approve(client_id), signed)


async def test_another_key_is_refused(local: AuthServer) -> None:
    """RFC 7523 section 3 item 9."""
    client_id = await signing_client(local)
    code = await local.approve(client_id)
    for key in (OTHER, ECKey.generate_key("P-256", parameters={"kid": "unknown"})):
        with refused("invalid_client"):
            await redeem(local, client_id, code, assertion(local, client_id, key))


async def test_symmetric_and_absent_signatures_are_refused(local: AuthServer) -> None:
    """RFC 8725 section 3.1: the algorithm is chosen by the server."""
    client_id = await signing_client(local)
    code = await local.approve(client_id)
    public = json.dumps(KEY.as_dict(private=False))
    mac = assertion(local, client_id, OctKey.import_key(public.encode(), parameters={"kid": "one"}), "HS256")
    unsigned = "eyJhbGciOiJub25lIn0." + mac.split(".")[1] + "."
    for signed in (mac, unsigned, "a.b.c", "nonsense", "é", "x" * 20_000):
        with refused("invalid_client"):
            await redeem(local, client_id, code, signed)


async def test_a_registered_algorithm_is_the_only_one(local: AuthServer) -> None:
    client_id = await signing_client(local, token_endpoint_auth_signing_alg="RS256")
    code = await local.approve(client_id)
    with refused("invalid_client"):
        await redeem(local, client_id, code, assertion(local, client_id))
    assert await redeem(local, client_id, code, assertion(local, client_id, RSA, "RS256"))


async def test_the_client_id_beside_it_must_be_the_same(local: AuthServer) -> None:
    """RFC 7521 section 4.2."""
    client_id = await signing_client(local)
    with refused("invalid_client"):
        await redeem(local, "client_other", await local.approve(client_id), assertion(local, client_id))


async def test_only_clients_that_registered_for_it_may_sign(local: AuthServer) -> None:
    client_id = await local.register(token_endpoint_auth_method="client_secret_basic")
    with refused("invalid_client"):
        await redeem(local, client_id, await local.approve(client_id), assertion(local, client_id), client_secret=None)
    with refused("invalid_client"):
        await redeem(local, "client_unknown", "x", assertion(local, "client_unknown"))


async def test_a_signing_client_must_sign(local: AuthServer) -> None:
    client_id = await signing_client(local)
    with refused("invalid_client"):
        await local.redeem(client_id, await local.approve(client_id))


async def test_seen_assertions_are_forgotten_when_they_expire(server: AuthServer) -> None:
    client_id = await signing_client(server)
    await redeem(server, client_id, await server.approve(client_id), assertion(server, client_id))
    assert await server.services.grants.sweep(server.clock.now() + 119_000) == 0
    assert await server.services.grants.sweep(server.clock.now() + 120_000) == 1

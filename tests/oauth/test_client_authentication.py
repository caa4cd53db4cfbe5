"""Client authentication with and without a secret: RFC 6749 section 2.3."""

import pytest

from drio_mcp.oauth.client_authentication import read_credentials
from drio_mcp.oauth.parameters import Parameters

from .conftest import AuthServer, basic, refused


async def confidential(server: AuthServer, method: str = "client_secret_basic") -> tuple[str, str]:
    client_id = await server.register(token_endpoint_auth_method=method)
    return client_id, server.secrets[client_id]


@pytest.mark.parametrize("registered", ["client_secret_basic", "client_secret_post"])
@pytest.mark.parametrize("sent", ["basic", "post"])
async def test_a_secret_may_be_sent_either_way_whatever_was_registered(
    server: AuthServer, registered: str, sent: str
) -> None:
    """Contract section 4: one client sends client_secret_post whatever the metadata says."""
    client_id, secret = await confidential(server, registered)
    code = await server.approve(client_id)
    if sent == "post":
        assert await server.redeem(client_id, code)
    else:
        assert await server.redeem(client_id, code, authorization=basic(client_id, secret), client_secret=None)


async def test_basic_may_come_with_the_client_id_in_the_body(local: AuthServer) -> None:
    """As the official Python SDK sends it."""
    client_id, secret = await confidential(local)
    code = await local.approve(client_id)
    assert await local.redeem(client_id, code, authorization=basic(client_id, secret), client_secret=None)


async def test_basic_alone_names_the_client(local: AuthServer) -> None:
    client_id, secret = await confidential(local)
    code = await local.approve(client_id)
    answer = await local.redeem(
        client_id, code, authorization=basic(client_id, secret), client_secret=None, client_id=None
    )
    assert answer["access_token"]


@pytest.mark.parametrize("secret", ["wrong", "é", None])
async def test_a_wrong_or_missing_secret_is_refused(server: AuthServer, secret: str | None) -> None:
    """RFC 6749 section 5.2: invalid_client, 401."""
    client_id, _ = await confidential(server)
    code = await server.approve(client_id)
    with refused("invalid_client", 401):
        await server.redeem(client_id, code, client_secret=secret)
    assert await server.redeem(client_id, code), "a stranger without the secret must not burn the code"


async def test_a_public_client_has_no_secret_to_be_right_or_wrong(local: AuthServer) -> None:
    client_id = await local.register()
    code = await local.approve(client_id)
    with refused("invalid_client"):
        await local.redeem(client_id, code, client_secret="invented")
    assert await local.redeem(client_id, code, client_secret="")


async def test_a_public_client_may_send_basic_with_an_empty_secret(local: AuthServer) -> None:
    client_id = await local.register()
    assert await local.redeem(client_id, await local.approve(client_id), authorization=basic(client_id, ""))


async def test_an_unknown_client_is_refused_before_its_code_is_looked_at(server: AuthServer) -> None:
    """RFC 6749 section 5.2; at this answer some clients register again."""
    with refused("invalid_client", 401):
        await server.redeem("client_unknown", "drio_ac_x")


def test_id_and_secret_in_basic_are_form_urlencoded() -> None:
    """RFC 6749 section 2.3.1."""
    read = read_credentials(Parameters([]), basic("a%3Ab", "s%2Fe+c%25"))
    assert read.client_id == "a:b"
    assert read.secret is not None
    assert read.secret.reveal() == "s/e c%"


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic bm9jb2xvbg==", basic("", "secret"), "Basic /w=="])
def test_unreadable_basic_credentials_are_refused(header: str) -> None:
    with refused("invalid_client"):
        read_credentials(Parameters([]), header)


def test_another_scheme_is_no_client_authentication() -> None:
    assert read_credentials(Parameters([("client_id", "a")]), "Bearer token").client_id == "a"


@pytest.mark.parametrize(
    ("pairs", "header"),
    [
        ([("client_secret", "s")], basic("a", "s")),
        ([("client_assertion", "x"), ("client_secret", "s")], None),
        ([("client_assertion", "x")], basic("a", "s")),
        ([("client_id", "b")], basic("a", "s")),
        ([("client_assertion", "x"), ("client_assertion_type", "urn:other")], None),
    ],
)
def test_one_way_of_authentication_at_a_time(pairs: list[tuple[str, str]], header: str | None) -> None:
    """RFC 6749 section 2.3, RFC 7521 section 4.2."""
    with refused("invalid_request"):
        read_credentials(Parameters(pairs), header)

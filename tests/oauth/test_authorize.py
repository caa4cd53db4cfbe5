"""Authorization requests: RFC 6749 section 4.1.1, OAuth 2.1, OpenID Connect Core section 3.1.2, RFC 9700."""

from typing import Any

import pytest

from drio_mcp.oauth.authorize import AuthorizationPageError, AuthorizationRedirectError, AuthorizationRequest

from .conftest import CALLBACK, AuthServer, MakeServer, opened, query_of

ORIGIN = "http://127.0.0.1:8000"


async def check(server: AuthServer, client_id: str, **parameters: str | None) -> AuthorizationRequest:
    checked: AuthorizationRequest = await server.services.authorization.check(server.request(client_id, **parameters))
    return checked


async def redirected(server: AuthServer, client_id: str, **parameters: str | None) -> dict[str, str]:
    """What the client is told about a refused request."""
    with pytest.raises(AuthorizationRedirectError) as caught:
        await check(server, client_id, **parameters)
    url = caught.value.redirect_url
    assert url.startswith(CALLBACK + "?")
    return query_of(url)


async def shown(server: AuthServer, pairs: list[tuple[str, str]]) -> str:
    """The error of a request that must not redirect."""
    with pytest.raises(AuthorizationPageError) as caught:
        await server.services.authorization.check(pairs)
    return caught.value.error


async def test_a_request_carries_what_the_pages_need(local: AuthServer) -> None:
    client_id = await local.register(client_name="Editor", client_uri="https://editor.example/about")
    checked = await check(local, client_id, prompt="login consent", login_hint="ada", max_age="60", nonce="n")
    assert (checked.client.name, checked.client.host, checked.client.verified) == ("Editor", "editor.example", False)
    assert checked.redirect_uri == CALLBACK
    assert checked.prompt == {"login", "consent"}
    assert (checked.login_hint, checked.max_age, checked.nonce, checked.state) == ("ada", 60, "n", "some state")


async def test_the_reference_request_without_response_type_is_a_code_request(local: AuthServer) -> None:
    assert await check(local, await local.register(), response_type=None)


async def test_an_unknown_client_never_redirects(local: AuthServer) -> None:
    """RFC 6749 section 4.1.2.1; RFC 9700 section 4.11: no open redirect."""
    assert await shown(local, local.request("client_unknown")) == "invalid_client"


async def test_a_document_out_of_reach_leaves_two_ways(local: AuthServer) -> None:
    """The person reads it on the page while the client waits: nothing is wrong with it, and it can register itself."""
    with pytest.raises(AuthorizationPageError) as caught:
        await local.services.authorization.check(local.request("https://nobody.invalid/client.json"))
    for words in ("nobody.invalid", "Nothing is wrong with the client", "Try again", "DRIO_CLIENT_DOCUMENTS=off"):
        assert words in caught.value.message


async def test_a_missing_client_id_never_redirects(local: AuthServer) -> None:
    assert await shown(local, [("redirect_uri", CALLBACK)]) == "invalid_request"


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/callback",
        CALLBACK + "/",
        CALLBACK + "?x=1",
        CALLBACK + "#fragment",
        CALLBACK.replace("client", "CLIENT"),
        CALLBACK.replace("https://", "https://user@"),
        "https://client.example/callback/../evil",
        "https://client.example.evil.example/callback",
        "//client.example/callback",
        "javascript:alert(1)",
    ],
)
async def test_a_redirect_uri_that_is_not_the_registered_one_never_redirects(local: AuthServer, uri: str) -> None:
    """RFC 9700 section 4.1: exact match."""
    client_id = await local.register()
    assert await shown(local, local.request(client_id, redirect_uri=uri)) == "invalid_request"


async def test_two_clients_or_two_redirect_uris_never_redirect(local: AuthServer) -> None:
    """RFC 6749 section 3.1: parameter pollution."""
    request = local.request(await local.register())
    for extra in (("client_id", "x"), ("redirect_uri", "https://evil.example/")):
        assert await shown(local, [*request, extra]) == "invalid_request"


async def test_redirect_uri_may_be_left_out_only_when_there_is_one(local: AuthServer) -> None:
    """RFC 6749 section 3.1.2.3."""
    assert (await check(local, await local.register(), redirect_uri=None)).redirect_uri == CALLBACK
    two = await local.register(redirect_uris=[CALLBACK, "https://client.example/b"])
    assert await shown(local, local.request(two, redirect_uri=None)) == "invalid_request"


async def test_the_port_of_a_loopback_redirect_is_free(local: AuthServer) -> None:
    """RFC 8252 section 7.3; `localhost` is not `127.0.0.1`."""
    client_id = await local.register(redirect_uris=["http://127.0.0.1/cb", "http://[::1]:5/cb"])
    for uri in ("http://127.0.0.1:50123/cb", "http://[::1]:50123/cb", "http://127.0.0.1/cb"):
        assert (await check(local, client_id, redirect_uri=uri)).redirect_uri == uri
    for uri in ("http://localhost:50123/cb", "http://127.0.0.1:5/other", "https://127.0.0.1:5/cb"):
        await shown(local, local.request(client_id, redirect_uri=uri))


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"resource": "https://elsewhere.example/mcp"}, "invalid_target"),
        ({"resource": "http://127.0.0.1:8000/other"}, "invalid_target"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"nonce": "n" * 1025}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://client.example/r"}, "request_uri_not_supported"),
    ],
)
async def test_other_faults_are_told_to_the_client_with_state_and_iss(
    local: AuthServer, parameters: dict[str, Any], error: str
) -> None:
    """RFC 6749 section 4.1.2.1, RFC 7636 section 4.4.1, RFC 8707 section 2, RFC 9207 section 2."""
    told = await redirected(local, await local.register(), **parameters)
    assert (told["error"], told["state"], told["iss"]) == (error, "some state", ORIGIN)
    assert told["error_description"]


async def test_a_parameter_sent_twice_is_told_to_the_client(local: AuthServer) -> None:
    request = [*local.request(await local.register()), ("code_challenge", "x" * 43)]
    with pytest.raises(AuthorizationRedirectError) as caught:
        await local.services.authorization.check(request)
    assert query_of(caught.value.redirect_url)["error"] == "invalid_request"


async def test_resource_may_be_named_several_times_and_in_both_spellings(local: AuthServer) -> None:
    """RFC 8707 section 2."""
    request = local.request(await local.register(), resource=f"{ORIGIN}/mcp")
    assert await local.services.authorization.check([*request, ("resource", ORIGIN)])


@pytest.mark.parametrize(
    ("scope", "granted"),
    [
        (None, "openid profile email"),
        ("claudeai", "openid profile email"),
        ("offline_access", "openid profile email offline_access"),
        ("openid claudeai", "openid"),
        ("connections:read mcp:tools", "connections:read"),
        ("openid profile email connections:use", "openid profile email connections:use"),
    ],
)
async def test_unknown_scopes_are_ignored(local: AuthServer, scope: str | None, granted: str) -> None:
    """Contract section 4; RFC 6749 section 3.3."""
    checked = await check(local, await local.register(scope="openid"), scope=scope)
    assert checked.scopes == set(granted.split())


async def test_the_answer_keeps_the_query_of_the_redirect_uri(local: AuthServer) -> None:
    """RFC 6749 section 3.1.2."""
    uri = f"{CALLBACK}?tenant=1"
    client_id = await local.register(redirect_uris=[uri])
    checked = await check(local, client_id, redirect_uri=uri, state="a&b=c#d")
    answer = query_of(await local.services.authorization.approve(checked, local.user_id, 0))
    assert (answer["tenant"], answer["state"], answer["iss"]) == ("1", "a&b=c#d", ORIGIN)


async def test_without_state_none_is_returned(local: AuthServer) -> None:
    checked = await check(local, await local.register(), state=None)
    assert set(query_of(await local.services.authorization.approve(checked, local.user_id, 0))) == {"code", "iss"}


async def test_a_refusal_is_told_to_the_client(local: AuthServer) -> None:
    authorization = local.services.authorization
    checked = await check(local, await local.register())
    assert query_of(await authorization.deny(checked, local.user_id))["error"] == "access_denied"
    for error in ("login_required", "consent_required"):  # OpenID Connect Core section 3.1.2.6
        assert query_of(authorization.refusal(checked, error).redirect_url)["error"] == error


async def test_checking_uses_nothing_up(server: AuthServer) -> None:
    """Some clients open the address themselves before the browser does."""
    client_id = await server.register()
    checked = [await check(server, client_id) for _ in range(3)]
    codes = [
        query_of(await server.services.authorization.approve(each, server.user_id, server.clock.now()))["code"]
        for each in checked
    ]
    for code in codes:
        assert await server.redeem(client_id, code)


async def test_a_client_removed_while_the_person_decides_gets_nothing(server: AuthServer) -> None:
    client_id = await server.register()
    checked = await check(server, client_id)
    await server.services.clients.revoke(client_id)
    with pytest.raises(AuthorizationPageError):
        await server.services.authorization.approve(checked, server.user_id, 0)


async def test_links_come_from_the_public_url(make_server: MakeServer) -> None:
    """Host-header poisoning: nothing is derived from the request."""
    async for server in opened(make_server(public_url="https://drio.example.com")):
        client_id = await server.register()
        checked = await check(server, client_id, resource="https://drio.example.com/mcp")
        answer = query_of(await server.services.authorization.approve(checked, server.user_id, 0))
        assert answer["iss"] == "https://drio.example.com"

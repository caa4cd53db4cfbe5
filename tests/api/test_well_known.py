"""The metadata documents in every place where clients look (RFC 8414 section 3.1, RFC 9728 section 3.1)."""

import httpx2
import pytest

from tests.helpers.server import RunningServer

NAMES = ["oauth-protected-resource", "oauth-authorization-server", "openid-configuration"]
PLACES = ["/.well-known/{}", "/.well-known/{}/", "/.well-known/{}/mcp", "/.well-known/{}/mcp/", "/mcp/.well-known/{}"]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", NAMES)
def test_a_document_is_the_same_in_every_place(
    http: httpx2.Client, server: RunningServer, name: str, place: str
) -> None:
    answer = http.get(place.format(name))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == http.get(f"/.well-known/{name}").json()
    assert answer.json().get("issuer", server.url) == server.url
    assert answer.json().get("resource", server.mcp_url) == server.mcp_url


@pytest.mark.parametrize("name", NAMES)
def test_head_and_options_are_answered(http: httpx2.Client, name: str) -> None:
    head = http.head(f"/.well-known/{name}")
    assert (head.status_code, head.content) == (200, b"")
    headers = {"Origin": "https://inspector.example", "Access-Control-Request-Method": "GET"}
    preflight = http.options(f"/.well-known/{name}/mcp", headers=headers)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path", ["/.well-known/unknown", "/.well-known/oauth-authorization-server/other", "/.well-known/"]
)
def test_everything_else_there_is_json_not_found(http: httpx2.Client, path: str) -> None:
    """A page of HTML breaks some clients."""
    answer = http.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "error_description"}


def test_everything_that_is_advertised_answers(http: httpx2.Client) -> None:
    document = http.get("/.well-known/openid-configuration").json()
    urls = {name: url for name, url in document.items() if name.endswith(("_endpoint", "_uri"))}
    assert len(urls) == 7
    for name, url in urls.items():
        answers = {http.get(url).status_code, http.post(url).status_code}
        assert answers.isdisjoint({404, 500}), name


def test_the_challenge_leads_to_the_metadata(http: httpx2.Client, server: RunningServer) -> None:
    """RFC 9728 section 5.1."""
    challenge = http.get("/api/v1/me").headers["www-authenticate"]
    url = challenge.partition('resource_metadata="')[2].partition('"')[0]
    resource = http.get(url).json()
    assert resource["resource"] == server.mcp_url
    assert resource["authorization_servers"] == [server.url]

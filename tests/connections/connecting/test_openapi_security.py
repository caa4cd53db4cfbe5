"""Security schemes of OpenAPI 3.x and 2.0."""

from typing import Any

import pytest

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.connecting.openapi_security import read_security
from drio_mcp.connections.connecting.plan import KeyScheme

URL = "https://api.example.com/openapi.json"

OAUTH = {
    "type": "oauth2",
    "flows": {"authorizationCode": {"authorizationUrl": "https://a.example/a", "tokenUrl": "/t"}},
}
MACHINE = {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "/t", "scopes": {"all": ""}}}}
BEARER = {"type": "http", "scheme": "bearer"}
QUERY = {"type": "apiKey", "in": "query", "name": "k"}


def document(schemes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "components": {"securitySchemes": schemes}, **more}


@pytest.mark.parametrize(
    ("schemes", "security", "config_type"),
    [
        ({"q": QUERY, "b": BEARER, "o": OAUTH}, None, "oauth"),
        ({"q": QUERY, "b": BEARER, "o": OAUTH}, [{"q": []}], "api_key_query"),
        ({"q": QUERY, "b": BEARER}, [{"q": []}, {"b": []}], "bearer"),
        ({"q": QUERY, "b": BEARER}, [{"q": [], "b": []}], "bearer"),
        ({"q": QUERY, "m": MACHINE}, None, "oauth_client_credentials"),
        ({"q": QUERY}, [{"unknown": []}, {}], "api_key_query"),
    ],
    ids=["sign-in first", "as required", "token before query", "several at once", "machine", "unknown names"],
)
def test_which_scheme_is_chosen(schemes: dict[str, Any], security: Any, config_type: str) -> None:
    found = read_security(document(schemes, security=security), URL)
    assert found is not None
    assert found.config_type == config_type


def test_relative_addresses_start_at_the_document() -> None:
    found = read_security(document({"o": OAUTH}, servers=[{"url": "/v2/"}]), URL)
    assert found is not None
    assert found.server is not None
    assert found.server.token_endpoint == "https://api.example.com/t"
    assert found.server.authorization_endpoint == "https://a.example/a"
    assert found.api_base_url == "https://api.example.com/v2"


def test_version_2() -> None:
    found = read_security(
        {
            "swagger": "2.0",
            "host": "api.example.com:8443",
            "basePath": "/v1",
            "securityDefinitions": {
                "o": {
                    "type": "oauth2",
                    "flow": "accessCode",
                    "authorizationUrl": "/a",
                    "tokenUrl": "/t",
                    "scopes": {"r": ""},
                }
            },
        },
        URL,
    )
    assert found is not None
    assert (found.config_type, found.scopes) == ("oauth", ("r",))
    assert found.api_base_url == "https://api.example.com:8443/v1"
    basic = read_security({"swagger": "2.0", "securityDefinitions": {"b": {"type": "basic"}}}, URL)
    assert basic is not None
    assert basic.key == KeyScheme(ConfigType.BASIC)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"components": None},
        {"components": {"securitySchemes": []}},
        document({"a": None, "b": "x", "c": {}}),
        document({"a": {"type": "apiKey", "in": "cookie", "name": "c"}}),
        document({"a": {"type": "apiKey", "in": "header", "name": 5}}),
        document({"a": {"type": "apiKey", "in": ["header"], "name": "X-Key"}}),
        document({"a": {"type": "http", "scheme": "digest"}}),
        document({"a": {"type": "mutualTLS"}}),
        document({"a": {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "/a"}}}}),
        document({"a": {"type": "oauth2", "flows": {"authorizationCode": {"tokenUrl": "/t"}}}}),
        document({"a": {"type": "oauth2", "flows": None, "flow": ["x"]}}),
    ],
)
def test_what_cannot_be_served_gives_nothing(broken: dict[str, Any]) -> None:
    assert read_security(broken, URL) is None


def test_odd_servers_fall_back_to_the_origin() -> None:
    for servers in ([], [None], [{"url": 5}], [{"url": "https://{tenant}.example.com"}]):
        found = read_security(document({"b": BEARER}, servers=servers), URL)
        assert found is not None
        assert found.api_base_url == "https://api.example.com"

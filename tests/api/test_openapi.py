"""openapi.json describes what is served, and is valid OpenAPI 3.1."""

import re
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from starlette.routing import Route

from drio_mcp.api.routes import OPERATIONS
from drio_mcp.app import create_app
from drio_mcp.middleware.families import CALLBACK
from tests.helpers.server import RunningServer


@pytest.fixture
def document(http: httpx2.Client) -> dict[str, Any]:
    """As anybody can read it: it needs no token."""
    answer = http.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def test_both_addresses_give_the_same(http: httpx2.Client, document: dict[str, Any]) -> None:
    assert http.get("/api/openapi.json").json() == document


def test_every_operation_is_described_once(document: dict[str, Any]) -> None:
    described = {
        (method.upper(), path): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    expected = {(method, re.sub(r":\w+}", "}", each.path)) for each in OPERATIONS for method in each.methods}
    assert set(described) >= expected
    assert len(set(described.values())) == len(described)


def test_every_route_below_api_v1_is_described(server: RunningServer, document: dict[str, Any]) -> None:
    """And nothing is described that is not there, beside the way back from a sign-in provider that is not set here."""
    routed = {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in create_app(server.services.settings, services=server.services).routes
        if isinstance(route, Route) and route.path.startswith("/api/v1/") and route.path != CALLBACK
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert routed - described == {("GET", "/api/v1/openapi.json")}
    assert described - routed == {("GET", CALLBACK)}


def test_every_schema_is_valid_json_schema(document: dict[str, Any]) -> None:
    """OpenAPI 3.1 section 4.8.24: schemas are JSON Schema 2020-12."""
    for name, schema in document["components"]["schemas"].items():
        assert jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}), name


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    names = set(re.findall(r"#/components/schemas/([\w-]+)", str(document)))
    assert names <= set(document["components"]["schemas"])


def test_document_is_openapi(document: dict[str, Any]) -> None:
    schemathesis.openapi.from_dict(document).validate()
    with pytest.raises(jsonschema_rs.ValidationError):  # so the check above checks something
        schemathesis.openapi.from_dict({**document, "paths": {"/x": {"get": {"responses": []}}}}).validate()


def test_path_parameters_are_declared(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            declared = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path)), path

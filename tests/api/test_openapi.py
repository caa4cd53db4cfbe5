"""openapi.json describes what is served, and is valid OpenAPI 3.1."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import jsonschema_rs
import pytest
import schemathesis
from starlette.routing import Route

from drio_mcp.api.openapi_texts import DESCRIPTIONS, own_name
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


def operations_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for item in document["paths"].values() for operation in item.values()]


def test_every_operation_has_a_tag_and_words_of_its_own(document: dict[str, Any]) -> None:
    tags = {each["name"] for each in document["tags"]}
    operations = operations_of(document)
    assert {tag for each in operations for tag in each["tags"]} == tags
    assert all(each["description"] != each["summary"] for each in operations)
    assert set(DESCRIPTIONS) == {own_name(each.name) for each in OPERATIONS}, "and there are no others"
    for each in operations:
        for parameter in each.get("parameters", ()):
            assert parameter["description"], parameter


def test_personal_tokens_are_a_plain_bearer(document: dict[str, Any]) -> None:
    """Tools that import the document offer a field for it, where OAuth would want a client first."""
    assert document["components"]["securitySchemes"]["personalToken"]["scheme"] == "bearer"
    assert {"personalToken": []} in document["paths"]["/api/v1/me"]["get"]["security"]


def schemas_reached(node: Any, document: dict[str, Any], seen: set[str]) -> Iterator[Any]:
    if isinstance(node, dict):
        yield node
        name = node.get("$ref", "").rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            yield from schemas_reached(document["components"]["schemas"][name], document, seen)
        for each in node.values():
            yield from schemas_reached(each, document, seen)
    elif isinstance(node, list):
        for each in node:
            yield from schemas_reached(each, document, seen)


def test_answers_may_grow_and_requests_are_closed(document: dict[str, Any]) -> None:
    """A client that checks answers must not break because of a new member; a misspelt one in a request is told."""
    seen: set[str] = set()
    for operation in operations_of(document):
        reached = schemas_reached(operation["responses"], document, seen)
        assert all(each.get("additionalProperties") is not False for each in reached)
    assert document["components"]["schemas"]["CreateAuthConnection"]["additionalProperties"] is False


def test_moments_are_date_times(document: dict[str, Any]) -> None:
    moments = {
        (name, member): schema
        for name, model in document["components"]["schemas"].items()
        for member, schema in model.get("properties", {}).items()
        if member.endswith("At") or member == "at"
    }
    assert len(moments) > 15
    for where, schema in moments.items():
        assert "'format': 'date-time'" in str(schema), where
    connection = document["components"]["schemas"]["AuthConnection"]["properties"]
    assert {"createdAt", "updatedAt", "lastValidatedAt"} <= set(connection)


def test_examples_are_right(document: dict[str, Any]) -> None:
    """Each body has one; each fits its schema, and is not merely any object."""
    count = 0
    for operation in operations_of(document):
        contents = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (each for one in contents for each in one.get("content", {}).values()):
            if "example" in content:
                whole = {**content["schema"], "components": document["components"]}
                jsonschema_rs.validator_for(whole).validate(content["example"])
                count += 1
        if "requestBody" in operation:
            assert all("example" in each for each in operation["requestBody"]["content"].values())
    assert count > 100

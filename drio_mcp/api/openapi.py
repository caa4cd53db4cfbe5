"""`openapi.json`: OpenAPI 3.1 of the REST surface, generated from the list of operations and their models."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from drio_mcp import __version__
from drio_mcp.api.openapi_oauth import OAUTH_PATHS
from drio_mcp.api.openapi_texts import (
    ANSWERS,
    BODIES,
    ERROR_EXAMPLE,
    PARAMETERS,
    TAGS,
    description_of,
    own_name,
    tag_of,
)
from drio_mcp.api.operation import Operation
from drio_mcp.models import Model, Scope

PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
SCOPE_WORDS = {
    Scope.OPENID: "Who you are",
    Scope.PROFILE: "Your name and picture",
    Scope.EMAIL: "Your e-mail address",
    Scope.OFFLINE_ACCESS: "Stay connected",
    Scope.CONNECTIONS_READ: "Read your apps and auth connections",
    Scope.CONNECTIONS_WRITE: "Change your auth connections",
    Scope.CONNECTIONS_USE: "Use the credentials of your auth connections",
}
ERRORS = {
    400: "The request is not valid",
    401: "Missing or invalid Bearer access token",
    403: "The token lacks the scope",
    404: "Not found, or somebody else's",
}
INFO = {
    "title": "drio-mcp",
    "version": __version__,
    "description": "Apps and their auth connections. Every call is a tool of the MCP server too, or a page.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "A personal token, made at /account or by drio-mcp tokens create, with the scopes given to it.",
}
JSON = "application/json"
REF = "#/components/schemas/{model}"


class ErrorObject(Model):
    """What went wrong; never with a submitted value."""

    code: str
    message: str
    details: Any
    request_id: str


class ErrorEnvelope(Model):
    error: ErrorObject


def document(origin: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document for a server at `origin`."""
    references, schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = PARAMETER.sub(r"{\1}", operation.path)
        for method in operation.methods:
            paths.setdefault(path, {})[method.lower()] = _operation(operation, method, references)
    paths |= OAUTH_PATHS
    return {
        "openapi": "3.1.0",
        "info": INFO | {"contact": {"name": "The operator of this server", "url": origin}},
        "servers": [{"url": origin}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"oauth": _security(origin), "personalToken": BEARER}},
    }


References = dict[tuple[type[BaseModel], str], dict[str, Any]]


def _schemas(operations: Iterable[Operation]) -> tuple[References, dict[str, Any]]:
    """A reference to each model that an operation takes or gives, and the schemas that they point at."""
    wanted: dict[tuple[type[BaseModel], str], None] = {(ErrorEnvelope, "serialization"): None}
    for operation in operations:
        if operation.result is not None:
            wanted[operation.result, "serialization"] = None
        if operation.body is not None:
            wanted[operation.body, "validation"] = None
    references, definitions = models_json_schema(
        list(wanted),  # type: ignore[arg-type]
        by_alias=True,
        ref_template=REF,
    )
    schemas: dict[str, Any] = definitions.get("$defs", {})
    for name in _reached(
        [reference for (_, mode), reference in references.items() if mode == "serialization"], schemas
    ):
        schemas[name].pop("additionalProperties", None)  # answers may get more members; requests may not
    for operation in operations:
        if operation.query is not None:
            schemas |= operation.query.model_json_schema(by_alias=True, ref_template=REF).get("$defs", {})
    return references, schemas  # type: ignore[return-value]


def _reached(node: Any, schemas: dict[str, Any]) -> set[str]:
    """The names of the schemas that a schema leads to, with those that they lead to."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            name = str(each.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return found


def _operation(operation: Operation, method: str, references: References) -> dict[str, Any]:
    is_only = len(operation.methods) == 1
    described: dict[str, Any] = {
        "operationId": operation.name if is_only else f"{operation.name}_{method.lower()}",
        "summary": operation.summary,
        "description": description_of(operation.name),
        "tags": [tag_of(operation.path)],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
        "security": [{"oauth": operation.scope.split()}, {"personalToken": []}],
        "responses": _responses(operation, references),
    }
    if operation.body is not None:
        schema = references[operation.body, "validation"]
        content = {"schema": schema, "example": BODIES[own_name(operation.name)]}
        described["requestBody"] = {"required": operation.needs_body, "content": {JSON: content}}
    return described


def _path_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": PARAMETERS[name], "schema": {"type": "string"}}
        for name in PARAMETER.findall(operation.path)
    ]


def _query_parameters(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    schema = operation.query.model_json_schema(by_alias=True, ref_template=REF)
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": PARAMETERS[name],
            "schema": each,
        }
        for name, each in schema["properties"].items()
    ]


def _header_parameters(operation: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "description": PARAMETERS[name], "schema": {"type": "string"}}
        for name in operation.request_headers
    ]


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    envelope = {JSON: {"schema": references[ErrorEnvelope, "serialization"], "example": ERROR_EXAMPLE}}
    answer: dict[str, Any] = {"description": operation.summary}
    if operation.result is not None:
        content = {"schema": references[operation.result, "serialization"]}
        example = ANSWERS.get(own_name(operation.name))
        answer["content"] = {JSON: content if example is None else {**content, "example": example}}
    responses = {str(status): answer for status in operation.statuses}
    if "If-None-Match" in operation.request_headers:  # RFC 9110 section 15.4.5: without a body
        responses["304"] = {"description": "Nothing has changed since that version"}
    responses |= {str(status): {"description": text, "content": envelope} for status, text in ERRORS.items()}
    return responses | {"default": {"description": "Any other failure", "content": envelope}}


def _security(origin: str) -> dict[str, Any]:
    return {
        "type": "oauth2",
        "flows": {
            "authorizationCode": {
                "authorizationUrl": f"{origin}/api/v1/auth/authorize",
                "tokenUrl": f"{origin}/api/v1/auth/token",
                "refreshUrl": f"{origin}/api/v1/auth/refresh",
                "scopes": {scope.value: words for scope, words in SCOPE_WORDS.items()},
            }
        },
    }

"""What is let in: every problem at once, each at its path, and nothing of what was sent in any of them."""

import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.schemas import (
    AuthConfig,
    ConfigWithSecrets,
    CreateAuthConnection,
    NewConnection,
    UpdateAuthConnection,
)
from drio_mcp.middleware.validation import problems_of
from tests.connections.desk import KEY, OAUTH, Desk


def problems(body: dict[str, Any], model: type[Any] = UpdateAuthConnection) -> dict[str, str]:
    """The problems of a body by their paths."""
    try:
        model.model_validate(body)
    except ValidationError as error:
        return {problem.path: problem.message for problem in problems_of(error)}
    return {}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "oauth3"),
        ("authorizationEndpoint", "ftp://a.example"),
        ("tokenEndpoint", "https://"),
        ("tokenEndpoint", "https://user:pw@a.example/"),
        ("tokenEndpoint", "https://a.example/#x"),
        ("tokenEndpoint", "https://a.example/ b"),
        ("tokenEndpoint", "https://a.example:99999/"),
        ("tokenEndpoint", "https://[::1/"),
        ("tokenEndpoint", "https://a.example/\r\nX: y"),
        ("tokenEndpoint", "/token"),
        ("tokenEndpoint", 5),
        ("tokenEndpoint", "https://a.example/" + "x" * 2048),
        ("registrationAuthMode", "token"),
        ("clientId", ""),
        ("clientId", "a\nb"),
        ("headerName", "X Key"),
        ("headerName", "X-Key\r\nEvil"),
        ("headerName", "Host"),
        ("headerName", "transfer-encoding"),
        ("headerPrefix", "Bearer\n"),
        ("queryParamName", "a&b"),
        ("username", "a:b"),
        ("audience", ""),
        ("enabled", "true"),
        ("isDefault", 1),
        ("clientSecret", ""),
        ("clientSecret", 5),
        ("apiKey", "a\r\nb"),
        ("accessToken", "x" * 16_385),
        ("password", "a\0b"),
        ("scopes", "contacts:read"),
        ("scopes", ["a"] * 201),
        ("allowedOrigins", []),
        ("apiBaseUrl", "javascript:alert(1)"),
    ],
)
def test_a_wrong_value_is_refused_at_its_path(field: str, value: object) -> None:
    assert list(problems({"config": {field: value}})) == [f"config.{field}"]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"scopes": ["fine", "not fine"]}, "config.scopes[1]"),
        ({"allowedOrigins": ["https://a.example/path"]}, "config.allowedOrigins[0]"),
        ({"unknown": 1}, "config.unknown"),
    ],
)
def test_a_member_of_a_list_is_named_by_its_place(config: dict[str, Any], path: str) -> None:
    assert list(problems({"config": config})) == [path]


def test_all_problems_are_told_at_once() -> None:
    body = {"name": "", "status": "great", "config": {"tokenEndpoint": "x", "headerName": " "}, "extra": 1}
    paths = set(problems(body, CreateAuthConnection))
    assert paths == {"name", "providerKey", "status", "config.tokenEndpoint", "config.headerName", "extra"}


def test_a_model_may_not_send_secrets() -> None:
    """With DRIO_MCP_SECRETS=link the inputs of tools have no secret fields at all."""
    body = KEY | {"config": {"apiKey": "k"}}
    assert list(problems(body, NewConnection)) == ["config.apiKey"]
    shown = str(NewConnection.model_json_schema())
    assert not any(field in shown for field in ("apiKey", "clientSecret", "accessToken", "password"))


def test_read_only_members_are_in_no_published_schema() -> None:
    shown = str(UpdateAuthConnection.model_json_schema())
    assert not any(field in shown for field in ("lastRegisteredAt", "lastValidatedAt", "providerId"))


def test_the_configuration_reads_in_the_order_of_the_reference() -> None:
    config = AuthConfig.model_validate({"isDefault": True, "clientId": "c", "type": "oauth"})
    assert list(config.model_dump(by_alias=True)) == ["type", "clientId", "isDefault"]


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://A.example:443/x?y", "https://a.example"),
        ("http://a.example:80", "http://a.example"),
        ("https://a.example:8443/", "https://a.example:8443"),
        ("http://[::1]:9000/x", "http://[::1]:9000"),
    ],
)
def test_an_origin_has_one_form(url: str, origin: str) -> None:
    """RFC 6454 section 6.1."""
    assert origin_of(url) == origin


CANARY = "Canary9Zq"
canaries = st.text(string.ascii_letters + string.punctuation + " \n\x00é", max_size=30).map(
    lambda text: f"{CANARY}{text}{CANARY}"
)
values = st.recursive(
    canaries, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(canaries, inner, max_size=3), max_leaves=5
)
FIELDS = [field.alias or name for name, field in ConfigWithSecrets.model_fields.items()]
configs = values | st.dictionaries(st.sampled_from(FIELDS), values, max_size=8)
TOP = ["name", "providerKey", "status", "secretRef", "grants", "id"]
bodies = st.fixed_dictionaries({}, optional={"config": configs, **dict.fromkeys(TOP, values)})


@given(bodies, st.sampled_from([CreateAuthConnection, UpdateAuthConnection, NewConnection]))
def test_no_submitted_value_is_echoed(body: dict[str, Any], model: type[Any]) -> None:
    """Contract section 3. Names of unknown fields that look like identifiers are the one exception."""
    for path, message in problems(body, model).items():
        assert CANARY.lower() not in message.lower()
        for part in re.split(r"[.\[\]]", path):
            assert CANARY not in part or re.fullmatch("[A-Za-z_][A-Za-z0-9_-]{0,39}", part)


async def test_the_rules_of_the_whole_echo_nothing_either(desk: Desk) -> None:
    from drio_mcp.errors import ValidationFailed

    made = await desk.create(OAUTH)
    patch = {
        "secretRef": f"env:{CANARY}",
        "id": CANARY,
        "config": {
            "tokenEndpoint": f"http://{CANARY}.example/",
            "type": "basic",
            "allowedOrigins": [f"http://{CANARY}2.example"],
            "lastRegisteredAt": CANARY,
        },
    }
    with pytest.raises(ValidationFailed) as refusal:
        await desk.update(made, patch)
    assert {problem.path for problem in refusal.value.problems} == {
        "id",
        "secretRef",
        "config.type",
        "config.tokenEndpoint",
        "config.allowedOrigins[0]",
        "config.allowedOrigins",
        "config.lastRegisteredAt",
    }
    assert CANARY.lower() not in str(refusal.value.problems).lower()


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("http://127.0.0.1:9000/token", True),
        ("http://localhost/token", True),
        ("http://internal.example:8080/token", True),
        ("http://internal.example:8081/token", False),
        ("http://accounts.example.com/token", False),
    ],
)
async def test_addresses_are_https_but_for_loopback_and_what_the_operator_admits(
    desk: Desk, url: str, is_right: bool
) -> None:
    made = await desk.create(OAUTH)
    assert await desk.refusal(made, {"config": {"tokenEndpoint": url}}) == (
        [] if is_right else ["config.tokenEndpoint"]
    )


async def test_a_type_must_be_one_of_the_providers(desk: Desk) -> None:
    made = await desk.create(OAUTH)
    assert await desk.refusal(made, {"config": {"type": "basic"}}) == ["config.type"]
    assert await desk.refusal(made, {"config": {"type": None}}) == ["config.type"]
    assert await desk.refusal(made, {"config": None}) == ["config"]
    assert await desk.refusal(made, {"name": None}) == ["name"]

"""What comes next: one way at a time, and whole in each of the two parts, of which clients show their models one."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.helpers.mcp import call
from tests.helpers.server import running_server
from tests.upstreams import KeyedApi, Upstream, upstream
from tests.upstreams.api import KEY

WEATHER = {"name": "Weather", "providerKey": "custom-api-key", "config": {"headerName": "X-Api-Key"}}
LINK = re.compile(r"https?://[^\s\"]+/connect/[\w.-]+")


def made(api: httpx2.Client, **body: Any) -> str:
    identifier: str = call(api, "create_auth_connection", {**WEATHER, **body})["structuredContent"]["auth"]["id"]
    return identifier


def links_in(part: Any) -> set[str]:
    return set(LINK.findall(part if isinstance(part, str) else json.dumps(part)))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("connect_auth", {"providerKey": "linear-key"}),
        ("create_auth_connection", WEATHER),
        ("update_auth_connection", {"renewSecret": True}),
        ("diagnose_auth_connection", {}),
        ("refresh_auth_connection", {}),
    ],
)
def test_a_link_stands_in_both_parts_with_what_to_do_after_it(
    api: httpx2.Client, tool: str, arguments: dict[str, Any]
) -> None:
    """Also in a refusal: a connection without its key cannot be renewed, and the refusal has the page for it."""
    on_one = tool not in {"connect_auth", "create_auth_connection"}
    result = call(api, tool, {**arguments, **({"authId": made(api)} if on_one else {})})
    (text,) = (part["text"] for part in result["content"])
    assert len(links_in(text)) == 1
    assert links_in(text) == links_in(result["structuredContent"])
    assert "get_auth_connection with waitSeconds 55" in text


def test_each_part_alone_leads_to_the_link_of_a_connection_that_waits(api: httpx2.Client) -> None:
    made_by = call(api, "connect_auth", {"providerKey": "linear"})["structuredContent"]["auth"]["id"]
    waiting = call(api, "get_auth_connection", {"authId": made_by, "waitSeconds": 1})
    step = waiting["structuredContent"]["nextStep"]
    assert f"call {step['tool']} with {json.dumps(step['arguments'])}" in waiting["content"][0]["text"]
    told = call(api, step["tool"], step["arguments"])["structuredContent"]["diagnosis"]
    assert links_in(told["nextStep"]["url"])


def test_the_list_says_the_same_in_both_parts(api: httpx2.Client) -> None:
    identifier = made(api)
    listed = call(api, "list_auth_connections")
    text = listed["content"][0]["text"]
    (auth,) = listed["structuredContent"]["auth"]
    assert auth["id"] == identifier
    assert all(auth[member] in text for member in ("id", "key", "name", "status", "providerKey"))


@pytest.mark.parametrize(
    ("config", "named", "is_persons"),
    [
        ({}, "config.apiKey", True),
        ({"headerName": None}, "config.headerName", False),
    ],
)
def test_what_is_missing_is_named_and_asked_for_in_one_way(
    api: httpx2.Client, config: dict[str, Any], named: str, is_persons: bool
) -> None:
    """A setting is the model's to give; what is secret has the page, whose form has the field."""
    auth_id = made(api)
    call(api, "update_auth_connection", {"authId": auth_id, "config": config})
    result = call(api, "diagnose_auth_connection", {"authId": auth_id})
    told = result["structuredContent"]["diagnosis"]
    step = told["nextStep"]
    assert named in told["summary"]
    assert named in result["content"][0]["text"]
    assert (step["tool"] is None, step["url"] is not None) == (is_persons, is_persons)
    assert ("Next: call" in result["content"][0]["text"]) != is_persons


def test_no_diagnosis_names_two_ways(api: httpx2.Client) -> None:
    for body in (
        WEATHER,
        {"name": "Own", "providerKey": "custom-oauth", "config": {}},
        {"providerKey": "custom-basic"},
    ):
        told = call(api, "diagnose_auth_connection", {"authId": made(api, **body)})["structuredContent"]["diagnosis"]
        assert (told["nextStep"]["tool"] is None) or (told["nextStep"]["url"] is None), told


def test_last_error_is_refreshed_by_the_change_that_gives_what_was_missing(api: httpx2.Client) -> None:
    oauth = {
        "name": "Own",
        "providerKey": "custom-oauth",
        "status": "valid",
        "config": {
            "authorizationEndpoint": "https://accounts.example.com/authorize",
            "tokenEndpoint": "https://accounts.example.com/token",
            "clientId": "client_123",
        },
    }
    auth_id = made(api, **oauth)
    for patch, error in (
        ({"clientId": None, "tokenEndpoint": None}, "missing_configuration: Still needed: config.tokenEndpoint, "),
        (
            {"tokenEndpoint": "https://accounts.example.com/token"},
            "missing_configuration: Still needed: config.clientId",
        ),
        ({"clientId": "client_456"}, None),
    ):
        changed = call(api, "update_auth_connection", {"authId": auth_id, "config": patch})
        now = changed["structuredContent"]["auth"]["lastError"]
        assert (now or "").startswith(error) if error else now is None, now


def test_which_services_there_are_is_one_short_call(api: httpx2.Client) -> None:
    """Each of the two parts in at most 2 KB, together with what it takes to ask."""
    result = call(api, "list_auth_providers")
    assert len(json.dumps(result["structuredContent"])) <= 2_048
    text = result["content"][0]["text"]
    assert len(text) <= 2_048
    assert all(each["key"] in text for each in result["structuredContent"]["providers"])


@contextmanager
def keyed_place(folder: Path) -> Iterator[tuple[Upstream, httpx2.Client]]:
    """An API that wants a key, and the client of somebody on a server that may reach it."""
    with (
        upstream(KeyedApi()) as provider,
        running_server(folder, outbound_allow=(provider.host_port,)) as server,
        server.client(headers=server.add_person().headers) as api,
    ):
        yield provider, api


def test_a_healthy_connection_says_how_its_key_is_replaced(tmp_path: Path) -> None:
    """One call and one page."""
    with keyed_place(tmp_path) as (provider, api):
        config = {"headerName": "X-Api-Key", "apiBaseUrl": provider.origin}
        app_id = api.get("/api/v1/apps").json()["apps"][0]["id"]
        body = {"name": "Keyed", "providerKey": "custom-api-key", "config": {**config, "apiKey": KEY}}
        auth_id = api.post(f"/api/v1/apps/{app_id}/auth", json=body).json()["auth"]["id"]
        result = call(api, "diagnose_auth_connection", {"authId": auth_id})
        assert result["structuredContent"]["diagnosis"]["code"] == "ok"
        arguments = re.search(r"call update_auth_connection with (\{.*\})", result["content"][0]["text"])
        assert arguments is not None
        renewed = call(api, "update_auth_connection", json.loads(arguments[1]))
        assert links_in(renewed["structuredContent"]["connect"]["url"])

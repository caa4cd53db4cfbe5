"""`find_tools` among 2,000 tools of 50 servers: the right one among the first three, within the budget (section 8)."""

from typing import Any

import pytest

from drio_mcp.connections.use.gateway.finding import BUDGET_TOKENS, Findable, Finder, tokens

NOUNS = [
    "issue",
    "invoice",
    "customer",
    "calendar",
    "event",
    "contact",
    "message",
    "channel",
    "document",
    "page",
    "folder",
    "file",
    "deployment",
    "build",
    "branch",
    "commit",
    "release",
    "order",
    "product",
    "shipment",
    "refund",
    "subscription",
    "campaign",
    "audience",
    "ticket",
    "comment",
    "label",
    "milestone",
    "project",
    "team",
    "user",
    "role",
    "webhook",
    "secret",
    "database",
    "table",
    "row",
    "query",
    "dashboard",
    "alert",
]
VERBS = {
    "list": "List all {}s",
    "get": "Read one {} by its id",
    "create": "Create a new {}",
    "update": "Change the fields of a {}",
    "delete": "Delete a {} for good",
}
SERVICES = [f"service{number}" for number in range(10)]


def catalog() -> list[Findable]:
    """Ten services with tools of all verbs for all nouns: 2,000 that look alike."""
    return [
        Findable(
            {
                "name": f"{service}__{verb}_{noun}",
                "description": words.format(noun) + f" in {service}.",
                "inputSchema": {"type": "object", "properties": {f"{noun}_id": {"type": "string"}}},
            },
            service,
            f"{service} {service.title()}",
            f"{service}{verb}{noun}".encode(),
        )
        for service in SERVICES
        for noun in NOUNS
        for verb, words in VERBS.items()
    ]


TOOLS = catalog()
PHRASES = {
    "list": "show me all the {}s in {}",
    "get": "read a single {} from {} by id",
    "create": "create a {} in {}",
    "update": "update the fields of a {} in {}",
    "delete": "delete this {} from {}",
}


def test_there_are_many() -> None:
    assert len(TOOLS) == 2_000


def test_the_right_tool_is_among_the_first_three_for_95_percent() -> None:
    finder, hits, tasks = Finder(), 0, 0
    for number, noun in enumerate(NOUNS):
        service = SERVICES[number % len(SERVICES)]
        for verb, phrase in PHRASES.items():
            found = finder.find(TOOLS, phrase.format(noun, service), None)
            tasks += 1
            hits += f"{service}__{verb}_{noun}" in [each["name"] for each in found[:3]]
    assert hits / tasks >= 0.95, f"{hits} of {tasks}"


@pytest.mark.parametrize("query", ["list", "issue", "service1 create invoice", "\x00'\"* NEAR(", "", "日本"])
def test_what_is_found_fits_the_budget(query: str) -> None:
    found = Finder().find(TOOLS, query, None)
    assert tokens({"tools": found}) <= BUDGET_TOKENS


def test_only_one_connection() -> None:
    found = Finder().find(TOOLS, "create issue", "service3")
    assert found[0]["name"] == "service3__create_issue"
    assert all(each["name"].startswith("service3__") for each in found)


def test_a_large_definition_is_told_in_outline() -> None:
    properties: dict[str, Any] = {f"p{n}": {"type": "string", "description": "x" * 400} for n in range(60)}
    large = Findable(
        {"name": "a__large", "description": "y" * 5_000, "inputSchema": {"type": "object", "properties": properties}},
        "a",
        "a",
        b"",
    )
    [found] = Finder().find([large], "large", None)
    assert set(found["inputSchema"]["properties"]) == set(properties)
    assert tokens({"tools": [found]}) <= BUDGET_TOKENS

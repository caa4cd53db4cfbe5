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
PARTS = ["bank", "box", "cloud", "desk", "flow", "hub", "mail", "pay", "ship", "track"]
VERBS = {
    "list": "List all {}s",
    "get": "Read one {} by its id",
    "create": "Create a new {}",
    "update": "Change the fields of a {}",
    "delete": "Delete a {} for good",
}
SERVICES = [f"{first}{second}" for first in ("acme", "blue", "north", "river", "stone") for second in PARTS]


def nouns_of(number: int) -> list[str]:
    """What the service of this number is about: eight things, each of which nine others have too."""
    return [NOUNS[(number * 8 + step) % len(NOUNS)] for step in range(8)]


def catalog() -> list[Findable]:
    """Fifty services with tools of all verbs for eight nouns: 2,000, ten of each kind alike."""
    return [
        Findable(
            {
                "name": f"{service}__{verb}_{noun}",
                "description": words.format(noun) + ".",
                "inputSchema": {"type": "object", "properties": {f"{noun}_id": {"type": "string"}}},
            },
            service,
            f"{service} {service.title()}",
            f"{service}{verb}{noun}".encode(),
        )
        for number, service in enumerate(SERVICES)
        for noun in nouns_of(number)
        for verb, words in VERBS.items()
    ]


TOOLS = catalog()
PHRASES = {
    "list": ("show me all the {}s in {}", "which {}s are there at {}? list them"),
    "get": ("read a single {} from {} by id", "I have the id of one {}, get it from {}"),
    "create": ("create a {} in {}", "we need a new {} at {}, please"),
    "update": ("update the fields of a {} in {}", "change that {} of {}"),
    "delete": ("delete this {} from {}", "get rid of the {} at {} for good"),
}
"""What people want, in the tool's words and in others."""


def test_there_are_many() -> None:
    assert len(TOOLS) == 2_000
    assert len({each.connection_key for each in TOOLS}) == 50


def test_the_right_tool_is_among_the_first_three_for_95_percent() -> None:
    finder, missed, tasks = Finder(), [], 0
    for number, service in enumerate(SERVICES):
        noun = nouns_of(number)[number % 8]
        for verb, phrases in PHRASES.items():
            for phrase in phrases:
                task = phrase.format(noun, service)
                found = [each["name"] for each in finder.find(TOOLS, task, None)[:3]]
                tasks += 1
                if f"{service}__{verb}_{noun}" not in found:
                    missed.append((task, found))
    assert tasks == 500
    assert len(missed) / tasks <= 0.05, f"{len(missed)} of {tasks}: {missed[:10]}"


@pytest.mark.parametrize("query", ["list", "issue", "acmebank create invoice", "\x00'\"* NEAR(", "", "日本"])
def test_what_is_found_fits_the_budget(query: str) -> None:
    found = Finder().find(TOOLS, query, None)
    assert tokens({"tools": found}) <= BUDGET_TOKENS


def test_only_one_connection() -> None:
    found = Finder().find(TOOLS, "create issue", "acmebank")
    assert found[0]["name"] == "acmebank__create_issue"
    assert all(each["name"].startswith("acmebank__") for each in found)


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

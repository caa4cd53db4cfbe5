"""The catalog's data and the schema that they keep: every entry well formed, every breach named."""

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

import drio_mcp
from drio_mcp.connections.catalog import schema
from drio_mcp.connections.catalog.entries import Catalog, CatalogEntry, raw_entries
from drio_mcp.connections.catalog.providers import GENERICS
from drio_mcp.connections.catalog.templates import places
from drio_mcp.connections.fields import origin_of

from .entry_rules import checked

ENTRY: dict[str, Any] = {
    "key": "bench",
    "name": "Bench",
    "kind": "oauth",
    "category": "developer",
    "popularity": 1,
    "docsUrl": "https://docs.bench.example",
    "apiOrigins": ["https://api.bench.example"],
    "authorizationEndpoint": "https://bench.example/authorize",
    "tokenEndpoint": "https://bench.example/token",
    "sources": ["https://docs.bench.example"],
}


@pytest.mark.parametrize("raw", raw_entries(), ids=lambda raw: raw["key"])
def test_every_entry_keeps_the_schema(raw: dict[str, Any]) -> None:
    entry = checked(raw)
    assert entry.key not in GENERICS
    assert entry.sources
    for url in [entry.docs_url, *entry.api_origins]:
        if not places(url):
            assert origin_of(url).startswith("https://")


def test_no_key_stands_there_twice() -> None:
    assert len(Catalog().keys) == len(raw_entries())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"quirks": "prose"}, "quirks"),
        ({"popularity": 101}, "popularity"),
        ({"category": "misc"}, "category"),
        ({"tokenEndpoint": "http://bench.example/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": "https://user@bench.example/token"}, "tokenEndpoint"),
        ({"tokenEndpoint": None}, "tokenEndpoint"),
        ({"tokenEndpoint": "https://{tenant}.bench.example/token"}, "tenant"),
        ({"tokenAnswer": {"accessToken": "data.token"}}, "tokenAnswer.accessToken"),
        ({"tokenRequest": {"headers": {"Host": "x"}}}, "tokenRequest.headers"),
        ({"errors": {"token": [{"means": "no_such_code"}]}}, "errors.token.0.means"),
        ({"facts": [{"name": "host", "source": "token"}], "apiOrigins": ["https://{host}"]}, "pattern"),
        ({"facts": [{"name": "site", "source": "lookup"}]}, "lookup"),
        ({"variables": [{"name": "tenant", "example": "x", "pattern": "[0-9]+"}]}, "tenant"),
        ({"variables": [{"name": "client_id", "example": "x"}]}, "client_id"),
    ],
)
def test_a_breach_names_entry_and_member(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match="The catalog's entry bench: ") as caught:
        checked({**ENTRY, **change})
    assert named in str(caught.value)


def test_an_entry_is_read_when_it_is_asked_for() -> None:
    catalog = Catalog([{**ENTRY, "popularity": "much"}, {**ENTRY, "key": "other"}])
    assert catalog.keys == ("bench", "other")
    assert catalog.find("other") is catalog.find("other")
    with pytest.raises(ValidationError, match="popularity"):
        catalog.find("bench")


PACKAGE = Path(drio_mcp.__file__).parent
DOCUMENTED = {"sources"}
"""What stands in docs/providers.md, and nowhere else."""


def test_no_member_is_there_that_code_does_not_read() -> None:
    """What is peculiar to a provider is executed; a fact that nothing reads is prose."""
    vocabulary = {PACKAGE / "connections" / "catalog" / name for name in ("schema.py", "entries.py")}
    read: set[str] = set()
    named: set[str] = set()
    for source in set(PACKAGE.rglob("*.py")) - vocabulary:
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
                named.add(node.value)  # read from a configuration, or one after the other
    shapes: list[type[BaseModel]] = [CatalogEntry]
    shapes += [each for each in vars(schema).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    members = {name for shape in shapes for name in shape.model_fields}
    looked_up = {*schema.KeyParts.model_fields, "header_name", "header_prefix", "query_param_name"} & named
    assert members - read - looked_up - DOCUMENTED == set()

"""`drio-mcp import FILE`: connections from elsewhere, tried first and told line by line."""

import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import Drio

OAUTH: dict[str, Any] = {
    "name": "Mail",
    "providerKey": "google-gmail",
    "config": {"clientId": "c", "clientSecret": "canary-1", "accessToken": "canary-2", "refreshToken": "canary-3"},
    "expiresAt": "2027-01-01T00:00:00Z",
}
KEY: dict[str, Any] = {
    "name": "Weather",
    "providerKey": "custom-api-key",
    "config": {"headerName": "X-Api-Key", "apiKey": "canary-4", "apiBaseUrl": "https://api.weather.example"},
}


@pytest.fixture
def ada(drio: Drio) -> str:
    made = drio("users", "create", "--email", "ada@example.com", "--password-stdin", stdin="long enough a word\n")
    assert made.status == 0, made.err
    return "ada@example.com"


def written(folder: Path, *lines: Any) -> str:
    file = folder / "connections.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
    return str(file)


def test_json_lines_are_tried_and_imported_once(drio: Drio, ada: str, tmp_path: Path) -> None:
    file = written(tmp_path, OAUTH, "", {**KEY, "email": ada})
    would = drio("import", file, "--email", ada, "--dry-run", "--json")
    assert would.status == 0, would.err
    assert [(each["line"], each["outcome"], each["authId"]) for each in json.loads(would.out)] == [
        (1, "would_make", None),
        (3, "would_make", None),
    ]
    made = drio("import", file, "--email", ada, "--json")
    assert made.status == 0, made.err
    assert [each["outcome"] for each in json.loads(made.out)] == ["made", "made"]
    again = json.loads(drio("import", file, "--email", ada, "--json").out)
    assert [each["outcome"] for each in again] == ["exists", "exists"]
    assert "canary" not in made.out + made.err + would.out
    assert "Weather" in drio("import", file, "--email", ada).out


def test_one_bad_line_changes_nothing_unless_told_to_go_on(drio: Drio, ada: str, tmp_path: Path) -> None:
    bad = {**KEY, "name": "Bad", "config": {"headerName": "two words", "apiKey": "canary"}}
    file = written(tmp_path, KEY, bad, "no json", [1])
    refused = drio("import", file, "--email", ada, "--json")
    assert refused.status == 1
    rows = json.loads(refused.out)
    assert [each["outcome"] for each in rows] == ["would_make", "failed", "failed", "failed"]
    assert rows[1]["detail"].startswith("config.headerName: ")
    assert "canary" not in refused.out
    kept = json.loads(drio("import", file, "--email", ada, "--keep-going", "--json").out)
    assert [each["outcome"] for each in kept] == ["made", "failed", "failed", "failed"]


def test_nangos_export(drio: Drio, ada: str, tmp_path: Path) -> None:
    oauth = {
        "id": 1,
        "connection_id": "user-1",
        "provider_config_key": "our-mail",
        "provider": "google-mail",
        "credentials": {
            "type": "OAUTH2",
            "access_token": "canary-1",
            "refresh_token": "canary-2",
            "expires_at": "2027-01-01T00:00:00.000Z",
            "raw": {"scope": "x"},
        },
        "connection_config": {},
        "metadata": None,
    }
    zendesk = {
        "connection_id": "user-2",
        "provider_config_key": "zendesk",
        "provider": "zendesk",
        "credentials": {"type": "OAUTH2", "access_token": "canary-3"},
        "connection_config": {"subdomain": "acme"},
    }
    file = tmp_path / "export.json"
    file.write_text(json.dumps({"connections": [oauth, zendesk, {**oauth, "credentials": {"type": "OAUTH1"}}]}))
    rows = json.loads(drio("import", str(file), "--email", ada, "--keep-going", "--json").out)
    assert [(each["outcome"], each["name"]) for each in rows] == [
        ("made", "user-1"),
        ("made", "user-2"),
        ("failed", None),
    ]
    assert "client" in rows[0]["detail"]


def test_whose_they_are(drio: Drio, ada: str, tmp_path: Path) -> None:
    file = written(tmp_path, KEY)
    assert "--email" in json.loads(drio("import", file, "--json").out)[0]["detail"]
    assert json.loads(drio("import", file, "--email", "bob@example.com", "--json").out)[0]["outcome"] == "failed"
    assert json.loads(drio("import", file, "--email", ada, "--app", "none", "--json").out)[0]["outcome"] == "failed"
    assert json.loads(drio("import", file, "--email", ada, "--app", "my-app", "--json").out)[0]["outcome"] == "made"
    assert drio("import", str(tmp_path / "missing")).status == 2

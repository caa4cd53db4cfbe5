import base64
import json
import shlex
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from drio_mcp.pages.clients import Instructions, instructions

URL = "https://drio.example.com/mcp"


@pytest.fixture
def by_key() -> dict[str, Instructions]:
    return {each.key: each for each in instructions(URL)}


def test_every_client_of_the_start_page_is_there(by_key: dict[str, Instructions]) -> None:
    names = {"claude", "chatgpt", "claude-code", "codex", "cursor", "vscode", "gemini", "others"}
    assert set(by_key) == names


def test_the_cursor_link_carries_the_configuration(by_key: dict[str, Instructions]) -> None:
    link = urlsplit(by_key["cursor"].link or "")
    assert (link.scheme, link.netloc, link.path) == ("cursor", "anysphere.cursor-deeplink", "/mcp/install")
    query = parse_qs(link.query)
    assert query["name"] == ["drio"]
    assert json.loads(base64.b64decode(query["config"][0])) == {"url": URL}


def test_the_vs_code_link_and_command_carry_the_configuration(by_key: dict[str, Instructions]) -> None:
    expected = {"name": "drio", "type": "http", "url": URL}
    link = by_key["vscode"].link or ""
    assert link.startswith("vscode:mcp/install?")
    assert json.loads(unquote(link.partition("?")[2])) == expected
    command = shlex.split(by_key["vscode"].command or "")
    assert command[:2] == ["code", "--add-mcp"]
    assert json.loads(command[2]) == expected


@pytest.mark.parametrize("key", ["claude-code", "codex", "gemini"])
def test_commands_name_the_server_and_its_address(by_key: dict[str, Instructions], key: str) -> None:
    words = shlex.split(by_key[key].command or "")
    assert words[1:3] == ["mcp", "add"]
    assert {"drio", URL} <= set(words)


@pytest.mark.parametrize("key", ["cursor", "others"])
def test_configuration_files_are_json(by_key: dict[str, Instructions], key: str) -> None:
    assert json.loads(by_key[key].file or "")["mcpServers"]["drio"]["url"] == URL

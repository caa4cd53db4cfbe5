"""How each MCP client is connected to this server: the steps, the command, and the link that does it in one click."""

import base64
import json
import shlex
from dataclasses import dataclass
from urllib.parse import quote, urlencode

NAME = "drio"


@dataclass(frozen=True, slots=True)
class Instructions:
    """What to do in one client. `needs_public_url`: it calls from its maker's machines, so loopback is out of reach."""

    key: str
    name: str
    summary: str
    steps: tuple[str, ...] = ()
    command: str | None = None
    then: str | None = None
    link: str | None = None
    link_text: str | None = None
    file: str | None = None
    needs_public_url: bool = False


def instructions(url: str) -> list[Instructions]:
    """The clients with `url` (the MCP endpoint) put in, in the order in which the start page shows them."""
    entry = json.dumps({"type": "http", "url": url})
    named_entry = json.dumps({"name": NAME, "type": "http", "url": url})
    config = base64.b64encode(json.dumps({"url": url}).encode()).decode()
    return [
        Instructions(
            "claude",
            "Claude",
            "On the web, the desktop and the phone",
            steps=(
                "Open Settings, then Connectors.",
                f"Choose “Add custom connector”, name it {NAME} and paste the MCP address.",
                "Choose “Add”, then “Connect”, and allow the access here.",
            ),
            link="https://claude.ai/settings/connectors",
            link_text="Open the connectors of Claude",
            needs_public_url=True,
        ),
        Instructions(
            "chatgpt",
            "ChatGPT",
            "In developer mode, on the web",
            steps=(
                "Open Settings, then Apps, then Advanced settings, and turn on developer mode.",
                f"Choose “Create”, name it {NAME}, paste the MCP address and pick OAuth as authentication.",
                "Create it, and allow the access here.",
            ),
            link="https://chatgpt.com/#settings/Connectors",
            link_text="Open the settings of ChatGPT",
            needs_public_url=True,
        ),
        Instructions(
            "claude-code",
            "Claude Code",
            "In the terminal",
            command=f"claude mcp add --transport http {NAME} {shlex.quote(url)}",
            then=f"Then type /mcp in Claude Code, pick {NAME} and choose “Authenticate”.",
        ),
        Instructions(
            "codex",
            "Codex",
            "In the terminal",
            command=f"codex mcp add {NAME} --url {shlex.quote(url)}",
            then=f"The browser opens by itself; if it does not, run: codex mcp login {NAME}",
        ),
        Instructions(
            "cursor",
            "Cursor",
            "One click, or the file .cursor/mcp.json",
            link="cursor://anysphere.cursor-deeplink/mcp/install?" + urlencode({"name": NAME, "config": config}),
            link_text="Add to Cursor",
            file=json.dumps({"mcpServers": {NAME: {"url": url}}}),
            then="Then choose “Connect” beside it in the MCP settings of Cursor.",
        ),
        Instructions(
            "vscode",
            "VS Code",
            "One click, or a command",
            link=f"vscode:mcp/install?{quote(named_entry)}",
            link_text="Add to VS Code",
            command=f"code --add-mcp {shlex.quote(named_entry)}",
            then="VS Code asks to sign in when it starts the server.",
        ),
        Instructions(
            "gemini",
            "Gemini CLI",
            "In the terminal",
            command=f"gemini mcp add --transport http {NAME} {shlex.quote(url)}",
            then=f"Then type in Gemini CLI: /mcp auth {NAME}",
        ),
        Instructions(
            "others",
            "Another client",
            "Anything that speaks streamable HTTP",
            file=json.dumps({"mcpServers": {NAME: json.loads(entry)}}),
            then="No client id and no secret are needed: the client registers itself.",
        ),
    ]

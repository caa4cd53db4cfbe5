"""Writes the parts of the documentation that the code already knows: `python -m tests.generate`.

Each part stands between two comments, `<!-- NAME -->` and `<!-- /NAME -->`; a test compares it with what the code says.
"""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pydantic.alias_generators import to_camel

from drio_mcp.api.routes import OPERATIONS
from drio_mcp.config import EXAMPLES, Settings
from drio_mcp.connections.catalog.entries import Catalog, CatalogEntry
from drio_mcp.connections.config_types import ASSERTED, NEEDS, ConfigType
from drio_mcp.connections.connecting.links import LABELS
from drio_mcp.connections.diagnosis_codes import CODES, Mender, Remedy
from drio_mcp.events.changes import MEANINGS
from drio_mcp.tools.registry import tools_for

ROOT = Path(__file__).parents[1]
SAID = frozenset({"region", "service"})
"""Fields that the variables fill in."""

ACTORS = {
    Mender.NONE: "nobody",
    Mender.PERSON: "the person, by a click",
    Mender.OWNER: "the owner of the app",
    Mender.PROVIDER: "the provider",
    Mender.OPERATOR: "the operator of this server",
}

NEXT = {
    Remedy.NONE: "nothing",
    Remedy.LINK: "the person opens `nextStep.url`, the connection's page, and allows access or enters the secret",
    Remedy.UPDATE: "correct the configuration with `update_auth_connection`",
    Remedy.REGISTER: "`register_auth_client` where we registered the client, else another client is entered",
    Remedy.RETRY: "`validate_auth_connection` again, later",
    Remedy.RECONNECT: "`connect_auth` with the same target, which reads the provider's metadata anew",
}


def settings_table(*, with_examples: bool = True) -> str:
    """Every environment variable with its default and, if wanted, a right example."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = "" if default in (None, "", ()) else f"`{default}`"
        meaning = str(field.description).replace("|", "\\|")
        example = f" For example `{EXAMPLES[name]}`." if with_examples and name in EXAMPLES else ""
        lines.append(f"| `DRIO_{name.upper()}` | {shown} | {meaning}{example} |")
    return "\n".join(lines)


def tools_list() -> str:
    """Every tool with its REST mirror, its scope and its arguments."""
    rest = {operation.name: f"{operation.methods[0]} {operation.path}" for operation in OPERATIONS}
    parts = []
    for tool in tools_for(Settings()).values():
        effect = "reads" if tool.annotations["readOnlyHint"] else "writes"
        if tool.annotations["destructiveHint"]:
            effect += ", destructive"
        arguments = tool.input.model_json_schema(by_alias=True).get("properties", {})
        names = ", ".join(f"`{name}`" for name in arguments) or "none"
        parts.append(
            f"### {tool.name}\n\n{tool.description}\n\n"
            f"- REST: `{rest[tool.name]}`\n- scope: `{tool.scope}` ({effect})\n- arguments: {names}"
        )
    return "\n\n".join(parts)


def operations_table() -> str:
    """Every REST call."""
    lines = ["| call | what it does | scope |", "|---|---|---|"]
    for operation in OPERATIONS:
        methods = "ANY" if len(operation.methods) > 2 else operation.methods[0]
        lines.append(f"| `{methods} {operation.path}` | {operation.summary} | `{operation.scope}` |")
    return "\n".join(lines)


def diagnosis_list() -> str:
    """A heading per code, so that each has an address of its own."""
    parts = []
    for code, meaning in CODES.items():
        waiting = " It may pass by itself, and is tried again." if meaning.passes else ""
        acts = f"Who acts: {ACTORS[meaning.actor]}. Next: {NEXT[meaning.remedy]}."
        parts.append(f"### {code}\n\n{meaning.summary}.{waiting}\n\n{acts}")
    return "\n\n".join(parts)


def events_table() -> str:
    """Every event that a webhook can be told."""
    lines = ["| type | when |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{type_}` | {meaning} |" for type_, meaning in MEANINGS.items())])


def providers_list() -> str:
    """Every provider, by category: what it needs and what the simulators prove of it."""
    catalog = Catalog()
    entries = [entry for key in catalog.keys if (entry := catalog.find(key)) is not None]
    by_category: dict[str, list[CatalogEntry]] = {}
    for entry in sorted(entries, key=lambda each: (-each.popularity, each.key)):
        by_category.setdefault(entry.category, []).append(entry)
    parts = [f"{len(entries)} providers."]
    for category in sorted(by_category):
        lines = [f"### {category}", "", "| provider | key | needs | proven | sources |", "|---|---|---|---|---|"]
        for entry in by_category[category]:
            sources = len(entry.sources)
            row = (f"[{entry.name}]({entry.docs_url})", f"`{entry.key}`", _needs(entry), _proven(entry), str(sources))
            lines.append(f"| {' | '.join(row)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _needs(entry: CatalogEntry) -> str:
    """What the owner brings along."""
    variables = [f"`{each.name}`" for each in entry.variables if each.default is None]
    if entry.connection_type is not None:
        needs, own = NEEDS[ConfigType(entry.connection_type)], entry.key_parts
        asked: Sequence[str] = own.asked or needs.asked
        optional: Sequence[str] = own.optional or needs.optional
        labels: Mapping[str, str] = {str(each): label for each, label in own.labels.items()}
        fields = [each for each in asked if each not in optional and to_camel(each) not in SAID]
        names = [labels.get(each, LABELS[to_camel(each)]) for each in fields]
        page = f" ([where]({entry.setup.url}))" if entry.setup is not None else ""
        return ", ".join([f"{', '.join(names)}{page}", *variables])
    if entry.kind == "oauth":
        page = f" ([where]({entry.setup.url}))" if entry.setup is not None else ""
        needed = [f"an OAuth client{page}" if entry.authorization_endpoint else f"an app's id and secret{page}"]
        if entry.mcp_auth in {"oauth", "oauth-dcr"} and entry.mcp_server_url is not None:
            needed.append("or nothing, at its MCP server")
    else:
        both = (entry.key_parts.second_label, entry.key_parts.label or "a key")
        needed = [" and ".join(label for label in both if label)]
    return ", ".join([*needed, *variables])


def _proven(entry: CatalogEntry) -> str:
    """The steps of the simulators that this entry goes through."""
    kind = entry.connection_type
    is_granted = kind in ASSERTED if kind is not None else entry.kind == "oauth"
    if is_granted:
        steps = ["consent" if entry.authorization_endpoint else "grant"]
        steps += ["facts"] if entry.facts else []
    else:
        steps = ["key"]
    steps += ["signature"] if kind is not None else []
    steps.append("use")
    is_checked = entry.probe is not None or entry.userinfo_endpoint is not None
    steps += ["check"] if is_checked else []
    steps += ["renew"] if is_granted and entry.tokens.refreshed_with != "nothing" else []
    errors = entry.errors
    steps += ["words"] if errors.token or errors.consent or (errors.api and is_checked) else []
    asked = entry.revocation.request
    steps += ["revoke"] if entry.revocation_endpoint or (asked is not None and asked.url is not None) else []
    by_hand = entry.revocation.page
    return ", ".join(steps) + (f"; [revoked by hand]({by_hand})" if by_hand and "revoke" not in steps else "")


PARTS: list[tuple[str, str, Callable[[], str]]] = [
    ("README.md", "settings", lambda: settings_table(with_examples=False)),
    ("docs/settings.md", "settings", settings_table),
    ("docs/tools.md", "tools", tools_list),
    ("docs/rest.md", "operations", operations_table),
    ("docs/diagnosis.md", "codes", diagnosis_list),
    ("docs/providers.md", "providers", providers_list),
    ("docs/events.md", "events", events_table),
]
"""File, name of the part, and what makes it."""


def with_part(text: str, name: str, content: str) -> str:
    """The text with what stands between the part's comments replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"the part {name} must stand there once")
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def main() -> None:
    """Write all parts."""
    for file, name, make in PARTS:
        path = ROOT / file
        path.write_text(with_part(path.read_text(encoding="utf-8"), name, make()), encoding="utf-8")
        sys.stdout.write(f"{file}: {name}\n")


if __name__ == "__main__":
    main()

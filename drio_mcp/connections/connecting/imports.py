"""Connections from elsewhere, a line each: our own JSON lines, and Nango's export of connections.

A line of ours is the body of `POST …/auth`, secrets and tokens included, with `email` and `app` beside it where it is
not for the account that was named, `variables` for the provider's addresses, and `expiresAt` of the access token.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from drio_mcp.connections.catalog.providers import ProviderFacts, Providers
from drio_mcp.connections.catalog.variables import fill
from drio_mcp.connections.record.crud import ConnectionCrud
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import AuthConnection, ConnectionQuery, CreateAuthConnection
from drio_mcp.errors import DrioError, ValidationFailed

LONGEST_LINE = 1024 * 1024
MOST_LINES = 100_000
OWN = frozenset({"email", "app", "variables", "expiresAt"})
"""Members of a line that are no part of the connection."""

Resolve = Callable[[str | None, str | None], Awaitable[tuple[str, str]]]
"""From an e-mail address and an app, where a line names them, to the ids of account and app."""


class UnreadableLine(Exception):
    """Why a line is no connection, in one sentence without its values."""


@dataclass(frozen=True, slots=True)
class ImportLine:
    """One connection to be: its number in the file, and what it says."""

    number: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LineReport:
    """What became of a line. `outcome` is `made`, `would_make`, `exists` or `failed`."""

    line: int
    outcome: str
    name: str | None = None
    auth_id: str | None = None
    detail: str | None = None

    @property
    def is_failed(self) -> bool:
        return self.outcome == "failed"


def read_lines(text: str) -> Iterator[ImportLine | LineReport]:
    """The connections of a file: JSON lines, one JSON array, or an export that holds them as `connections`."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    if isinstance(whole, dict):
        whole = whole["connections"] if isinstance(whole.get("connections"), list) else [whole]
    if isinstance(whole, list):
        for number, each in enumerate(whole[:MOST_LINES], start=1):
            yield _line(number, each)
        return
    for number, line in enumerate(text.splitlines()[:MOST_LINES], start=1):
        if not line.strip():
            continue
        try:
            yield _line(number, json.loads(line) if len(line) <= LONGEST_LINE else None)
        except (ValueError, RecursionError):
            yield LineReport(number, "failed", detail="The line is no JSON object")


def _line(number: int, value: Any) -> ImportLine | LineReport:
    if not isinstance(value, dict):
        return LineReport(number, "failed", detail="The line is no JSON object")
    return ImportLine(number, value)


class ConnectionImport:
    """Makes the connections of a file, or says what would be made."""

    def __init__(self, providers: Providers, connections: ConnectionCrud) -> None:
        self._providers = providers
        self._connections = connections

    async def run(
        self,
        lines: Sequence[ImportLine | LineReport],
        resolve: Resolve,
        *,
        dry_run: bool,
        on_line: Callable[[int], None] = lambda done: None,
    ) -> list[LineReport]:
        """A report for each line, in their order; one that fails stops no other."""
        reports = []
        for done, line in enumerate(lines, start=1):
            reports.append(line if isinstance(line, LineReport) else await self._make(line, resolve, dry_run=dry_run))
            on_line(done)
        return reports

    async def _make(self, line: ImportLine, resolve: Resolve, *, dry_run: bool) -> LineReport:
        try:
            sent = self.body_of(line.body)
            user_id, app_id = await resolve(_text(line.body, "email"), _text(line.body, "app"))
            body = CreateAuthConnection.model_validate(sent)
            if await self._exists(user_id, app_id, body):
                return LineReport(line.number, "exists", body.name)
            actor = Actor(user_id, "job", "import")
            view = await self._connections.bring(actor, app_id, body, _moment(line.body), dry_run=dry_run)
        except UnreadableLine as problem:
            return LineReport(line.number, "failed", detail=str(problem))
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            path = ".".join(str(each) for each in first["loc"])
            return LineReport(line.number, "failed", detail=f"{path}: {first['msg'].removeprefix('Value error, ')}")
        except DrioError as error:
            return LineReport(line.number, "failed", detail=error.message)
        outcome = "would_make" if dry_run else "made"
        return LineReport(line.number, outcome, view.auth.name, None if dry_run else view.auth.id, _lacks(view.auth))

    async def _exists(self, user_id: str, app_id: str, body: CreateAuthConnection) -> bool:
        """Whether an earlier run made it: the same name at the same provider."""
        cursor = None
        while True:
            query = ConnectionQuery(provider_key=body.provider_key, cursor=cursor)
            page = await self._connections.list(user_id, app_id, query)
            if any(each.name == body.name for each in page.auth):
                return True
            cursor = page.next_cursor
            if cursor is None:
                return False

    def body_of(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """The connection that a line describes, as REST takes it. Raises `UnreadableLine`."""
        if "provider_config_key" in line or "connection_id" in line:
            line = self._of_nango(line)
        sent = {name: value for name, value in line.items() if name not in OWN}
        facts = self._providers.find(str(sent.get("providerKey")))
        variables = line.get("variables")
        if facts is not None and facts.entry is not None and variables is not None:
            sent["config"] = {**_addresses(facts, variables), **(sent.get("config") or {})}
        return sent

    def _of_nango(self, line: Mapping[str, Any]) -> dict[str, Any]:
        """Nango's connection: `provider`, `credentials` and, for the provider's addresses, `connection_config`."""
        credentials = line.get("credentials")
        if not isinstance(credentials, dict):
            raise UnreadableLine("The connection has no credentials: export it with them")
        wanted = _text(line, "providerKey") or _text(line, "provider") or _text(line, "provider_config_key") or ""
        facts = self._find(wanted)
        if facts is None:
            raise UnreadableLine("No provider of the catalog has this name; add providerKey to the line")
        named = {each.name for each in facts.provider.config_schema.variables or ()}
        given = line.get("connection_config")
        variables = {name: value for name, value in (given if isinstance(given, dict) else {}).items() if name in named}
        return {
            "name": _text(line, "connection_id") or facts.provider.name,
            "providerKey": facts.provider.key,
            "config": _nango_config(credentials),
            "email": line.get("email"),
            "app": line.get("app"),
            **({"variables": variables} if named else {}),
        }

    def _find(self, name: str) -> ProviderFacts | None:
        """The provider of that key, or the one that is called so."""
        key = name.lower().replace("_", "-")
        if (facts := self._providers.find(key)) is not None:
            return facts
        words = key.replace("-", " ")
        for each in self._providers.list(words):
            facts = self._providers.find(each.key)
            names = {each.name.lower(), *(facts.entry.aliases if facts is not None and facts.entry is not None else ())}
            if words in names:
                return facts
        return None


def _nango_config(credentials: Mapping[str, Any]) -> dict[str, Any]:
    def given(**members: str) -> dict[str, Any]:
        return {ours: credentials[theirs] for ours, theirs in members.items() if credentials.get(theirs)}

    match credentials.get("type"):
        case "OAUTH2":
            return {"type": "oauth", **given(accessToken="access_token", refreshToken="refresh_token")}
        case "API_KEY":
            return given(apiKey="apiKey")
        case "BASIC":
            return given(username="username", password="password")  # noqa: S106
    raise UnreadableLine("Credentials of this type are not taken; those of OAUTH2, API_KEY and BASIC are")


def _addresses(facts: ProviderFacts, variables: Any) -> dict[str, Any]:
    """The provider's addresses for one customer."""
    if not isinstance(variables, dict) or not all(isinstance(each, str) for each in variables.values()):
        raise UnreadableLine("variables must be an object of texts")
    assert facts.entry is not None
    try:
        entry = fill(facts.entry, variables)
    except ValidationFailed as error:
        raise UnreadableLine(error.message) from None
    base = entry.api.base_url or (entry.api_origins[0] if entry.api_origins else None)
    found = {
        "authorizationEndpoint": entry.authorization_endpoint,
        "tokenEndpoint": entry.token_endpoint,
        "apiBaseUrl": base,
    }
    return {name: url for name, url in found.items() if url is not None and "{" not in url}


def _text(line: Mapping[str, Any], name: str) -> str | None:
    value = line.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise UnreadableLine(f"{name} must be a text")
    return value


def _moment(line: Mapping[str, Any]) -> int | None:
    """When the access token runs out, in milliseconds: `expiresAt` of ours, or that of Nango's credentials."""
    credentials = line.get("credentials")
    value = line.get("expiresAt") or (credentials.get("expires_at") if isinstance(credentials, dict) else None)
    if value is None:
        return None
    try:
        return round(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except ValueError:
        raise UnreadableLine("expiresAt must be a time; a right value is 2026-03-15T12:00:00Z") from None


def _lacks(auth: AuthConnection) -> str | None:
    """What it cannot be refreshed without."""
    config = auth.config
    is_ready = config.refresh_token is None or config.client_id is not None or config.registration_endpoint is not None
    return None if is_ready else "no client id of its own: it uses the app's or the server's client, if there is one"

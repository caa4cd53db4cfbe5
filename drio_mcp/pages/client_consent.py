"""What the consent page says: who asks, where the answer goes, and what is allowed (contract section 4)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from drio_mcp.models import DEFAULT_SCOPES, Scope
from drio_mcp.oauth.authorize import AuthorizationRequest
from drio_mcp.oauth.client_names import harmless_name, imitates_latin, mixes_scripts, shown_host
from drio_mcp.oauth.clients import ClientKind
from drio_mcp.oauth.redirect_uris import is_loopback_http, stays_on_computer


@dataclass(frozen=True, slots=True)
class Permission:
    """One thing that is allowed. `careful` marks what reaches beyond this server."""

    sentence: str
    careful: bool = False


@dataclass(frozen=True, slots=True)
class Asker:
    """The client as the page names it."""

    name: str
    host: str | None
    identity: str
    monogram: str
    is_claimed: bool
    """Whether nobody vouches for it: name and host are then shown as what it says of itself, never as facts."""

    @property
    def title(self) -> str:
        return "an unverified client" if self.is_claimed else self.name


FULL = Permission(
    "See, create, change and delete your apps and their auth connections. Stored secrets are never shown to it."
)
SENTENCES = {
    Scope.OPENID: Permission("Know which account you have here"),
    Scope.PROFILE: Permission("See your name and picture"),
    Scope.EMAIL: Permission("See your e-mail address"),
    Scope.OFFLINE_ACCESS: Permission("Stay connected while you are away, until you disconnect it"),
    Scope.CONNECTIONS_READ: Permission("See your apps and auth connections, without their secrets"),
    Scope.CONNECTIONS_WRITE: Permission(
        "Create, change and delete your auth connections. Stored secrets are never shown to it."
    ),
    Scope.CONNECTIONS_USE: Permission(
        "Use your connections: call the connected services as you, and receive their access tokens", careful=True
    ),
}


def question(checked: AuthorizationRequest) -> dict[str, Any]:
    """Everything that the page needs to ask."""
    client = checked.client
    name = harmless_name(client.name)
    host = shown_host(client.host) if client.host else None
    return {
        "client": Asker(name, host, identity(client.kind, host), name[0], is_claimed=not client.verified),
        "warnings": warnings(checked, name),
        "permissions": permissions(checked.scopes) if checked.app is None else [OF_AN_APP, *_staying(checked.scopes)],
        "destination": destination(checked.redirect_uri),
        "remembered": remembered(checked),
    }


OF_AN_APP = Permission(
    "Call the services that are connected to this app, as far as you choose below. It never sees a key or token.",
    careful=True,
)


def _staying(scopes: Iterable[str]) -> list[Permission]:
    return [SENTENCES[Scope.OFFLINE_ACCESS]] if Scope.OFFLINE_ACCESS in scopes else []


def identity(kind: ClientKind, host: str | None) -> str:
    """Whether anybody vouches for the name."""
    match kind:
        case ClientKind.DOCUMENT:
            return f"Verified: {host} vouches for it"
        case ClientKind.PREREGISTERED:
            return "Verified: entered by whoever runs this server"
        case ClientKind.DYNAMIC:
            return "Not verified: it chose its name itself"


def warnings(checked: AuthorizationRequest, name: str) -> list[str]:
    """What a careful person would want to be told before anything else."""
    found = []
    client, host = checked.client, checked.client.host or ""
    if mixes_scripts(name) or mixes_scripts(host):
        found.append("This name mixes letters of different alphabets that look alike. It may imitate another client.")
    elif not client.verified and (imitates_latin(name) or imitates_latin(host)):
        found.append(
            "This name is written in letters of another alphabet that look like Latin ones. It may imitate another "
            "client."
        )
    if client.problem:
        found.append(client.problem)
    if client.is_public and stays_on_computer(checked.redirect_uri):
        found.append(
            "Allow this only if you have just started it yourself: any app on this computer can use this name."
        )
    elif not client.verified:
        found.append(
            f"Nobody has verified this client: it chose its name itself. Allow it only if you know "
            f"{destination(checked.redirect_uri)} and came from there."
        )
    return found


def remembered(checked: AuthorizationRequest) -> str:
    """What happens at the next time (contract section 4, "Consent page")."""
    if checked.is_remembered:
        return f"Yes. You are not asked again for the same access at {destination(checked.redirect_uri)}"
    return "No. You are asked each time it connects"


def permissions(scopes: Iterable[str]) -> list[Permission]:
    """One sentence per scope, in a fixed order, and first the full access that three of them give together."""
    asked = set(scopes)
    sentences = [SENTENCES[scope] for scope in SENTENCES if scope in asked]
    return [FULL, *sentences] if asked.issuperset(DEFAULT_SCOPES) else sentences


def access_in_words(scopes: Iterable[str]) -> str:
    """The same in a few words, for lists."""
    asked = set(scopes)
    if asked.issuperset(DEFAULT_SCOPES) or Scope.CONNECTIONS_WRITE in asked:
        words = "Manages apps and connections" if asked.issuperset(DEFAULT_SCOPES) else "Manages connections"
    elif Scope.CONNECTIONS_READ in asked:
        words = "Sees apps and connections"
    elif set(asked) <= {Scope.CONNECTIONS_USE, Scope.OFFLINE_ACCESS}:
        return "Uses connections"
    else:
        words = "Knows who you are"
    return words + (", and uses connections" if Scope.CONNECTIONS_USE in asked else "")


def destination(redirect_uri: str) -> str:
    """Where the browser goes after the decision, in words: a host, or an app on this computer."""
    parts = urlsplit(redirect_uri)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme not in {"http", "https"}:
        return f"an app on this computer that opens {parts.scheme}: links"
    return "an app on this computer" if is_loopback_http(redirect_uri) else shown_host(host)

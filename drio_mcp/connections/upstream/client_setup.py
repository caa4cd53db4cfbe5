"""What a person has to do at a provider to get a client or a key there, step by step, with the values to enter."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from drio_mcp.connections.catalog.entries import CatalogEntry

REDIRECT_URI, SCOPES = "redirectUri", "scopes"
_PLACE = re.compile(r"\{(redirectUri|scopes)\}")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a step: plain text, or a value that is entered at the provider as it stands."""

    text: str
    is_value: bool = False


@dataclass(frozen=True, slots=True)
class ClientSetup:
    """Where a client is made, and how. `redirect_uri` and `scopes` are what has to be entered there."""

    provider_name: str
    url: str | None
    steps: tuple[tuple[Piece, ...], ...]
    redirect_uri: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeySetup:
    """The page on which the provider gives out its keys, and what to do there."""

    url: str
    steps: tuple[str, ...]


def key_setup_of(entry: CatalogEntry | None) -> KeySetup | None:
    """Where the key is made, as far as the catalog knows."""
    if entry is None or entry.kind == "oauth" or entry.setup is None:
        return None
    return KeySetup(entry.setup.url, entry.setup.steps)


def setup_of(provider_name: str, entry: CatalogEntry | None, redirect_uri: str, scopes: Iterable[str]) -> ClientSetup:
    """The steps of the catalog, or those that are the same at nearly every provider."""
    given = entry.setup if entry is not None else None
    scopes = tuple(scopes)
    lines: tuple[str, ...] = given.steps if given is not None and given.steps else _usual(provider_name, entry, scopes)
    values = {REDIRECT_URI: redirect_uri, SCOPES: " ".join(scopes) or "that your calls need"}
    url = given.url if given is not None else entry.docs_url if entry is not None else None
    steps = tuple(_pieces(line, values, has_scopes=bool(scopes)) for line in lines)
    return ClientSetup(provider_name, url, steps, redirect_uri, scopes)


def _usual(provider_name: str, entry: CatalogEntry | None, scopes: tuple[str, ...]) -> tuple[str, ...]:
    is_public = entry is not None and entry.token_endpoint_auth_method == "none"  # noqa: S105
    kind = "a public client" if is_public else "a web application that keeps a secret (a confidential client)"
    return (
        f"Open the developer settings of {provider_name} and create an OAuth app.",
        f"As its type choose {kind}, with the grant “authorization code”.",
        "As its redirect URI (also called callback URL) enter {redirectUri}.",
        *(("Allow it the scopes {scopes}.",) if scopes else ()),
        "Copy its client ID into the form." if is_public else "Copy its client ID and its client secret into the form.",
    )


def _pieces(line: str, values: dict[str, str], *, has_scopes: bool) -> tuple[Piece, ...]:
    parts = _PLACE.split(line)
    pieces = []
    for number, part in enumerate(parts):
        if number % 2:
            pieces.append(Piece(values[part], is_value=part == REDIRECT_URI or has_scopes))
        elif part:
            pieces.append(Piece(part))
    return tuple(pieces)

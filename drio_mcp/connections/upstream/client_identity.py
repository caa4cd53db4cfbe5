"""Who we are to a provider: one redirect URI and one client document per connection.

An address of its own for each connection is what tells servers apart when an answer comes back, also those that send no
`iss` (RFC 9700 section 4.4.2). Both addresses follow from the connection's id alone, so they tell nobody whether a
connection exists.
"""

import re
from collections.abc import Iterable
from typing import Any

from drio_mcp import __version__
from drio_mcp.config import Settings

NAME = "drio"
CALLBACK_PATH = "/connect/callback/"
DOCUMENT_PATH = "/connect/client/"
CONNECTION_ID = re.compile(r"auth_[A-Za-z0-9_-]{22,64}")


def redirect_uri(settings: Settings, connection_id: str) -> str:
    """Where the provider sends the person back to."""
    return f"{settings.origin}{CALLBACK_PATH}{connection_id}"


def document_url(settings: Settings, connection_id: str) -> str:
    """The connection's client id where the provider takes Client ID Metadata Documents."""
    return f"{settings.origin}{DOCUMENT_PATH}{connection_id}"


def is_document_of(client_id: str, connection_id: str) -> bool:
    """Whether a connection's client id is the URL of our document, under whichever public URL it was given out."""
    return client_id.endswith(DOCUMENT_PATH + connection_id)


def client_document(settings: Settings, connection_id: str) -> dict[str, Any]:
    """The Client ID Metadata Document (draft-ietf-oauth-client-id-metadata-document section 4.1): a public client."""
    return {"client_id": document_url(settings, connection_id), **client_metadata(settings, connection_id, "none")}


def client_metadata(
    settings: Settings, connection_id: str, auth_method: str, scopes: Iterable[str] = ()
) -> dict[str, Any]:
    """The client as it registers itself (RFC 7591 section 2)."""
    metadata: dict[str, Any] = {
        "client_name": NAME,
        "redirect_uris": [redirect_uri(settings, connection_id)],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": auth_method,
        # OpenID Connect Registration section 2: `web` clients may not use http, `native` ones use it on loopback
        "application_type": "native" if settings.is_loopback else "web",
        "software_id": "drio-mcp",
        "software_version": __version__,
    }
    if settings.is_https:
        metadata["client_uri"] = settings.origin
    if scope := " ".join(scopes):
        metadata["scope"] = scope
    return metadata

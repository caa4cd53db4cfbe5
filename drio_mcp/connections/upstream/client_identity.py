"""Who we are to a provider: one redirect URI and one client document per authorization server.

An address of its own for each is what tells servers apart when an answer comes back, also those that send no `iss`
(RFC 9700 section 4.4.2). Both end in the server's slug, which follows from its endpoints alone, so they tell nobody who
uses it. Those that were given out before end in the id of a connection, and are answered for ever.
"""

import re
from collections.abc import Iterable
from typing import Any

from drio_mcp import __version__
from drio_mcp.config import Settings
from drio_mcp.connections.catalog.authorization_servers import SLUG

NAME = "drio"
CALLBACK_PATH = "/connect/callback/"
DOCUMENT_PATH = "/connect/client/"
CALLBACK = re.compile(rf"{SLUG.pattern}|auth_[A-Za-z0-9_-]{{22,64}}")
"""The last part of both addresses."""


def redirect_uri(settings: Settings, callback: str) -> str:
    """Where the provider sends the person back to."""
    return f"{settings.origin}{CALLBACK_PATH}{callback}"


def document_url(settings: Settings, callback: str) -> str:
    """Our client id where the provider takes Client ID Metadata Documents."""
    return f"{settings.origin}{DOCUMENT_PATH}{callback}"


def client_document(settings: Settings, callback: str) -> dict[str, Any]:
    """The Client ID Metadata Document (draft-ietf-oauth-client-id-metadata-document section 4.1): a public client."""
    return {"client_id": document_url(settings, callback), **client_metadata(settings, callback, "none")}


def client_metadata(settings: Settings, callback: str, auth_method: str, scopes: Iterable[str] = ()) -> dict[str, Any]:
    """The client as it registers itself (RFC 7591 section 2)."""
    metadata: dict[str, Any] = {
        "client_name": NAME,
        "redirect_uris": [redirect_uri(settings, callback)],
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

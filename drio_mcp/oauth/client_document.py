"""What a Client ID Metadata Document may be: its URL and its content (draft-ietf-oauth-client-id-metadata-document).

Pure rules; fetching is `metadata_documents`.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_metadata import web_host_of
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.redirect_uris import check_redirect_uri
from drio_mcp.outbound import OutboundError, parse_target

MAX_CLIENT_ID = 1024
MAX_NAME = 200

_PRIVATE_KEY_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
"""RFC 7518 section 6: what only the owner of a key may know; `k` is a symmetric key."""


class ClientDocumentError(OAuthError):
    """There is no usable document. The message says why, in a sentence for the person or developer in front of it."""

    def __init__(self, description: str) -> None:
        super().__init__("invalid_client", description, status=401)


class ClientDocumentUnreachable(ClientDocumentError):
    """Its host does not serve it at the moment, or not to us: nothing is known against the client."""


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """A client as its own document describes it. A logo is not among it: it would be loaded from anywhere."""

    client_id: str
    name: str
    """As the client calls itself; only `host` is proven."""
    redirect_uris: tuple[str, ...]
    token_endpoint_auth_method: Literal["none", "private_key_jwt"]
    grant_types: tuple[str, ...]
    response_types: tuple[str, ...]
    scope: str | None
    client_uri: str | None
    jwks: Mapping[str, Any] | None
    jwks_uri: str | None
    signing_alg: str | None
    """`token_endpoint_auth_signing_alg`, the only one to accept when it is named (OpenID registration section 2)."""
    fetched_at: int
    """Milliseconds: when its host last vouched for it."""
    problem: str | None = None
    """Why this is an older copy: the sentence to show when the host fails at the moment."""

    @property
    def host(self) -> str:
        """The host that vouches for the document, with its port where that is not 443: the client's proven name."""
        return parse_target(self.client_id).authority


class _Document(BaseModel):
    """RFC 7591 section 2, as far as it concerns us. Unknown members are ignored, as that section asks."""

    model_config = ConfigDict(strict=True, extra="ignore")

    client_id: str
    client_name: str | None = None
    redirect_uris: list[str] = Field(min_length=1, max_length=50)
    token_endpoint_auth_method: str = "none"  # noqa: S105 - a method's name
    token_endpoint_auth_signing_alg: str | None = None
    grant_types: list[str] = ["authorization_code", "refresh_token"]
    response_types: list[str] = ["code"]
    scope: str | None = None
    client_uri: str | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    client_secret: Any = None
    client_secret_expires_at: Any = None


def is_document_url(client_id: str) -> bool:
    """Whether `client_id` means a metadata document rather than a registered client."""
    return client_id.startswith("https://")


def check_client_id(client_id: str) -> None:
    """Raises `ClientDocumentError` unless `client_id` is a URL that can name a client (draft section 3).

    It must be written in the one form that names its host and path, because clients are told apart by their strings.
    """
    if not is_document_url(client_id) or len(client_id) > MAX_CLIENT_ID:
        _refuse("A client id that is a URL must be an https URL of at most 1024 characters")
    try:
        target = parse_target(client_id)
    except OutboundError as error:
        raise ClientDocumentError(f"The client id is not a URL that can be fetched. {error.sentence}") from None
    if "#" in client_id:
        _refuse("A client id must not have a fragment")
    path = target.path.partition("?")[0]
    if any(re.fullmatch(r"(\.|%2e){1,2}", segment, re.IGNORECASE) for segment in path.split("/")):
        _refuse("A client id must not have dot segments in its path")
    if target.url != client_id:
        _refuse("A client id must be written plainly: host in lower case, no default port, and a path")


def read_document(client_id: str, content: Any, fetched_at: int, problem: str | None = None) -> ClientDocument:
    """The client that the decoded JSON `content` describes, found at `client_id`.

    Raises `ClientDocumentError` with what is wrong in it.
    """
    try:
        document = _Document.model_validate(content)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ClientDocumentError(
            f"The client's metadata document is not valid: {place or 'it'} is missing or of the wrong type"
        ) from None
    if document.client_id != client_id:
        _refuse("The client's metadata document names another client_id than its own URL")
    if document.client_secret is not None or document.client_secret_expires_at is not None:
        _refuse("The client's metadata document contains a client secret, which a public document cannot keep")
    if document.client_uri is not None and web_host_of(document.client_uri) is None:
        _refuse("The client's metadata document is not valid: client_uri must be an https URL")
    _check_redirect_uris(document.redirect_uris)
    method = _auth_method(document)
    return ClientDocument(
        client_id=client_id,
        name=harmless_name(document.client_name or "", parse_target(client_id).authority, MAX_NAME),
        redirect_uris=tuple(document.redirect_uris),
        token_endpoint_auth_method=method,
        grant_types=tuple(document.grant_types),
        response_types=tuple(document.response_types),
        scope=document.scope,
        client_uri=document.client_uri,
        jwks=document.jwks if method == "private_key_jwt" else None,
        jwks_uri=document.jwks_uri if method == "private_key_jwt" else None,
        signing_alg=document.token_endpoint_auth_signing_alg,
        fetched_at=fetched_at,
        problem=problem,
    )


def _check_redirect_uris(uris: Collection[str]) -> None:
    """The rules are those of registration."""
    for uri in uris:
        try:
            check_redirect_uri(uri)
        except OAuthError as error:
            raise ClientDocumentError(f"The client's metadata document is not valid. {error.message}") from None


def _auth_method(document: _Document) -> Literal["none", "private_key_jwt"]:
    """Draft section 4.1: no method that rests on a shared secret."""
    method = document.token_endpoint_auth_method
    if method == "none":
        return "none"
    if method != "private_key_jwt":
        _refuse("The client's metadata document must say none or private_key_jwt as token_endpoint_auth_method")
    if (document.jwks is None) == (document.jwks_uri is None):  # RFC 7591 section 2: not both
        _refuse("A client that uses private_key_jwt must give either jwks or jwks_uri")
    if document.jwks is not None:
        check_jwks(document.jwks)
    elif document.jwks_uri is not None and not is_document_url(document.jwks_uri):
        _refuse("The client's jwks_uri must be an https URL")
    return "private_key_jwt"


def check_jwks(content: Any) -> Mapping[str, Any]:
    """The key set itself (RFC 7517 section 5). Raises `ClientDocumentError` for one without public keys."""
    keys = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        _refuse("The client's key set has no keys")
    if any(_PRIVATE_KEY_MEMBERS & key.keys() for key in keys):
        _refuse("The client's key set shows a private or symmetric key")
    return {"keys": keys}


def _refuse(sentence: str) -> NoReturn:
    raise ClientDocumentError(sentence)

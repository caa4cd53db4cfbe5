"""Well-known documents: where they are, and which of them may be believed (RFC 9728, RFC 8414, OpenID Discovery)."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from drio_mcp.connections.connecting.plan import ServerMetadata
from drio_mcp.connections.fields import askable_scopes
from drio_mcp.outbound import OutboundError
from drio_mcp.outside import read_strings, read_url

PROTECTED_RESOURCE = "oauth-protected-resource"
AUTHORIZATION_SERVER = "oauth-authorization-server"
OPENID_CONFIGURATION = "openid-configuration"

MOST_SERVERS = 20
MOST_WORDS = 50
WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_. -]{0,63}")

LONGEST_SHOWN = 100
ADDRESS = re.compile(r"[A-Za-z0-9\-._~:/\[\]@%]+")
"""What an issuer consists of (RFC 8414 section 2: neither query nor fragment)."""

_ENDPOINTS = (
    "authorization_endpoint",
    "token_endpoint",
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "userinfo_endpoint",
)


class Unbelievable(Exception):
    """A document that must not be used: a diagnosis code and what is wrong."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence


def root_of(url: str) -> str:
    """What stands before the path, as it is written: documents are asked for, and issuers compared, letter by letter.

    For the one form of an origin there is `fields.origin_of`.
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


def resource_metadata_urls(resource: str) -> list[str]:
    """RFC 9728 section 3.1: the well-known part goes between host and path; the MCP specification adds the root."""
    return _distinct([_inserted(resource, PROTECTED_RESOURCE), _inserted(root_of(resource), PROTECTED_RESOURCE)])


def server_metadata_urls(issuer: str) -> list[str]:
    """RFC 8414 section 3.1 and section 5, then OpenID Connect Discovery section 4, which appends."""
    appended = f"{issuer.rstrip('/')}/.well-known/{OPENID_CONFIGURATION}"
    return _distinct([_inserted(issuer, AUTHORIZATION_SERVER), appended, _inserted(issuer, OPENID_CONFIGURATION)])


def check_resource(document: Any, target: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The resource's own name, its authorization servers and scopes.

    Raises `Unbelievable` unless the document speaks for `target` (RFC 9728 section 3.3): it names that URL, or a URL
    of the same origin above it, as MCP servers do that share one document.
    """
    if not isinstance(document, dict) or not isinstance(document.get("resource"), str):
        raise Unbelievable("metadata_invalid", "The resource metadata has no resource")
    resource = document["resource"]
    if not _covers(resource, target):
        raise Unbelievable("metadata_invalid", "The resource metadata speaks for another resource than this URL")
    named = read_strings(document.get("authorization_servers"))
    issuers = tuple(each for each in named if _has_web_host(each))[:MOST_SERVERS]
    if named and not issuers:
        raise Unbelievable("metadata_invalid", "The resource metadata names no authorization server by a readable URL")
    return resource, issuers, _scopes(document)


def check_server(document: Any, issuer: str, check_endpoint: Callable[[str], Any]) -> ServerMetadata:
    """The authorization server, if the document is that of `issuer`.

    `check_endpoint` raises `OutboundError` for a URL that would not be called. Authlib's validation of such documents
    is not used: it refuses loopback and whatever a document of the wild has wrong beside what a connection needs.
    Raises `Unbelievable`: `issuer_mismatch` (RFC 8414 section 3.3), `metadata_invalid`.
    """
    if not isinstance(document, dict) or not isinstance(document.get("issuer"), str):
        raise Unbelievable("metadata_invalid", "The authorization server's metadata has no issuer")
    if not is_same_issuer(document["issuer"], issuer):
        theirs = bounded(document["issuer"])
        raise Unbelievable(
            "issuer_mismatch",
            f"The authorization server's metadata names another issuer ({theirs}) than its own URL ({bounded(issuer)})",
        )
    endpoints = {name: _endpoint(document, name, check_endpoint) for name in _ENDPOINTS}
    if endpoints["token_endpoint"] is None:
        raise Unbelievable("metadata_invalid", "The authorization server's metadata has no token_endpoint")
    methods = _words(document, "token_endpoint_auth_methods_supported")
    return ServerMetadata(
        issuer=document["issuer"],
        authorization_endpoint=endpoints["authorization_endpoint"],
        token_endpoint=endpoints["token_endpoint"],
        registration_endpoint=endpoints["registration_endpoint"],
        revocation_endpoint=endpoints["revocation_endpoint"],
        introspection_endpoint=endpoints["introspection_endpoint"],
        userinfo_endpoint=endpoints["userinfo_endpoint"],
        scopes_supported=_scopes(document),
        token_endpoint_auth_methods=methods or ("client_secret_basic",),
        code_challenge_methods=_words(document, "code_challenge_methods_supported"),
        sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
        response_types=_words(document, "response_types_supported"),
        takes_metadata_documents=document.get("client_id_metadata_document_supported") is True,
        wants_pushed_requests=document.get("require_pushed_authorization_requests") is True,
        wants_signed_requests=document.get("require_signed_request_object") is True,
    )


def _scopes(document: dict[str, Any]) -> tuple[str, ...]:
    """The scopes that a document offers, as far as they can be asked for."""
    return askable_scopes(read_strings(document.get("scopes_supported")))


def _words(document: dict[str, Any], name: str) -> tuple[str, ...]:
    """Names from a registry of IANA's (RFC 8414 section 7); what is no such name is nothing that we know."""
    return tuple(each for each in read_strings(document.get(name)) if WORD.fullmatch(each))[:MOST_WORDS]


def is_same_issuer(published: str, expected: str) -> bool:
    """RFC 8414 section 3.3: identical. Of a bare origin, with and without the slash are one URL (RFC 3986 section
    6.2.3) with one well-known place, so neither can be taken for somebody else's."""
    return published == expected or (
        published.rstrip("/") == expected.rstrip("/") and urlsplit(expected).path in {"", "/"}
    )


def bounded(url: str) -> str:
    """An address of somebody else as a sentence may hold it: nothing but an address, and not all of a long one."""
    parts = read_url(url)
    if parts is None or parts.scheme not in {"http", "https"} or not ADDRESS.fullmatch(url[:LONGEST_SHOWN]):
        return "no web address"
    return url if len(url) <= LONGEST_SHOWN else f"{url[:LONGEST_SHOWN]}…"


def _endpoint(document: dict[str, Any], name: str, check: Callable[[str], Any]) -> str | None:
    url = document.get(name)
    if url is None:
        return None
    if not isinstance(url, str):
        raise Unbelievable("metadata_invalid", f"The authorization server's {name} is not a URL")
    try:
        check(url)
    except OutboundError as error:
        sentence = f"The authorization server's {name} cannot be called. {error.sentence}"
        raise Unbelievable("metadata_invalid", sentence) from None
    return url


def _inserted(url: str, name: str) -> str:
    parts = urlsplit(url)
    path = f"/.well-known/{name}{parts.path.rstrip('/')}"
    return urlunsplit((parts.scheme, parts.netloc, path, parts.query, ""))


def _covers(resource: str, target: str) -> bool:
    ours, theirs = read_url(target), read_url(resource)
    if (
        ours is None
        or theirs is None
        or (ours.scheme, ours.netloc) != (theirs.scheme.lower(), theirs.netloc.lower())
        or theirs.fragment
    ):
        return False
    above = theirs.path.rstrip("/") + "/"
    return (ours.path.rstrip("/") + "/").startswith(above) and theirs.query in {"", ours.query}


def _has_web_host(text: str) -> bool:
    parts = read_url(text)
    return parts is not None and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _distinct(urls: list[str]) -> list[str]:
    return list(dict.fromkeys(urls))

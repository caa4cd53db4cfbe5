"""What an upstream token endpoint answered (RFC 6749 section 5), read as providers really send it.

Providers answer errors with status 200, tokens as form data, lifetimes as strings, scopes with commas, and nest user
tokens in an inner object. A refusal of the grant must never be taken from an outage, nor the other way round: the one
ends the connection, the other passes.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from drio_mcp.clock import SECOND
from drio_mcp.connections.catalog.entries import CatalogEntry
from drio_mcp.connections.catalog.schema import TokenAnswerRules
from drio_mcp.connections.diagnosis_codes import CODES, Code
from drio_mcp.connections.fields import LONGEST_SECRET
from drio_mcp.connections.json_pointer import resolve
from drio_mcp.connections.upstream.error_words import meaning_of
from drio_mcp.connections.upstream.provider_facts import from_tokens
from drio_mcp.connections.upstream.provider_rules import neutral
from drio_mcp.opaque import Secret, from_b64url
from drio_mcp.outbound import OutboundResponse
from drio_mcp.outbound.retry_after import read_date, read_retry_after
from drio_mcp.outside import media_type_of, read_json, read_number
from drio_mcp.text import is_plain

LONGEST_FORM = 128 * 1024
"""Bytes of an answer in form data: it holds two tokens."""
MAX_LIFETIME = 10 * 365 * 86_400
"""Seconds; a provider that says more means that it never ends."""

LATEST = 10_000_000_000
"""Seconds since 1970, in the year 2286; a greater number is in milliseconds."""

CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client", "invalid_client_id"})
SECRET_ERRORS = frozenset({"bad_client_secret", "incorrect_client_credentials", "invalid_client_secret"})
LOST_CLIENT_ERRORS = frozenset({"deleted_client", "client_not_found", "application_not_found", "bad_client_id"})
LOST_CLIENT = re.compile(r"(client|application)\b.{0,200}\b(was|were|is) (not found|deleted)", re.DOTALL)
"""How descriptions of `invalid_client` say that it was the id (Google, Entra ID)."""
GRANT_ERRORS = frozenset(
    {
        "invalid_grant",
        "invalid_refresh_token",
        "bad_refresh_token",
        "refresh_token_expired",
        "expired_refresh_token",
        "bad_verification_code",
        "invalid_code",
        "code_expired",
        "bad_auth_code",
        "token_expired",
        "expired_token",
        "token_revoked",
        "revoked_token",
        "access_denied",
        "interaction_required",
        "login_required",
        "consent_required",
    }
)
PASSING_ERRORS = frozenset({"server_error", "temporarily_unavailable", "internal_error", "service_unavailable"})
RATE_ERRORS = frozenset({"slow_down", "rate_limited", "ratelimited", "too_many_requests", "rate_limit_exceeded"})
FOREIGN_SCHEMES = frozenset({"dpop", "mac", "pop", "n_a"})
"""Token types that call for more than a bearer's header (RFC 9449 section 5, RFC 8693 section 2.2.1)."""


SENTENCES: Mapping[Code, str] = {
    Code.REAUTHORIZATION_REQUIRED: "The token endpoint refused the grant",
    Code.CLIENT_UNKNOWN: "The token endpoint does not know the client id",
    Code.CLIENT_SECRET_WRONG: "The token endpoint refused the client secret",
    Code.CLIENT_SECRET_EXPIRED: "The token endpoint says that the client secret has expired",
    Code.SCOPE_MISSING: "The token endpoint does not grant a scope that was asked for",
    Code.AUDIENCE_MISMATCH: "The token endpoint does not issue tokens for the resource",
    Code.RATE_LIMITED: "The token endpoint asked us to slow down",
}
"""What a refusal's code means here, in our words."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens of one answer. Times are milliseconds; None where the provider did not say."""

    access_token: Secret
    token_type: str
    obtained_at: int
    expires_at: int | None
    refresh_token: Secret | None
    scopes: tuple[str, ...] | None
    refresh_expires_at: int | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    """What the answer tells beside the tokens and calls need (`config.providerFacts`)."""
    auth_method: str | None = None
    """How our client had authenticated when these came."""
    without_resource: bool = False
    """Whether they came only once `resource` (RFC 8707) was left out."""
    account: str | None = None
    """Whose they are, by the issuer and the `sub` of the ID token that came along."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of a provider without tokens, read and kept as a value: it is weighed (asked again, stored, told to
    others) before somebody is told, by the `Fault` that is raised in the end.

    `status` is the answer's, None where none came; `retry_after` is in seconds, where the provider named it.
    """

    code: Code
    sentence: str
    status: int | None = None
    retry_after: int | None = None
    answered_at: int | None = field(default=None, compare=False)
    """The provider's own time (RFC 9110 section 6.6.1), in milliseconds."""
    is_vague: bool = False
    """Whether it names neither client nor grant: the request was wrong, perhaps in how the client said who it is."""
    auth_method: str | None = None
    """How our client was taken for who it is, after other ways had been refused."""


def read_token_answer(
    response: OutboundResponse,
    *,
    now: int,
    entry: CatalogEntry | None = None,
    is_refresh: bool = False,
    has_client_secret: bool = False,
) -> TokenSet | Refusal:
    """The tokens, or the refusal, in an answer (RFC 6749 section 5), read as the entry says that this provider answers.

    `now` is when the request was sent.
    """
    entry = entry or neutral()
    body = _parse(response)
    if body is not None and _is_success(body, entry.token_answer):
        found = _token_set(body, now, entry) or _by_the_book(body, now, entry)
        if found is not None and found.token_type.lower() in FOREIGN_SCHEMES:
            return Refusal(
                Code.UNSUPPORTED_AUTH, f"The provider issues {found.token_type} tokens, which are not used here"
            )
        if found is not None:
            return found
    refusal = _refusal(response, body, entry, is_refresh=is_refresh, has_client_secret=has_client_secret, now=now)
    return replace(refusal, answered_at=read_date(response.headers.get("date")))


def _is_success(body: Mapping[str, Any], answer: TokenAnswerRules) -> bool:
    """Whether the member that tells success from failure, where there is one, tells success."""
    if answer.succeeded_at is None:
        return True
    told = resolve(body, answer.succeeded_at)
    return any(told == each and isinstance(told, bool) == isinstance(each, bool) for each in answer.succeeded_with)


def _by_the_book(body: Mapping[str, Any], now: int, entry: CatalogEntry) -> TokenSet | None:
    """The tokens where RFC 6749 wants them, or in the inner object that a user's token often stands in."""
    for holder in (body, body.get("authed_user"), body.get("data")):
        if isinstance(holder, dict) and _text(holder.get("access_token")):
            plain = entry.model_copy(update={"token_answer": TokenAnswerRules()})
            return _token_set(holder, now, plain)
    return None


def _parse(response: OutboundResponse) -> dict[str, Any] | None:
    """The body as an object, from JSON or (against RFC 6749 section 5.1, but common) form data."""
    try:
        text = response.body.decode()
        value = read_json(text)
    except ValueError:
        media_type = media_type_of(response.headers.get("content-type", ""))
        if media_type not in {"application/x-www-form-urlencoded", "text/plain"} or len(response.body) > LONGEST_FORM:
            return None
        return _parse_form(response.body.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else None


def _parse_form(text: str) -> dict[str, Any] | None:
    try:
        fields = dict(parse_qsl(text, max_num_fields=50))
    except ValueError:
        return None
    return dict(fields) if {"access_token", "error"} & fields.keys() else None


def _token_set(body: Mapping[str, Any], now: int, entry: CatalogEntry) -> TokenSet | None:
    answer = entry.token_answer
    access_token = _text(resolve(body, answer.access_token))
    if access_token is None:
        return None
    refresh_token = _text(resolve(body, answer.refresh_token))
    match entry.tokens.refreshed_with:
        case "access_token":
            refresh_token = access_token  # what is swapped for its successor is the token itself
        case "nothing":
            refresh_token = None
    refresh_lifetime = _seconds(resolve(body, answer.refresh_expires)) or entry.tokens.refresh_lifetime_seconds
    return TokenSet(
        access_token=Secret(access_token),
        token_type=_text(body.get("token_type")) or "Bearer",
        obtained_at=now,
        expires_at=_end(body, now, answer),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        scopes=_scopes(resolve(body, answer.scope), entry.scope_separator),
        refresh_expires_at=now + refresh_lifetime * SECOND if refresh_token and refresh_lifetime else None,
        facts=from_tokens(entry, body),
        account=_account_of(body.get("id_token")),
    )


def _account_of(id_token: Any) -> str | None:
    """Nothing is verified: it came from the token endpoint itself (OpenID Connect Core section 3.1.3.7), and says
    nothing but whether two consents were one account's."""
    claims = _claims(id_token) if _text(id_token) else {}
    issuer, subject = _text(claims.get("iss")), _text(claims.get("sub"))
    return None if issuer is None or subject is None else json.dumps([issuer, subject])


def _end(body: Mapping[str, Any], now: int, answer: TokenAnswerRules) -> int | None:
    """When the access token runs out, in milliseconds; None where nobody says so."""
    told = resolve(body, answer.expires)
    end: int | None
    match answer.expires_unit:
        case "seconds":
            lifetime = _seconds(told)
            end = _named_end(body) if lifetime is None else now + lifetime * SECOND
        case "milliseconds":
            lifetime = _seconds(told, largest=MAX_LIFETIME * SECOND)
            end = None if lifetime is None else now + lifetime
        case _:
            end = _instant(told)
    if end is None and answer.lifetime_seconds is not None and told in (None, ""):
        return now + answer.lifetime_seconds * SECOND
    return end if end is None or end > now else None


def _named_end(body: Mapping[str, Any]) -> int | None:
    """The end of life where a provider tells that instead of the life, in one of its usual spellings."""
    return _instant(body.get("expires_at")) if "expires_in" not in body else None


def _instant(value: Any) -> int | None:
    """Milliseconds since 1970, from seconds or milliseconds since then, or from a date and time (RFC 3339)."""
    number = _seconds(value, largest=LATEST * SECOND)
    if number is not None:
        return number if number > LATEST else number * SECOND
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None
    except ValueError:
        return None
    if moment is None:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * SECOND)


def _scopes(value: Any, separator: str) -> tuple[str, ...] | None:
    """Granted scopes (RFC 6749 section 3.3); absent means that all were granted, as asked (section 5.1)."""
    if isinstance(value, list):
        return tuple(str(each) for each in value if _text(each))
    if _text(value) is None or not value.strip():
        return None
    # many ask with one separator and answer with another; no provider has a comma inside of a scope's name
    for each in {separator, ","} - {" "}:
        value = value.replace(each, " ")
    return tuple(dict.fromkeys(value.split()))


def _seconds(value: Any, largest: int = MAX_LIFETIME) -> int | None:
    """A lifetime (RFC 6749 section 4.2.2), also as a string or a fraction; zero and less mean that it has none."""
    return read_number(value, largest) or None


def _text(value: Any) -> str | None:
    """A text that can be stored, shown and sent; a provider may write anything into its JSON."""
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET and is_plain(value) else None


def _error_of(body: Mapping[str, Any], answer: TokenAnswerRules) -> str | None:
    """The error code of RFC 6749 section 5.2, or of those who nest it or spell it otherwise."""
    for value in (resolve(body, answer.error), *(body.get(key) for key in ("error", "error_code", "code", "status"))):
        if isinstance(value, dict):
            value = value.get("code") or value.get("type") or value.get("error")
        if _text(value):
            return str(value).lower()
    return "unknown_error" if body.get("ok") is False or body.get("error") else None


def _refusal(
    response: OutboundResponse,
    body: Mapping[str, Any] | None,
    entry: CatalogEntry,
    *,
    is_refresh: bool,
    has_client_secret: bool,
    now: int,
) -> Refusal:
    status, said = response.status, body or {}
    retry_after = read_retry_after(response.headers.get("retry-after"), now)
    code = meaning_of(entry.errors.token, status, said, (entry.token_answer.error,), entry.token_answer.description)
    if code is not None:
        return Refusal(code, SENTENCES.get(code, CODES[code].summary), status, retry_after)
    error = _error_of(said, entry.token_answer) if body is not None else None
    if status == 429 or error in RATE_ERRORS:
        return Refusal(Code.RATE_LIMITED, "The token endpoint asked us to slow down", status, retry_after)
    if status >= 500 or error in PASSING_ERRORS:
        return Refusal(Code.PROVIDER_OUTAGE, f"The token endpoint answered with status {status}", status, retry_after)
    if error in GRANT_ERRORS:
        return Refusal(Code.REAUTHORIZATION_REQUIRED, SENTENCES[Code.REAUTHORIZATION_REQUIRED], status)
    if error in CLIENT_ERRORS | SECRET_ERRORS | LOST_CLIENT_ERRORS or (
        status == 401 and error is None and (body is not None or "www-authenticate" in response.headers)
    ):
        return _client_refusal(said, error, status, has_client_secret)
    if error == "invalid_scope":
        return Refusal(Code.SCOPE_MISSING, SENTENCES[Code.SCOPE_MISSING], status)
    if error == "invalid_target":
        return Refusal(Code.AUDIENCE_MISMATCH, SENTENCES[Code.AUDIENCE_MISMATCH], status)
    if error in {"unsupported_grant_type", "unsupported_response_type"}:
        return Refusal(Code.UNSUPPORTED_AUTH, "The token endpoint does not support this grant type", status)
    return _unnamed_refusal(status, error, is_refresh=is_refresh)


def _unnamed_refusal(status: int, error: str | None, *, is_refresh: bool) -> Refusal:
    """An answer without a word that we know. Without any word it is not the authorization server's: it passes."""
    if status == 404:
        sentence = "There is no token endpoint at this address (status 404)"
        return Refusal(Code.ENDPOINT_UNREACHABLE, sentence, status)
    if error is None:
        if 300 <= status < 400:
            sentence = "The token endpoint answered with a redirect"
            code = Code.MALFORMED_RESPONSE if is_refresh else Code.REDIRECT_REFUSED
        else:
            sentence, code = "The token endpoint's answer has neither a token nor an error", Code.MALFORMED_RESPONSE
        return Refusal(code, sentence, status, is_vague=status in {400, 401} and not is_refresh)
    if is_refresh:  # whatever the word: this refresh token does not work, and the person can mend that
        sentence = SENTENCES[Code.REAUTHORIZATION_REQUIRED]
        return Refusal(Code.REAUTHORIZATION_REQUIRED, sentence, status, is_vague=True)
    return Refusal(Code.MISSING_CONFIGURATION, "The token endpoint called the request invalid", status, is_vague=True)


def _client_refusal(body: Mapping[str, Any], error: str | None, status: int, has_client_secret: bool) -> Refusal:
    """`invalid_client` (RFC 6749 section 5.2): which it was, our id or our secret, only the description can tell."""
    description = str(body.get("error_description") or "").lower()
    if not has_client_secret or error in LOST_CLIENT_ERRORS or LOST_CLIENT.search(description):
        return Refusal(Code.CLIENT_UNKNOWN, SENTENCES[Code.CLIENT_UNKNOWN], status)
    if "expired" in description:
        return Refusal(Code.CLIENT_SECRET_EXPIRED, SENTENCES[Code.CLIENT_SECRET_EXPIRED], status)
    return Refusal(Code.CLIENT_SECRET_WRONG, SENTENCES[Code.CLIENT_SECRET_WRONG], status)


def audience_of(token: Secret) -> tuple[str, ...] | None:
    """The `aud` of a token that can be read (RFC 9068 section 2.2); None for all others. Nothing is verified here."""
    audience = _claims(token.reveal()).get("aud")
    named = audience if isinstance(audience, list) else [audience]
    return tuple(each for each in named if isinstance(each, str)) or None


def _claims(token: str) -> Mapping[str, Any]:
    """The claims of a JWT, unverified; none of what is no JWT."""
    parts = token.split(".")
    try:
        claims = read_json(from_b64url(parts[1]).decode()) if len(parts) == 3 else None
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}

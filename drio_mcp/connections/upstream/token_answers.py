"""What an upstream token endpoint answered (RFC 6749 section 5), read as providers really send it.

Providers answer errors with status 200, tokens as form data, lifetimes as strings, scopes with commas, and nest user
tokens in an inner object. A refusal of the grant must never be taken from an outage, nor the other way round: the one
ends the connection, the other passes.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from drio_mcp.clock import SECOND
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import LONGEST_SECRET, is_plain
from drio_mcp.opaque import Secret, from_b64url
from drio_mcp.outbound import OutboundResponse
from drio_mcp.outside import read_json, read_number

MAX_LIFETIME = 10 * 365 * 86_400
"""Seconds; a provider that says more means that it never ends."""

CLIENT_ERRORS = frozenset({"invalid_client", "unauthorized_client", "invalid_client_id", "bad_client_secret"})
GRANT_ERRORS = frozenset(
    {
        "invalid_grant",
        "invalid_refresh_token",
        "bad_refresh_token",
        "bad_verification_code",
        "token_expired",
        "token_revoked",
        "access_denied",
        "interaction_required",
        "login_required",
        "consent_required",
    }
)
PASSING_ERRORS = frozenset({"server_error", "temporarily_unavailable", "internal_error", "service_unavailable"})
RATE_ERRORS = frozenset({"slow_down", "rate_limited", "ratelimited", "too_many_requests"})


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens of one answer. Times are milliseconds; None where the provider did not say."""

    access_token: Secret
    token_type: str
    obtained_at: int
    expires_at: int | None
    refresh_token: Secret | None
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there are no tokens. `retry_after` is in seconds, where the provider named it."""

    code: Code
    sentence: str
    status: int | None = None
    retry_after: int | None = None


def read_token_answer(
    response: OutboundResponse, *, now: int, scope_separator: str = " ", has_client_secret: bool = False
) -> TokenSet | Refusal:
    """The tokens, or the refusal, in an answer (RFC 6749 section 5); `now` is when the request was sent."""
    body = _parse(response)
    if body is not None:
        for holder in (body, body.get("authed_user")):
            if isinstance(holder, dict) and _text(holder.get("access_token")):
                return _token_set(holder, now, scope_separator)
    error = _error_of(body) if body is not None else None
    return _refusal(response, error, body or {}, has_client_secret)


def _parse(response: OutboundResponse) -> dict[str, Any] | None:
    """The body as an object, from JSON or (against RFC 6749 section 5.1, but common) form data."""
    try:
        text = response.body.decode()
        value = read_json(text)
    except ValueError:
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type not in {"application/x-www-form-urlencoded", "text/plain"}:
            return None
        return _parse_form(response.body.decode("utf-8", "replace"))
    return value if isinstance(value, dict) else None


def _parse_form(text: str) -> dict[str, Any] | None:
    try:
        fields = dict(parse_qsl(text, max_num_fields=50))
    except ValueError:
        return None
    return dict(fields) if {"access_token", "error"} & fields.keys() else None


def _token_set(holder: Mapping[str, Any], now: int, scope_separator: str) -> TokenSet:
    lifetime = _seconds(holder.get("expires_in"))
    refresh_token = _text(holder.get("refresh_token"))
    return TokenSet(
        access_token=Secret(str(holder["access_token"])),
        token_type=_text(holder.get("token_type")) or "Bearer",
        obtained_at=now,
        expires_at=None if lifetime is None else now + lifetime * SECOND,
        refresh_token=Secret(refresh_token) if refresh_token else None,
        scopes=_scopes(holder.get("scope"), scope_separator),
    )


def _scopes(value: Any, separator: str) -> tuple[str, ...] | None:
    """Granted scopes (RFC 6749 section 3.3); absent means that all were granted, as asked (section 5.1)."""
    if isinstance(value, list):
        return tuple(str(each) for each in value if _text(each))
    if _text(value) is None or not value.strip():
        return None
    if separator != " " or ("," in value and " " not in value.strip()):
        value = value.replace("," if separator == " " else separator, " ")
    return tuple(dict.fromkeys(value.split()))


def _seconds(value: Any) -> int | None:
    """A lifetime (RFC 6749 section 4.2.2), also as a string or a fraction; zero and less mean that it has none."""
    return read_number(value, MAX_LIFETIME) or None


def _text(value: Any) -> str | None:
    """A text that can be stored, shown and sent; a provider may write anything into its JSON."""
    return value if isinstance(value, str) and 0 < len(value) <= LONGEST_SECRET and is_plain(value) else None


def _error_of(body: Mapping[str, Any]) -> str | None:
    """The error code of RFC 6749 section 5.2, or of those who nest it or spell it otherwise."""
    for key in ("error", "error_code", "code"):
        value = body.get(key)
        if isinstance(value, dict):
            value = value.get("code") or value.get("type") or value.get("error")
        if _text(value):
            return str(value).lower()
    return "unknown_error" if body.get("ok") is False or body.get("error") else None


def _refusal(
    response: OutboundResponse, error: str | None, body: Mapping[str, Any], has_client_secret: bool
) -> Refusal:
    status = response.status
    retry_after = _seconds(response.headers.get("retry-after"))
    if status == 429 or error in RATE_ERRORS:
        return Refusal(Code.RATE_LIMITED, "The token endpoint asked us to slow down", status, retry_after)
    if status >= 500 or error in PASSING_ERRORS:
        return Refusal(Code.PROVIDER_OUTAGE, f"The token endpoint answered with status {status}", status, retry_after)
    if error in GRANT_ERRORS:
        return Refusal(Code.REAUTHORIZATION_REQUIRED, "The token endpoint refused the grant", status)
    if error in CLIENT_ERRORS or (status == 401 and error is None):
        return _client_refusal(body, status, has_client_secret)
    if error == "invalid_scope":
        return Refusal(Code.SCOPE_MISSING, "The token endpoint does not grant a scope that was asked for", status)
    if error == "invalid_target":
        return Refusal(Code.AUDIENCE_MISMATCH, "The token endpoint does not issue tokens for the resource", status)
    if error in {"unsupported_grant_type", "unsupported_response_type"}:
        return Refusal(Code.UNSUPPORTED_AUTH, "The token endpoint does not support this grant type", status)
    if 300 <= status < 400:
        return Refusal(Code.REDIRECT_REFUSED, "The token endpoint answered with a redirect", status)
    if status == 403:
        return Refusal(Code.PERMISSION_DENIED, "The token endpoint forbade the request", status)
    if status == 404:
        return Refusal(Code.ENDPOINT_UNREACHABLE, "There is no token endpoint at this address (status 404)", status)
    if error is not None:
        return Refusal(Code.MISSING_CONFIGURATION, "The token endpoint called the request invalid", status)
    return Refusal(Code.MALFORMED_RESPONSE, "The token endpoint's answer has neither a token nor an error", status)


def _client_refusal(body: Mapping[str, Any], status: int, has_client_secret: bool) -> Refusal:
    """`invalid_client` (RFC 6749 section 5.2): which it was, our id or our secret, only the description can tell."""
    if not has_client_secret:
        return Refusal(Code.CLIENT_UNKNOWN, "The token endpoint does not know the client id", status)
    description = str(body.get("error_description") or "").lower()
    if "expired" in description:
        return Refusal(Code.CLIENT_SECRET_EXPIRED, "The token endpoint says that the client secret has expired", status)
    return Refusal(Code.CLIENT_SECRET_WRONG, "The token endpoint refused the client secret", status)


UNNAMED = frozenset({"openid", "offline_access", "profile", "email"})
"""Scopes about the sign-in or the refresh token; providers grant them without naming them again."""


def missing_scopes(asked: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
    """The scopes that were asked for and not granted, in their order."""
    have = set(granted)
    return tuple(scope for scope in asked if scope not in have and scope not in UNNAMED)


def audience_of(token: Secret) -> tuple[str, ...] | None:
    """The `aud` of a token that can be read (RFC 9068 section 2.2); None for all others. Nothing is verified here."""
    parts = token.reveal().split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(from_b64url(parts[1]))
    except (ValueError, RecursionError):
        return None
    audience = claims.get("aud") if isinstance(claims, dict) else None
    named = audience if isinstance(audience, list) else [audience]
    return tuple(each for each in named if isinstance(each, str)) or None

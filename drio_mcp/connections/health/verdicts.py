"""What an API's answer says about the credential that was sent. Pure: nothing is asked here.

A refusal must be one: an address where nothing is, or a page, says nothing against a key. And an acceptance must be
one: several providers tell errors with status 200, in a body that every client of theirs has to read.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from drio_mcp.connections.catalog.schema import ErrorWord
from drio_mcp.connections.connecting.www_authenticate import Challenge, find_challenge, parse_challenges
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import askable_scopes
from drio_mcp.connections.upstream.error_words import meaning_of
from drio_mcp.connections.upstream.mcp.tools import LeftOut
from drio_mcp.outbound import OutboundResponse
from drio_mcp.outbound.retry_after import read_date
from drio_mcp.outside import join_url, read_json

LIMITED = re.compile(r"rate.?limit|too.?many|throttl|quota")
SCOPE = re.compile(r"missing.?scope|insufficient.?scope|no.?scope")
FORBIDDEN = re.compile(r"forbidden|permission|not.?allowed|access.?denied")
UNAUTHORIZED = re.compile(
    r"auth|token|api.?key|invalid.?key|credential|request.?denied|account.?inactive|user.?(removed|inactive)|expired"
)
AUDIENCE = re.compile(r"audience|\baud\b|resource")
CLOCK = re.compile(r"not yet valid|\bnbf\b|\biat\b|issued in the future|clock")
XML_ERROR = re.compile(r"<(?:Code|Message)>([^<]{1,1000})</")
"""Where AWS's older APIs tell what is wrong."""
LONGEST_BODY = 256 * 1024
"""Bytes that are read for an error told with status 200; error bodies are small."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from one answer. `scopes` are those that the provider says were granted, None where it does not.

    `is_proof` tells whether an `ok` shows that the credential was accepted, or only that it was not refused.
    """

    code: Code
    sentence: str
    scopes: tuple[str, ...] | None = None
    expires_at: int | None = None
    is_proof: bool = True
    lacking: tuple[LeftOut, ...] = ()
    """What was left out of an MCP server's list; it does the rest no harm."""
    wanted: tuple[str, ...] = ()
    """The scopes that a challenge names (RFC 6750 section 3.1)."""
    metadata_at: str | None = None
    """Where a challenge says that the resource metadata is (RFC 9728 section 5.1)."""
    answered_at: int | None = None
    """The provider's own time of a refusal (RFC 9110 section 6.6.1), in milliseconds."""


def judge(answer: OutboundResponse, what: str, *, is_api: bool = True, words: Iterable[ErrorWord] = ()) -> Verdict:
    """The verdict on an answer; `what` names the address asked, for the sentence.

    `is_api` is false for an address that may just as well be a page or nothing: there, only a refusal counts.
    """
    status = answer.status
    sentence = " ".join((_error_text(answer), _challenge_text(answer, "oauth")))
    said = meaning_of(words, status, _json(answer), sentence=sentence)
    if said is not None:
        return Verdict(
            said,
            f"{what} says so in its own words (status {status})",
            answered_at=read_date(answer.headers.get("date")),
        )
    if status == 401:
        return _unauthorized(answer, what)
    if status == 403:
        return _forbidden(answer, what)
    if status == 402:
        return Verdict(Code.PERMISSION_DENIED, f"{what} asks for a payment (status 402)")
    if status == 429:
        return Verdict(Code.RATE_LIMITED, f"{what} asked us to slow down (status 429)")
    if status >= 500:
        return Verdict(Code.PROVIDER_OUTAGE, f"{what} fails (status {status})")
    if answer.is_success:
        return _told_inside(answer, what) or _accepted(answer, what, is_api=is_api)
    told = _told_inside(answer, what) if status == 400 else None
    if told is not None and told.code is Code.KEY_REJECTED:
        return told
    if not is_api:
        return Verdict(Code.OK, f"{what} answers {status}, which is no refusal", is_proof=False)
    if status in {404, 410}:
        return Verdict(Code.ENDPOINT_UNREACHABLE, f"There is nothing at {what} (status {status})")
    return Verdict(Code.MALFORMED_RESPONSE, f"{what} answers {status}, which tells neither yes nor no")


def _unauthorized(answer: OutboundResponse, what: str) -> Verdict:
    """RFC 6750 section 3.1: which it is, the description may tell."""
    reason = _challenge_text(answer) + _body_text(answer)
    if CLOCK.search(reason):
        return Verdict(Code.CLOCK_SKEW, f"{what} says that the token is not valid yet (status 401)")
    if AUDIENCE.search(_challenge_text(answer)):
        return Verdict(Code.AUDIENCE_MISMATCH, f"{what} says that the token is for another resource (status 401)")
    return Verdict(
        Code.KEY_REJECTED,
        f"{what} refused the credential (status 401)",
        metadata_at=_metadata_at(answer),
        answered_at=read_date(answer.headers.get("date")),
    )


def _forbidden(answer: OutboundResponse, what: str) -> Verdict:
    if answer.headers.get("retry-after") or answer.headers.get("x-ratelimit-remaining") == "0":
        return Verdict(Code.RATE_LIMITED, f"{what} asked us to slow down (status 403)")
    if "insufficient_scope" in _challenge_text(answer):
        challenge = _challenge(answer)
        wanted = () if challenge is None else askable_scopes(challenge.parameters.get("scope", "").split())
        if wanted:
            return Verdict(Code.SCOPE_MISSING, f"{what} asks for more: {', '.join(wanted)}"[:500], wanted=wanted)
        return Verdict(Code.SCOPE_MISSING, f"{what} asks for a scope that was not granted (status 403)")
    if UNAUTHORIZED.search(_error_text(answer)) and not FORBIDDEN.search(_error_text(answer)):
        return Verdict(Code.KEY_REJECTED, f"{what} refused the credential (status 403)")
    return Verdict(Code.PERMISSION_DENIED, f"{what} knows the credential and forbids the call (status 403)")


def _accepted(answer: OutboundResponse, what: str, *, is_api: bool) -> Verdict:
    is_page = "html" in answer.headers.get("content-type", "")
    if is_api and is_page:
        return Verdict(Code.MALFORMED_RESPONSE, f"{what} answers with a page for people (status {answer.status})")
    scopes = answer.headers.get("x-oauth-scopes")
    granted = None if scopes is None else tuple(each for each in re.split(r"[,\s]+", scopes) if each)
    return Verdict(Code.OK, f"{what} accepted it (status {answer.status})", granted, is_proof=is_api)


def _told_inside(answer: OutboundResponse, what: str) -> Verdict | None:
    """An error in the body: `ok: false`, `success: false`, GraphQL's `errors`, a status that says so."""
    body = _json(answer)
    if not isinstance(body, dict):
        return None
    text = _error_text(answer)
    is_told = (
        body.get("ok") is False
        or body.get("success") is False
        or (isinstance(body.get("errors"), list) and body["errors"] and not body.get("data"))
        or (bool(body.get("error")) and not {"id", "data", "result"} & body.keys())
        or (isinstance(body.get("status"), str) and "DENIED" in body["status"])
        or (isinstance(body.get("user"), dict) and body["user"].get("id", "") is None)
    )
    if not is_told:
        return None
    place = f"in its body, status {answer.status}"
    if LIMITED.search(text):
        return Verdict(Code.RATE_LIMITED, f"{what} asked us to slow down ({place})")
    if SCOPE.search(text):
        return Verdict(Code.SCOPE_MISSING, f"{what} asks for a scope that was not granted ({place})")
    if UNAUTHORIZED.search(text) or isinstance(body.get("user"), dict):
        return Verdict(Code.KEY_REJECTED, f"{what} refused the credential ({place})")
    if FORBIDDEN.search(text):
        return Verdict(Code.PERMISSION_DENIED, f"{what} forbids the call ({place})")
    return Verdict(Code.MALFORMED_RESPONSE, f"{what} reports an error ({place})")


def _error_text(answer: OutboundResponse) -> str:
    """The words of an error, from where providers put them; for matching alone, never told on."""
    body = _json(answer)
    if not isinstance(body, dict):
        text = answer.body[:LONGEST_BODY].decode("utf-8", "replace") if not answer.is_success else ""
        return " ".join(XML_ERROR.findall(text)).lower()
    named = (
        "error",
        "errors",
        "code",
        "message",
        "error_message",
        "error_description",
        "status",
        "reason",
        "detail",
        "Error",
        "Message",
        "__type",
        "o:errorDetails",
    )
    return json.dumps([body[name] for name in named if name in body]).lower()


def _body_text(answer: OutboundResponse) -> str:
    return " " + _error_text(answer)


def _challenge(answer: OutboundResponse, scheme: str = "bearer") -> Challenge | None:
    return find_challenge(parse_challenges(answer.headers.get_list("www-authenticate")), scheme)


def _metadata_at(answer: OutboundResponse) -> str | None:
    challenge = _challenge(answer)
    return None if challenge is None else join_url(answer.url, challenge.parameters.get("resource_metadata"))


def _challenge_text(answer: OutboundResponse, scheme: str = "bearer") -> str:
    found = _challenge(answer, scheme)
    if found is None:
        return ""
    told = (found.parameters.get(name, "") for name in ("error", "error_description", "oauth_problem"))
    return " ".join(told).lower()


def _json(answer: OutboundResponse) -> Any:
    if len(answer.body) > LONGEST_BODY:
        return None
    try:
        return read_json(answer.body)
    except ValueError:
        return None

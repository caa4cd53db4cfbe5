"""What an answer says about a credential: refusals that are some, and acceptances that are none."""

import json
from typing import Any

import pytest

from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.health.verdicts import judge
from drio_mcp.outbound import OutboundResponse
from drio_mcp.outbound.headers import Headers


def answer(status: int, body: Any = "", headers: dict[str, str] | None = None) -> OutboundResponse:
    content = body if isinstance(body, str) else json.dumps(body)
    return OutboundResponse(status, Headers(headers or {}), content.encode(), "https://api.example.com/")


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (answer(200, {"id": 1}), Code.OK),
        (answer(204), Code.OK),
        (answer(200, {"data": {"viewer": {"id": 1}}, "errors": [{"message": "deprecated"}]}), Code.OK),
        (answer(200, {"error": None, "id": 1}), Code.OK),
        (answer(401), Code.KEY_REJECTED),
        (answer(403), Code.PERMISSION_DENIED),
        (answer(403, {"message": "Invalid API key"}), Code.KEY_REJECTED),
        (answer(403, {"message": "Token may not do this: forbidden"}), Code.PERMISSION_DENIED),
        (answer(403, "", {"Retry-After": "3"}), Code.RATE_LIMITED),
        (answer(403, "", {"X-RateLimit-Remaining": "0"}), Code.RATE_LIMITED),
        (answer(403, "", {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}), Code.SCOPE_MISSING),
        (answer(402), Code.PERMISSION_DENIED),
        (answer(404), Code.ENDPOINT_UNREACHABLE),
        (answer(400), Code.MALFORMED_RESPONSE),
        (answer(429), Code.RATE_LIMITED),
        (answer(500), Code.PROVIDER_OUTAGE),
        (answer(200, "<html>", {"Content-Type": "text/html"}), Code.MALFORMED_RESPONSE),
        # Slack
        (answer(200, {"ok": False, "error": "invalid_auth"}), Code.KEY_REJECTED),
        (answer(200, {"ok": False, "error": "missing_scope"}), Code.SCOPE_MISSING),
        (answer(200, {"ok": False, "error": "ratelimited"}), Code.RATE_LIMITED),
        (answer(200, {"ok": False, "error": "account_inactive"}), Code.KEY_REJECTED),
        # GraphQL
        (answer(200, {"errors": [{"message": "Not authenticated"}]}), Code.KEY_REJECTED),
        (answer(400, {"errors": [{"extensions": {"code": "AUTHENTICATION_ERROR"}}]}), Code.KEY_REJECTED),
        (answer(200, {"errors": [{"message": "Cannot query field"}]}), Code.MALFORMED_RESPONSE),
        # Ashby, Google Maps, Zendesk
        (answer(200, {"success": False, "errors": ["missing_permission"]}), Code.PERMISSION_DENIED),
        (answer(200, {"status": "REQUEST_DENIED"}), Code.KEY_REJECTED),
        (answer(200, {"user": {"id": None, "name": "Anonymous user"}}), Code.KEY_REJECTED),
        (answer(400, {"error": {"status": "INVALID_ARGUMENT", "message": "API key not valid"}}), Code.KEY_REJECTED),
    ],
    ids=lambda value: str(value) if isinstance(value, Code) else "",
)
def test_an_api(told: OutboundResponse, code: Code) -> None:
    assert judge(told, "The API").code is code


@pytest.mark.parametrize("status", [200, 204, 400, 404, 405, 406, 415])
def test_at_an_address_that_may_be_anything_only_a_refusal_counts(status: int) -> None:
    verdict = judge(answer(status, "<html>", {"Content-Type": "text/html"}), "The address", is_api=False)
    assert (verdict.code, verdict.is_proof) == (Code.OK, False)


@pytest.mark.parametrize(
    ("description", "code"),
    [
        ("The access token expired", Code.KEY_REJECTED),
        ("Invalid audience", Code.AUDIENCE_MISMATCH),
        ("The token is for another resource", Code.AUDIENCE_MISMATCH),
        ("Token used before issued (iat)", Code.CLOCK_SKEW),
        ("The token is not yet valid", Code.CLOCK_SKEW),
    ],
)
def test_why_a_token_is_refused(description: str, code: Code) -> None:
    """RFC 6750 section 3.1: `error_description`."""
    challenge = f'Bearer error="invalid_token", error_description="{description}"'
    assert judge(answer(401, "", {"WWW-Authenticate": challenge}), "The API").code is code


def test_the_name_of_the_metadata_says_nothing_about_the_audience() -> None:
    """RFC 9728 section 5.1: `resource_metadata` stands in every challenge of an MCP server."""
    challenge = 'Bearer resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"'
    assert judge(answer(401, "", {"WWW-Authenticate": challenge}), "The API").code is Code.KEY_REJECTED


def test_scopes_that_a_provider_names_in_a_header() -> None:
    verdict = judge(answer(200, {"id": 1}, {"X-OAuth-Scopes": "repo, user:email"}), "The API")
    assert verdict.scopes == ("repo", "user:email")


def test_the_providers_own_time_comes_along() -> None:
    """RFC 9110 section 6.6.1."""
    verdict = judge(answer(401, "", {"Date": "Sun, 15 Mar 2026 12:00:00 GMT"}), "The API")
    assert verdict.answered_at == 1_773_576_000_000
    assert judge(answer(401, "", {"Date": "yesterday"}), "The API").answered_at is None


@pytest.mark.parametrize("body", ["{", "[1]", "null", '"ok"', "[" * 100_000, "\xff"])
def test_bodies_that_are_no_object_are_harmless(body: str) -> None:
    assert judge(answer(200, body), "The API").code is Code.OK


AWS = Providers().find("aws")
NETSUITE = Providers().find("netsuite-tba")


def xml(code: str, message: str = "") -> str:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (answer(403, xml("SignatureDoesNotMatch")), Code.KEY_REJECTED),
        (answer(403, xml("SignatureDoesNotMatch", "Signature expired: 20260315T0000Z is now")), Code.CLOCK_SKEW),
        (answer(403, xml("RequestTimeTooSkewed")), Code.CLOCK_SKEW),
        (answer(403, xml("InvalidClientTokenId")), Code.KEY_REJECTED),
        (answer(403, xml("ExpiredToken")), Code.TOKEN_EXPIRED),
        (answer(403, xml("AccessDenied")), Code.PERMISSION_DENIED),
        (answer(400, {"__type": "com.amazon.coral.service#UnrecognizedClientException"}), Code.KEY_REJECTED),
        (answer(403, {"message": "Signature not yet current: 20260315T0000Z is still later"}), Code.CLOCK_SKEW),
        (answer(200, "<Code>SignatureDoesNotMatch</Code>"), Code.OK),
    ],
)
def test_the_words_of_aws(told: OutboundResponse, code: Code) -> None:
    """AWS IAM User Guide, "Troubleshoot AWS API request signing": in XML and in JSON."""
    assert AWS is not None
    assert AWS.entry is not None
    assert judge(told, "AWS", words=AWS.entry.errors.api).code is code


@pytest.mark.parametrize(
    ("challenge", "code"),
    [
        ('OAuth realm="1_SB1", error="token_rejected", error_description="Invalid login attempt."', Code.KEY_REJECTED),
        ('OAuth oauth_problem="timestamp_refused"', Code.CLOCK_SKEW),
        ("OAuth", Code.KEY_REJECTED),
    ],
)
def test_the_challenge_of_oauth_1(challenge: str, code: Code) -> None:
    """RFC 5849 section 3.2 leaves the words open; these are NetSuite's, and those of the problem reporting draft."""
    assert NETSUITE is not None
    assert NETSUITE.entry is not None
    told = answer(401, "", {"WWW-Authenticate": challenge})
    assert judge(told, "NetSuite", words=NETSUITE.entry.errors.api).code is code

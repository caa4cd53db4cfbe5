"""AWS Signature Version 4, held against AWS's published test suite and the examples of the S3 reference."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.upstream.signing.aws_sigv4 import (
    AwsKey,
    AwsSigner,
    canonical_request,
    normalized_path,
    parameters,
    signature_of,
    string_to_sign,
)
from drio_mcp.connections.upstream.signing.request import UnsignedRequest, respelled
from drio_mcp.opaque import Secret
from tests.conftest import FakeClock
from tests.connections.upstream.signing.unsigned import unsigned

SUITE = json.loads((Path(__file__).parents[3] / "data" / "aws-sigv4-suite.json").read_text(encoding="utf-8"))
"""The requests of the suite that AWS publishes with its SDKs (awslabs/aws-c-auth, tests/aws-signing-test-suite/v4)."""
MOMENT, SCOPE = "20150830T123600Z", "20150830/us-east-1/service/aws4_request"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("case", SUITE, ids=lambda case: case["name"])
def test_the_suite(case: dict[str, Any]) -> None:
    path, _, query = case["target"].partition("?")
    path = respelled(path)
    headers = [*case["headers"], ("X-Amz-Date", MOMENT)]
    if case.get("token_is_signed"):
        headers.append(("X-Amz-Security-Token", case["token"]))
    payload = case["canonical"].rpartition("\n")[2]
    if case.get("sign_body"):
        headers.append(("X-Amz-Content-Sha256", payload))
    spelled = "&".join(f"{name}={value}" for name, value in parameters(query))
    canonical = canonical_request(
        case["method"], normalized_path(path) if case["normalize"] else path, spelled, [tuple(each) for each in headers]
    )
    assert f"{canonical}\n{payload}" == case["canonical"]
    assert string_to_sign(case["canonical"], MOMENT, SCOPE) == case["string_to_sign"]
    assert signature_of(SECRET, case["canonical"], MOMENT, SCOPE) == case["signature"]


def signer(clock: FakeClock, service: str = "service", token: str | None = None) -> AwsSigner:
    session = None if token is None else Secret(token)
    return AwsSigner(AwsKey("AKIDEXAMPLE", SECRET, "us-east-1", service, session), clock)


def request(**changes: Any) -> UnsignedRequest:
    return unsigned(**{"authority": "example.amazonaws.com", "path": "/"} | changes)


def authorization(signed: Any) -> str:
    return str(dict(signed.headers)["Authorization"].reveal())


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "body", "expected"),
    [
        pytest.param(
            "PUT",
            "/test%24file.text",
            "",
            [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="PUT object",
        ),
        pytest.param(
            "GET",
            "/",
            "lifecycle",
            [],
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="GET lifecycle",
        ),
        pytest.param(
            "GET",
            "/",
            "max-keys=2&prefix=J",
            [],
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="list objects",
        ),
    ],
)
def test_the_examples_of_s3(
    method: str, path: str, query: str, headers: list[tuple[str, str]], body: bytes, expected: str
) -> None:
    """Amazon S3 API Reference, "Signature calculations for the authorization header", transferring in a single chunk.

    The first example also signs `Date`, which need not be signed, so there the canonical request is made by hand.
    """
    payload = hashlib.sha256(body).hexdigest()
    moment = "20130524T000000Z"
    named = [("Host", "examplebucket.s3.amazonaws.com"), *headers]
    named += [("X-Amz-Content-Sha256", payload), ("X-Amz-Date", moment)]
    spelled = "&".join(f"{name}={value}" for name, value in parameters(query))
    canonical = canonical_request(method, respelled(path), spelled, named) + f"\n{payload}"
    secret = Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    assert signature_of(secret, canonical, moment, "20130524/us-east-1/s3/aws4_request") == expected


def test_a_call_carries_time_hash_and_scope(clock: FakeClock) -> None:
    signed = signer(clock).sign(request())
    headers = {name: value.reveal() for name, value in signed.headers}
    assert headers["X-Amz-Content-Sha256"] == EMPTY
    assert headers["Authorization"].startswith(f"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{headers['X-Amz-Date'][:8]}/")
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in headers["Authorization"]


def test_a_session_token_is_sent_and_signed(clock: FakeClock) -> None:
    signed = signer(clock, token="the-token").sign(request())
    assert dict(signed.headers)["X-Amz-Security-Token"].reveal() == "the-token"
    assert "x-amz-security-token" in authorization(signed)


def test_the_callers_own_headers_of_the_signature_do_not_count(clock: FakeClock) -> None:
    """Whoever calls says what is asked for, not by whom and when."""
    own = [("X-Amz-Date", "20000101T000000Z"), ("x-amz-security-token", "stolen"), ("X-Amz-Target", "DynamoDB.List")]
    signed = signer(clock).sign(request(headers=own))
    plain = signer(clock).sign(request(headers=own[2:]))
    assert authorization(signed) == authorization(plain)
    assert "x-amz-target" in authorization(signed)


@pytest.mark.parametrize(
    ("service", "path", "sent"),
    [
        ("s3", "/a//b/%7e(1)", "/a//b/~%281%29"),
        ("lambda", "/a//b/%7e(1)", "/a/b/~%281%29"),
        ("s3", "/key%2Fwith slash".replace(" ", "%20"), "/key%2Fwith%20slash"),
    ],
)
def test_the_path_goes_out_in_the_one_spelling(clock: FakeClock, service: str, path: str, sent: str) -> None:
    """S3's keys may hold what other services take for empty segments."""
    assert signer(clock, service).sign(request(path=path)).path == sent


def test_spaces_of_a_query_are_spelled_as_aws_reads_them(clock: FakeClock) -> None:
    assert signer(clock).sign(request(query="b=1+2&a=%7e&c")).query == "b=1%202&a=~&c="


@pytest.mark.parametrize(("service", "needs"), [("s3", False), ("lambda", True)])
def test_only_s3_takes_a_body_that_was_not_hashed(clock: FakeClock, service: str, needs: bool) -> None:
    one = signer(clock, service)
    assert one.needs_body("") is needs
    hashed = dict(one.sign(request(body=None)).headers)["X-Amz-Content-Sha256"].reveal()
    assert hashed == "UNSIGNED-PAYLOAD"


def test_a_check_is_signed_for_the_service_that_is_asked(clock: FakeClock) -> None:
    assert "/us-east-1/sts/aws4_request" in authorization(signer(clock).sign(request(service="sts")))

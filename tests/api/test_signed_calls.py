"""Connections whose key signs, by REST and over real HTTP: what goes out is what was signed, and no key comes back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.api.stage import Stage, stage
from tests.simulators.signed import Unsigned, check_aws, check_oauth1, key_pair
from tests.upstreams import Upstream, upstream

PEM, _ = key_pair()
AWS = {
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "secret_access_key": "wJalrXUtnFEMI/K7MDENG+canary-4711",
    "session_token": "session/canary-4712+1==",
}
OAUTH1 = {
    "client_id": "consumer",
    "client_secret": "secret/+ canary-4713",
    "access_token": "token-canary-4714",
    "token_secret": "secret/ canary-4715",
}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "aws_sigv4": (
        "aws",
        {
            "accessKeyId": AWS["access_key_id"],
            "secretAccessKey": AWS["secret_access_key"],
            "sessionToken": AWS["session_token"],
            "region": "eu-central-1",
            "service": "lambda",
        },
    ),
    "oauth1": (
        "netsuite-tba",
        {
            "clientId": OAUTH1["client_id"],
            "clientSecret": OAUTH1["client_secret"],
            "accessToken": OAUTH1["access_token"],
            "tokenSecret": OAUTH1["token_secret"],
            "realm": "1234567_SB1",
        },
    ),
}


@dataclass
class Mirror:
    """Notes what arrives byte for byte, and sends the headers back as some APIs do in their errors."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] | None = None
    body: bytes = b""

    def routes(self, _: Upstream) -> list[BaseRoute]:
        return [Route("/{path:path}", self._any, methods=["GET", "POST", "PUT", "DELETE"])]

    async def _any(self, request: Request) -> Response:
        query: bytes = request.scope["query_string"]
        self.method, self.body = request.method, await request.body()
        self.target = request.scope["raw_path"].decode() + (f"?{query.decode()}" if query else "")
        self.headers = dict(request.headers)
        return JSONResponse({"received": self.headers})


@dataclass
class Bench:
    stage: Stage
    provider: Upstream
    mirror: Mirror

    def made(self, kind: str, **config: Any) -> str:
        key, usual = CONFIGS[kind]
        return self.stage.create(
            providerKey=key, status="valid", config={**usual, "apiBaseUrl": self.provider.origin, **config}
        )

    def post(self, body: dict[str, Any]) -> httpx2.Response:
        return self.stage.api.post(str(self.stage.api.base_url).rstrip("/"), json=body)

    def call(self, auth_id: str, method: str, path: str, **options: Any) -> httpx2.Response:
        return self.stage.api.request(method, f"/{auth_id}/proxy/{path}", **options)

    def verified(self, kind: str, **changed: str) -> None:
        """Raises `Unsigned` unless what arrived last was signed with the keys, a moment ago."""
        arrived = self.mirror
        assert arrived.headers is not None
        now = datetime.now(UTC)
        if kind == "aws_sigv4":
            check_aws(
                arrived.method,
                arrived.target,
                arrived.headers,
                arrived.body,
                keys=AWS | changed,
                region="eu-central-1",
                service="lambda",
                now=now.strftime("%Y%m%dT%H%M%SZ"),
            )
            return
        check_oauth1(
            arrived.method,
            self.provider.origin + arrived.target,
            arrived.headers,
            arrived.body,
            keys=OAUTH1 | changed,
            realm="1234567_SB1",
            signature_method="HMAC-SHA256",
            now=int(now.timestamp()),
        )


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    mirror = Mirror()
    with upstream(mirror) as provider, stage(tmp_path_factory.mktemp("signed"), provider) as built:
        yield Bench(built, provider, mirror)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "a/b?b=2&a=1&a=0&empty=&flag", {}),
        ("GET", "a%20b/%E4%B8%AD/(x)/a%2Fb?q=a+b&%7e=%2B", {}),
        ("POST", "a", {"json": {"a": "ü"}}),
        ("POST", "a?x=1", {"data": {"b": "2 3", "a": "&="}}),
        ("PUT", "a", {"content": b"\x00\xff" * 1_000, "headers": {"Content-Type": "application/octet-stream"}}),
        ("DELETE", "a", {}),
    ],
)
def test_what_goes_out_is_what_was_signed(
    bench: Bench, kind: str, method: str, path: str, options: dict[str, Any]
) -> None:
    auth_id = bench.made(kind)
    answer = bench.call(auth_id, method, path, **options)
    assert answer.status_code == 200, answer.text
    bench.verified(kind)
    secret = {"aws_sigv4": "secret_access_key", "oauth1": "token_secret"}[kind]
    with pytest.raises(Unsigned):
        bench.verified(kind, **{secret: "another"})


def test_a_caller_says_neither_who_calls_nor_when(bench: Bench) -> None:
    """What the signature sets is the server's; other `X-Amz-*` headers are the caller's, and are signed."""
    auth_id = bench.made("aws_sigv4")
    forged = {
        "X-Amz-Date": "20000101T000000Z",
        "x-amz-security-token": "forged",
        "X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD",
        "Authorization": bench.stage.api.headers["authorization"],
        "X-Amz-Target": "DynamoDB_20120810.ListTables",
    }
    assert bench.call(auth_id, "POST", "a", content=b"{}", headers=forged).status_code == 200
    bench.verified("aws_sigv4")
    headers = bench.mirror.headers or {}
    assert headers["x-amz-target"] == forged["X-Amz-Target"]
    assert "forged" not in json.dumps(headers)


@pytest.mark.parametrize("kind", CONFIGS)
def test_neither_keys_nor_signatures_come_back(bench: Bench, kind: str) -> None:
    """Some APIs repeat what was signed in their errors; a signature is good for some minutes."""
    auth_id = bench.made(kind)
    answer = bench.call(auth_id, "GET", "mirror")
    sent = bench.mirror.headers or {}
    assert "canary" not in answer.text
    assert sent["authorization"] not in answer.text
    read = bench.stage.api.get(f"/{auth_id}")
    assert "canary" not in read.text
    assert {"********"} <= set(read.json()["auth"]["config"].values())
    folder = bench.stage.server.services.settings.data_dir
    assert not any(b"canary" in file.read_bytes() for file in folder.iterdir() if file.is_file())


@pytest.mark.parametrize("kind", CONFIGS)
def test_there_is_no_token_to_hand_out(bench: Bench, kind: str) -> None:
    """Contract section 3, `POST …/token`: as for the other types without one, 409 with a diagnosis."""
    answer = bench.stage.api.post(f"/{bench.made(kind)}/token")
    assert (answer.status_code, answer.json()["error"]["details"]["code"]) == (409, "unsupported_auth")


def test_a_body_that_is_signed_has_a_bound(bench: Bench) -> None:
    """It is kept until it is signed; S3 takes a larger one unsigned, and so does who signs forms only."""
    large = b"x" * (10 * 1024 * 1024 + 1)
    answer = bench.call(bench.made("aws_sigv4"), "PUT", "a", content=large)
    assert (answer.status_code, answer.headers["x-drio-error"]) == (413, "payload_too_large")
    assert bench.call(bench.made("aws_sigv4", service="s3"), "PUT", "a", content=large).status_code == 200
    assert (bench.mirror.headers or {})["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert len(bench.mirror.body) == len(large)
    assert bench.call(bench.made("oauth1"), "PUT", "a", content=large).status_code == 200
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert bench.call(bench.made("oauth1"), "POST", "a", content=large, headers=form).status_code == 413


@pytest.mark.parametrize("kind", CONFIGS)
def test_another_origin_voids_the_key(bench: Bench, kind: str) -> None:
    """Contract section 3: whoever edits an address gets no signature for it."""
    auth_id = bench.made(kind)
    changed = bench.stage.api.patch(f"/{auth_id}", json={"config": {"apiBaseUrl": "https://elsewhere.example"}})
    assert changed.json()["auth"]["lastError"].startswith("origin_changed")
    bench.mirror.headers = None
    answer = bench.call(auth_id, "GET", "a")
    assert (answer.status_code, answer.headers["x-drio-error"]) == (409, "origin_changed")
    assert bench.mirror.headers is None


def test_what_is_missing_is_named(bench: Bench) -> None:
    answer = bench.post({"name": "AWS", "providerKey": "aws", "config": {"accessKeyId": "AKIA1"}})
    auth_id = answer.json()["auth"]["id"]
    diagnosis = bench.stage.api.get(f"/{auth_id}/diagnosis").json()["diagnosis"]
    assert diagnosis["code"] == "missing_configuration"
    assert "config.region, config.service, config.secretAccessKey" in diagnosis["summary"]


FILE = {"type": "service_account", "private_key": PEM, "private_key_id": "kid-1", "client_email": "robot@p.example"}


def test_a_service_accounts_file_is_taken_whole(bench: Bench) -> None:
    """Its members are read; its addresses are not, so that no file decides where its key's signatures go."""
    text = json.dumps({**FILE, "token_uri": "https://elsewhere.example/token"}, indent=2)
    body = {"name": "Robot", "providerKey": "google-service-account", "config": {"privateKey": text}}
    made = bench.post(body).json()["auth"]
    config = made["config"]
    assert (config["clientId"], config["keyId"], config["privateKey"]) == ("robot@p.example", "kid-1", "********")
    assert config["tokenEndpoint"] == "https://oauth2.googleapis.com/token"
    assert "elsewhere" not in json.dumps(made)
    kept = bench.stage.api.patch(
        f"/{made['id']}", json={"config": {"privateKey": "********", "subject": "a@p.example"}}
    )
    assert (kept.json()["auth"]["config"]["subject"], kept.json()["auth"]["secretRef"]) == (
        "a@p.example",
        f"sealed://{made['id']}",
    )


@pytest.mark.parametrize(
    ("key", "text"),
    [
        pytest.param("google-service-account", PEM, id="the key without its file"),
        pytest.param("google-service-account", "{", id="no JSON"),
        pytest.param("google-service-account", '{"client_email": "x"}', id="without a key"),
        pytest.param("google-service-account", '{"private_key": ["canary"]}', id="a list"),
        pytest.param("google-service-account", '{"private_key": "{\\"private_key\\": 1}"}', id="a file in a file"),
        pytest.param(
            "google-service-account", json.dumps(FILE | {"client_email": "canary\n"}), id="an address of two lines"
        ),
        pytest.param("google-service-account", "[" * 9_000, id="deep"),
        pytest.param("snowflake-key-pair", "canary", id="no key"),
        pytest.param("snowflake-key-pair", PEM[:-40], id="cut off"),
        pytest.param("snowflake-key-pair", PEM + "x" * 20_000, id="too long"),
        pytest.param(
            "snowflake-key-pair", "-----BEGIN PUBLIC KEY-----\n" + "A" * 60 + "\n-----END PUBLIC KEY-----", id="public"
        ),
        pytest.param("snowflake-key-pair", "-----BEGIN PRIVATE KEY-----" + "\n" * 16_000, id="lines only"),
    ],
)
def test_what_is_no_key_is_told_and_not_repeated(bench: Bench, key: str, text: str) -> None:
    config = {"privateKey": text, **({"clientId": "ada"} if key == "snowflake-key-pair" else {})}
    answer = bench.post({"name": "Robot", "providerKey": key, "config": config})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "validation_error"), answer.text
    assert [each["path"] for each in error["details"]] == ["config.privateKey"]
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("aws", {"region": "US East", "accessKeyId": "A"}),
        ("aws", {"service": "../s3"}),
        ("github-app-installation", {"installationId": "12/../3"}),
        ("netsuite-tba", {"realm": 'x", oauth_token="y'}),
        ("aws", {"type": "oauth1"}),
        ("custom-oauth", {"type": "aws_sigv4"}),
    ],
)
def test_bad_values_are_named(bench: Bench, key: str, config: dict[str, Any]) -> None:
    answer = bench.post({"name": "X", "providerKey": key, "config": config})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["details"][0]["path"].startswith("config.")


def test_a_line_of_json_or_of_an_environment_is_a_key_too(bench: Bench) -> None:
    """Where a PEM is kept as one line, its line breaks are written as two characters."""
    body = {
        "name": "Snow",
        "providerKey": "snowflake-key-pair",
        "config": {"clientId": "ada", "privateKey": PEM.replace("\n", "\\n"), "apiBaseUrl": bench.provider.origin},
    }
    auth_id = bench.post(body).json()["auth"]["id"]
    answer = bench.stage.api.post(f"/{auth_id}/token")
    assert answer.status_code == 200, answer.text
    assert answer.json()["token"]["accessToken"].count(".") == 2
    assert bench.call(auth_id, "GET", "a").status_code == 200
    headers = bench.mirror.headers or {}
    assert headers["authorization"] == f"Bearer {answer.json()['token']['accessToken']}"
    assert headers["x-snowflake-authorization-token-type"] == "KEYPAIR_JWT"
    assert urlsplit(bench.provider.origin).hostname == "127.0.0.1"

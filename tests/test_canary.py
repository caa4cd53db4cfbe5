"""No secret sings: one is planted in every place where one can come in, and then everything that goes out is searched.

Searched are every answer to a client or a browser with its headers, every log line, and every byte of the data folder.
What is a secret's one right place is named where it is allowed.
"""

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import httpx2
import pytest

from drio_mcp.models import DEFAULT_SCOPES, Scope
from drio_mcp.opaque import Secret
from tests.helpers import mcp, oauth
from tests.helpers.browser import Browser
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams import (
    AuthorizationServer,
    KeyedApi,
    McpServer,
    Upstream,
    allow,
    answers,
    malformed_json,
    oauth_error,
    upstream,
)
from tests.upstreams.authorization import INITIAL_ACCESS_TOKEN

FIELDS = {
    "clientSecret": "custom-oauth",
    "registrationAccessToken": "custom-mcp",
    "registrationInitialAccessToken": "custom-mcp",
    "apiKey": "custom-api-key",
    "accessToken": "custom-bearer",
    "password": "custom-basic",
}
"""Each secret field of `config`, and a provider whose connections have it."""


@dataclass
class Cage:
    """The canaries, and everything that was heard."""

    server: RunningServer
    provider: Upstream
    authorization: AuthorizationServer
    folder: Path
    someone: Someone
    canaries: dict[str, str] = field(default_factory=dict)
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    def plant(self, place: str) -> str:
        """A secret of its own for that place."""
        canary = f"canary-{len(self.canaries):02d}-{place}-Zw7!~q"
        self.canaries[place] = canary
        return canary

    def adopt(self, place: str, secret: str) -> None:
        """A secret that somebody else made."""
        self.canaries[place] = secret

    def listen(self, answer: httpx2.Response) -> None:
        answer.read()
        head = "\n".join(f"{name}: {value}" for name, value in answer.headers.multi_items()).encode()
        url = str(answer.request.url.copy_with(query=None))
        self.heard.append((f"{answer.request.method} {url}", head + b"\n\n" + answer.content))

    def client(self, *scopes: str) -> httpx2.Client:
        token = self.server.issue_token(self.someone.person.id, scopes or DEFAULT_SCOPES)
        hooks = {"response": [self.listen]}
        return self.server.client(headers={"Authorization": f"Bearer {token}"}, event_hooks=hooks)

    def browser(self) -> Browser:
        browser = Browser(self.server.url)
        browser._client.event_hooks = {"request": [], "response": [self.listen]}
        return browser


def spellings(secret: str) -> Iterator[bytes]:
    """The forms in which a secret travels: itself, in URLs and forms, and in base64 however it is aligned."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield quote_plus(secret).encode()
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + secret.encode()).rstrip(b"=")
        yield encoded[4 if shift else 0 : -4]


def found(cage: Cage, text: bytes, places: set[str] | None = None) -> set[str]:
    """The places whose canaries stand in the text."""
    wanted = cage.canaries if places is None else {place: cage.canaries[place] for place in places}
    return {place for place, secret in wanted.items() if any(form in text for form in spellings(secret))}


@pytest.fixture
def cage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Cage]:
    authorization = AuthorizationServer(registration="token")
    tools = McpServer(accepts=authorization.accepts)
    api = KeyedApi(accepts=lambda key: True)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    monkeypatch.setenv("DRIO_SECRET_CANARY", "canary-env-Zw7!~q")
    (secrets / "canary.txt").write_text("canary-file-Zw7!~q\n")
    with (
        upstream(authorization, tools, api) as provider,
        running_server(tmp_path / "data", outbound_allow=(provider.host_port,), secret_dir=secrets) as server,
    ):
        person = server.run(
            server.services.people.create("canary@example.com", "Ada", Secret("canary-password-Zw7!~q"), True)
        )
        someone = Someone(person, server.issue_token(person.id))
        built = Cage(server, provider, authorization, tmp_path / "data", someone)
        built.adopt("environment", "canary-env-Zw7!~q")
        built.adopt("file", "canary-file-Zw7!~q")
        built.adopt("password of the person", "canary-password-Zw7!~q")
        yield built


def auth_path(cage: Cage, client: httpx2.Client) -> str:
    return f"/api/v1/apps/{client.get('/api/v1/apps').json()['apps'][0]['id']}/auth"


def config_for(cage: Cage, name: str, value: str) -> dict[str, Any]:
    origin = cage.provider.origin
    usual: dict[str, Any] = {
        "clientSecret": {
            "type": "oauth",
            "clientId": "client",
            "authorizationEndpoint": f"{origin}/authorize",
            "tokenEndpoint": f"{origin}/token",
        },
        "registrationAccessToken": {"registrationClientUri": f"{origin}/register/x"},
        "registrationInitialAccessToken": {"registrationEndpoint": f"{origin}/register"},
        "apiKey": {"headerName": "X-Api-Key"},
        "accessToken": {},
        "password": {"username": "ada"},
    }
    return {name: value, "apiBaseUrl": f"{origin}/v1/echo", **usual[name]}


def enter_by_rest(cage: Cage, client: httpx2.Client, auth: str) -> list[str]:
    """Every secret field, by creation and by change, and every way to send one wrongly."""
    ids = []
    for name, key in FIELDS.items():
        config = config_for(cage, name, cage.plant(f"rest-create-{name}"))
        made = client.post(auth, json={"name": name, "providerKey": key, "status": "valid", "config": config})
        assert made.status_code == 201, made.text
        ids.append(made.json()["auth"]["id"])
        changed = client.patch(f"{auth}/{ids[-1]}", json={"config": {name: cage.plant(f"rest-patch-{name}")}})
        assert changed.status_code == 200, changed.text
        wrong = cage.plant(f"rest-wrong-{name}")
        for body in (
            {"name": wrong, "providerKey": wrong, "config": {name: [wrong]}},
            {"name": "x", "providerKey": key, "config": {name: wrong + "\n", wrong: 1}},
            {"name": "x", "providerKey": key, "config": wrong},
        ):
            assert client.post(auth, json=body).status_code == 400
        assert client.post(f"{auth}?{quote(wrong)}=1", json={}).status_code == 400
        assert client.post(auth, content=f'{{"{wrong}"').status_code in {400, 415}
        assert client.get(f"{auth}/{quote(wrong, safe='')}").status_code == 404
    for reference in ("env:DRIO_SECRET_CANARY", "file:canary.txt"):
        config = {"headerName": "X-Api-Key", "apiBaseUrl": f"{cage.provider.origin}/v1/echo"}
        wish = {"name": "By reference", "providerKey": "custom-api-key", "secretRef": reference, "config": config}
        ids.append(client.post(auth, json=wish).json()["auth"]["id"])
    return ids


def enter_on_the_page(cage: Cage, client: httpx2.Client, auth: str, browser: Browser) -> str:
    """A key typed by the person, with a wrong try before it; the sign-in itself, with a wrong password too."""
    config = {"headerName": "X-Api-Key", "apiBaseUrl": f"{cage.provider.origin}/v1/echo"}
    made = client.post(auth, json={"name": "Typed", "providerKey": "custom-api-key", "config": config}).json()
    auth_id = made["auth"]["id"]
    link = client.get(f"{auth}/{auth_id}/diagnosis").json()["diagnosis"]["nextStep"]["url"]
    cage.adopt("ours: link", link.rpartition("/")[2])
    browser.open(urlsplit(link).path)
    browser.sign_in(cage.someone.email, cage.plant("wrong-password"))
    browser.sign_in(cage.someone.email, cage.canaries["password of the person"])
    browser.submit(form_with="apiKey", apiKey=cage.plant("page-wrong") + "\x07")
    browser.submit(form_with="apiKey", apiKey=cage.plant("page-key"))
    return str(auth_id)


def connect_by_consent(cage: Cage, client: httpx2.Client, auth: str, browser: Browser) -> str:
    """Registration, code, tokens: what the provider makes up."""
    config = {
        "type": "mcp_oauth",
        "authorizationEndpoint": f"{cage.provider.origin}/authorize",
        "tokenEndpoint": f"{cage.provider.origin}/token",
        "registrationEndpoint": f"{cage.provider.origin}/register",
        "registrationAuthMode": "initial_access_token",
        "registrationInitialAccessToken": INITIAL_ACCESS_TOKEN,
        "apiBaseUrl": f"{cage.provider.origin}/mcp",
    }
    cage.adopt("initial access token", INITIAL_ACCESS_TOKEN)
    made = client.post(auth, json={"name": "Consented", "providerKey": "custom-mcp", "config": config}).json()
    auth_id = made["auth"]["id"]
    assert client.post(f"{auth}/{auth_id}/register").status_code == 200
    (registered,) = cage.authorization.clients.values()
    cage.adopt("registered client secret", str(registered.secret))
    cage.adopt("registration access token", registered.management_token)
    link = client.get(f"{auth}/{auth_id}/diagnosis").json()["diagnosis"]["nextStep"]["url"]
    browser.open(urlsplit(link).path).submit(form_with="csrf")
    assert browser.left_to is not None, browser.text
    back = asyncio.run(allow(browser.left_to))
    cage.adopt("code of the provider", parse_qs(urlsplit(back).query)["code"][0])
    browser.open(back)
    exchange = cage.provider.log.of("token")[-1].form
    cage.adopt("code verifier", exchange["code_verifier"])
    assert client.get(f"{auth}/{auth_id}").json()["auth"]["status"] == "valid"
    return str(auth_id)


def note_tokens(cage: Cage) -> None:
    """Every token that the provider has issued up to now."""
    for number, family in enumerate(cage.authorization.families):
        for place, tokens in (("access", family.access_tokens), ("refresh", family.refresh_tokens)):
            for count, token in enumerate(tokens):
                cage.adopt(f"{place} token {number}.{count}", token)


def use_everything(cage: Cage, client: httpx2.Client, auth: str, ids: list[str], consented: str) -> None:
    """All calls on all connections, by REST and by tools, in good days and bad ones."""
    with cage.client(*DEFAULT_SCOPES, Scope.CONNECTIONS_USE) as user:
        for auth_id in [*ids, consented]:
            for call in ("validate", "refresh", "register"):
                client.post(f"{auth}/{auth_id}/{call}")
                client.post(f"{auth}/{auth_id}/{call}?dryRun=true")
            for call in ("diagnosis", "history"):
                client.get(f"{auth}/{auth_id}/{call}")
            user.post(f"{auth}/{auth_id}/token?dryRun=true")
            user.get(f"{auth}/{auth_id}/proxy/")
            for tool in ("get", "validate", "diagnose", "refresh"):
                mcp.call(client, f"{tool}_auth_connection", {"authId": auth_id})
        for path in ("/api/v1/me", "/api/v1/apps", "/api/v1/providers?q=canary", "/api/v1/openapi.json", auth):
            client.get(path)
        mcp.call(client, "list_auth_connections")
        mcp.tools(client)


def in_bad_days(cage: Cage, client: httpx2.Client, auth: str, ids: list[str], consented: str) -> None:
    """The provider repeats what it was sent, in errors of every kind."""
    secrets = " ".join(cage.canaries.values())
    for fault in (
        answers(
            401,
            {"message": secrets},
            {"WWW-Authenticate": f'Bearer error="invalid_token", error_description="{secrets}"'},
        ),
        answers(500, secrets),
        answers(200, {"ok": False, "error": f"auth {secrets}"}),
        malformed_json(),
    ):
        for endpoint in ("echo", "mcp", "metadata", "register", "registration", "userinfo"):
            cage.provider.faults.at(endpoint, fault)
        for auth_id in [*ids, consented]:
            client.post(f"{auth}/{auth_id}/validate")
            client.get(f"{auth}/{auth_id}/diagnosis")
        cage.provider.faults.clear()
    for fault in (oauth_error("invalid_client", 401, secrets), oauth_error(secrets), answers(400, secrets)):
        cage.provider.faults.at("token", fault, times=1)
        client.post(f"{auth}/{consented}/refresh")


def sign_in_elsewhere(cage: Cage) -> None:
    """Our own secrets: a client's registration, code and tokens, a setup link. Answers may hold them."""
    other = cage.server.add_person()
    with cage.server.client(event_hooks={"response": [cage.listen]}) as http:
        registered = oauth.register(http, token_endpoint_auth_method="client_secret_post")
        cage.adopt("ours: client secret", registered["client_secret"])
        cage.adopt("ours: registration access token", registered["registration_access_token"])
        client_id = oauth.register(http)["client_id"]
        code = oauth.authorize(cage.server, other, client_id)
        cage.adopt("ours: code", code.value)
        cage.adopt("ours: code verifier", code.verifier)
        tokens = oauth.exchange(http, client_id, code).json()
        renewed = oauth.refresh(http, client_id, tokens["refresh_token"]).json()
        for place, answer in (("first", tokens), ("second", renewed)):
            cage.adopt(f"ours: {place} access token", answer["access_token"])
            cage.adopt(f"ours: {place} refresh token", answer["refresh_token"])
        cage.adopt("ours: personal token", cage.someone.token)
        setup = cage.server.run(cage.server.services.setup_links.create())
        cage.adopt("ours: setup token", parse_qs(urlsplit(setup).query)["token"][0])
        http.get(setup)


def test_no_secret_is_told_logged_or_stored(cage: Cage, capsys: pytest.CaptureFixture[str]) -> None:
    with cage.client() as client, cage.browser() as browser:
        auth = auth_path(cage, client)
        ids = enter_by_rest(cage, client, auth)
        ids.append(enter_on_the_page(cage, client, auth, browser))
        consented = connect_by_consent(cage, client, auth, browser)
        note_tokens(cage)
        use_everything(cage, client, auth, ids, consented)
        note_tokens(cage)
        in_bad_days(cage, client, auth, ids, consented)
        note_tokens(cage)
        for page in ("/apps", f"/apps/{auth.split('/')[4]}", "/account", f"/connect/{cage.plant('link-wrong')}"):
            browser.open(page)
        sign_in_elsewhere(cage)
        kept = bytes_of(cage.folder)
        for auth_id in [*ids, consented]:
            assert client.delete(f"{auth}/{auth_id}").status_code == 200
    assert len(cage.canaries) > 35
    assert len(cage.heard) > 200
    theirs = {place for place in cage.canaries if not place.startswith("ours:")}
    for what, answer in cage.heard:
        assert not found(cage, answer, theirs), what
    assert not found(cage, capsys.readouterr().err.encode())
    assert not found(cage, kept)
    assert not found(cage, bytes_of(cage.folder))


def test_the_search_finds_a_canary_in_every_dress(cage: Cage) -> None:
    """The search itself: a test that finds nothing anywhere would prove nothing."""
    canary = cage.plant("example")
    pair = base64.b64encode(f"ada:{canary}".encode())
    for dress in (canary.encode(), quote(canary, safe="").encode(), quote_plus(canary).encode(), b"Basic " + pair):
        assert found(cage, b"before " + dress + b" after") == {"example"}
    assert found(cage, b"nothing of it") == set()
    with cage.client() as client:
        client.get("/api/v1/me")
    assert cage.heard[-1][0].endswith("/api/v1/me")
    assert b"canary@example.com" in cage.heard[-1][1]
    assert b"canary@example.com" in bytes_of(cage.folder)


def bytes_of(folder: Path) -> bytes:
    """Everything in the data folder: the database, its log of writes, keys, strays."""
    return b"\0".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())

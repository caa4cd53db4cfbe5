"""Attacks on where and how a stored secret goes: an operator's references, a tenant's neighbour on a shared host, rows
edited in the database, folders swapped for links. Contract sections 1 (`DRIO_SECRET_DIR`) and 3 (`secretRef`).

Beside these, `test_connections.py` here holds that no secret goes to another origin.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from drio_mcp.store import Statement
from tests.attacks.moves import bearer
from tests.conftest import FakeClock
from tests.helpers.mcp import call
from tests.helpers.server import RunningServer, Someone, running_server
from tests.upstreams import Upstream, answers, upstream

CANARY = "canary-9d1c-secret"
USE = ["openid", "profile", "email", "connections:use"]


@pytest.fixture(scope="module")
def shared() -> Iterator[Upstream]:
    """A host that many tenants share; it notes whatever it is sent."""
    with upstream() as running:
        running.faults.at("elsewhere", answers(200, {}))
        yield running


@pytest.fixture(scope="module")
def evil() -> Iterator[Upstream]:
    with upstream() as running:
        running.faults.at("elsewhere", answers(200, {}))
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("secrets")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, clock: FakeClock, shared: Upstream, evil: Upstream, folder: Path
) -> Iterator[RunningServer]:
    """The variables stand in the process's environment before it starts, as an operator sets them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIO_SECRET_X", CANARY)
        patch.setenv("DRIO_SECRET_X_ORIGINS", shared.origin)
        patch.setenv("DRIO_SECRET_ALONE", CANARY)
        (folder / "x.txt").write_text(CANARY)
        (folder / "x.txt.origins").write_text(f"{shared.origin}\n")
        allowed = (shared.host_port, evil.host_port)
        data = tmp_path_factory.mktemp("server")
        with running_server(data, clock, outbound_allow=allowed, secret_dir=folder) as started:
            yield started


@pytest.fixture
def operator(server: RunningServer) -> Someone:
    someone = server.add_person(is_operator=True)
    return Someone(someone.person, server.issue_token(someone.person.id, USE))


def made(http: httpx2.Client, token: str, **body: Any) -> str:
    """The path of a new connection."""
    app = http.get("/api/v1/apps", headers=bearer(token)).json()["apps"][0]["id"]
    answer = http.post(
        f"/api/v1/apps/{app}/auth", json={"name": "Api", "status": "valid", **body}, headers=bearer(token)
    )
    assert answer.status_code == 201, answer.text
    return f"/api/v1/apps/{app}/auth/{answer.json()['auth']['id']}"


def keyed(base: str, **config: Any) -> dict[str, Any]:
    known = {"type": "api_key_header", "headerName": "X-Api-Key", "apiBaseUrl": base, **config}
    return {"providerKey": "custom-api-key", "config": known}


def used_in_every_way(http: httpx2.Client, token: str, path: str) -> list[httpx2.Response]:
    return [
        http.post(f"{path}/validate", headers=bearer(token)),
        http.get(f"{path}/proxy/inbox", headers=bearer(token)),
        http.get(f"{path}/diagnosis", headers=bearer(token)),
        http.post(f"{path}/token", headers=bearer(token)),
        http.get(path, headers=bearer(token)),
    ]


def seen_by(host: Upstream) -> str:
    return repr([(entry.path, entry.headers, entry.query) for entry in host.log.entries])


@pytest.mark.parametrize(
    ("reference", "names"),
    [
        ("env:DRIO_SECRET_X", "DRIO_SECRET_X_ORIGINS"),
        ("env:DRIO_SECRET_ALONE", "DRIO_SECRET_ALONE_ORIGINS"),
        ("file:x.txt", "x.txt.origins"),
    ],
)
def test_an_operators_reference_goes_where_the_operator_said(
    http: httpx2.Client, operator: Someone, shared: Upstream, evil: Upstream, reference: str, names: str
) -> None:
    """`secretRef: "env:DRIO_SECRET_X"` and a foreign `apiBaseUrl`, then `validate`, with an operator's token."""
    evil.log.entries.clear()
    path = made(http, operator.token, **keyed(evil.origin), secretRef=reference)
    told = used_in_every_way(http, operator.token, path)
    assert CANARY not in seen_by(evil)
    assert CANARY not in "".join(answer.text for answer in told)
    refused = told[1].json()["error"]
    assert (told[1].status_code, refused["details"]["code"]) == (409, "secret_unavailable")
    assert names in refused["message"], "it says what to set"
    if "ALONE" not in reference:
        shared.log.entries.clear()
        good = made(http, operator.token, **keyed(shared.origin), secretRef=reference)
        assert http.get(f"{good}/proxy/me", headers=bearer(operator.token)).status_code == 200
        assert CANARY in seen_by(shared), "where it may go it goes"


def test_an_operators_client_secret_goes_where_the_operator_said(
    http: httpx2.Client, operator: Someone, evil: Upstream
) -> None:
    """The same as a client secret, for a stranger's token endpoint."""
    evil.log.entries.clear()
    config = {"type": "oauth_client_credentials", "tokenEndpoint": f"{evil.origin}/token", "clientId": "c"}
    path = made(http, operator.token, providerKey="custom-oauth", config=config, secretRef="env:DRIO_SECRET_X")
    used_in_every_way(http, operator.token, path)
    assert http.post(f"{path}/refresh", headers=bearer(operator.token)).status_code == 409
    assert CANARY not in "".join(entry.body.decode() for entry in evil.log.entries) + seen_by(evil)


@pytest.mark.parametrize("reference", ["env:DRIO_SECRET_X_ORIGINS", "file:x.txt.origins", "file:../x.txt", "env:HOME"])
def test_no_reference_names_anything_else(
    http: httpx2.Client, operator: Someone, evil: Upstream, reference: str
) -> None:
    app = http.get("/api/v1/apps", headers=bearer(operator.token)).json()["apps"][0]["id"]
    body = {"name": "Api", **keyed(evil.origin), "secretRef": reference}
    answer = http.post(f"/api/v1/apps/{app}/auth", json=body, headers=bearer(operator.token))
    assert answer.status_code == 400
    assert [each["path"] for each in answer.json()["error"]["details"]] == ["secretRef"]


def test_a_tricked_model_of_an_operator_names_no_reference(
    server: RunningServer, operator: Someone, evil: Upstream
) -> None:
    """Tools never take `secretRef`, whoever calls them."""
    evil.log.entries.clear()
    with server.client(headers=bearer(operator.token)) as model:
        arguments = {"name": "Api", **keyed(evil.origin), "secretRef": "env:DRIO_SECRET_X"}
        result = call(model, "create_auth_connection", arguments)
        assert result["isError"]
        assert result["structuredContent"]["error"]["details"][0]["path"] == "secretRef"


def test_a_folder_swapped_for_a_link_leads_nowhere(
    http: httpx2.Client, operator: Someone, shared: Upstream, folder: Path, tmp_path: Path
) -> None:
    """`file:` reference while a folder on the way is swapped for a link, after the reference was taken."""
    (folder / "deep").mkdir()
    (folder / "deep" / "key").write_text("good")
    (folder / "deep" / "key.origins").write_text(shared.origin)
    path = made(http, operator.token, **keyed(shared.origin), secretRef="file:deep/key")
    (folder / "deep").rename(folder / "aside")
    (tmp_path / "key").write_text(CANARY)
    (tmp_path / "key.origins").write_text(shared.origin)
    (folder / "deep").symlink_to(tmp_path)
    shared.log.entries.clear()
    answer = http.get(f"{path}/proxy/me", headers=bearer(operator.token))
    (folder / "deep").unlink()
    assert answer.status_code == 409
    assert CANARY not in seen_by(shared)


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "path": ({}, {"apiBaseUrl": "/tenants/mallory"}),
    "path below": ({}, {"apiBaseUrl": "/tenants/ada/public"}),
    "path cleared": ({}, {"apiBaseUrl": None}),
    "header": ({}, {"headerName": "X-Forward-To"}),
    "prefix": ({}, {"headerPrefix": "mallory "}),
    "type": ({"headerName": None}, {"type": "api_key_query", "queryParamName": "q", "headerName": None}),
    "parameter": (
        {"type": "api_key_query", "queryParamName": "key", "headerName": None},
        {"queryParamName": "comment"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_goes_nowhere_else_on_its_own_host(
    server: RunningServer, http: httpx2.Client, shared: Upstream, change: str
) -> None:
    """`connections:write` changes path, header, prefix, type or parameter on the same origin, which another tenant's
    inbox may be: the key is void, `origin_changed`, and its owner enters it again."""
    began, patch = CHANGES[change]
    owner = server.add_person()
    writer = server.issue_token(owner.person.id, ["connections:write", "connections:use"])
    config = {"apiKey": CANARY, **({} if change != "type" else {"headerName": "X-Api-Key"})}
    body = keyed(f"{shared.origin}/tenants/ada", **config | {name: each for name, each in began.items() if each})
    if began.get("type"):
        del body["config"]["headerName"]
    path = made(http, owner.token, **body)
    sent = {
        name: f"{shared.origin}{value}" if name == "apiBaseUrl" and value else value for name, value in patch.items()
    }
    shared.log.entries.clear()
    answer = http.patch(
        path, json={"status": "valid", "config": {**sent, "apiKey": "********"}}, headers=bearer(writer)
    )
    assert answer.status_code == 200, answer.text
    auth = answer.json()["auth"]
    assert auth["config"].get("apiKey") is None
    assert auth["lastError"].startswith("origin_changed: ")
    used_in_every_way(http, writer, path)
    assert CANARY not in seen_by(shared)


@pytest.mark.parametrize("address", ["?to=mallory", "/v1?to=mallory", "/v1#x", "/v1?"])
def test_an_address_has_no_query(http: httpx2.Client, operator: Someone, shared: Upstream, address: str) -> None:
    """Contract section 3: parameters of an `apiBaseUrl` would go along with every call."""
    app = http.get("/api/v1/apps", headers=bearer(operator.token)).json()["apps"][0]["id"]
    body = {"name": "Api", **keyed(f"{shared.origin}{address}")}
    answer = http.post(f"/api/v1/apps/{app}/auth", json=body, headers=bearer(operator.token))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "validation_error")
    assert answer.json()["error"]["details"][0]["path"] == "config.apiBaseUrl"
    assert "mallory" not in answer.text


@pytest.mark.parametrize(("prefix", "sent"), [("Key", "Key "), ("Key ", "Key "), ("Token token=", "Token token=")])
def test_a_prefix_is_told_from_the_key(
    server: RunningServer, http: httpx2.Client, shared: Upstream, prefix: str, sent: str
) -> None:
    """A `headerPrefix` that ends in a letter or digit is followed by one space (contract section 3)."""
    owner = server.add_person()
    token = server.issue_token(owner.person.id, USE)
    path = made(http, token, **keyed(shared.origin, apiKey=CANARY, headerPrefix=prefix))
    shared.log.entries.clear()
    assert http.get(f"{path}/proxy/me", headers=bearer(token)).status_code == 200
    assert shared.log.entries[-1].headers["x-api-key"] == f"{sent}{CANARY}"
    same = {"config": {"headerPrefix": sent}}
    assert http.patch(path, json=same, headers=owner.headers).json()["auth"]["config"]["apiKey"] == "********"


def test_a_change_that_moves_nothing_keeps_the_key(
    server: RunningServer, http: httpx2.Client, shared: Upstream
) -> None:
    """A slash at the end, another case of a header's name, the same origin in other letters: the same place."""
    owner = server.add_person()
    path = made(http, owner.token, **keyed(f"{shared.origin}/tenants/ada", apiKey=CANARY))
    patch = {"config": {"apiBaseUrl": f"{shared.origin}/tenants/ada/", "headerName": "x-api-key", "isDefault": True}}
    answer = http.patch(path, json=patch, headers=owner.headers)
    assert answer.json()["auth"]["config"]["apiKey"] == "********"
    assert answer.json()["auth"]["status"] == "valid"


EDITED = Statement("UPDATE connections SET config = :config WHERE id = :id")
MOVED = Statement("UPDATE connections SET app_id = :app_id WHERE id = :id")
STOLEN = Statement("UPDATE apps SET user_id = :user_id WHERE id = :id")


def issued_at(server: RunningServer, http: httpx2.Client, shared: Upstream, owner: Someone, token: str) -> str:
    """A connection with a token that its provider issued."""
    issued = {"access_token": CANARY, "token_type": "Bearer", "expires_in": 3600}
    shared.faults.clear()
    shared.faults.at("elsewhere", answers(200, issued))
    config = {
        "type": "oauth_client_credentials",
        "tokenEndpoint": f"{shared.origin}/token",
        "apiBaseUrl": shared.origin,
        "clientId": "c",
        "clientSecret": "s",
    }
    path = made(http, token, providerKey="custom-oauth", config=config)
    assert http.post(f"{path}/refresh", headers=bearer(token)).status_code == 200
    return path


@pytest.mark.parametrize("kind", ["token", "key"])
def test_a_configuration_edited_in_the_database_leads_nothing_elsewhere(
    server: RunningServer, http: httpx2.Client, shared: Upstream, evil: Upstream, kind: str
) -> None:
    """Whoever can write to the database and has no key: `apiBaseUrl` and `allowedOrigins` name a host of theirs."""
    owner = server.add_person()
    token = server.issue_token(owner.person.id, USE)
    if kind == "token":
        path = issued_at(server, http, shared, owner, token)
    else:
        path = made(http, token, **keyed(shared.origin, apiKey=CANARY))
    auth = http.get(path, headers=bearer(token)).json()["auth"]
    config = {
        "type": auth["config"]["type"],
        "header_name": "X-Api-Key",
        "token_endpoint": f"{shared.origin}/token",
        "client_id": "c",
        "api_base_url": evil.origin,
        "allowed_origins": [evil.origin, shared.origin],
    }
    server.run(server.services.db.write(lambda tx: tx.run(EDITED, config=json.dumps(config), id=auth["id"])))
    evil.log.entries.clear()
    answer = http.get(f"{path}/proxy/me", headers=bearer(token))
    assert (answer.status_code, answer.json()["error"]["details"]["code"]) == (409, "secret_unavailable")
    http.post(f"{path}/validate", headers=bearer(token))
    assert CANARY not in seen_by(evil)


@pytest.mark.parametrize("kind", ["token", "key"])
@pytest.mark.parametrize("how", ["the connection to another app", "the app to another account"])
def test_a_row_moved_in_the_database_opens_nothing(
    server: RunningServer, http: httpx2.Client, shared: Upstream, how: str, kind: str
) -> None:
    """Moving a row to another app, or the app to another account: app and owner are authenticated with the seal."""
    owner, thief = server.add_person(), server.add_person()
    token = server.issue_token(thief.person.id, USE)
    victim = server.issue_token(owner.person.id, USE)
    if kind == "token":
        path = issued_at(server, http, shared, owner, victim)
    else:
        path = made(http, victim, **keyed(shared.origin, apiKey=CANARY))
    app, auth = path.split("/")[4], path.split("/")[6]
    own = http.get("/api/v1/apps", headers=bearer(token)).json()["apps"][0]["id"]
    if how.startswith("the connection"):
        server.run(server.services.db.write(lambda tx: tx.run(MOVED, app_id=own, id=auth)))
        path = path.replace(app, own)
    else:
        rename = Statement("UPDATE apps SET slug = 'moved' WHERE id = :id")
        server.run(server.services.db.write(lambda tx: tx.run(rename, id=app)))
        server.run(server.services.db.write(lambda tx: tx.run(STOLEN, user_id=thief.person.id, id=app)))
    shared.log.entries.clear()
    told = used_in_every_way(http, token, path)
    assert told[-1].status_code == 200, "the row is theirs now"
    assert CANARY not in "".join(answer.text for answer in told)
    assert CANARY not in seen_by(shared)

"""Contract section 3, "REST": apps and auth connections, in the reference's form."""

import re
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from .process import Served
from .test_routes import envelope

SECRET = "sk_live_51H_never_echo_this"
SEED = {
    "providerKey": "custom-oauth",
    "name": "Primary Auth",
    "status": "valid",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
        "tokenEndpoint": "https://accounts.example.com/oauth/token",
        "clientId": "client_123",
        "scopes": ["contacts:read"],
    },
    "grants": ["contacts:read"],
}
KEY = {"name": "Weather", "providerKey": "custom-api-key", "config": {"headerName": "X-Key", "apiKey": SECRET}}
FIELDS = (
    "id appId providerId providerKey providerName key name status config secretRef grants lastValidatedAt lastError "
    "createdAt updatedAt"
)
APP = (
    "id publicMcpId slug name description version status isEnabled templateId companyUrl serverInstructions "
    "branding createdAt updatedAt"
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def created(api: httpx2.Client, auth: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = api.post(auth, json=body)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"auth"}
    connection: dict[str, Any] = answer.json()["auth"]
    return connection


def test_me(api: httpx2.Client) -> None:
    """`{"user":{workosUserId,email,image,name,scopes}}`; `workosUserId` is the local user id."""
    (user,) = api.get("/api/v1/me").json().values()
    assert user.pop("workosUserId").startswith("user_")
    scopes = ["openid", "profile", "email"]
    assert user == {"email": "ada@example.com", "image": None, "name": "Ada", "scopes": scopes}


def test_apps(api: httpx2.Client) -> None:
    """All fields of an app, the optional ones null until set; ids and times in their form."""
    first = api.get("/api/v1/apps").json()["apps"][0]
    assert (" ".join(first), first["name"]) == (APP, "My app")
    assert re.fullmatch(r"app_[A-Za-z0-9_-]{22,}", first["id"])
    assert TIME.fullmatch(first["createdAt"])
    assert TIME.fullmatch(first["updatedAt"])
    dry = api.post("/api/v1/apps?dryRun=true", json={"name": "Second"})
    assert dry.json()["dryRun"] is True
    made = api.post("/api/v1/apps", json={"name": "Second", "description": "For tests"})
    assert made.status_code == 201
    one = f"/api/v1/apps/{made.json()['app']['id']}"
    for optional in ("templateId", "companyUrl", "serverInstructions", "branding"):
        assert made.json()["app"][optional] is None
    assert api.patch(one, json={"description": None}).json()["app"]["description"] is None
    assert api.get(one).json()["app"]["name"] == "Second"
    assert api.delete(one).json() == {"deleted": True}
    assert envelope(api.delete(one), 404, "not_found")["message"] == "App not found"
    envelope(api.post("/api/v1/apps", json={}), 400, "validation_error")


def test_the_connection_of_the_reference(api: httpx2.Client, auth: str) -> None:
    """Exactly the seed's fields, with its types; read back by id and by key."""
    made = created(api, auth, SEED)
    assert " ".join(made) == FIELDS
    assert re.fullmatch(r"auth_[A-Za-z0-9_-]{22,}", made["id"])
    assert {name: made[name] for name in SEED} == SEED
    assert (made["providerId"], made["providerName"], made["key"]) == ("provider_oauth", "OAuth", "primary-auth")
    assert (made["secretRef"], made["lastValidatedAt"], made["lastError"]) == (None, None, None)
    assert api.get(f"{auth}/{made['id']}").json() == {"auth": made} == api.get(f"{auth}/primary-auth").json()
    assert created(api, auth, SEED)["key"] == "primary-auth-2", "made unique in the app"
    listed = api.get(auth).json()
    assert set(listed) == {"auth", "providers"}
    assert {each["key"]: each["kind"] for each in listed["providers"]} == {
        "custom-oauth": "oauth",
        "custom-mcp": "oauth",
        "custom-api-key": "api_key",
        "custom-bearer": "bearer",
        "custom-basic": "basic",
    }
    assert api.delete(f"{auth}/primary-auth-2").json() == {"deleted": True}
    again = envelope(api.delete(f"{auth}/primary-auth-2"), 404, "not_found")
    assert again["message"] == "Auth connection not found"


def test_defaults(api: httpx2.Client, auth: str) -> None:
    """`name` and `providerKey` required; status defaults to `draft`."""
    missing = envelope(api.post(auth, json={}), 400, "validation_error")["details"]
    assert [problem["path"] for problem in missing] == ["name", "providerKey"]
    made = created(api, auth, {"name": "Bare", "providerKey": "custom-mcp"})
    assert (made["status"], made["config"], made["grants"]) == ("draft", {"type": "mcp_oauth"}, [])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": 1}, "name"),
        ({"providerKey": "invented"}, "providerKey"),
        ({"config": {"tokenEndpoint": 5}}, "config.tokenEndpoint"),
        ({"config": {"tokenEndpoint": SECRET}}, "config.tokenEndpoint"),
        ({"config": {"type": "magic"}}, "config.type"),
        ({"config": {"type": "bearer"}}, "config.type"),
        ({"config": {"registrationAuthMode": "magic"}}, "config.registrationAuthMode"),
        ({"config": {"lastRegisteredAt": "2026-03-15T12:00:00.000Z"}}, "config.lastRegisteredAt"),
        ({"config": {"unheardOf": 1}}, "config.unheardOf"),
        ({"status": "degraded"}, "status"),
        ({"lastValidatedAt": "2026-03-15T12:00:00.000Z"}, "lastValidatedAt"),
        ({"secretRef": "file:/etc/passwd"}, "secretRef"),
        ({"secretRef": "env:PATH"}, "secretRef"),
        ({"secretRef": f"sealed://{SECRET}"}, "secretRef"),
        ({"unheardOf": 1}, "unheardOf"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(api: httpx2.Client, auth: str, body: dict[str, Any], path: str) -> None:
    """400 `validation_error`; `details` = `[{"path","message"}]`; no submitted value is echoed."""
    answer = api.post(auth, json=SEED | body)
    (problem,) = envelope(answer, 400, "validation_error")["details"]
    assert set(problem) == {"path", "message"}
    assert problem["path"] == path
    assert SECRET not in answer.text


@pytest.mark.parametrize("name", ["x" * 41, "a b", "<script>", "1st", SECRET + "!"])
def test_an_unknown_name_is_echoed_only_if_it_is_an_identifier(api: httpx2.Client, auth: str, name: str) -> None:
    """An unknown field's name only if it looks like an identifier of at most 40 characters."""
    answer = api.post(auth, json={**SEED, name: 1})
    envelope(answer, 400, "validation_error")
    assert name not in answer.text


def test_merge_patch(api: httpx2.Client, auth: str) -> None:
    """JSON merge patch (RFC 7396): absent keeps, `null` clears, arrays replace; `{}` changes nothing."""
    made = created(api, auth, SEED)
    one = f"{auth}/{made['id']}"
    tag = api.get(one).headers["etag"]
    assert api.patch(one, json={}).json() == {"auth": made}
    assert api.get(one).headers["etag"] == tag
    patch = {"config": {"scopes": ["a", "b"], "clientId": None}, "grants": None, "status": "disabled"}
    changed = api.patch(one, json=patch, headers={"Content-Type": "application/merge-patch+json"}).json()["auth"]
    assert "clientId" not in changed["config"]
    assert changed["config"]["scopes"] == ["a", "b"]
    assert changed["config"]["tokenEndpoint"] == made["config"]["tokenEndpoint"]
    assert (changed["grants"], changed["status"]) == ([], "disabled")


def test_entity_tags(api: httpx2.Client, auth: str) -> None:
    """`ETag`/`If-Match` supported (RFC 9110 section 13.1.1): lists and `*` match, weak tags never do."""
    one = f"{auth}/{created(api, auth, SEED)['id']}"
    tag = api.get(one).headers["etag"]
    for refused in ('"other"', f"W/{tag}", '"a", "b"'):
        envelope(api.patch(one, json={"name": "N"}, headers={"If-Match": refused}), 412, "precondition_failed")
        envelope(api.delete(one, headers={"If-Match": refused}), 412, "precondition_failed")
    first = api.patch(one, json={"name": "N"}, headers={"If-Match": f'"other", {tag}'})
    assert first.status_code == 200
    assert first.headers["etag"] not in {tag, None}
    envelope(api.patch(one, json={"name": "M"}, headers={"If-Match": tag}), 412, "precondition_failed")
    assert api.patch(one, json={"name": "M"}, headers={"If-Match": "*"}).status_code == 200


def test_secrets_are_write_only(served: Served, api: httpx2.Client, auth: str) -> None:
    """Read back as the constant `"********"`; sending that constant keeps the stored value; `null` clears it."""
    made = created(api, auth, KEY)
    one = f"{auth}/{made['id']}"
    assert made["config"] == {"type": "api_key_header", "headerName": "X-Key", "apiKey": "********"}
    assert made["secretRef"].startswith("sealed://")
    tag = api.get(one).headers["etag"]
    kept = api.patch(one, json={"config": {"apiKey": "********"}})
    assert kept.json() == {"auth": made}
    assert kept.headers["etag"] == tag
    cleared = api.patch(one, json={"config": {"apiKey": None}}).json()["auth"]
    assert "apiKey" not in cleared["config"]
    assert cleared["secretRef"] is None
    assert SECRET not in served.log()
    stored = [file.read_bytes() for file in served.program.folder.iterdir() if file.is_file()]
    assert not any(SECRET.encode() in content for content in stored)


def test_references_are_for_operators(served: Served, api: httpx2.Client, auth: str) -> None:
    """For operator accounts also `env:DRIO_SECRET_…`, so that no account can read the server's own environment."""
    body = SEED | {"secretRef": "env:DRIO_SECRET_LINEAR"}
    assert created(api, auth, body)["secretRef"] == "env:DRIO_SECRET_LINEAR"
    served.program.create_person("bob.of.rest@example.com")
    token = served.program.run("tokens", "create", "--email", "bob.of.rest@example.com").stdout.strip()
    with served.client(token) as bob:
        own = f"/api/v1/apps/{bob.get('/api/v1/apps').json()['apps'][0]['id']}/auth"
        (problem,) = envelope(bob.post(own, json=body), 400, "validation_error")["details"]
        assert problem["path"] == "secretRef"
        for answer in (bob.get(auth), bob.post(auth, json=SEED), bob.get(auth.removesuffix("/auth"))):
            assert envelope(answer, 404, "not_found")["message"] == "App not found", "existence is not revealed"
        others = api.get(auth).json()["auth"][0]["id"]
        assert envelope(bob.get(f"{own}/{others}"), 404, "not_found")["message"] == "Auth connection not found"


def test_one_default_per_app(api: httpx2.Client, auth: str) -> None:
    """`config.isDefault`: at most one per app; setting it clears the other in the same transaction."""
    bodies = [{"name": name, "providerKey": "custom-basic", "config": {"isDefault": True}} for name in ("A", "B")]
    first, second = (created(api, auth, body) for body in bodies)
    defaults = [each["id"] for each in api.get(auth).json()["auth"] if each["config"].get("isDefault")]
    assert defaults == [second["id"]]
    api.patch(f"{auth}/{first['id']}", json={"config": {"isDefault": True}})
    defaults = [each["id"] for each in api.get(auth).json()["auth"] if each["config"].get("isDefault")]
    assert defaults == [first["id"]]


def test_idempotency_key(api: httpx2.Client, auth: str) -> None:
    """The same key and body give the first answer again; with another body 409; failures are not kept."""
    body = {"name": "Once", "providerKey": "custom-bearer"}
    failed = api.post(auth, json={"name": "Once"}, headers={"Idempotency-Key": "k1"})
    envelope(failed, 400, "validation_error")
    first, second = (api.post(auth, json=body, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    other = api.post(auth, json=body | {"name": "Twice"}, headers={"Idempotency-Key": "k1"})
    envelope(other, 409, "conflict")


def test_pages_of_a_list(api: httpx2.Client, auth: str) -> None:
    """`?status=&providerKey=&limit=&cursor=`; `nextCursor` present only when there is more."""
    made = [
        created(api, auth, {"name": f"P{n}", "providerKey": "custom-bearer", "status": "disabled"}) for n in range(3)
    ]
    query = {"status": "disabled", "providerKey": "custom-bearer", "limit": "2"}
    first = api.get(auth, params=query).json()
    second = api.get(auth, params={**query, "cursor": first["nextCursor"]}).json()
    assert [each["id"] for each in first["auth"] + second["auth"]] == [each["id"] for each in made]
    assert "nextCursor" not in second


def test_dry_runs_change_nothing(api: httpx2.Client, auth: str) -> None:
    """Every write takes `?dryRun=true`: the same answer with `"dryRun":true`, nothing changed."""
    before = api.get(auth).json()
    one = f"{auth}/{before['auth'][0]['id']}"
    assert api.post(f"{auth}?dryRun=true", json=KEY).json()["auth"]["config"]["apiKey"] == "********"
    for answer in (
        api.post(f"{auth}?dryRun=true", json=KEY),
        api.patch(f"{one}?dryRun=true", json={"name": "Other", "config": {"isDefault": True}}),
        api.delete(f"{one}?dryRun=true"),
        api.post(f"{auth}/connect?dryRun=true", json={"target": "https://127.0.0.1:1/mcp"}),
    ):
        assert answer.is_success, answer.text
        assert answer.json()["dryRun"] is True
    assert api.get(auth).json() == before


@pytest.mark.parametrize(
    ("scopes", "me", "reads", "writes", "uses"),
    [
        ("openid profile email", 200, 200, 201, 403),
        ("openid", 200, 403, 403, 403),
        ("openid email", 200, 403, 403, 403),
        ("connections:read", 403, 200, 403, 403),
        ("connections:write", 403, 200, 201, 403),
        ("connections:use", 403, 403, 403, 404),
    ],
)
def test_scopes(
    scoped: Callable[[str], httpx2.Client], auth: str, scopes: str, me: int, reads: int, writes: int, uses: int
) -> None:
    """Full access but use; `openid` alone reaches `/me` only; narrower ones; `connections:use` explicit only."""
    client = scoped(scopes)
    assert client.get("/api/v1/me").status_code == me
    assert client.get(auth).status_code == reads
    assert client.get("/api/v1/apps").status_code == reads
    assert client.get("/api/v1/providers").status_code == reads
    assert client.post(f"{auth}?dryRun=true", json=SEED).status_code == writes
    for answer in (client.post(f"{auth}/none/token"), client.get(f"{auth}/none/proxy/x")):
        assert answer.status_code == uses
        if uses == 403:
            envelope(answer, 403, "forbidden")
            assert answer.headers["www-authenticate"].startswith(
                'Bearer error="insufficient_scope", scope="connections:use"'
            )


def test_operations_on_a_key_connection(api: httpx2.Client, auth: str, scoped: Callable[[str], httpx2.Client]) -> None:
    """The table of operations, and 409 `conflict` whose `details` is a diagnosis where one is impossible."""
    made = created(api, auth, KEY | {"name": "Operated"})
    one = f"{auth}/{made['id']}"
    checked = api.post(f"{one}/validate").json()
    assert set(checked) == {"auth", "check"}
    assert set(checked["check"]) >= {"ok", "code", "message", "checkedAt", "evidence"}
    diagnosis = api.get(f"{one}/diagnosis").json()["diagnosis"]
    assert set(diagnosis) == {"code", "summary", "actor", "evidence", "nextStep"}
    assert diagnosis["actor"] in {"none", "person", "owner", "provider", "operator"}
    assert set(diagnosis["nextStep"]) == {"tool", "arguments", "url"}
    assert all(set(each) == {"check", "result", "detail"} for each in diagnosis["evidence"])
    line = api.get(f"{one}/history?limit=1").json()["history"][0]
    assert set(line) == {"at", "event", "actor", "outcome", "detail"}
    assert set(line["actor"]) == {"type", "name"}
    for call in ("refresh", "register"):
        assert set(envelope(api.post(f"{one}/{call}"), 409, "conflict")["details"]) == set(diagnosis)
    api.patch(one, json={"status": "disabled"})
    user = scoped("connections:use")
    for answer in (user.post(f"{one}/token"), user.get(f"{one}/proxy/x")):
        assert envelope(answer, 409, "conflict")["details"]["code"] == "disabled"
    assert user.get(f"{one}/proxy/x").headers["x-drio-error"] == "disabled"


def test_a_bearer_token_is_handed_out_for_its_scope_alone(
    api: httpx2.Client, auth: str, scoped: Callable[[str], httpx2.Client]
) -> None:
    """`{"token":{"accessToken","tokenType","expiresAt","scopes"}}`; scopes not granted: 409 `scope_missing`."""
    body = {"name": "Handed out", "providerKey": "custom-bearer", "config": {"accessToken": SECRET}}
    one = f"{auth}/{created(api, auth, body)['id']}"
    user = scoped("connections:use")
    token = user.post(f"{one}/token").json()["token"]
    assert token == {"accessToken": SECRET, "tokenType": "Bearer", "expiresAt": None, "scopes": []}
    refused = envelope(user.post(f"{one}/token", json={"scopes": ["mail"]}), 409, "conflict")
    assert refused["details"]["code"] == "scope_missing"


def test_connect_without_a_way_still_makes_the_connection(api: httpx2.Client, auth: str) -> None:
    """`{"auth":…,"connect":…|null,"plan":{"method","evidence","steps"}}`; a failed discovery is its diagnosis."""
    answer = api.post(f"{auth}/connect", json={"target": "https://127.0.0.1:1/mcp"})
    assert answer.status_code == 201
    assert set(answer.json()) == {"auth", "connect", "plan"}
    assert set(answer.json()["plan"]) == {"method", "evidence", "steps"}
    assert re.fullmatch(r"address_blocked: .+", answer.json()["auth"]["lastError"])
    again = api.post(f"{auth}/connect", json={"target": "https://127.0.0.1:1/mcp"})
    assert again.status_code == 200
    assert again.json()["auth"]["id"] == answer.json()["auth"]["id"]
    preset = api.post(f"{auth}/connect", json={"providerKey": "github"}).json()
    assert preset["plan"]["method"] == "preset"
    assert preset["connect"].keys() == {"url", "expiresAt"}
    assert TIME.fullmatch(preset["connect"]["expiresAt"])
    for wrong in ({}, {"target": "https://a.example", "providerKey": "github"}):
        envelope(api.post(f"{auth}/connect", json=wrong), 400, "validation_error")


def test_providers(api: httpx2.Client) -> None:
    """Provider catalog, `?q=`."""
    found = api.get("/api/v1/providers", params={"q": "linear"}).json()["providers"]
    assert found[0]["key"] == "linear"
    assert set(found[0]) >= {"id", "key", "name", "kind", "ownership", "provisioningMode", "docsUrl", "configSchema"}
    assert api.get("/api/v1/providers/linear").json() == {"provider": found[0]}
    envelope(api.get("/api/v1/providers/none"), 404, "not_found")

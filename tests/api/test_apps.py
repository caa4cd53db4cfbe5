"""Apps over REST (contract section 3, "App")."""

from typing import Any

import httpx2
import pytest

from tests.helpers.server import RunningServer

FIELDS = {
    "id",
    "publicMcpId",
    "slug",
    "name",
    "description",
    "version",
    "status",
    "isEnabled",
    "templateId",
    "companyUrl",
    "serverInstructions",
    "branding",
    "createdAt",
    "updatedAt",
}


def test_a_person_begins_with_my_app(api: httpx2.Client) -> None:
    (app,) = api.get("/api/v1/apps").json()["apps"]
    assert set(app) == FIELDS
    assert app["name"] == "My app"


def test_create_read_change_delete(api: httpx2.Client) -> None:
    created = api.post("/api/v1/apps", json={"name": "Second", "description": "For trying"})
    assert created.status_code == 201
    app = created.json()["app"]
    assert (app["name"], app["description"], app["companyUrl"]) == ("Second", "For trying", None)
    path = f"/api/v1/apps/{app['id']}"
    assert api.get(path).json() == {"app": app}
    changed = api.patch(path, json={"description": None, "companyUrl": "https://example.com"}).json()["app"]
    assert (changed["name"], changed["description"], changed["companyUrl"]) == ("Second", None, "https://example.com")
    assert api.patch(path, json={}).json() == {"app": changed}
    assert api.delete(path).json() == {"deleted": True}
    assert api.delete(path).status_code == 404


def test_dry_run_changes_nothing(api: httpx2.Client) -> None:
    before = api.get("/api/v1/apps").json()
    dry = api.post("/api/v1/apps?dryRun=true", json={"name": "Second"})
    assert dry.status_code == 201
    assert dry.json()["dryRun"] is True
    path = f"/api/v1/apps/{before['apps'][0]['id']}"
    assert api.patch(f"{path}?dryRun=true", json={"name": "Other"}).json()["app"]["name"] == "Other"
    assert api.delete(f"{path}?dryRun=true").json() == {"deleted": True, "dryRun": True}
    assert api.get("/api/v1/apps").json() == before


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_somebody_elses_app_does_not_exist(server: RunningServer, api: httpx2.Client, method: str) -> None:
    """Contract section 3: existence is not revealed."""
    other = server.add_person()
    theirs = server.run(server.services.apps.list(other.person.id))[0].id
    body: dict[str, Any] = {"json": {}} if method == "PATCH" else {}
    answers = [api.request(method, f"/api/v1/apps/{app_id}", **body) for app_id in (theirs, "app_none")]
    errors = [{**answer.json()["error"], "requestId": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert errors[0] == errors[1]
    assert errors[0]["message"] == "App not found"


def test_an_app_has_versions(api: httpx2.Client) -> None:
    """RFC 9110 sections 8.8.3, 13.1.1 and 13.1.2."""
    created = api.post("/api/v1/apps", json={"name": "Second"})
    path, first = f"/api/v1/apps/{created.json()['app']['id']}", created.headers["etag"]
    assert api.get(path).headers["etag"] == first
    for known in (first, f"W/{first}", f'"other", {first}', "*"):
        fresh = api.get(path, headers={"If-None-Match": known})
        assert (fresh.status_code, fresh.content, fresh.headers["etag"]) == (304, b"", first)
    assert api.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    changed = api.patch(path, json={"name": "Third"}, headers={"If-Match": first})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first
    for refused in (
        api.patch(path, json={"name": "Fourth"}, headers={"If-Match": first}),
        api.delete(path, headers={"If-Match": f"W/{changed.headers['etag']}"}),
    ):
        assert (refused.status_code, refused.json()["error"]["code"]) == (412, "precondition_failed")
    assert api.patch(path, json={}, headers={"If-Match": "none"}).status_code == 400
    assert api.delete(path, headers={"If-Match": changed.headers["etag"]}).status_code == 200


def test_the_same_key_and_body_make_one_app(api: httpx2.Client) -> None:
    """Contract section 3, `Idempotency-Key`."""
    headers = {"Idempotency-Key": "k1"}
    first = api.post("/api/v1/apps", json={"name": "Second"}, headers=headers)
    again = api.post("/api/v1/apps", json={"name": "Second"}, headers=headers)
    assert (again.status_code, again.json(), again.headers["etag"]) == (201, first.json(), first.headers["etag"])
    other = api.post("/api/v1/apps", json={"name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
    assert len(api.get("/api/v1/apps").json()["apps"]) == 2


def test_apps_come_in_pages(api: httpx2.Client) -> None:
    for number in range(4):
        api.post("/api/v1/apps", json={"name": f"Number {number}"})
    names, cursor = [], ""
    while True:
        page = api.get(f"/api/v1/apps?limit=2{cursor}").json()
        names += [app["name"] for app in page["apps"]]
        if "nextCursor" not in page:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert names == ["My app", *(f"Number {number}" for number in range(4))]
    for query in ("limit=0", "limit=101", "limit=x", "cursor=nope", "app_id=x"):
        assert api.get(f"/api/v1/apps?{query}").status_code == 400, query


def test_numbers_beyond_what_json_readers_hold_are_refused(api: httpx2.Client) -> None:
    path = f"/api/v1/apps/{api.get('/api/v1/apps').json()['apps'][0]['id']}"
    headers = {"Content-Type": "application/json"}
    for body in ('{"branding":{"a":1e400}}', '{"branding":{"a":-1e400}}', '{"branding":{"a":NaN}}'):
        refused = api.patch(path, content=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "bad_request")

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

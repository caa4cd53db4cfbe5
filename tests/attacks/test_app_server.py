"""The app as an MCP server, attacked (contract section 8)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.browser import Browser
from tests.helpers.gateway import App, allow, first_app
from tests.helpers.server import PASSWORD, RunningServer, running_server
from tests.upstreams import upstream
from tests.upstreams.revision_server import RevisionServer


@pytest.fixture
def write() -> RevisionServer:
    return RevisionServer(tools=[{"name": "write", "inputSchema": {"type": "object"}}])


@pytest.fixture
def running(tmp_path: Path, write: RevisionServer) -> Iterator[RunningServer]:
    with upstream(write) as provider, running_server(tmp_path, outbound_allow=provider.host_port) as server:
        yield server


def test_a_token_of_one_app_opens_no_other(running: RunningServer) -> None:
    """Neither another app of the same person, nor one of somebody else."""
    ada, eve = first_app(running, running.add_person()), first_app(running, running.add_person())
    with ada.api() as api:
        second = api.post("/api/v1/apps", json={"name": "Second"}).json()["app"]["publicMcpId"]
    user = allow(ada)
    assert user.request("tools/list", {}).status_code == 200
    for public_id in (second, eve.public_mcp_id):
        with running.client(headers=user.headers) as client:
            answer = client.post(f"/mcp/{public_id}", json={})
        assert answer.status_code == 401
        expected = f'resource_metadata="{running.url}/.well-known/oauth-protected-resource/mcp/{public_id}"'
        assert expected in answer.headers["www-authenticate"]
        assert 'scope="connections:use"' in answer.headers["www-authenticate"]


def test_tokens_of_the_persons_own_open_no_app(running: RunningServer) -> None:
    """They are bound to the management endpoint and its API."""
    ada = first_app(running, running.add_person())
    token = running.issue_token(ada.owner.person.id, ["openid", "connections:use"])
    with running.client(headers={"Authorization": f"Bearer {token}"}) as client:
        assert client.post(f"/mcp/{ada.public_mcp_id}", json={}).status_code == 401
        assert client.post(f"/mcp/mcp_{'A' * 22}", json={}).status_code == 404


def test_nobody_else_answers_a_question(running: RunningServer, write: RevisionServer) -> None:
    """Not with a form of their own either, nor below an app of theirs."""
    ada, eve = first_app(running, running.add_person()), first_app(running, running.add_person())
    auth = ada.connect(write.url, name="S")
    ada.patch(auth["id"], use={"tools": {"write": "ask"}})
    user = allow(ada, "all")
    url = user.error("s__write")["nextStep"]["url"]
    with Browser(running.url) as browser:
        browser.open("/sign-in").sign_in(eve.owner.email, PASSWORD)
        csrf = browser.open(f"/apps/{eve.id}/settings").forms[-1].fields["csrf"]
        for path in (url, url.replace(ada.id, eve.id)):
            assert browser.post(path, {"csrf": csrf, "decision": "allow"}).status_code == 404
    assert user.error("s__write")["code"] == "approval_required"
    assert write.calls == []


def test_the_owners_browser_is_not_made_to_answer(running: RunningServer, write: RevisionServer) -> None:
    """A form of another site carries no token of the page (CSRF)."""
    ada = first_app(running, running.add_person())
    auth = ada.connect(write.url, name="S")
    ada.patch(auth["id"], use={"tools": {"write": "ask"}})
    user = allow(ada, "all")
    url = user.error("s__write")["nextStep"]["url"]
    with ada.browser() as browser:
        assert browser.post(url, {"decision": "allow"}).status_code == 403
    assert user.error("s__write")["code"] == "approval_required"


def test_consent_to_others_connections_is_passed_over(running: RunningServer, write: RevisionServer) -> None:
    """An id of somebody else's connection in the form gives nothing."""
    ada, eve = first_app(running, running.add_person()), first_app(running, running.add_person())
    theirs = ada.connect(write.url, name="S")
    user = allow(eve, "all")
    with App(running, eve.owner, eve.id, eve.public_mcp_id).browser() as browser:
        form = next(form for form in browser.open(f"/apps/{eve.id}").forms if "client" in form.fields)
        fields = {**form.fields, f"use:{theirs['id']}": "all", "action": "save"}
        assert browser.post(f"/apps/{eve.id}/clients", fields).status_code == 303
    assert user.names() == []
    assert user.error("s__write")["code"] == "not_found"

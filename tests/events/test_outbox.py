"""The outbox stands or falls with the change (contract section 9), on both databases."""

import json
import re
from pathlib import Path

import pytest

import drio_mcp
from drio_mcp.connections.record.schemas import ConnectionPatch, CreateAuthConnection
from drio_mcp.connections.upstream.provider_client import CreateProviderClient
from drio_mcp.events import outbox as rules
from drio_mcp.events.changes import EventType
from drio_mcp.opaque import Secret
from drio_mcp.store import Statement, Transaction, connections, provider_clients
from tests.events.scene import Scene


async def test_a_change_and_its_message_are_one_transaction(scene: Scene) -> None:
    hook = await scene.listen()
    auth_id = await scene.connect()
    await scene.set_status(auth_id, "valid")
    await scene.set_status(auth_id, "disabled")
    found = await scene.waiting(hook.id)
    assert [row.type for row in found] == ["connection.created", "connection.connected", "connection.disabled"]
    assert {row.subject for row in found} == {auth_id}
    assert len({row.message_id for row in found}) == 3


async def test_what_is_undone_is_not_told(scene: Scene) -> None:
    """A decision that fails after its change, as when the program dies between two statements."""
    hook = await scene.listen()
    auth_id = await scene.connect()

    def fail(tx: Transaction) -> None:
        row = tx.one(connections.FIND_BY_ID, id=auth_id)
        assert row is not None
        connections.delete(tx, row)
        raise RuntimeError("after the change")

    with pytest.raises(RuntimeError):
        await scene.services.db.write(fail)
    assert [row.type for row in await scene.waiting(hook.id)] == ["connection.created"]


async def test_a_dry_run_tells_nothing(scene: Scene) -> None:
    hook = await scene.listen()
    auth_id = await scene.connect()
    before = await scene.waiting(hook.id)
    calls = scene.services.connections
    new = CreateAuthConnection.model_validate({"name": "Another", "providerKey": "custom-bearer"})
    await calls.create(scene.actor, scene.app_id, new, dry_run=True)
    await calls.update(scene.actor, scene.app_id, auth_id, ConnectionPatch(name="Other"), dry_run=True)
    await scene.services.deletion.delete(scene.actor, scene.app_id, auth_id, dry_run=True)
    assert await scene.waiting(hook.id) == before


async def test_a_message_carries_the_connection_with_masked_secrets(scene: Scene) -> None:
    hook = await scene.listen(EventType.CREATED)
    await scene.connect()
    [message] = await scene.waiting(hook.id)
    body = json.loads(message.body)
    assert set(body) == {"type", "timestamp", "data"}
    assert body["timestamp"] == "2026-03-15T12:00:00.000Z"
    assert body["data"]["auth"]["config"]["accessToken"] == "********"
    assert "sk_live_never_sent" not in message.body


async def test_a_deletion_tells_the_connection_as_it_was(scene: Scene) -> None:
    hook = await scene.listen(EventType.DELETED)
    auth_id = await scene.connect()
    await scene.services.deletion.delete(scene.actor, scene.app_id, auth_id)
    [message] = await scene.waiting(hook.id)
    assert json.loads(message.body)["data"]["auth"]["id"] == auth_id


async def test_a_change_without_another_status_is_not_told(scene: Scene) -> None:
    hook = await scene.listen()
    auth_id = await scene.connect()
    await scene.services.connections.update(scene.actor, scene.app_id, auth_id, ConnectionPatch(name="Renamed"))
    assert [row.type for row in await scene.waiting(hook.id)] == ["connection.created"]


async def test_each_webhook_is_told_what_it_asked_for(scene: Scene) -> None:
    of_all, of_one = await scene.listen(), await scene.listen(EventType.DISABLED)
    auth_id = await scene.connect()
    await scene.set_status(auth_id, "disabled")
    assert len(await scene.waiting(of_all.id)) == 2
    assert [row.type for row in await scene.waiting(of_one.id)] == ["connection.disabled"]


async def test_switching_off_by_the_configuration_is_disabling(scene: Scene) -> None:
    hook = await scene.listen(EventType.DISABLED)
    auth_id = await scene.connect()
    patch = ConnectionPatch.model_validate({"config": {"enabled": False}})
    await scene.services.connections.update(scene.actor, scene.app_id, auth_id, patch)
    assert len(await scene.waiting(hook.id)) == 1


async def test_messages_of_one_connection_wait_for_each_other(scene: Scene) -> None:
    hook = await scene.listen()
    first, second = await scene.connect("First"), await scene.connect("Second")
    await scene.set_status(first, "disabled")
    now = scene.clock.now()
    assert [(row.subject, row.due_at <= now) for row in await scene.waiting(hook.id)] == [
        (first, True),
        (second, True),
        (first, False),
    ]


async def test_deleting_the_app_deletes_what_belongs_to_it(scene: Scene) -> None:
    hook = await scene.listen()
    await scene.connect()
    await scene.services.apps.delete(scene.ada.id, scene.app_id)
    assert await scene.waiting(hook.id) == []


async def test_a_webhook_that_nobody_empties_says_so_and_grows_no_more(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MOST_WAITING", 3)
    hook = await scene.listen()
    for number in range(5):
        await scene.connect(f"Number {number}")
    assert len(await scene.waiting(hook.id)) == 3
    told = await scene.webhook(hook.id)
    assert told.status == "failing"
    assert told.last_error is not None
    assert told.last_error.startswith("outbox_full: ")


async def test_old_messages_are_forgotten(scene: Scene) -> None:
    hook = await scene.listen()
    await scene.connect()
    scene.clock.advance(days=4, seconds=1)
    assert await scene.services.deliveries.prune(scene.clock.now()) == 1
    assert await scene.waiting(hook.id) == []


USE_CLIENT = Statement("UPDATE connections SET provider_client_id = :client_id WHERE id = :id")
CLIENT = {
    "authorizationEndpoint": "https://accounts.example.com/authorize",
    "tokenEndpoint": "https://accounts.example.com/token",
    "clientId": "client_123",
    "clientSecret": "hush_hush_never_sent",
}


async def refuse(scene: Scene, client_id: str, error: str | None) -> None:
    """What a refresh that the provider answers so writes."""

    def write(tx: Transaction) -> None:
        row = tx.one(provider_clients.FIND, id=client_id)
        assert row is not None
        provider_clients.set_error(tx, row, error)

    await scene.services.db.write(write)


async def test_a_provider_client_that_is_refused_is_told_once(scene: Scene) -> None:
    hook = await scene.listen()
    body = CreateProviderClient.model_validate(CLIENT)
    client = (await scene.services.provider_clients.create(scene.actor, scene.app_id, body)).client
    for error in ("client_secret_wrong: No", "client_unknown: No", None, "client_secret_wrong: Again"):
        await refuse(scene, client.id, error)
    found = await scene.waiting(hook.id)
    assert [row.type for row in found] == ["provider_client.failing"] * 2
    told = json.loads(found[0].body)["data"]["providerClient"]
    assert (told["id"], told["clientSecret"]) == (client.id, "********")
    assert told["lastError"] == "client_secret_wrong: No"
    assert "hush_hush" not in found[0].body


async def test_a_client_of_the_server_is_told_to_operators_alone(scene: Scene) -> None:
    services = scene.services
    await services.directory.promote(scene.ada.id)
    bob = await services.people.create("bob@example.com", "Bob", Secret("correct horse battery"))
    [bobs_app] = await services.apps.list(bob.id)
    theirs = Scene(services, scene.clock, bob, bobs_app.id, scene.receiver, scene.receiving)
    client = (
        await services.provider_clients.create(scene.actor, None, CreateProviderClient.model_validate(CLIENT))
    ).client
    hook, bobs_hook = await scene.listen(EventType.PROVIDER_CLIENT_FAILING), await theirs.listen()
    config = {"authorizationEndpoint": CLIENT["authorizationEndpoint"], "tokenEndpoint": CLIENT["tokenEndpoint"]}
    for each in (scene, theirs):
        auth_id = await each.connect(providerKey="custom-oauth", config=config)
        await services.db.write(_use, client.id, auth_id)
    await refuse(scene, client.id, "client_unknown: Deleted")
    assert [row.type for row in await scene.waiting(hook.id)] == ["provider_client.failing"]
    assert [row.type for row in await theirs.waiting(bobs_hook.id)] == ["connection.created"]


def _use(tx: Transaction, client_id: str, auth_id: str) -> None:
    tx.run(USE_CLIENT, client_id=client_id, id=auth_id)


def test_nobody_changes_a_connection_past_the_watch() -> None:
    """Only `store/connections.py` itself runs the statements that insert, change and delete one."""
    package = Path(drio_mcp.__path__[0])
    past = [
        str(source.relative_to(package))
        for source in package.rglob("*.py")
        if re.search(r"\.run\((?:connections|table)\.(?:INSERT|UPDATE|DELETE)\b", text := source.read_text())
        and re.search(r"store import .*\bconnections\b", text)
    ]
    assert past == []

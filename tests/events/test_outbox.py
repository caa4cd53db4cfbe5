"""The outbox stands or falls with the change (contract section 9), on both databases."""

import json

import pytest

from drio_mcp.connections.record.schemas import ConnectionPatch, CreateAuthConnection
from drio_mcp.events import outbox as rules
from drio_mcp.events.changes import EventType
from drio_mcp.store import Transaction, connections
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

"""Deleting with a way back: disabled at once, deleted at the end of the while."""

import pytest

from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import Status
from drio_mcp.connections.removal.undo import WINDOW_MS
from drio_mcp.errors import NotFound
from drio_mcp.store import secrets
from tests.conftest import FakeClock
from tests.connections.desk import KEY, OAUTH, Desk


async def test_a_removed_connection_is_disabled_and_keeps_its_secrets_for_a_while(any_desk: Desk) -> None:
    desk, removals = any_desk, any_desk.removals
    view = await desk.create({**KEY, "config": {**KEY["config"], "apiKey": "sk-1"}})
    due_at = await removals.remove(desk.actor, desk.app_id, view.auth.id)
    assert due_at == desk.clock.now() + WINDOW_MS
    assert (await desk.get(view)).auth.status is Status.DISABLED
    assert await removals.due(desk.app_id) == {view.auth.id: due_at}
    assert await desk.db.read(lambda tx: secrets.fields_of(tx, view.auth.id)) == {"api_key"}


async def test_it_is_deleted_with_its_secrets_when_the_time_is_up(any_desk: Desk) -> None:
    desk, removals = any_desk, any_desk.removals
    view = await desk.create({**KEY, "config": {**KEY["config"], "apiKey": "sk-1"}})
    await removals.remove(desk.actor, desk.app_id, view.auth.id)
    desk.clock.advance(milliseconds=WINDOW_MS - 1)
    assert await removals.sweep(desk.clock.now()) == 0
    desk.clock.advance(milliseconds=1)
    assert await removals.sweep(desk.clock.now()) == 1
    with pytest.raises(NotFound):
        await desk.get(view)
    assert await desk.db.read(lambda tx: secrets.fields_of(tx, view.auth.id)) == set()
    assert await removals.due(desk.app_id) == {}


async def test_undo_brings_it_back_as_it_was(any_desk: Desk) -> None:
    desk, removals = any_desk, any_desk.removals
    view = await desk.create(OAUTH)
    await removals.remove(desk.actor, desk.app_id, view.auth.id)
    assert await removals.undo(desk.actor, desk.app_id, view.auth.id)
    assert (await desk.get(view)).auth == view.auth
    desk.clock.advance(milliseconds=WINDOW_MS)
    assert await removals.sweep(desk.clock.now()) == 0
    assert not await removals.undo(desk.actor, desk.app_id, view.auth.id)


async def test_removing_twice_neither_delays_it_nor_forgets_how_it_was(desk: Desk, clock: FakeClock) -> None:
    removals = desk.removals
    view = await desk.create(OAUTH)
    due_at = await removals.remove(desk.actor, desk.app_id, view.auth.id)
    clock.advance(minutes=5)
    assert await removals.remove(desk.actor, desk.app_id, view.auth.id) == due_at
    await removals.undo(desk.actor, desk.app_id, view.auth.id)
    assert (await desk.get(view)).auth.status is Status.VALID


async def test_who_enables_it_meanwhile_has_brought_it_back(desk: Desk, clock: FakeClock) -> None:
    removals = desk.removals
    view = await desk.create(OAUTH)
    await removals.remove(desk.actor, desk.app_id, view.auth.id)
    await desk.update(view, {"status": "draft"})
    clock.advance(milliseconds=WINDOW_MS)
    assert await removals.sweep(clock.now()) == 0
    assert (await desk.get(view)).auth.status is Status.DRAFT
    assert await removals.due(desk.app_id) == {}


async def test_who_removes_it_again_after_that_waits_the_whole_while(desk: Desk, clock: FakeClock) -> None:
    removals = desk.removals
    view = await desk.create(OAUTH)
    first = await removals.remove(desk.actor, desk.app_id, view.auth.id)
    await desk.update(view, {"status": "draft"})
    clock.advance(minutes=5)
    assert await removals.remove(desk.actor, desk.app_id, view.auth.id) > first
    await removals.undo(desk.actor, desk.app_id, view.auth.id)
    assert (await desk.get(view)).auth.status is Status.DRAFT


async def test_deleting_at_once_leaves_no_removal_behind(desk: Desk, clock: FakeClock) -> None:
    removals = desk.removals
    view = await desk.create(OAUTH)
    await removals.remove(desk.actor, desk.app_id, view.auth.id)
    await desk.deletion.delete(desk.actor, desk.app_id, view.auth.id)
    assert await removals.due(desk.app_id) == {}
    clock.advance(milliseconds=WINDOW_MS)
    assert await removals.sweep(clock.now()) == 0


async def test_somebody_elses_connection_is_not_there(desk: Desk) -> None:
    removals = desk.removals
    view = await desk.create(OAUTH)
    stranger = Actor.person("user_stranger", "Mallory")
    with pytest.raises(NotFound):
        await removals.remove(stranger, desk.app_id, view.auth.id)
    await removals.remove(desk.actor, desk.app_id, view.auth.id)
    for actor, app_id in ((stranger, desk.app_id), (desk.actor, "app_another")):
        with pytest.raises(NotFound):
            await removals.undo(actor, app_id, view.auth.id)

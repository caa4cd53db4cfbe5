"""Rotation of the ring: every secret comes under the new key, in batches, and what is broken stays where it is."""

import json
from dataclasses import replace

import pytest

from drio_mcp.accounts.apps import CreateApp
from drio_mcp.connections.record import sealing
from drio_mcp.connections.record.sealing import Rewrapping
from drio_mcp.opaque import Secret, SystemRandomness
from drio_mcp.store import Query, Statement, Transaction, secrets
from drio_mcp.vault import Binding, SealBroken, Vault
from drio_mcp.vault.envelope import Envelope
from tests.connections.desk import KEY, Desk

SEALED = Query("SELECT sealed FROM secrets ORDER BY connection_id", Envelope.unpack)
MOVE = Statement("UPDATE connections SET app_id = :app_id WHERE id = :id")
BREAK = Statement("UPDATE secrets SET sealed = :sealed WHERE connection_id = :id")


async def test_rewrapping_goes_in_batches_and_may_be_begun_anew(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "BATCH", 2)
    made = [await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": f"k{n}"}}) for n in range(5)]
    rotated = any_desk.keyring.rotated()
    vault = Vault(rotated, SystemRandomness())
    first = Rewrapping(any_desk.db, vault)
    assert await first.batch()
    assert first.rewrapped == 2  # and here the process is stopped
    second = Rewrapping(any_desk.db, vault)
    while await second.batch():
        pass
    assert (second.rewrapped, second.broken) == (3, 0)
    sealed = await any_desk.db.read(lambda tx: tx.all(SEALED))
    assert [each.key_id for each in sealed] == [rotated.primary_id] * 5
    for number, view in enumerate(made):
        secret = await any_desk.db.read(sealing.unseal, vault, view.auth.id, "api_key", None)
        assert secret is not None
        assert secret.reveal() == f"k{number}"


async def test_others_decide_between_two_batches(any_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause is several times as long as the batch took, and nothing is written meanwhile."""
    monkeypatch.setattr(sealing, "BATCH", 2)
    for number in range(5):
        await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": f"k{number}"}})
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await any_desk.create(KEY)

    work = Rewrapping(any_desk.db, Vault(any_desk.keyring.rotated(), SystemRandomness()), pause)
    while await work.batch():
        pass
    assert len(pauses) >= 3
    assert all(each > 0 for each in pauses)


async def test_a_value_that_is_replaced_meanwhile_stays_as_it_was_replaced(desk: Desk) -> None:
    """Values are read and sealed outside of the decision: it writes only what is still there."""
    view = await desk.create(KEY | {"config": {**KEY["config"], "apiKey": "old"}})
    work = Rewrapping(desk.db, Vault(desk.keyring.rotated(), SystemRandomness()))
    rows, owners = await desk.db.read(work._next, secrets.list_after, ("", ""))
    resealed = [*work._resealed(rows, owners)]
    await desk.update(view.auth.id, {"config": {"apiKey": "new"}})
    assert await desk.db.write(work._rewrap, resealed) == 0
    secret = await desk.db.read(sealing.unseal, desk.vault, view.auth.id, "api_key", None)
    assert secret is not None
    assert secret.reveal() == "new"


async def test_a_broken_value_stops_nothing(desk: Desk) -> None:
    made = [await desk.create(KEY | {"config": {**KEY["config"], "apiKey": f"k{n}"}}) for n in range(3)]
    await desk.db.write(lambda tx: tx.run(BREAK, sealed=b"broken", id=made[1].auth.id))
    work = Rewrapping(desk.db, Vault(desk.keyring.rotated(), SystemRandomness()))
    while await work.batch():
        pass
    assert (work.rewrapped, work.broken) == (2, 1)


@pytest.mark.parametrize("is_rotated", [True, False], ids=["rotate", "rewrap"])
async def test_what_was_sealed_for_its_connection_alone_is_sealed_for_its_owner(
    any_desk: Desk, is_rotated: bool
) -> None:
    """As an earlier version did: such a value opens wherever its connection's row is moved to."""
    desk = any_desk
    made = [await desk.create(KEY | {"config": {**KEY["config"], "apiKey": f"k{n}"}}) for n in range(2)]
    ids = [view.auth.id for view in made]

    def seal_as_before(tx: Transaction) -> None:
        row = tx.one(secrets.FIND, connection_id=ids[0], field="api_key")
        assert row is not None
        former = desk.vault.seal(Secret("k0"), Binding.to(ids[0], "api_key", json.loads(row.origins)))
        secrets.put(tx, replace(row, sealed=former))

    await desk.db.write(seal_as_before)
    vault = Vault(desk.keyring.rotated(), SystemRandomness()) if is_rotated else desk.vault
    work = Rewrapping(desk.db, vault)
    while await work.batch():
        pass
    assert (work.rewrapped, work.broken) == (2 if is_rotated else 1, 0)
    for number, each in enumerate(ids):
        secret = await desk.db.read(sealing.unseal, vault, each, "api_key", None)
        assert secret is not None
        assert secret.reveal() == f"k{number}"
    other = await desk.apps.create(desk.actor.user_id, CreateApp(name="Other"))
    await desk.db.write(lambda tx: tx.run(MOVE, app_id=other.id, id=ids[0]))
    with pytest.raises(SealBroken):
        await desk.db.read(sealing.unseal, vault, ids[0], "api_key", None)

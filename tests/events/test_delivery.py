"""Delivery: signed, in order, at least once, fairly (contract section 9), on both databases."""

import asyncio
from email.utils import formatdate

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from drio_mcp.events.changes import EventType
from drio_mcp.events.delivery import CLAIMED_MS, PAUSES, PER_HOST, Deliveries
from drio_mcp.events.schemas import NewWebhook, WebhookPatch
from drio_mcp.events.webhooks import Webhooks
from drio_mcp.opaque import Secret
from drio_mcp.outbound import Outbound
from drio_mcp.store import Transaction, outbox, webhooks
from tests.events.receiver import is_signed
from tests.events.scene import Scene
from tests.upstreams.serving import Upstream, upstream


async def test_a_message_is_signed_and_gone_when_taken(scene: Scene) -> None:
    hook = await scene.listen()
    await scene.connect()
    assert await scene.deliver() == 1
    [received] = scene.receiving.log.of("hook")
    assert hook.secret is not None
    assert is_signed(hook.secret, received.headers, received.body)
    assert not is_signed(hook.secret, received.headers, received.body + b" ")
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-timestamp"] == str(scene.clock.now() // 1000)
    [attempt] = await scene.attempts(hook.id)
    assert (attempt.id, attempt.status, attempt.attempt) == (received.headers["webhook-id"], 204, 1)
    assert attempt.outcome == "delivered"
    assert await scene.waiting(hook.id) == []
    assert (await scene.webhook(hook.id)).last_delivery_at is not None


async def test_a_message_that_was_not_taken_comes_again_with_growing_pauses(scene: Scene) -> None:
    """The first after 5 s; the id stays, so that a receiver tells a repetition."""
    hook = await scene.listen()
    scene.receiver.refuses.add("connection.created")
    await scene.connect()
    for number, pause in enumerate(PAUSES, start=1):
        assert await scene.deliver() == 1, number
        scene.clock.advance(milliseconds=pause - 1)
        assert await scene.deliver() == 0, number
        scene.clock.advance(milliseconds=1)
    scene.receiver.refuses.clear()
    assert await scene.deliver() == 1
    assert PAUSES[0] == 5_000
    assert list(PAUSES) == sorted(set(PAUSES))
    assert len({each.headers["webhook-id"] for each in scene.receiving.log.of("hook")}) == 1
    attempts = await scene.attempts(hook.id)
    assert [each.attempt for each in attempts] == list(range(len(PAUSES) + 1, 0, -1))
    assert attempts[0].outcome == "delivered"
    assert attempts[1].outcome == "refused: The receiver answered 500"


async def test_messages_of_one_connection_arrive_in_their_order_whatever_fails(scene: Scene) -> None:
    await scene.listen()
    scene.receiver.answers = [Response(status_code=503), Response(status_code=204), Response(status_code=500)]
    auth_id = await scene.connect()
    for status in ("valid", "disabled", "draft", "valid"):
        await scene.set_status(auth_id, status)
    for _ in range(4):
        await scene.deliver()
        scene.clock.advance(minutes=1)
    assert scene.receiver.types == [
        "connection.created",
        "connection.connected",
        "connection.disabled",
        "connection.connected",
    ]


async def test_one_connection_does_not_wait_for_another(scene: Scene) -> None:
    await scene.listen()
    await scene.connect("First")
    scene.receiver.answers = [Response(status_code=500)]
    await scene.deliver()
    second = await scene.connect("Second")
    await scene.set_status(second, "disabled")
    await scene.deliver()
    assert scene.receiver.types == ["connection.created", "connection.disabled"]
    assert {each["data"]["auth"]["name"] for each in scene.receiver.taken} == {"Second"}


async def test_after_three_days_the_webhook_is_failing_and_a_success_mends_it(scene: Scene) -> None:
    hook = await scene.listen()
    scene.receiver.refuses = {str(each) for each in EventType}
    await scene.connect()
    began = scene.clock.now()
    while await scene.waiting(hook.id):
        [message] = await scene.waiting(hook.id)
        scene.clock.milliseconds = max(scene.clock.now(), message.due_at)
        assert (await scene.webhook(hook.id)).status == "active"
        await scene.deliver()
    assert scene.clock.now() - began == 3 * 86_400_000
    failing = await scene.webhook(hook.id)
    assert (failing.status, failing.last_error) == ("failing", "refused: The receiver answered 500")
    scene.receiver.refuses.clear()
    await scene.connect("Later")
    await scene.deliver()
    mended = await scene.webhook(hook.id)
    assert (mended.status, mended.last_error) == ("active", None)


async def test_gone_disables_the_webhook(scene: Scene) -> None:
    """Standard Webhooks: 410 says that nothing more is wanted."""
    hook = await scene.listen()
    auth_id = await scene.connect()
    await scene.set_status(auth_id, "disabled")
    scene.receiver.answers = [Response(status_code=410)]
    assert await scene.deliver() == 1
    assert (await scene.webhook(hook.id)).status == "disabled"
    assert await scene.waiting(hook.id) == []
    await scene.connect("Later")
    assert await scene.deliver() == 0


async def test_a_receiver_may_ask_to_be_left_alone(scene: Scene) -> None:
    """RFC 9110 section 10.2.3; never for longer than a day."""
    hook = await scene.listen()
    scene.receiver.answers = [Response(status_code=429, headers={"Retry-After": each}) for each in ("120", "999999")]
    await scene.connect()
    await scene.deliver()
    [message] = await scene.waiting(hook.id)
    assert message.due_at == scene.clock.now() + 120_000
    scene.clock.advance(seconds=120)
    await scene.deliver()
    [message] = await scene.waiting(hook.id)
    assert message.due_at == scene.clock.now() + 86_400_000


async def test_a_receiver_may_name_a_date(scene: Scene) -> None:
    """`Retry-After: Sun, 15 Mar 2026 14:00:00 GMT` (RFC 9110 section 10.2.3)."""
    hook = await scene.listen()
    moment = formatdate(scene.clock.now() / 1000 + 7200, usegmt=True)
    scene.receiver.answers = [Response(status_code=503, headers={"Retry-After": moment})]
    await scene.connect()
    await scene.deliver()
    [message] = await scene.waiting(hook.id)
    assert message.due_at == scene.clock.now() + 7_200_000


async def test_a_redirect_is_not_followed(scene: Scene) -> None:
    hook = await scene.listen()
    scene.receiver.answers = [Response(status_code=307, headers={"Location": f"{scene.receiving.origin}/elsewhere"})]
    await scene.connect()
    await scene.deliver()
    assert scene.receiving.log.count("elsewhere") == 0
    [attempt] = await scene.attempts(hook.id)
    assert attempt.status == 307
    assert len(await scene.waiting(hook.id)) == 1


async def test_a_private_address_is_refused_at_delivery_too(scene: Scene) -> None:
    """The operator took back what `DRIO_OUTBOUND_ALLOW` admitted when the webhook was made."""
    hook = await scene.listen()
    await scene.connect()
    services = scene.services
    settings = services.settings.model_copy(update={"outbound_allow": ()})
    async with Outbound(settings) as outbound:
        strict = Deliveries(services.db, scene.clock, services.randomness, services.vault, outbound)
        assert await strict.deliver_due(scene.clock.now()) == 1
    assert scene.receiving.log.count("hook") == 0
    [attempt] = await scene.attempts(hook.id)
    assert attempt.status is None
    assert attempt.outcome.startswith("address_blocked: ")


async def test_a_process_that_dies_in_between_leaves_a_claim_that_runs_out(scene: Scene) -> None:
    """At least once: what was claimed by the dead is sent by the living."""
    hook = await scene.listen()
    await scene.connect()
    [message] = await scene.waiting(hook.id)

    def claim(tx: Transaction) -> int:
        return tx.run(
            outbox.CLAIM,
            webhook_id=hook.id,
            number=message.number,
            due_at=message.due_at,
            until=scene.clock.now() + CLAIMED_MS,
        )

    assert await scene.services.db.write(claim) == 1
    assert await scene.services.db.write(claim) == 0  # a second process sees that it is taken
    assert await scene.deliver() == 0
    scene.clock.advance(milliseconds=CLAIMED_MS)
    assert await scene.deliver() == 1
    [attempt] = await scene.attempts(hook.id)
    assert attempt.attempt == 2


async def test_two_processes_share_the_work_and_send_nothing_twice(scene: Scene) -> None:
    await scene.listen()
    for number in range(12):
        await scene.connect(f"Number {number}")
    services = scene.services
    other = Deliveries(services.db, scene.clock, services.randomness, services.vault, services.outbound)
    counts = await asyncio.gather(scene.deliver(), other.deliver_due(scene.clock.now()))
    assert sum(counts) == 12
    assert len(scene.receiver.taken) == 12


class Slow:
    """A receiver that answers when it is told to."""

    def __init__(self) -> None:
        self.is_released = False

    def routes(self, running: Upstream) -> list[BaseRoute]:
        async def take(_: Request) -> Response:
            while not self.is_released:
                await asyncio.sleep(0.005)
            return Response(status_code=204)

        return [running.route("/hook", "hook", take, ["POST"])]


async def test_a_slow_receiver_takes_its_share_and_no_more(scene: Scene) -> None:
    """Others are served while it hangs, and it gets few calls at once."""
    slow, services = Slow(), scene.services
    with upstream(slow) as hanging:
        allowed = (scene.receiving.host_port, hanging.host_port)
        async with Outbound(services.settings.model_copy(update={"outbound_allow": allowed})) as outbound:
            parts = (services.db, scene.clock, services.randomness, services.vault, outbound)
            calls, deliveries = Webhooks(*parts), Deliveries(*parts)
            for origin in (hanging.origin, scene.receiving.origin):
                await calls.create(scene.ada.id, scene.app_id, NewWebhook(url=f"{origin}/hook"))
            for number in range(PER_HOST + 8):
                await scene.connect(f"Number {number}")
            work = asyncio.create_task(deliveries.deliver_due(scene.clock.now()))
            while len(scene.receiver.taken) < PER_HOST + 8:
                await asyncio.sleep(0.005)
            assert hanging.log.most_at_once["hook"] == PER_HOST
            slow.is_released = True
            assert await work == 2 * (PER_HOST + 8)


async def test_a_webhook_that_is_deleted_while_it_is_told_hears_no_more(scene: Scene) -> None:
    slow, services = Slow(), scene.services
    with upstream(slow) as hanging:
        async with Outbound(services.settings.model_copy(update={"outbound_allow": (hanging.host_port,)})) as outbound:
            parts = (services.db, scene.clock, services.randomness, services.vault, outbound)
            hook = await Webhooks(*parts).create(scene.ada.id, scene.app_id, NewWebhook(url=f"{hanging.origin}/hook"))
            auth_id = await scene.connect()
            await scene.set_status(auth_id, "disabled")
            work = asyncio.create_task(Deliveries(*parts).deliver_due(scene.clock.now()))
            while not hanging.log.count("hook"):
                await asyncio.sleep(0.005)
            await services.webhooks.delete(scene.ada.id, scene.app_id, hook.webhook.id)
            slow.is_released = True
            assert await work == 1
        assert hanging.log.count("hook") == 1


async def test_a_disabled_account_is_sent_nothing(scene: Scene) -> None:
    await scene.listen()
    await scene.connect()
    await scene.services.directory.disable(scene.ada.id)
    assert await scene.deliver() == 0


async def test_with_a_new_secret_both_sign_for_a_day(scene: Scene) -> None:
    hook = await scene.listen()
    calls = scene.services.webhooks
    renewed = (await calls.update(scene.ada.id, scene.app_id, hook.id, WebhookPatch(rotate_secret=True))).webhook
    assert hook.secret is not None
    assert renewed.secret is not None
    assert renewed.secret != hook.secret
    await scene.connect("First")
    await scene.deliver()
    scene.clock.advance(days=1)
    await scene.connect("Second")
    await scene.deliver()
    early, late = scene.receiving.log.of("hook")
    assert is_signed(hook.secret, early.headers, early.body)
    assert is_signed(renewed.secret, early.headers, early.body)
    assert not is_signed(hook.secret, late.headers, late.body)
    assert is_signed(renewed.secret, late.headers, late.body)


async def test_secrets_are_sealed_and_move_to_a_new_key(scene: Scene) -> None:
    hook = await scene.listen()
    row = await scene.services.db.read(lambda tx: tx.one(webhooks.FIND_BY_ID, id=hook.id))
    assert row is not None
    assert hook.secret is not None
    assert Secret(hook.secret).reveal().encode() not in row.secret
    assert await scene.services.webhooks.rewrap() == 0  # it is under the primary key already


async def test_another_address_is_tried_at_once(scene: Scene) -> None:
    hook = await scene.listen(url=f"{scene.receiving.origin}/nowhere")
    await scene.connect()
    await scene.deliver()
    assert scene.receiver.taken == []
    patch = WebhookPatch(url=f"{scene.receiving.origin}/hook")
    await scene.services.webhooks.update(scene.ada.id, scene.app_id, hook.id, patch)
    assert await scene.deliver() == 1
    assert scene.receiver.types == ["connection.created"]


async def test_a_test_goes_past_the_queue_once(scene: Scene) -> None:
    hook = await scene.listen(EventType.DELETED)
    scene.receiver.answers = [Response(status_code=500)]
    calls = scene.services.deliveries
    failed = await calls.test(scene.ada.id, scene.app_id, hook.id)
    assert failed is not None
    assert (failed.type, failed.status, failed.attempt) == ("webhook.test", 500, 1)
    assert await scene.waiting(hook.id) == []
    good = await calls.test(scene.ada.id, scene.app_id, hook.id)
    assert good is not None
    assert good.outcome == "delivered"
    assert scene.receiver.types == ["webhook.test"]
    assert "secret" not in scene.receiver.taken[0]["data"]["webhook"]


@pytest.mark.parametrize("status", [200, 201, 202, 299])
async def test_every_2xx_is_taken(scene: Scene, status: int) -> None:
    hook = await scene.listen()
    scene.receiver.answers = [Response(status_code=status)]
    await scene.connect()
    await scene.deliver()
    assert await scene.waiting(hook.id) == []

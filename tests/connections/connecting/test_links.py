"""One-time links to the page for a secret: the owner's, for 30 minutes, once (contract section 3, `connect.url`)."""

import asyncio

import pytest

from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.history import Actor
from drio_mcp.connections.record.schemas import NewConnection
from drio_mcp.errors import NotFound, ValidationFailed
from tests.connections.desk import KEY, OAUTH, Desk


async def link_to(desk: Desk, view: View) -> str:
    """The token of a new link."""
    offered = await desk.links.offer(desk.actor.user_id, view)
    assert offered is not None
    base, _, token = offered.url.rpartition("/")
    assert base == "http://127.0.0.1:8000/connect"
    return token


async def test_a_connection_without_its_secret_is_completed_on_a_page(any_desk: Desk) -> None:
    body = NewConnection.model_validate(KEY | {"status": "valid"})
    made = await any_desk.connections.create(any_desk.actor, any_desk.app_id, body)
    assert made.auth.status == "draft"
    token = await link_to(any_desk, made)
    for _ in range(2):  # looking does not use it up
        shown = await any_desk.links.open(token, any_desk.actor.user_id)
    assert [(field.name, field.label, field.is_secret, field.is_required) for field in shown.fields] == [
        ("apiKey", "API key", True, True)
    ]
    assert shown.origins == ("https://api.weather.example",)
    person = Actor.person(any_desk.actor.user_id, "Ada")
    auth = await any_desk.links.submit(token, person, {"apiKey": " the key\n", "other": "ignored"})
    assert (auth.status, auth.last_error) == ("pending", None)
    assert await any_desk.secret(made, "api_key", "https://api.weather.example") == "the key"
    newest = (await any_desk.history(made))[0]
    assert (newest.event, newest.actor_type, newest.actor_name) == ("secret_entered", "person", "Ada")
    with pytest.raises(NotFound, match="link"):
        await any_desk.links.open(token, any_desk.actor.user_id)
    with pytest.raises(NotFound, match="link"):
        await any_desk.links.submit(token, person, {"apiKey": "again"})


async def test_of_parallel_submissions_one_counts(any_desk: Desk) -> None:
    token = await link_to(any_desk, await any_desk.create(KEY))

    async def submit(number: int) -> bool:
        try:
            await any_desk.links.submit(token, any_desk.actor, {"apiKey": f"k{number}"})
        except NotFound:
            return False
        return True

    assert sum(await asyncio.gather(*(submit(number) for number in range(6)))) == 1


async def test_a_link_is_the_owners_alone(any_desk: Desk) -> None:
    made, eve = await any_desk.create(KEY), await any_desk.stranger()
    token = await link_to(any_desk, made)
    with pytest.raises(NotFound):
        await any_desk.links.open(token, eve.user_id)
    with pytest.raises(NotFound):
        await any_desk.links.submit(token, eve, {"apiKey": "k"})
    with pytest.raises(NotFound):
        await any_desk.links.create(eve.user_id, made.auth.id)
    assert (await any_desk.links.open(token, any_desk.actor.user_id)).connection_id == made.auth.id


async def test_a_link_lives_30_minutes(desk: Desk) -> None:
    token = await link_to(desk, await desk.create(KEY))
    desk.clock.advance(minutes=30, milliseconds=-1)
    await desk.links.open(token, desk.actor.user_id)
    desk.clock.advance(milliseconds=1)
    with pytest.raises(NotFound):
        await desk.links.open(token, desk.actor.user_id)
    with pytest.raises(NotFound):
        await desk.links.submit(token, desk.actor, {"apiKey": "k"})
    assert await desk.links.prune(desk.clock.now()) == 0
    desk.clock.advance(days=7)
    assert await desk.links.prune(desk.clock.now()) == 1


@pytest.mark.parametrize("entered", ["", "  ", "********", "a\x01b", "x" * 20_000])
async def test_a_wrong_entry_leaves_the_link_good(desk: Desk, entered: str) -> None:
    token = await link_to(desk, await desk.create(KEY))
    with pytest.raises(ValidationFailed) as refusal:
        await desk.links.submit(token, desk.actor, {"apiKey": entered})
    assert [problem.path for problem in refusal.value.problems] == ["apiKey"]
    await desk.links.submit(token, desk.actor, {"apiKey": "right"})


async def test_what_is_known_is_filled_in_and_secrets_are_not(desk: Desk) -> None:
    made = await desk.create(OAUTH | {"status": "draft"})
    shown = await desk.links.open(await link_to(desk, made), desk.actor.user_id)
    assert [(field.name, field.value, field.is_required) for field in shown.fields] == [
        ("clientId", "client_123", True),
        ("clientSecret", "", False),
    ]


async def test_a_client_that_is_stored_is_not_asked_for_again(desk: Desk) -> None:
    made = await desk.create(OAUTH | {"status": "draft", "config": {**OAUTH["config"], "clientSecret": "s"}})
    assert await desk.links.offer(desk.actor.user_id, made) is None
    offered = await desk.links.create(desk.actor.user_id, made.auth.id)
    shown = await desk.links.open(offered.url.rpartition("/")[2], desk.actor.user_id)
    assert shown.fields == ()
    assert (shown.consent_at, shown.scopes) == ("https://accounts.example.com", ("contacts:read",))


async def test_a_deleted_connection_takes_its_links_along(desk: Desk) -> None:
    made = await desk.create(KEY)
    token = await link_to(desk, made)
    await desk.deletion.delete(desk.actor, desk.app_id, made.auth.id)
    with pytest.raises(NotFound):
        await desk.links.open(token, desk.actor.user_id)


async def test_a_dry_run_offers_no_link(desk: Desk) -> None:
    assert await desk.links.offer(desk.actor.user_id, await desk.create(KEY, dry_run=True)) is None

"""The five calls, on both databases (contract section 3, "Auth connection")."""

import asyncio

import pytest

from drio_mcp.connections.record.crud import View
from drio_mcp.connections.record.schemas import ConnectionQuery, Status
from drio_mcp.errors import BadRequest, Conflict, NotFound, PreconditionFailed, ValidationFailed
from drio_mcp.opaque import MASK
from tests.connections.desk import KEY, OAUTH, Desk


async def test_the_reference_body_is_kept_as_printed(any_desk: Desk) -> None:
    auth = (await any_desk.create(OAUTH)).auth
    shown = auth.model_dump(mode="json", by_alias=True)
    assert shown["id"].startswith("auth_")
    assert shown == {
        "id": auth.id,
        "appId": any_desk.app_id,
        "providerId": "provider_oauth",
        "providerKey": "custom-oauth",
        "providerName": "OAuth",
        "key": "primary-auth",
        "name": "Primary Auth",
        "status": "valid",
        "config": OAUTH["config"],
        "secretRef": None,
        "grants": ["contacts:read"],
        "lastValidatedAt": None,
        "lastError": None,
        "createdAt": auth.created_at,
        "updatedAt": auth.created_at,
    }
    assert (await any_desk.get(auth.id)).auth == auth
    assert (await any_desk.get("primary-auth")).auth == auth


async def test_keys_are_unique_in_the_app_and_outlive_a_new_name(any_desk: Desk) -> None:
    views = [await any_desk.create(OAUTH | {"name": name}) for name in ("Ünï  Côde!", "uni code", "Uni-Code", "日本")]
    assert [view.auth.key for view in views] == ["uni-code", "uni-code-2", "uni-code-3", "custom-oauth"]
    renamed = await any_desk.update(views[0], {"name": "Other"})
    assert (renamed.auth.name, renamed.auth.key) == ("Other", "uni-code")


async def test_a_key_is_never_a_word_of_the_routes(desk: Desk) -> None:
    assert (await desk.create(OAUTH | {"name": "Connect"})).auth.key == "connect-2"


async def test_parallel_creations_get_keys_of_their_own(any_desk: Desk) -> None:
    views = await asyncio.gather(*(any_desk.create(OAUTH) for _ in range(8)))
    assert len({view.auth.key for view in views}) == 8


async def test_secrets_read_as_the_mask_and_are_sealed(any_desk: Desk) -> None:
    made = await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": "s3cret-value"}})
    assert made.auth.config.api_key == MASK
    assert made.auth.secret_ref == f"sealed://{made.auth.id}"
    assert await any_desk.secret(made, "api_key", "https://api.weather.example") == "s3cret-value"
    kept = await any_desk.update(made, {"config": {"apiKey": MASK, "isDefault": True}})
    assert kept.auth.config.api_key == MASK
    assert await any_desk.secret(made, "api_key") == "s3cret-value"
    removed = await any_desk.update(made, {"config": {"apiKey": None}})
    assert (removed.auth.config.api_key, removed.auth.secret_ref) == (None, None)


async def test_merge_patch_keeps_clears_and_replaces(any_desk: Desk) -> None:
    """RFC 7396."""
    made = await any_desk.create(OAUTH)
    after = await any_desk.update(made, {"config": {"scopes": ["a", "b"], "audience": "x", "clientId": None}})
    assert after.auth.config.scopes == ("a", "b")
    assert after.auth.config.audience == "x"
    assert after.auth.config.client_id is None
    assert after.auth.config.token_endpoint == OAUTH["config"]["tokenEndpoint"]
    cleared = await any_desk.update(made, {"grants": None, "config": {"audience": None}})
    assert (cleared.auth.grants, cleared.auth.config.audience) == ((), None)


async def test_an_empty_patch_changes_nothing(any_desk: Desk) -> None:
    made = await any_desk.create(OAUTH)
    any_desk.clock.advance(minutes=1)
    patches: tuple[dict[str, object], ...] = (
        {},
        {"config": {}},
        {"name": "Primary Auth", "status": "valid", "secretRef": None},
    )
    for patch in patches:
        assert (await any_desk.update(made, patch)).etag == made.etag
    assert len(await any_desk.history(made)) == 1


async def test_a_connection_can_be_sent_back_as_it_was_read(desk: Desk) -> None:
    made = await desk.create(KEY | {"config": {**KEY["config"], "apiKey": "k", "isDefault": True}})
    whole = made.auth.model_dump(mode="json", by_alias=True)
    assert (await desk.update(made, whole)).etag == made.etag
    renamed = await desk.update(made, whole | {"name": "Sun"})
    assert renamed.auth == made.auth.model_copy(update={"name": "Sun"})


async def test_what_is_read_only_is_refused_when_it_differs(desk: Desk) -> None:
    made = await desk.create(OAUTH)
    patch = {"id": "auth_x", "lastValidatedAt": "2026-03-15T12:00:00.000Z", "config": {"lastRegisteredAt": "now"}}
    assert await desk.refusal(made, patch) == ["id", "lastValidatedAt", "config.lastRegisteredAt"]
    with pytest.raises(ValidationFailed, match=r"config\.lastRegisteredAt"):
        await desk.create(OAUTH | {"config": {"lastRegisteredAt": "now"}})


@pytest.mark.parametrize("status", [each for each in Status if each not in {"draft", "valid", "disabled"}])
async def test_a_status_of_evidence_is_not_written(desk: Desk, status: str) -> None:
    assert await desk.refusal(await desk.create(OAUTH), {"status": status}) == ["status"]
    with pytest.raises(ValidationFailed, match="status"):
        await desk.create(OAUTH | {"status": status})


async def test_valid_without_what_the_type_needs_is_a_draft_that_says_so(desk: Desk) -> None:
    made = await desk.create(KEY | {"status": "valid"})
    assert (made.auth.status, made.auth.last_error) == ("draft", "missing_configuration: Still needed: config.apiKey")
    assert made.wanted == ("api_key",)
    entered = await desk.update(made, {"config": {"apiKey": "k"}})
    assert (entered.auth.status, entered.auth.last_error, entered.wanted) == ("draft", None, ())
    assert (await desk.update(made, {"status": "valid"})).auth.status == "valid"


async def test_a_claim_is_believed_where_only_settings_are_missing(desk: Desk) -> None:
    """Contract section 3: a client may write `draft`, `valid`, `disabled`."""
    bare = await desk.create({"providerKey": "custom-oauth", "name": "Bare"})
    for status in ("valid", "disabled", "draft", "valid"):
        assert (await desk.update(bare, {"status": status})).auth.status == status
    assert (await desk.update(bare, {"name": "Still bare"})).auth.status == "valid"
    full = await desk.create(OAUTH)
    lost = await desk.update(full, {"config": {"clientId": None}})
    assert (lost.auth.status, lost.auth.last_error) == (
        "draft",
        "missing_configuration: Still needed: config.clientId",
    )


async def test_one_default_per_app(any_desk: Desk) -> None:
    first = await any_desk.create(KEY | {"config": {**KEY["config"], "isDefault": True}})
    second = await any_desk.create(OAUTH | {"config": {**OAUTH["config"], "isDefault": True}})
    assert second.auth.config.is_default is True
    after = await any_desk.get(first)
    assert after.auth.config.is_default is False
    assert after.etag != first.etag
    back = await any_desk.update(first, {"config": {"isDefault": True}})
    assert back.auth.config.is_default is True
    assert (await any_desk.get(second)).auth.config.is_default is False


async def test_parallel_defaults_leave_one(any_desk: Desk) -> None:
    views = [await any_desk.create(OAUTH) for _ in range(6)]
    await asyncio.gather(*(any_desk.update(view, {"config": {"isDefault": True}}) for view in views))
    listed = await any_desk.connections.list(any_desk.actor.user_id, any_desk.app_id)
    assert [auth.config.is_default for auth in listed.auth].count(True) == 1


async def test_if_match_guards_against_overwriting(any_desk: Desk) -> None:
    """RFC 9110 section 13.1.1."""
    made = await any_desk.create(OAUTH)
    after = await any_desk.update(made, {"name": "A"}, if_match={made.etag})
    with pytest.raises(PreconditionFailed):
        await any_desk.update(made, {"name": "B"}, if_match={made.etag})
    with pytest.raises(PreconditionFailed):
        await any_desk.deletion.delete(any_desk.actor, any_desk.app_id, made.auth.id, if_match={made.etag})
    assert await any_desk.get(made) == after


async def test_of_parallel_changes_to_one_version_one_is_made(any_desk: Desk) -> None:
    made = await any_desk.create(OAUTH)

    async def change(number: int) -> bool:
        try:
            await any_desk.update(made, {"name": f"Name {number}"}, if_match={made.etag})
        except PreconditionFailed:
            return False
        return True

    assert sum(await asyncio.gather(*(change(number) for number in range(6)))) == 1


async def test_delete_takes_the_secrets_along(any_desk: Desk) -> None:
    made = await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": "k"}})
    await any_desk.deletion.delete(any_desk.actor, any_desk.app_id, made.auth.key)
    assert await any_desk.secret(made, "api_key") is None
    with pytest.raises(NotFound, match="Auth connection not found"):
        await any_desk.get(made)
    with pytest.raises(NotFound, match="Auth connection not found"):
        await any_desk.deletion.delete(any_desk.actor, any_desk.app_id, made.auth.id)
    assert [row.event for row in await any_desk.history(made)] == ["deleted", "created"]


async def test_what_is_somebody_elses_does_not_exist(any_desk: Desk) -> None:
    made, eve = await any_desk.create(OAUTH), await any_desk.stranger()
    (own,) = await any_desk.apps.list(eve.user_id)
    for app_id in (any_desk.app_id, "app_unknown", "a\0b"):
        with pytest.raises(NotFound, match="App not found"):
            await any_desk.connections.get(eve.user_id, app_id, made.auth.id)
        with pytest.raises(NotFound, match="App not found"):
            await any_desk.connections.list(eve.user_id, app_id)
        with pytest.raises(NotFound, match="App not found"):
            await any_desk.deletion.delete(eve, app_id, made.auth.id)
    for which in (made.auth.id, made.auth.key, "\ud800"):
        with pytest.raises(NotFound, match="Auth connection not found"):
            await any_desk.connections.get(eve.user_id, own.id, which)
    assert await any_desk.get(made) == made


async def test_pages_follow_each_other_without_gap_or_repeat(any_desk: Desk) -> None:
    made = [await any_desk.create(OAUTH | {"name": f"C{number}"}) for number in range(5)]
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        query = ConnectionQuery(limit=2, cursor=cursor)
        page = await any_desk.connections.list(any_desk.actor.user_id, any_desk.app_id, query)
        seen += [auth.id for auth in page.auth]
        cursor = page.next_cursor
    assert cursor is None
    assert sorted(seen) == sorted(view.auth.id for view in made)


async def test_the_list_filters_and_names_the_providers_used(any_desk: Desk) -> None:
    await any_desk.create(OAUTH)
    await any_desk.create({"providerKey": "stripe", "name": "Payments"})

    async def names(**query: str) -> list[str]:
        listed = await any_desk.connections.list(
            any_desk.actor.user_id, any_desk.app_id, ConnectionQuery.model_validate(query)
        )
        assert [each.key for each in listed.providers] == [
            "custom-oauth",
            "custom-mcp",
            "custom-api-key",
            "custom-bearer",
            "custom-basic",
            "stripe",
        ]
        return [auth.name for auth in listed.auth]

    assert await names(status="valid") == ["Primary Auth"]
    assert await names(providerKey="stripe") == ["Payments"]
    assert await names(providerKey="stripe", status="valid") == []


@pytest.mark.parametrize("cursor", ["x", "!!", "LTEuYQ", "MS4", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LmE", "é"])
async def test_an_invented_cursor_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(BadRequest, match="cursor"):
        await desk.connections.list(desk.actor.user_id, desk.app_id, ConnectionQuery(cursor=cursor))


async def test_dry_runs_say_the_same_and_change_nothing(any_desk: Desk) -> None:
    made = await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": "k", "isDefault": True}})
    other = await any_desk.create(OAUTH | {"config": {**OAUTH["config"], "isDefault": True}}, dry_run=True)
    assert (other.is_dry_run, other.auth.config.is_default) == (True, True)
    changed = await any_desk.update(made, {"name": "New", "config": {"apiKey": None}}, dry_run=True)
    assert (changed.is_dry_run, changed.auth.name, changed.auth.config.api_key) == (True, "New", None)
    await any_desk.deletion.delete(any_desk.actor, any_desk.app_id, made.auth.id, dry_run=True)
    assert await any_desk.get(made) == made
    assert len(await any_desk.history(made)) == 1
    with pytest.raises(NotFound):
        await any_desk.get(other)


async def test_history_names_who_did_what_without_values(any_desk: Desk) -> None:
    made = await any_desk.create(KEY | {"config": {**KEY["config"], "apiKey": "canary"}})
    await any_desk.update(made, {"name": "canary", "config": {"apiKey": "canary2", "headerName": "X-Canary"}})
    rows = await any_desk.history(made)
    assert [(row.event, row.actor_type, row.actor_name, row.outcome) for row in rows] == [
        ("updated", "client", "Tests", "ok"),
        ("created", "client", "Tests", "ok"),
    ]
    assert rows[0].detail == "name, config.headerName, config.apiKey"
    assert "canary" not in str(rows).lower()


class TestIdempotencyKey:
    """Contract section 3: the same key and body within a day give the first answer again."""

    async def test_the_first_answer_comes_again(self, any_desk: Desk) -> None:
        body = KEY | {"config": {**KEY["config"], "apiKey": "k"}}
        first = await any_desk.create(body, idempotency_key="a")
        await any_desk.update(first, {"name": "Changed"})
        again = await any_desk.create(body, idempotency_key="a")
        assert (again.auth, again.etag, again.is_replayed) == (first.auth, first.etag, True)

    @pytest.mark.parametrize("other", [{"name": "Other"}, {"config": {**KEY["config"], "apiKey": "k2"}}])
    async def test_another_body_is_a_conflict(self, any_desk: Desk, other: dict[str, object]) -> None:
        body = KEY | {"config": {**KEY["config"], "apiKey": "k"}}
        await any_desk.create(body, idempotency_key="a")
        with pytest.raises(Conflict):
            await any_desk.create(body | other, idempotency_key="a")

    async def test_parallel_repeats_make_one_connection(self, any_desk: Desk) -> None:
        views = await asyncio.gather(*(any_desk.create(OAUTH, idempotency_key="a") for _ in range(6)))
        assert len({view.auth.id for view in views}) == 1
        listed = await any_desk.connections.list(any_desk.actor.user_id, any_desk.app_id)
        assert len(listed.auth) == 1

    async def test_a_day_later_the_key_is_free(self, desk: Desk) -> None:
        first = await desk.create(OAUTH, idempotency_key="a")
        desk.clock.advance(hours=24)
        assert (await desk.create(OAUTH, idempotency_key="a")).auth.id != first.auth.id

    async def test_failures_and_dry_runs_are_not_kept(self, desk: Desk) -> None:
        with pytest.raises(ValidationFailed):
            await desk.create(OAUTH | {"providerKey": "unknown"}, idempotency_key="a")
        await desk.create(OAUTH, idempotency_key="a", dry_run=True)
        made: View = await desk.create(KEY, idempotency_key="a")
        assert not made.is_replayed

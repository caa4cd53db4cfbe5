"""A secret may go where it could go when it was entered, and nowhere else (contract section 3, `allowedOrigins`)."""

from typing import Any

import pytest

from tests.connections.desk import KEY, OAUTH, Desk

WITH_SECRET: dict[str, Any] = OAUTH | {"config": {**OAUTH["config"], "clientSecret": "s3cret"}}
EVIL = "https://evil.example/token"


@pytest.mark.parametrize("field", ["tokenEndpoint", "authorizationEndpoint", "registrationEndpoint", "apiBaseUrl"])
async def test_a_new_origin_voids_the_secret_and_asks_the_person_again(any_desk: Desk, field: str) -> None:
    made = await any_desk.create(WITH_SECRET)
    after = await any_desk.update(made, {"status": "valid", "config": {field: EVIL}})
    assert after.auth.config.client_secret is None
    assert after.auth.secret_ref is None
    assert after.auth.status == "draft"
    assert after.auth.last_error is not None
    assert after.auth.last_error.startswith("origin_changed: ")
    assert after.wanted == ("client_id", "client_secret")
    assert await any_desk.secret(made, "client_secret") is None
    assert [row.event for row in await any_desk.history(made)] == ["secrets_voided", "updated", "created"]


async def test_the_same_origin_keeps_the_secret(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET)
    after = await desk.update(made, {"config": {"tokenEndpoint": "https://ACCOUNTS.example.com:443/other"}})
    assert (after.auth.status, after.auth.last_error) == ("valid", None)
    assert await desk.secret(made, "client_secret", "https://accounts.example.com") == "s3cret"


async def test_fewer_origins_keep_the_secret_and_do_not_come_back_for_it(desk: Desk) -> None:
    two = {**WITH_SECRET["config"], "apiBaseUrl": "https://api.example.com"}
    made = await desk.create(WITH_SECRET | {"config": two})
    await desk.update(made, {"config": {"apiBaseUrl": None}})
    assert await desk.secret(made, "client_secret") == "s3cret"
    back = await desk.update(made, {"config": {"apiBaseUrl": "https://api.example.com"}})
    assert back.auth.config.client_secret is None


async def test_a_secret_sent_with_the_change_is_sealed_for_the_new_origin(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET)
    after = await desk.update(made, {"config": {"tokenEndpoint": EVIL, "clientSecret": "new"}})
    assert (after.auth.status, after.auth.last_error) == ("valid", None)
    assert await desk.secret(made, "client_secret", "https://evil.example") == "new"


async def test_a_secret_does_not_open_for_another_origin(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET)
    assert await desk.secret(made, "client_secret", "https://accounts.example.com") == "s3cret"
    assert await desk.secret(made, "client_secret", "https://evil.example") == "closed"


async def test_origins_edited_in_the_database_open_nothing(desk: Desk) -> None:
    from drio_mcp.store import Statement

    made = await desk.create(WITH_SECRET)
    forged = Statement("""UPDATE secrets SET origins = '["https://evil.example"]'""")
    await desk.db.write(lambda tx: tx.run(forged))
    assert await desk.secret(made, "client_secret", "https://evil.example") == "closed"


async def test_the_mask_does_not_save_a_secret_from_a_new_origin(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET)
    after = await desk.update(made, {"config": {"tokenEndpoint": EVIL, "clientSecret": "********"}})
    assert after.auth.config.client_secret is None


async def test_widening_allowed_origins_voids_too(desk: Desk) -> None:
    body = KEY | {"config": {**KEY["config"], "apiKey": "k", "allowedOrigins": ["https://api.weather.example"]}}
    made = await desk.create(body)
    after = await desk.update(
        made, {"config": {"allowedOrigins": ["https://api.weather.example", "https://evil.example"]}}
    )
    assert after.auth.config.api_key is None


async def test_allowed_origins_must_cover_the_receivers(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET)
    assert await desk.refusal(made, {"config": {"allowedOrigins": ["https://other.example"]}}) == [
        "config.allowedOrigins"
    ]
    same = {"config": {"allowedOrigins": ["https://accounts.example.com"]}}
    assert (await desk.update(made, same)).auth.config.client_secret is not None


async def test_a_disabled_connection_stays_disabled(desk: Desk) -> None:
    made = await desk.create(WITH_SECRET | {"status": "disabled"})
    after = await desk.update(made, {"config": {"tokenEndpoint": EVIL}})
    assert after.auth.status == "disabled"
    assert after.auth.config.client_secret is None


async def test_a_catalog_provider_may_receive_its_secret_by_default(desk: Desk) -> None:
    made = await desk.create({"providerKey": "stripe", "name": "S", "config": {"accessToken": "k"}})
    assert await desk.secret(made, "access_token", "https://api.stripe.com") == "k"
    assert await desk.secret(made, "access_token", "https://evil.example") == "closed"
    moved = await desk.update(made, {"config": {"apiBaseUrl": "https://evil.example"}})
    assert moved.auth.config.access_token is None

import pytest
from pydantic import ValidationError

from drio_mcp.accounts import Apps, CreateApp, People, UpdateApp
from drio_mcp.accounts.apps import LONGEST_SLUG
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.outside import slug_of
from tests.conftest import FakeClock


@pytest.fixture
async def ada(people: People) -> str:
    return (await people.create("ada@example.com", "Ada", None)).id


@pytest.fixture
async def bob(people: People) -> str:
    return (await people.create("bob@example.com", "Bob", None)).id


async def test_an_app_has_the_fields_of_the_contract(apps: Apps, ada: str) -> None:
    app = await apps.create(ada, CreateApp(name="Sales desk", description="CRM"))
    shown = app.model_dump()
    assert shown == {
        "id": app.id,
        "publicMcpId": app.public_mcp_id,
        "slug": "sales-desk",
        "name": "Sales desk",
        "description": "CRM",
        "version": "1.0.0",
        "status": "active",
        "isEnabled": True,
        "templateId": None,
        "companyUrl": None,
        "serverInstructions": None,
        "branding": None,
        "createdAt": "2026-03-15T12:00:00.000Z",
        "updatedAt": "2026-03-15T12:00:00.000Z",
    }
    assert app.id.startswith("app_")
    assert len(app.id) >= 26


async def test_slugs_are_unique_for_their_owner_only(apps: Apps, ada: str, bob: str) -> None:
    slugs = [(await apps.create(ada, CreateApp(name="Sales"))).slug for _ in range(12)]
    assert slugs[:3] == ["sales", "sales-2", "sales-3"]
    assert len(set(slugs)) == 12
    assert (await apps.create(bob, CreateApp(name="Sales"))).slug == "sales"


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Sales desk", "sales-desk"), ("  Zoë & Co. ", "zoe-co"), ("日本", "app"), ("x" * 100, "x" * 48), ("---", "app")],
)
def test_slugs(name: str, slug: str) -> None:
    assert slug_of(name, LONGEST_SLUG, "app") == slug


async def test_a_merge_patch_keeps_what_it_leaves_out_and_clears_what_is_null(
    apps: Apps, clock: FakeClock, ada: str
) -> None:
    """RFC 7396 section 2."""
    app = await apps.create(ada, CreateApp(name="Sales", description="CRM"))
    clock.advance(seconds=1)
    patch = {
        "name": "Sales 2",
        "isEnabled": False,
        "branding": {"color": "#123456"},
        "companyUrl": "https://example.com",
    }
    changed = await apps.update(ada, app.id, UpdateApp.model_validate(patch))
    assert (changed.name, changed.is_enabled, changed.branding) == ("Sales 2", False, {"color": "#123456"})
    assert (changed.description, changed.slug) == ("CRM", "sales")
    assert changed.updated_at > app.updated_at
    cleared = await apps.update(ada, app.id, UpdateApp.model_validate({"description": None, "branding": None}))
    assert (cleared.description, cleared.branding, cleared.company_url) == (None, None, "https://example.com")
    assert await apps.get(ada, app.id) == cleared


@pytest.mark.parametrize("patch", [{}, {"name": "Sales"}, {"description": None}])
async def test_a_patch_that_changes_nothing_leaves_the_time_of_change(
    apps: Apps, clock: FakeClock, ada: str, patch: dict[str, str | None]
) -> None:
    app = await apps.create(ada, CreateApp(name="Sales"))
    clock.advance(seconds=1)
    assert await apps.update(ada, app.id, UpdateApp.model_validate(patch)) == app


@pytest.mark.parametrize("field", ["name", "version", "isEnabled"])
async def test_what_an_app_always_has_cannot_be_cleared(apps: Apps, ada: str, field: str) -> None:
    app = await apps.create(ada, CreateApp(name="Sales"))
    with pytest.raises(ValidationFailed) as caught:
        await apps.update(ada, app.id, UpdateApp.model_validate({field: None}))
    assert caught.value.problems[0].path == field


@pytest.mark.parametrize(
    "patch",
    [
        {"name": ""},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "a\x00"},
        {"name": 1},
        {"isEnabled": "yes"},
        {"isEnabled": 1},
        {"companyUrl": "javascript:alert(1)"},
        {"companyUrl": "https://"},
        {"companyUrl": "http://[x"},
        {"companyUrl": "https://user@example.com"},
        {"description": "x" * 2001},
        {"description": "a\x00"},
        {"branding": []},
        {"branding": {"x": "y" * 10_001}},
        {"version": "one two"},
        {"name": "\u200b\u2060"},
        {"name": "\u0301\u3164"},
        {"name": "one\u2028two"},
    ],
)
def test_a_bad_patch_is_refused(patch: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UpdateApp.model_validate(patch)


async def test_somebody_elses_app_does_not_exist(apps: Apps, ada: str, bob: str) -> None:
    app = await apps.create(ada, CreateApp(name="Sales"))
    for app_id in (app.id, "app_none", "", "\x00", "\ud800"):
        for call in (apps.get(bob, app_id), apps.update(bob, app_id, UpdateApp()), apps.delete(bob, app_id)):
            with pytest.raises(NotFound, match=r"^App not found$"):
                await call
    assert await apps.get(ada, app.id) == app


async def test_a_second_deletion_finds_nothing(apps: Apps, ada: str) -> None:
    app = await apps.create(ada, CreateApp(name="Sales"))
    await apps.delete(ada, app.id)
    with pytest.raises(NotFound):
        await apps.delete(ada, app.id)


async def test_a_dry_run_changes_nothing(apps: Apps, ada: str) -> None:
    before = await apps.list(ada)
    would_be = await apps.create(ada, CreateApp(name="My app"), dry_run=True)
    assert would_be.slug == "my-app-2"
    changed = await apps.update(ada, before[0].id, UpdateApp(name="Other"), dry_run=True)
    assert changed.name == "Other"
    await apps.delete(ada, before[0].id, dry_run=True)
    assert await apps.list(ada) == before


async def test_the_only_app_need_not_be_named(apps: Apps, ada: str) -> None:
    (only,) = await apps.list(ada)
    assert await apps.resolve(ada, None) == only
    assert await apps.resolve(ada, only.id) == only


async def test_of_several_apps_one_must_be_named(apps: Apps, ada: str) -> None:
    await apps.create(ada, CreateApp(name="Second"))
    with pytest.raises(ValidationFailed) as caught:
        await apps.resolve(ada, None)
    assert caught.value.problems[0].path == "appId"
    assert caught.value.next_step is not None
    assert caught.value.next_step.tool == "list_apps"


async def test_without_apps_the_next_step_is_to_create_one(apps: Apps, ada: str) -> None:
    (only,) = await apps.list(ada)
    await apps.delete(ada, only.id)
    with pytest.raises(NotFound) as caught:
        await apps.resolve(ada, None)
    assert caught.value.next_step is not None
    assert caught.value.next_step.tool == "create_app"


async def test_what_is_read_only_may_be_sent_back_as_it_was_read(apps: Apps, ada: str) -> None:
    app = await apps.create(ada, CreateApp(name="Sales"))
    whole = app.model_dump(mode="json", by_alias=True)
    assert await apps.update(ada, app.id, UpdateApp.model_validate(whole)) == app
    for name in ("id", "publicMcpId", "slug", "status", "templateId", "createdAt", "updatedAt"):
        with pytest.raises(ValidationFailed, match=f"{name}: is read-only"):
            await apps.update(ada, app.id, UpdateApp.model_validate({**whole, name: "mine"}))


async def test_branding_is_merged(apps: Apps, ada: str) -> None:
    """RFC 7396 section 2."""
    app = await apps.create(ada, CreateApp(name="Sales"))
    for patch, expected in (
        ({"color": "red", "logo": {"url": "u", "alt": "a"}}, {"color": "red", "logo": {"url": "u", "alt": "a"}}),
        ({"logo": {"alt": None}}, {"color": "red", "logo": {"url": "u"}}),
        ({"color": None, "fonts": [1]}, {"logo": {"url": "u"}, "fonts": [1]}),
    ):
        after = await apps.update(ada, app.id, UpdateApp.model_validate({"branding": patch}))
        assert after.branding == expected
    await apps.update(ada, app.id, UpdateApp.model_validate({"branding": {"a": "y" * 9_000}}))
    too_much = UpdateApp.model_validate({"branding": {"b": "y" * 9_000}})
    with pytest.raises(ValidationFailed, match="branding"):
        await apps.update(ada, app.id, too_much)


async def test_an_account_holds_a_thousand_apps(apps: Apps, ada: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drio_mcp.accounts.apps.MOST_APPS", 3)
    for _ in range(2):
        await apps.create(ada, CreateApp(name="Sales"))
    for dry_run in (True, False):
        with pytest.raises(Conflict, match="at most 3 apps"):
            await apps.create(ada, CreateApp(name="Sales"), dry_run)

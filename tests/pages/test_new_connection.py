"""Making a connection on a page: by URL, by a provider of the catalog, and by its settings."""

import re
from pathlib import Path

import pytest

from drio_mcp.connections.catalog.entries import Catalog
from tests.conftest import FakeClock
from tests.pages.conftest import Site, Visitor, form_to, make_site
from tests.pages.console import KEY, Console, open_console
from tests.upstreams import upstream
from tests.upstreams.api import KeyedApi, OpenApiDescription


@pytest.fixture
async def console(site: Site, visitor: Visitor) -> Console:
    return await open_console(site, visitor)


async def test_the_catalog_is_searched_without_a_script(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/connect", params={"q": "linear"})
    assert f"{console.path}/new?provider=linear" in page.text
    assert form_to(page, f"{console.path}/connect").fields.get("target", "") == ""


@pytest.mark.parametrize("q", ["no such thing", "<script>alert(1)</script>", "\x00", "x" * 5_000, "🚀"])
async def test_what_is_not_found_leads_on(console: Console, q: str) -> None:
    page = await console.visitor.get(f"{console.path}/connect", params={"q": q})
    assert page.status_code == 200
    assert "No provider is called" in page.text
    assert "<script>alert" not in page.text


async def test_a_connection_is_made_by_its_settings_and_goes_on_to_its_secret(console: Console) -> None:
    path = f"{console.path}/new?provider=custom-api-key"
    page = await console.visitor.get(path)
    answer = await console.visitor.submit(page, f"{console.path}/new", name="Weather", headerName="X-Api-Key")
    assert answer.headers["location"].startswith("/connect/")
    (made,) = await console.all()
    assert (made.name, made.provider_key, made.config.header_name) == ("Weather", "custom-api-key", "X-Api-Key")


async def test_another_type_has_other_fields(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/new?provider=custom-api-key&type=api_key_query")
    fields = form_to(page, f"{console.path}/new").fields
    assert "queryParamName" in fields
    assert "headerName" not in fields
    await console.visitor.submit(page, f"{console.path}/new", name="Maps", queryParamName="key")
    assert (await console.all())[0].config.type == "api_key_query"


async def test_no_credential_needs_no_further_page(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/new?provider=custom-mcp&type=none")
    answer = await console.visitor.submit(
        page, f"{console.path}/new", name="Open", apiBaseUrl="https://mcp.example.com", isDefault="on"
    )
    (made,) = await console.all()
    assert answer.headers["location"] == f"{console.at(made)}?done=created"
    assert made.config.is_default is True


@pytest.mark.parametrize(("field", "typed"), [("name", " "), ("authorizationEndpoint", "ftp://x"), ("scopes", "\\")])
async def test_a_mistake_is_marked_with_what_was_typed(console: Console, field: str, typed: str) -> None:
    page = await console.visitor.get(f"{console.path}/new?provider=custom-oauth")
    answer = await console.visitor.submit(page, f"{console.path}/new", **{"name": "Mine", field: typed})
    assert answer.status_code == 400
    form = form_to(answer, f"{console.path}/new")
    assert form.attributes[field]["aria-invalid"] == "true"
    assert form.fields[field] == typed
    assert await console.all() == ()


async def test_a_provider_of_the_catalog_needs_a_name_at_most(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/new?provider=stripe")
    answer = await console.visitor.submit(page, f"{console.path}/new?provider=stripe")
    assert answer.headers["location"].startswith("/connect/")
    (made,) = await console.all()
    assert made.provider_key == "stripe"


async def test_what_differs_from_customer_to_customer_is_asked_for(console: Console) -> None:
    path = f"{console.path}/new?provider=zendesk"
    page = await console.visitor.get(path)
    (name,) = [each for each in form_to(page, path).fields if each.startswith("variables.")]
    for typed in ("", "evil.example/path#"):
        answer = await console.visitor.submit(page, path, **{name: typed})
        assert answer.status_code == 400
        form = form_to(answer, path)
        assert form.attributes[name]["aria-invalid"] == "true"
        assert form.fields[name] == typed
    assert (await console.visitor.submit(page, path, **{name: "acme"})).status_code == 303
    assert "acme" in str((await console.all())[0].config)


@pytest.mark.parametrize("query", ["provider=nobody", "", "provider=%00", "provider=custom-oauth&type=nothing"])
async def test_made_up_addresses_do_no_harm(console: Console, query: str) -> None:
    answer = await console.visitor.get(f"{console.path}/new?{query}")
    assert answer.status_code == (200 if "custom-oauth" in query else 404)


@pytest.mark.parametrize("target", ["", "javascript:alert(1)", "https://", "not a url", "ftp://example.com"])
async def test_what_is_no_address_is_marked(console: Console, target: str) -> None:
    page = await console.visitor.get(f"{console.path}/connect")
    answer = await console.visitor.submit(page, f"{console.path}/connect", target=target)
    assert answer.status_code == 400
    form = form_to(answer, f"{console.path}/connect")
    assert form.attributes["target"]["aria-invalid"] == "true"
    assert form.fields["target"] == target
    assert await console.all() == ()


async def test_an_address_is_looked_at_and_connected(tmp_path: Path, clock: FakeClock) -> None:
    """As `connect_auth` does: an API that describes itself, so that only its key is missing."""
    description = OpenApiDescription({"key": {"type": "apiKey", "in": "header", "name": "X-Bench-Key"}})
    with upstream(KeyedApi(name="X-Bench-Key"), description) as api:
        site = make_site(tmp_path, clock, outbound_allow=(api.host_port,))
        async with site.services.running():
            console = await open_console(site, site.visitor())
            page = await console.visitor.get(f"{console.path}/connect")
            answer = await console.visitor.submit(page, f"{console.path}/connect", target=api.origin)
            assert answer.headers["location"].startswith("/connect/")
            (made,) = await console.all()
            assert made.config.header_name == "X-Bench-Key"
            again = await console.visitor.submit(page, f"{console.path}/connect", target=api.origin)
            assert again.status_code == 303
            assert await console.all() == (made,)


async def test_an_address_that_leads_nowhere_makes_a_connection_that_says_why(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/connect")
    answer = await console.visitor.submit(page, f"{console.path}/connect", target="https://10.0.0.1/")
    (made,) = await console.all()
    assert answer.headers["location"] == f"{console.at(made)}?done=created"
    assert "address_blocked" in (await console.visitor.get(answer.headers["location"])).text


async def test_a_full_app_says_so(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drio_mcp.connections.record.crud.MOST_CONNECTIONS", 1)
    await console.create(KEY)
    page = await console.visitor.get(f"{console.path}/new?provider=custom-bearer")
    answer = await console.visitor.submit(page, f"{console.path}/new", name="One more")
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text
    assert form_to(answer, f"{console.path}/new").fields["name"] == "One more"


async def test_the_catalog_is_browsed_by_use_and_by_category_without_a_script(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/connect")
    popular = re.findall(r"new\?provider=([\w-]+)", page.text)
    assert {"slack", "stripe"} <= set(popular)
    assert len([key for key in popular if not key.startswith("custom-")]) == 24
    assert "?category=ai#" in page.text
    catalog = Catalog()
    for category in ("ai", "crm"):
        page = await console.visitor.get(f"{console.path}/connect", params={"category": category})
        shown = [key for key in re.findall(r"new\?provider=([\w-]+)", page.text) if not key.startswith("custom-")]
        entries = {key: entry for key in catalog.keys if (entry := catalog.find(key)) is not None}
        assert set(shown) == {key for key, entry in entries.items() if entry.category == category}
        assert [entries[key].popularity for key in shown] == sorted(
            (entries[key].popularity for key in shown), reverse=True
        )


async def test_a_made_up_category_shows_the_most_used(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/connect", params={"category": "<script>"})
    assert "<script>" not in page.text.partition("<main")[2]
    assert "new?provider=stripe" in page.text


async def test_a_word_in_the_box_is_a_provider_and_its_variables_are_asked_for(console: Console) -> None:
    page = await console.visitor.get(f"{console.path}/connect")
    answer = await console.visitor.submit(page, f"{console.path}/connect", target="Zendesk")
    assert answer.headers["location"] == f"{console.path}/new?provider=zendesk"
    answer = await console.visitor.submit(page, f"{console.path}/connect", target="hubspott")
    assert answer.status_code == 400
    assert "hubspot" in answer.text
    assert await console.all() == ()
    assert (await console.visitor.submit(page, f"{console.path}/connect", target="Stripe")).status_code == 303


async def test_the_address_of_a_customer_stands_for_the_variable(console: Console) -> None:
    path = f"{console.path}/new?provider=zendesk"
    page = await console.visitor.get(path)
    (name,) = [each for each in form_to(page, path).fields if each.startswith("variables.")]
    answer = await console.visitor.submit(page, path, **{name: "https://acme.zendesk.com"})
    assert answer.status_code == 303
    assert "https://acme.zendesk.com" in str((await console.all())[0].config)

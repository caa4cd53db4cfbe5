"""Making a connection: finding its provider, and what that provider needs to know."""

from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError
from starlette.responses import Response

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.people import Person
from drio_mcp.connections.catalog.providers import GENERICS, ProviderFacts
from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.record.answers import ConnectAuth
from drio_mcp.connections.record.schemas import CreateAuthConnection
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.middleware.context import services_of
from drio_mcp.pages import settings_form as settings
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.connection_state import SIGN_INS, path_of
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import actor_of, signed_in
from drio_mcp.text import is_plain

MOST_FOUND = 24

CATEGORY_LABELS = {"ai": "AI", "crm": "CRM", "hr": "HR"}
"""Of the categories that are more than their word with a capital letter."""

TYPE_LABELS = {
    ConfigType.OAUTH: "OAuth, allowed by a person",
    ConfigType.OAUTH_CLIENT_CREDENTIALS: "OAuth client credentials",
    ConfigType.MCP_OAUTH: "MCP server with OAuth",
    ConfigType.API_KEY_HEADER: "Key in a header",
    ConfigType.API_KEY_QUERY: "Key in the address",
    ConfigType.BEARER: "Bearer token",
    ConfigType.BASIC: "User name and password",
    ConfigType.NONE: "No credential",
    ConfigType.OAUTH_JWT_BEARER: "OAuth with a signed JWT",
    ConfigType.GITHUB_APP: "GitHub App installation",
    ConfigType.AWS_SIGV4: "AWS access key",
    ConfigType.OAUTH1: "OAuth 1.0 with fixed tokens",
}
GENERIC_WORDS = {
    "custom-oauth": "Any OAuth 2 provider, by its endpoints",
    "custom-mcp": "Any MCP server",
    "custom-api-key": "A key in a header or in the address",
    "custom-bearer": "A token that you have already",
    "custom-basic": "HTTP basic authentication",
}


@signed_in
async def connect(browser: Browser, person: Person) -> Response:
    """GET /apps/{appId}/connect?q=&category=: the catalog; POST connects a URL, or what is called so."""
    app = await _app(browser, person)
    if browser.request.method != "POST":
        return _find(browser, app)
    form = await read_own_form(browser)
    try:
        path = await _connect(browser, person, app, {"target": form["target"].strip()})
    except (ValidationError, ValidationFailed) as error:
        asking = _provider_that_asks(browser, form["target"], error)
        if asking is not None:
            return browser.redirect(with_query(f"/apps/{app.id}/new", provider=asking))
        problems = settings.fields_at_fault(error, "target")
        return _find(browser, app, 400, form.filled("target"), {"target": " ".join(problems.values())})
    except Conflict as error:
        return _find(browser, app, 409, form.filled("target"), {"target": error.message})
    return browser.redirect(path)


def _provider_that_asks(browser: Browser, words: str, error: ValidationError | ValidationFailed) -> str | None:
    """The key of the provider that was named and lacks nothing but its variables: its own page asks for them."""
    named = services_of(browser.request).providers.named(words[:100])
    problems = error.problems if isinstance(error, ValidationFailed) else []
    is_asking = bool(problems) and all(each.path.startswith("variables") for each in problems)
    return named.provider.key if named is not None and is_asking else None


@signed_in
async def new_connection(browser: Browser, person: Person) -> Response:
    """GET and POST /apps/{appId}/new?provider=&type=: a new connection, of a provider that is known or by its settings.

    With a type its settings are entered by hand, and a generic provider knows no other way.
    """
    app, query = await _app(browser, person), browser.request.query_params
    facts = services_of(browser.request).providers.find(query.get("provider", "")[:64])
    if facts is None:
        raise NotFound("There is no such provider")
    if facts.entry is not None and "type" not in query:
        return await _known_provider(browser, person, app, facts)
    kind = _type_of(facts, query.get("type", ""))
    if browser.request.method != "POST":
        return _new(browser, app, facts, kind)
    form = await read_own_form(browser)
    try:
        path = await _create(browser, person, app, facts, kind, form)
    except (ValidationError, ValidationFailed) as error:
        return _new(browser, app, facts, kind, 400, settings.typed_into(form, kind), settings.fields_at_fault(error))
    except Conflict as error:
        return _new(browser, app, facts, kind, 409, settings.typed_into(form, kind), {"": error.message})
    return browser.redirect(path)


async def _known_provider(browser: Browser, person: Person, app: App, facts: ProviderFacts) -> Response:
    """A provider of the catalog, which needs a name and what differs from customer to customer."""
    if browser.request.method != "POST":
        return _known(browser, app, facts)
    form = await read_own_form(browser)
    names = [each.name for each in facts.provider.config_schema.variables or ()]
    variables = {name: value for name in names if (value := form[f"variables.{name}"].strip())}
    wish = {
        "providerKey": facts.provider.key,
        "name": form["name"].strip() or None,
        "scopes": form["scopes"].replace(",", " ").split() or None,
        "variables": variables or None,
    }
    typed = form.filled("name", "scopes", *(f"variables.{name}" for name in names))
    try:
        path = await _connect(browser, person, app, wish)
    except (ValidationError, ValidationFailed) as error:
        return _known(browser, app, facts, 400, typed, settings.fields_at_fault(error, *typed))
    except Conflict as error:
        return _known(browser, app, facts, 409, typed, {"": error.message})
    return browser.redirect(path)


async def _connect(browser: Browser, person: Person, app: App, wish: dict[str, Any]) -> str:
    """Connect it; gives the path to go on to: the page for its person where one has to act, else its own."""
    body = ConnectAuth.model_validate(wish)
    connected = await services_of(browser.request).connect.connect(actor_of(browser), app.id, body)
    if connected.connect is not None:
        return urlsplit(connected.connect.url).path
    return with_query(path_of(connected.auth), done="created" if connected.is_new else "found")


async def _create(
    browser: Browser, person: Person, app: App, facts: ProviderFacts, kind: ConfigType, form: Form
) -> str:
    """The new connection; gives the path to go on to, which is that of its secret where it needs one."""
    services = services_of(browser.request)
    config = {name: value for name, value in settings.config_of(form, kind).items() if value is not None}
    body = CreateAuthConnection.model_validate(
        {"name": form["name"], "providerKey": facts.provider.key, "config": {"type": kind, **config}}
    )
    view = await services.connections.create(actor_of(browser), app.id, body)
    connect = await services.links.offer(person.id, view)
    return urlsplit(connect.url).path if connect is not None else with_query(path_of(view.auth), done="created")


async def _app(browser: Browser, person: Person) -> App:
    return await services_of(browser.request).apps.get(person.id, browser.request.path_params["appId"])


def _type_of(facts: ProviderFacts, named: str) -> ConfigType:
    return next((kind for kind in facts.types if kind == named), facts.types[0])


def _find(
    browser: Browser,
    app: App,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    query, providers = browser.request.query_params, services_of(browser.request).providers
    q, categories = query.get("q", "")[:100], providers.categories()
    category = query.get("category", "") if query.get("category") in categories and not q.strip() else None
    found = providers.list(q, MOST_FOUND + 1) if q.strip() and is_plain(q) else []
    browsed = [] if q.strip() else providers.browse(category)[: None if category else MOST_FOUND]
    return page(
        browser,
        "find_provider.html",
        status=status,
        section="apps",
        app=app,
        typed=typed or {},
        problems=problems or {},
        q=q,
        found=[each for each in found if each.key not in GENERICS][:MOST_FOUND],
        has_more=len(found) > MOST_FOUND,
        browsed=browsed,
        category=category,
        categories=[(name, CATEGORY_LABELS.get(name, name.capitalize()), count) for name, count in categories.items()],
        generics=[(facts.provider, GENERIC_WORDS[key]) for key, facts in GENERICS.items()],
        sign_ins=SIGN_INS,
    )


def _known(
    browser: Browser,
    app: App,
    facts: ProviderFacts,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    return page(
        browser,
        "known_provider.html",
        status=status,
        section="apps",
        app=app,
        provider=facts.provider,
        kind=facts.types[0],
        is_oauth=facts.provider.kind == "oauth",
        typed=typed or {"scopes": "\n".join(facts.provider.config_schema.scopes)},
        problems=problems or {},
    )


def _new(
    browser: Browser,
    app: App,
    facts: ProviderFacts,
    kind: ConfigType,
    status: int = 200,
    typed: dict[str, str] | None = None,
    problems: dict[str, str] | None = None,
) -> Response:
    preset = {each.name: str(facts.defaults.get(each.attribute, "")) for each in settings.settings_of(kind)}
    name = "" if facts.provider.key in GENERICS else facts.provider.name
    return page(
        browser,
        "new_connection.html",
        status=status,
        section="apps",
        app=app,
        provider=facts.provider,
        kind=kind,
        kinds=[(each, TYPE_LABELS[each]) for each in facts.types],
        settings=settings.settings_of(kind),
        typed=typed or {"name": name, **preset},
        problems=problems or {},
    )

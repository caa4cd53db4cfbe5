"""Our OAuth clients at providers: those of an app, and those of the whole server for operators."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.directory import Administrator
from drio_mcp.accounts.people import Person
from drio_mcp.connections.catalog.authorization_servers import AuthorizationServer
from drio_mcp.connections.catalog.providers import GENERICS, Provider, ProviderFacts
from drio_mcp.connections.catalog.variables import fill
from drio_mcp.connections.record.clients import Origin
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.client_setup import ClientSetup, setup_of
from drio_mcp.connections.upstream.provider_client import (
    CreateProviderClient,
    ProviderClient,
    ProviderClientQuery,
    UpdateProviderClient,
)
from drio_mcp.errors import Conflict, NotFound, ValidationFailed
from drio_mcp.middleware.context import address_of, services_of
from drio_mcp.middleware.validation import problems_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.forms import Form, read_own_form
from drio_mcp.pages.operator_area import AREAS
from drio_mcp.pages.paths import with_query
from drio_mcp.pages.rendering import page
from drio_mcp.pages.signed_in import actor_of, signed_in

DONE = {
    "made": "The client was stored. Its secret is sealed, and nobody is shown it.",
    "saved": "Your changes were saved. Connections that waited for them are tried anew.",
    "deleted": "The client was deleted.",
}
ORIGINS = {
    Origin.MANUAL: "Entered by hand",
    Origin.DYNAMIC_REGISTRATION: "Registered by this server",
    Origin.CLIENT_METADATA_DOCUMENT: "A document of this server",
}
METHODS = {
    "": "Find it out at the first use",
    "client_secret_post": "Secret in the body (client_secret_post)",
    "client_secret_basic": "Secret in a header (client_secret_basic)",
    "none": "None, a public client",
}
FIELDS = ("clientId", "name", "authorizationEndpoint", "tokenEndpoint", "tokenEndpointAuthMethod")


@dataclass(frozen=True, slots=True)
class ClientsPage:
    """Whose clients a page is about. `app` is None for the server's."""

    app: App | None

    @property
    def app_id(self) -> str | None:
        return None if self.app is None else self.app.id

    @property
    def path(self) -> str:
        return "/operator/provider-clients" if self.app is None else f"/apps/{self.app.id}/provider-clients"

    @property
    def section(self) -> str:
        return "operator" if self.app is None else "apps"


Show = Callable[[Browser, Person, ClientsPage], Awaitable[Response]]


def placed(show: Show) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint for an app's clients or the server's; a page that is not the person's to see does not exist."""

    @signed_in
    async def endpoint(browser: Browser, person: Person) -> Response:
        app_id = browser.request.path_params.get("appId")
        if app_id is not None:
            return await show(
                browser, person, ClientsPage(await services_of(browser.request).apps.get(person.id, app_id))
            )
        if not person.is_operator:
            raise NotFound
        if browser.request.method != "POST":
            by = Administrator(person.id, address_of(browser.request))
            await services_of(browser.request).directory.note_look(by, "provider-clients")
        return await show(browser, person, ClientsPage(None))

    endpoint.__doc__, endpoint.__name__ = show.__doc__, show.__name__  # the log names pages by it
    return endpoint


@placed
async def list_clients(browser: Browser, person: Person, place: ClientsPage) -> Response:
    """GET …/provider-clients: those that there are."""
    query = ProviderClientQuery(cursor=browser.request.query_params.get("cursor", "")[:200] or None)
    found = await services_of(browser.request).provider_clients.list(person.id, place.app_id, query)
    return page(
        browser,
        "provider_clients.html",
        section=place.section,
        area="provider-clients",
        areas=AREAS,
        place=place,
        clients=[(each, _names(browser, each)) for each in found.provider_clients],
        origins=ORIGINS,
        more=with_query(place.path, cursor=found.next_cursor) if found.next_cursor else None,
        done=DONE.get(browser.request.query_params.get("done", "")),
    )


@placed
async def new_client(browser: Browser, person: Person, place: ClientsPage) -> Response:
    """GET and POST …/provider-clients/new?provider=: which provider, then what to do there, and what it gave."""
    facts = services_of(browser.request).providers.find(browser.request.query_params.get("provider", "")[:64])
    if facts is None or (facts.entry is None and facts.provider.key != "custom-oauth"):
        return _choose(browser, place)
    if browser.request.method != "POST":
        return _show_new(browser, place, facts)
    form = await read_own_form(browser)
    try:
        body = CreateProviderClient.model_validate(_new_body(facts, form, _variables(browser, facts)))
        view = await services_of(browser.request).provider_clients.create(actor_of(browser), place.app_id, body)
    except (ValidationError, ValidationFailed) as error:
        return _show_new(browser, place, facts, 400, form.filled(*FIELDS), _problems(error))
    except Conflict as error:
        return _show_new(browser, place, facts, 409, form.filled(*FIELDS), {"": error.message})
    return browser.redirect(with_query(f"{place.path}/{view.client.id}", done="made"))


@placed
async def show_client(browser: Browser, person: Person, place: ClientsPage) -> Response:
    """GET …/provider-clients/{clientId}, and POST to change it."""
    clients, client_id = services_of(browser.request).provider_clients, browser.request.path_params["clientId"]
    client = (await clients.get(person.id, place.app_id, client_id)).client
    if browser.request.method != "POST":
        return _show(browser, place, client)
    form = await read_own_form(browser)
    try:
        patch = UpdateProviderClient.model_validate(_patch(client, form))
        await clients.update(actor_of(browser), place.app_id, client_id, patch)
    except (ValidationError, ValidationFailed) as error:
        return _show(browser, place, client, 400, form.filled(*FIELDS), _problems(error))
    return browser.redirect(with_query(f"{place.path}/{client_id}", done="saved"))


@placed
async def delete_client(browser: Browser, person: Person, place: ClientsPage) -> Response:
    """GET and POST …/provider-clients/{clientId}/delete: says first what stops working."""
    clients, client_id = services_of(browser.request).provider_clients, browser.request.path_params["clientId"]
    client = (await clients.get(person.id, place.app_id, client_id)).client
    if browser.request.method != "POST":
        return page(browser, "delete_provider_client.html", section=place.section, place=place, client=client)
    await read_own_form(browser)
    await clients.delete(actor_of(browser), place.app_id, client_id, force=True)
    return browser.redirect(with_query(place.path, done="deleted"))


def _choose(browser: Browser, place: ClientsPage) -> Response:
    listed = services_of(browser.request).providers.list()
    known = [each for each in listed if each.kind == "oauth" and each.key not in GENERICS]
    return page(
        browser,
        "new_provider_client.html",
        section=place.section,
        area="provider-clients",
        areas=AREAS,
        place=place,
        known=sorted(known, key=lambda each: each.name.lower()),
        provider=None,
    )


def _show_new(
    browser: Browser,
    place: ClientsPage,
    facts: ProviderFacts,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    values = _variables(browser, facts)
    lacking = [each for each in facts.provider.config_schema.variables or () if not values.get(each.name)]
    setup = None
    if not lacking:
        try:
            setup = _setup(browser, facts, values)
        except ValidationFailed as error:
            problems, lacking = _problems(error), list(facts.provider.config_schema.variables or ())
    query = {"provider": facts.provider.key, **values}
    return page(
        browser,
        "new_provider_client.html",
        status=status,
        section=place.section,
        area="provider-clients",
        areas=AREAS,
        place=place,
        provider=facts.provider,
        lacking=lacking,
        setup=setup,
        action=with_query(f"{place.path}/new", **query),
        is_generic=facts.entry is None,
        methods=METHODS,
        typed=typed or values,
        problems=problems or {},
    )


def _setup(browser: Browser, facts: ProviderFacts, values: dict[str, str]) -> ClientSetup | None:
    """What to do at a provider whose endpoints are known. Raises `ValidationFailed` for wrong variables."""
    if facts.entry is None:
        return None
    entry = fill(facts.entry, values)
    if entry.authorization_endpoint is None or entry.token_endpoint is None:
        return None
    services = services_of(browser.request)
    server = AuthorizationServer(entry.authorization_endpoint, entry.token_endpoint)
    return setup_of(entry.name, entry, redirect_uri(services.settings, server.slug), entry.scopes)


def _show(
    browser: Browser,
    place: ClientsPage,
    client: ProviderClient,
    status: int = 200,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> Response:
    now = {
        "name": client.name,
        "clientId": client.client_id,
        "tokenEndpointAuthMethod": client.token_endpoint_auth_method or "",
    }
    return page(
        browser,
        "provider_client.html",
        status=status,
        section=place.section,
        area="provider-clients",
        areas=AREAS,
        place=place,
        client=client,
        names=_names(browser, client),
        origins=ORIGINS,
        methods=METHODS,
        is_manual=client.origin is Origin.MANUAL,
        typed=typed or now,
        problems=problems or {},
        done=DONE.get(browser.request.query_params.get("done", "")),
    )


def _names(browser: Browser, client: ProviderClient) -> list[str]:
    """What the providers are called that share the client."""
    providers = services_of(browser.request).providers
    found: list[Provider] = [providers.describe(key) for key in client.provider_keys]
    return [each.name for each in found]


def _variables(browser: Browser, facts: ProviderFacts) -> dict[str, str]:
    """The customer's part of the addresses, as the page's own address carries it."""
    query = browser.request.query_params
    named = facts.provider.config_schema.variables or ()
    return {each.name: query[each.name][:253] for each in named if query.get(each.name)}


def _new_body(facts: ProviderFacts, form: Form, variables: dict[str, str]) -> dict[str, Any]:
    names = ("clientId", "clientSecret", "name", "tokenEndpointAuthMethod")
    body: dict[str, Any] = {name: form[name].strip() for name in names if form[name].strip()}
    if facts.entry is not None:
        return {**body, "providerKey": facts.provider.key, "variables": variables or None}
    endpoints = ("authorizationEndpoint", "tokenEndpoint")
    return {**body, **{name: form[name].strip() for name in endpoints if form[name].strip()}}


def _patch(client: ProviderClient, form: Form) -> dict[str, Any]:
    """A secret that was left empty stays; clients that we registered ourselves have nothing to enter but a name."""
    patch: dict[str, Any] = {"name": form["name"].strip() or client.name}
    if client.origin is not Origin.MANUAL:
        return patch
    patch["clientId"] = form["clientId"].strip()
    patch["tokenEndpointAuthMethod"] = form["tokenEndpointAuthMethod"] or None
    if form["clientSecret"].strip():
        patch["clientSecret"] = form["clientSecret"].strip()
    return patch


def _problems(error: ValidationError | ValidationFailed) -> dict[str, str]:
    found = problems_of(error) if isinstance(error, ValidationError) else error.problems
    labels = {"clientId": "Client ID", "clientSecret": "Client secret", "name": "Name"}
    return {
        each.path.removeprefix("variables."): f"{labels.get(each.path, each.path)} {each.message}" for each in found
    }

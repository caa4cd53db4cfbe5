"""The whole application over HTTP, and browsers that use it as people do: forms are read from the pages and sent."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest

from drio_mcp.accounts import Passwords, Person
from drio_mcp.app import create_app
from drio_mcp.config import Settings
from drio_mcp.opaque import Secret
from drio_mcp.services import Services, build_services
from tests.conftest import FakeClock

ORIGIN = "http://127.0.0.1:8000"
PASSWORD = "correct horse battery"


@dataclass(slots=True)
class PageForm:
    """A form as it stands in a page: where it goes, what it would send, and its buttons."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, dict[str, str | None]] = field(default_factory=dict)
    buttons: list[tuple[str | None, str | None]] = field(default_factory=list)


class PageReader(HTMLParser):
    """Finds the forms of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[PageForm] = []
        self._select = ""
        self._area = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append(PageForm(attributes.get("action") or "", attributes.get("method") or "get"))
        elif tag == "input" and self.forms and attributes.get("name"):
            form, name = self.forms[-1], str(attributes["name"])
            if attributes.get("type") in {"radio", "checkbox"} and "checked" not in attributes:
                return
            is_switch = attributes.get("type") == "checkbox"
            form.fields[name] = attributes.get("value") or ("on" if is_switch else "")
            form.attributes[name] = attributes
        elif tag == "textarea" and self.forms:
            self._area = str(attributes["name"])
            self.forms[-1].fields[self._area] = ""
            self.forms[-1].attributes[self._area] = attributes
        elif tag == "select" and self.forms:
            self._select = str(attributes["name"])
        elif tag == "option" and "selected" in attributes:
            self.forms[-1].fields[self._select] = attributes.get("value") or ""
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append((attributes.get("name"), attributes.get("value")))

    def handle_data(self, data: str) -> None:
        if self._area:
            self.forms[-1].fields[self._area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":  # whose first line break does not count (HTML section 13.1.2)
            self.forms[-1].fields[self._area] = self.forms[-1].fields[self._area].removeprefix("\n")
            self._area = ""


def forms_of(response: httpx2.Response) -> list[PageForm]:
    """The forms of a page."""
    return PageReader(response.text).forms


def form_to(response: httpx2.Response, action: str) -> PageForm:
    """The one form of a page whose action begins like this."""
    (form,) = [form for form in forms_of(response) if form.action.startswith(action)]
    return form


class Visitor:
    """A browser: it keeps cookies, and sends forms with what the page put into them."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **arguments: Any) -> httpx2.Response:
        return await self.client.get(path, **arguments)

    async def post(self, path: str, data: dict[str, str], **arguments: Any) -> httpx2.Response:
        return await self.client.post(path, data=data, **arguments)

    async def submit(self, page: httpx2.Response, action: str, **typed: str) -> httpx2.Response:
        """Fill in the form and send it."""
        form = form_to(page, action)
        return await self.post(urljoin(str(page.url), form.action), {**form.fields, **typed})

    async def press(self, page: httpx2.Response, value: str, path: str = "") -> httpx2.Response:
        """Press the button `action=value`, of the form that goes to `path` where there are several."""
        form = next(
            each for each in forms_of(page) if ("action", value) in each.buttons and each.action.startswith(path)
        )
        return await self.post(urljoin(str(page.url), form.action), {**form.fields, "action": value})

    async def sign_in(self, email: str = "ada@example.com", password: str = PASSWORD) -> httpx2.Response:
        return await self.submit(await self.get("/sign-in"), "/sign-in", email=email, password=password)

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self.client.cookies.items())


@dataclass(slots=True)
class Site:
    """The running application."""

    services: Services
    transport: httpx2.ASGITransport
    origin: str

    def visitor(self, **headers: str) -> Visitor:
        """Another browser."""
        return Visitor(httpx2.AsyncClient(transport=self.transport, base_url=self.origin, headers=headers))

    def visitor_from(self, address: str) -> Visitor:
        """A browser at another address."""
        transport = httpx2.ASGITransport(app=self.transport.app, client=(address, 50_000))
        return Visitor(httpx2.AsyncClient(transport=transport, base_url=self.origin))

    async def person(self, email: str = "ada@example.com", name: str = "Ada", **more: Any) -> Person:
        """Somebody with an account."""
        person: Person = await self.services.people.create(email, name, Secret(PASSWORD), **more)
        return person


MakeSite = Callable[..., Site]


def make_site(tmp_path: Path, clock: FakeClock, **settings: Any) -> Site:
    configured = Settings(data_dir=tmp_path, **settings)
    services = build_services(configured, clock=clock, passwords=Passwords(time_cost=1, memory_cost=8, parallelism=1))
    app = create_app(configured, services=services)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=False, client=("192.0.2.1", 50_000))
    return Site(services, transport, configured.origin)


@pytest.fixture
async def site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """The application as it is without any setting."""
    made = make_site(tmp_path, clock)
    async with made.services.db:
        yield made


@pytest.fixture
async def open_site(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Site]:
    """The application on the public internet, where anyone may sign up."""
    made = make_site(tmp_path, clock, public_url="https://drio.example.com", signup="open")
    async with made.services.db:
        yield made


@pytest.fixture
async def visitor(site: Site) -> Visitor:
    return site.visitor()

"""The person at the browser: signs in, allows, revokes, by the forms that the pages show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin

import httpx2

from tests.clients.running import EMAIL, PASSWORD

MOST_STEPS = 12


@dataclass
class PageForm:
    """One form of a page: where it leads, and what its fields hold."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    """Names and values of its buttons."""


class Forms(HTMLParser):
    """The forms of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[PageForm] = []
        self._open = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(PageForm(values.get("action", ""), values.get("method", "get").lower()))
            self._open = True
        elif self._open and tag == "input" and values.get("name"):
            self.found[-1].fields[values["name"]] = values.get("value", "")
        elif self._open and tag == "button" and values.get("name"):
            self.found[-1].buttons.append((values["name"], values.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = False


class Person:
    """One person with one browser."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.http = httpx2.Client(trust_env=False, headers={"User-Agent": "Mozilla/5.0 (tests)"})
        self.seen: list[str] = []
        """The pages that were shown, by path."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.http.close()

    def decide(self, url: str, decision: str = "allow") -> str:
        """Open an authorization URL, sign in where asked, decide; gives the URL that leads back to the client."""
        response = self.http.get(url)
        for _ in range(MOST_STEPS):
            if response.has_redirect_location:
                location = urljoin(str(response.url), response.headers["location"])
                if not location.startswith(f"{self._origin}/"):
                    return location
                response = self.http.get(location)
                continue
            self.seen.append(response.url.path)
            assert response.status_code == 200, f"{response.url.path}: {response.status_code}\n{response.text}"
            response = self._answer(response, decision)
        raise AssertionError(f"no way back to the client in {MOST_STEPS} steps: {self.seen}")

    def _answer(self, response: httpx2.Response, decision: str) -> httpx2.Response:
        for form in Forms(response.text).found:
            if "password" in form.fields:
                return self.submit(response, form, {"email": EMAIL, "password": PASSWORD})
            if ("decision", decision) in form.buttons:
                return self.submit(response, form, {"decision": decision})
        raise AssertionError(f"nothing to do on {response.url.path}\n{response.text}")

    def submit(self, page: httpx2.Response, form: PageForm, typed: Mapping[str, str]) -> httpx2.Response:
        """Send a form as a browser does."""
        target = urljoin(str(page.url), form.action)
        origin = f"{page.url.scheme}://{page.url.netloc.decode()}"
        return self.http.post(target, data={**form.fields, **typed}, headers={"Origin": origin})

    def revoke_everything(self) -> int:
        """Revoke every connected client on the account page; gives how many there were."""
        page = self.http.get(f"{self._origin}/account")
        assert page.status_code == 200, "not signed in"
        forms = [form for form in Forms(page.text).found if form.action.endswith("/account/clients/revoke")]
        for form in forms:
            answer = self.submit(page, form, {})
            assert answer.status_code == 303, answer.text
        return len(forms)

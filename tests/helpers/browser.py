"""A browser without a screen: follows links and redirects on the server, fills in forms, keeps cookies."""

from html.parser import HTMLParser
from typing import Self
from urllib.parse import urljoin, urlsplit

import httpx2

MAX_REDIRECTS = 10
NO_TLS = False
"""Servers under test speak plain http; to load the certificate authorities for each client costs 20 ms."""


class Form:
    """A form as it stands on the page: where it goes, its fields with their values, and its buttons."""

    def __init__(self, action: str, method: str) -> None:
        self.action = action
        self.method = method.upper()
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []


class FormParser(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get")))
            self._inside = True
        elif self._inside and tag in {"input", "textarea", "select"} and "name" in values:
            if values.get("type") not in {"checkbox", "radio"} or "checked" in values:
                self.forms[-1].fields[values["name"]] = values.get("value", "")
        elif self._inside and tag == "button" and values.get("name"):
            self.forms[-1].buttons.append((values["name"], values.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Browser:
    """One browser window with its cookies. `page` is what it shows; `left_to` is where it was led off the server."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._client = httpx2.Client(trust_env=False, timeout=30, verify=NO_TLS)
        self.page: httpx2.Response | None = None
        self.left_to: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._client.close()

    @property
    def text(self) -> str:
        assert self.page is not None
        return self.page.text

    @property
    def cookies(self) -> dict[str, str]:
        return dict(self._client.cookies.items())

    @property
    def forms(self) -> list[Form]:
        parser = FormParser()
        parser.feed(self.text)
        return parser.forms

    def open(self, url: str) -> Self:
        """Go to `url`, absolute or a path, and wherever it redirects."""
        return self._follow(self._client.get(urljoin(self._base_url, url)))

    def submit(self, *, button: tuple[str, str] | None = None, form_with: str | None = None, **fields: str) -> Self:
        """Send the form that has the field `form_with` (the one with all of `fields` by default)."""
        wanted = {form_with} if form_with else set(fields)
        names = [{*form.fields, *(name for name, _ in form.buttons)} for form in self.forms]
        if button is not None:
            wanted |= {button[0]}
        form = next(form for form, present in zip(self.forms, names, strict=True) if wanted <= present)
        data = {**form.fields, **fields, **(dict([button]) if button else {})}
        assert self.page is not None
        target = urljoin(str(self.page.url), form.action or str(self.page.url))
        headers = {"Origin": self._base_url, "Sec-Fetch-Site": "same-origin"}
        if form.method == "GET":
            return self._follow(self._client.get(target, params=data, headers=headers))
        return self._follow(self._client.post(target, data=data, headers=headers))

    def post(self, url: str, fields: dict[str, str]) -> httpx2.Response:
        """Send a form that no page showed; what came of it, without following it."""
        headers = {"Origin": self._base_url, "Sec-Fetch-Site": "same-origin"}
        return self._client.post(urljoin(self._base_url, url), data=fields, headers=headers)

    def sign_in(self, email: str, password: str) -> Self:
        """Fill in the sign-in form that the window shows."""
        return self.submit(email=email, password=password)

    def decide(self, decision: str, choices: str | None = None) -> Self:
        """Press `allow` or `deny` on the consent page; `choices` is chosen for every connection that it asks about."""
        form = next(form for form in self.forms if ("decision", decision) in form.buttons)
        chosen = {name: choices for name in form.fields if name.startswith("use:")} if choices else {}
        return self.submit(button=("decision", decision), **chosen)

    def _follow(self, response: httpx2.Response) -> Self:
        self.left_to = None
        for _ in range(MAX_REDIRECTS):
            location = response.headers.get("location")
            if location is None or not 300 <= response.status_code < 400:
                self.page = response
                return self
            url = urljoin(str(response.url), location)
            if f"{urlsplit(url).scheme}://{urlsplit(url).netloc}" != self._base_url:
                self.page, self.left_to = response, url
                return self
            response = self._client.get(url)
        raise AssertionError("the server redirects in a circle")

"""A person in front of a browser, as far as the workloads need one: it signs in, approves, and reads the code."""

import re
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

from bench.load import Connection, LoadError, Requests
from bench.servers import EMAIL, PASSWORD

MAX_STEPS = 10
REDIRECTS = frozenset({302, 303, 307})


class Form(HTMLParser):
    """The first form of a page that posts: where it goes, and the fields that are filled in already."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "form" and self.action is None and (values.get("method") or "").lower() == "post":
            self.action = values.get("action") or ""
            self._inside = True
        elif tag == "input" and self._inside and values.get("name"):
            self.fields[str(values["name"])] = values.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False


class Browser:
    """Keeps cookies, follows redirects on its own origin, and fills in the forms of sign-in and consent."""

    def __init__(self, connection: Connection, requests: Requests) -> None:
        self._connection = connection
        self._requests = requests
        self._cookies: dict[str, str] = {}

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the browser sends with every request."""
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        return [("Cookie", cookies)] if cookies else []

    async def authorize(self, path: str) -> str:
        """Open the authorization request `path`, do what the pages ask for, and return the code."""
        request = self._get(path)
        for _ in range(MAX_STEPS):
            answer = await self._connection.send(request)
            self._remember(answer.headers)
            location = answer.header(b"location")
            if answer.status in REDIRECTS and location is not None:
                if code := code_in(location):
                    return code
                path = self._local(location)
                request = self._get(path)
            elif answer.expect(200):
                request = self._filled(answer.body.decode(), path)
        raise LoadError("the authorization request led to no code")

    def _get(self, path: str) -> bytes:
        return self._requests.plain("GET", path, [("Accept", "text/html"), *self.headers])

    def _filled(self, page: str, path: str) -> bytes:
        form = Form(page)
        if form.action is None:
            raise LoadError(f"no form on the page {urlsplit(path).path}")
        if "password" in form.fields:
            form.fields |= {"login" if "login" in form.fields else "email": EMAIL, "password": PASSWORD}
        else:
            form.fields["decision"] = "allow"
        headers = [("Origin", f"http://{self._requests.host}"), *self.headers]
        return self._requests.form(self._local(form.action or path), form.fields, headers)

    def _local(self, location: str) -> str:
        parts = urlsplit(location)
        if parts.netloc not in {"", self._requests.host}:
            raise LoadError(f"unexpected redirect to {parts.netloc}")
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def _remember(self, headers: list[tuple[bytes, bytes]]) -> None:
        for name, value in headers:
            if name == b"set-cookie" and (cookie := re.match(r"([^=;]+)=([^;]*)", value.decode("latin-1"))):
                self._cookies[cookie[1]] = cookie[2]


def code_in(location: str) -> str | None:
    """The authorization code in a redirect (RFC 6749 section 4.1.2)."""
    return next(iter(parse_qs(urlsplit(location).query).get("code", [])), None)

from collections import Counter

import pytest

from drio_mcp.pages import PAGES
from tests.pages.conftest import Site, Visitor


@pytest.mark.parametrize(
    ("method", "path", "status", "sentence"),
    [
        ("GET", "/nothing/here", 404, "There is nothing here"),
        ("GET", "/static/nothing.css", 404, "There is nothing here"),
        ("GET", "/static/..%2f..%2fconfig.py", 404, "There is nothing here"),
        ("POST", "/", 405, "does not work that way"),
        ("DELETE", "/sign-in", 405, "does not work that way"),
        ("GET", "/account/password", 405, "does not work that way"),
    ],
)
async def test_errors_are_pages_in_plain_words_with_the_requests_id(
    visitor: Visitor, method: str, path: str, status: int, sentence: str
) -> None:
    answer = await visitor.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert sentence in answer.text
    assert answer.headers["x-request-id"] in answer.text


async def test_a_failure_of_ours_tells_nothing_about_itself(
    site: Site, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> bool:
        raise RuntimeError("a secret of the server")

    monkeypatch.setattr(site.services.people, "any", fail)
    answer = await visitor.get("/sign-in")
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] in answer.text


@pytest.mark.parametrize("path", ["/", "/sign-in", "/nothing/here"])
async def test_pages_cannot_be_framed_and_run_nothing_inline(visitor: Visitor, path: str) -> None:
    """Clickjacking (RFC 9700 section 4.16)."""
    answer = await visitor.get(path)
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'none'" in policy
    assert "form-action 'self';" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert answer.text.count("<script") == answer.text.count('<script src="/static/drio.js?v=')


async def test_https_is_remembered_by_browsers(open_site: Site) -> None:
    answer = await open_site.visitor().get("/")
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")


def test_each_page_has_a_name_of_its_own_in_the_log() -> None:
    """Lines name pages by their handler; a wrapper that swallows the name makes all of them one."""
    endpoints = {id(route.endpoint): route.endpoint for route in PAGES}
    names = Counter(getattr(each, "__name__", None) for each in endpoints.values())
    assert "endpoint" not in names
    assert None not in names

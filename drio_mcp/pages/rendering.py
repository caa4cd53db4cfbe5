"""Templates into responses."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.policy import content_security_policy
from drio_mcp.pages.static import asset_url


@cache
def environment() -> Environment:
    """The templates, all of them with autoescaping."""
    loaded = Environment(
        loader=PackageLoader("drio_mcp.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    loaded.filters["date"] = date_of
    loaded.filters["moment"] = moment_of
    loaded.globals["asset"] = asset_url
    return loaded


def page(
    browser: Browser,
    template: str,
    *,
    status: int = 200,
    form_targets: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    **context: Any,
) -> Response:
    """The template for this browser. `form_targets` widens `form-action` for forms that lead away from here."""
    services = services_of(browser.request)
    html = (
        environment()
        .get_template(template)
        .render(
            browser=browser,
            origin=services.settings.origin,
            now=services.clock.now(),
            **{"section": "", "problems": {}, "typed": {}, **context},
        )
    )
    policy = {"Content-Security-Policy": content_security_policy(*form_targets)}
    return browser.remember(HTMLResponse(html, status, {**policy, **(headers or {})}))


def bare_page(request: Request, template: str, status: int, headers: dict[str, str], **context: Any) -> Response:
    """A page that asks neither the database nor the cookie, for when something is wrong already."""
    html = environment().get_template(template).render(browser=None, **context)
    return HTMLResponse(html, status, {"Content-Security-Policy": content_security_policy(), **headers})


def date_of(milliseconds: int) -> str:
    """A moment for people, such as `15 March 2026, 12:00 UTC`."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def moment_of(text: str) -> str:
    """The same of a moment as the API writes it (RFC 3339)."""
    return date_of(round(datetime.fromisoformat(text).timestamp() * 1000))

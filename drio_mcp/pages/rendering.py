"""Templates into responses."""

import re
from datetime import UTC, datetime
from functools import cache
from typing import Any
from zlib import crc32

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from drio_mcp.clock import DAY, HOUR, MINUTE, rfc3339
from drio_mcp.middleware.context import services_of
from drio_mcp.pages.browser import Browser
from drio_mcp.pages.policy import content_security_policy
from drio_mcp.pages.static import asset_url

MONTH = 30 * DAY
UNITS = (("day", DAY), ("hour", HOUR), ("minute", MINUTE))
HUES = 12


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
    for each in (date_of, relative, hue, initials):
        loaded.filters[each.__name__.removesuffix("_of")] = each
    loaded.filters["rfc3339"] = lambda moment: rfc3339(milliseconds_of(moment))
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


def milliseconds_of(moment: int | str) -> int:
    """A moment in milliseconds, which the API writes as RFC 3339."""
    return moment if isinstance(moment, int) else round(datetime.fromisoformat(moment).timestamp() * 1000)


def date_of(moment: int | str) -> str:
    """A moment for people, such as `15 March 2026, 12:00 UTC`."""
    when = datetime.fromtimestamp(milliseconds_of(moment) / 1000, UTC)
    return f"{when.day} {when:%B %Y, %H:%M} UTC"


def relative(moment: int | str, now: int) -> str:
    """How far away a moment is: `5 minutes ago`, `in 2 hours`; beyond a month its day, such as `15 March 2026`."""
    away = milliseconds_of(moment) - now
    distance = abs(away)
    if distance < MINUTE:
        return "in a moment" if away > 0 else "just now"
    if distance >= MONTH:
        return date_of(moment).partition(",")[0]
    unit, length = next((name, length) for name, length in UNITS if distance >= length)
    count = round(distance / length)
    words = f"{count} {unit}{'' if count == 1 else 's'}"
    return f"in {words}" if away > 0 else f"{words} ago"


def initials(name: str) -> str:
    """One or two letters that stand for a name."""
    words = [word for word in re.split(r"[\W_]+", name) if word]
    letters = words[0][0] + words[1][0] if len(words) > 1 else name[:2] if words else "?"
    return letters.upper()


def hue(name: str) -> int:
    """One of `HUES` colours, always the same for a name; their look is in the stylesheet."""
    return crc32(name.encode()) % HUES

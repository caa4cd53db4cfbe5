"""Signing in at the provider of `DRIO_OIDC_ISSUER`: the page that leads there and the one where people come back."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from drio_mcp.accounts.oidc import OidcSignInFailed, SignInHints
from drio_mcp.errors import NotFound
from drio_mcp.middleware.context import address_of, request_id_of, services_of
from drio_mcp.middleware.logs import fields
from drio_mcp.pages.browser import open_browser
from drio_mcp.pages.paths import own_path
from drio_mcp.pages.rendering import bare_page

TITLES = {403: "You were not signed in", 409: "You were not signed in", 503: "The sign-in provider does not answer"}

log = logging.getLogger("drio_mcp.upstream")


async def start(request: Request) -> Response:
    """GET /sign-in/provider: on to the provider.

    The browser's CSRF token, which its pages alone know, binds the sign-in to it. A link leads here, not a form:
    browsers apply `form-action` to every redirect that follows a form, and through which hosts a provider leads people
    is not ours to know. Whoever makes somebody else open it has gained nothing.
    """
    upstream = services_of(request).oidc_sign_in
    if not upstream.is_enabled:
        raise NotFound
    browser = await open_browser(request)
    query = request.query_params
    max_age = query.get("max_age", "")
    hints = SignInHints(
        login_hint=query.get("email", "")[:254] or None,
        prompt="login" if query.get("again") else None,
        max_age=int(max_age) if max_age.isascii() and max_age.isdigit() and len(max_age) < 10 else None,
    )
    try:
        url = await upstream.begin(browser.csrf, own_path(query.get("next", "")), address_of(request), hints)
    except OidcSignInFailed as failure:
        return _explain(request, failure)
    return browser.redirect(url)


async def come_back(request: Request) -> Response:
    """GET /api/v1/auth/callback: back from the provider, and on to where the person was going."""
    upstream = services_of(request).oidc_sign_in
    if not upstream.is_enabled:
        raise NotFound
    browser = await open_browser(request)
    try:
        arrival = await upstream.finish(browser.csrf, request.query_params.multi_items())
    except OidcSignInFailed as failure:
        if failure.reason == "not_ours" and browser.person is not None:
            return browser.redirect("/apps")  # reloaded, or a second tab: the first return signed the person in
        return _explain(request, failure)
    onward = own_path(arrival.return_to)
    await browser.sign_in(arrival.person, arrival.authenticated_at, proved_for=onward)
    return browser.redirect(onward)


def _explain(request: Request, failure: OidcSignInFailed) -> Response:
    request_id = request_id_of(request.scope)
    log.warning(
        "upstream sign-in failed",
        extra=fields(request_id=request_id, reason=failure.reason, detail=failure.detail),
    )
    return bare_page(
        request,
        "error.html",
        failure.http_status,
        {},
        title=TITLES.get(failure.http_status, "The sign-in did not work"),
        message=failure.message,
        advice=failure.advice,
        retry="/sign-in",
        request_id=request_id,
    )

"""Where a form leads in the end, when it leads to the authorization endpoint first."""

from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from drio_mcp.errors import DrioError
from drio_mcp.middleware.context import asker_of, services_of
from drio_mcp.middleware.families import AUTHORIZE
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.pages.policy import form_target


async def client_behind(request: Request, path: str) -> tuple[str | None, tuple[str, ...]]:
    """The name of the client that waits behind `path`, and the form target that its redirect needs.

    Only a checked request counts: a path that somebody made up widens no policy.
    """
    parts = urlsplit(path)
    if parts.path != AUTHORIZE:
        return None, ()
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        checked = await services_of(request).authorization.check(pairs, asker_of(request))
    except (DrioError, ValueError):
        return None, ()
    return harmless_name(checked.client.name), (form_target(checked.redirect_uri),)

"""The one list of pages. Each names its handler, which is loaded when somebody opens a page of its module.

Pages bring the templates along: as much of a start as the authorization server, and clients need none of it.
"""

import pkgutil
from collections.abc import Awaitable, Callable
from importlib import import_module
from types import ModuleType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from drio_mcp.loading import load
from drio_mcp.middleware.families import AUTHORIZE, CALLBACK, ROOT_AUTHORIZE
from drio_mcp.pages.paths import PROVIDER_SIGN_IN

Handler = Callable[[Request], Awaitable[Response]]

_loaded: dict[str, ModuleType] = {}


def page(name: str) -> Handler:
    """The handler that is called `module.function` and is so named; its module is loaded beside other requests."""
    module, _, function = name.partition(".")

    async def handle(request: Request) -> Response:
        if module not in _loaded:
            _loaded[module] = await load(lambda: import_module(f"drio_mcp.pages.{module}"))
        handler: Handler = getattr(_loaded[module], function)
        return await handler(request)

    handle.__name__, handle.__qualname__ = function, name
    return handle


def load_all() -> None:
    """Load every page at once, where one process does it for several."""
    for each in pkgutil.iter_modules(import_module("drio_mcp.pages").__path__, "drio_mcp.pages."):
        import_module(each.name)


PAGES = [
    Route("/", page("landing.start_page")),
    Route("/static/{name}", page("static.static_file")),
    Route("/setup", page("new_account.set_up"), methods=["GET", "POST"]),
    Route("/invite", page("new_account.accept_invitation"), methods=["GET", "POST"]),
    Route("/reset", page("reset_password.reset_password"), methods=["GET", "POST"]),
    Route("/sign-in", page("sign_in.sign_in"), methods=["GET", "POST"]),
    Route(PROVIDER_SIGN_IN, page("oidc_sign_in.start")),
    Route(CALLBACK, page("oidc_sign_in.come_back")),
    Route("/sign-up", page("new_account.sign_up"), methods=["GET", "POST"]),
    Route("/sign-out", page("sign_in.sign_out"), methods=["GET", "POST"]),
    Route(AUTHORIZE, page("authorize.authorize"), methods=["GET", "POST"]),
    Route(ROOT_AUTHORIZE, page("authorize.authorize"), methods=["GET", "POST"]),
    Route("/account", page("account.account")),
    Route("/account/profile", page("account.save_profile"), methods=["POST"]),
    Route("/account/password", page("account.change_password"), methods=["POST"]),
    Route("/account/sessions/revoke", page("account.revoke_session"), methods=["POST"]),
    Route("/account/clients/revoke", page("account.revoke_client"), methods=["POST"]),
    Route("/account/grants/revoke", page("account.revoke_grant"), methods=["POST"]),
    Route("/account/tokens", page("account.create_token"), methods=["POST"]),
    Route("/apps", page("apps.list_apps"), methods=["GET", "POST"]),
    Route("/apps/{appId}", page("apps.show_app")),
    Route("/apps/{appId}/settings", page("apps.app_settings"), methods=["GET", "POST"]),
    Route("/apps/{appId}/delete", page("apps.delete_app"), methods=["GET", "POST"]),
    Route("/apps/{appId}/clients", page("app_clients.app_clients"), methods=["GET", "POST"]),
    Route("/apps/{appId}/approvals/{approvalId}", page("approval.show_approval"), methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/use", page("connection_use.connection_use"), methods=["GET", "POST"]),
    Route("/apps/{appId}/connect", page("new_connection.connect"), methods=["GET", "POST"]),
    Route("/apps/{appId}/new", page("new_connection.new_connection"), methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}", page("connection.show_connection"), methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/edit", page("connection.edit_connection"), methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/history", page("connection.show_history")),
    Route("/apps/{appId}/auth/{authId}/delete", page("connection.delete_connection"), methods=["GET", "POST"]),
    *(
        route
        for path in ("/apps/{appId}/provider-clients", "/operator/provider-clients")
        for route in (
            Route(path, page("provider_clients.list_clients")),
            Route(f"{path}/new", page("provider_clients.new_client"), methods=["GET", "POST"]),
            Route(f"{path}/{{clientId}}", page("provider_clients.show_client"), methods=["GET", "POST"]),
            Route(f"{path}/{{clientId}}/delete", page("provider_clients.delete_client"), methods=["GET", "POST"]),
        )
    ),
    Route("/apps/{appId}/webhooks", page("webhooks.list_webhooks")),
    Route("/apps/{appId}/webhooks/new", page("webhooks.new_webhook"), methods=["GET", "POST"]),
    Route("/apps/{appId}/webhooks/{webhookId}", page("webhooks.show_webhook"), methods=["GET", "POST"]),
    Route("/apps/{appId}/webhooks/{webhookId}/delete", page("webhooks.delete_webhook"), methods=["GET", "POST"]),
    Route("/operator", page("operator.show_overview")),
    Route("/operator/people", page("operator_people.show_people"), methods=["GET", "POST"]),
    Route("/operator/people/{userId}", page("operator_people.show_person"), methods=["GET", "POST"]),
    Route("/operator/connections", page("operator.show_connections")),
    Route("/operator/clients", page("operator.show_clients")),
    Route("/operator/grants", page("operator.show_grants")),
    Route("/operator/jobs", page("operator.show_jobs")),
    Route("/operator/doctor", page("operator.show_doctor")),
    Route("/connect/{token}", page("connect.connect"), methods=["GET", "POST"]),
    Route("/connect/callback/{callback}", page("connect.come_back")),
    Route("/connect/result/{authId}", page("connect.result")),
    Route("/connect/again/{authId}", page("connect.try_again"), methods=["POST"]),
]

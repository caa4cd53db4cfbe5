"""The one list of pages."""

from starlette.routing import Route

from drio_mcp.middleware.families import AUTHORIZE, CALLBACK, ROOT_AUTHORIZE
from drio_mcp.pages import (
    account,
    app_clients,
    approval,
    apps,
    connect,
    connection,
    connection_use,
    new_connection,
    operator,
    operator_people,
    provider_clients,
    webhooks,
)
from drio_mcp.pages import oidc_sign_in as upstream
from drio_mcp.pages.authorize import authorize
from drio_mcp.pages.landing import start_page
from drio_mcp.pages.new_account import accept_invitation, set_up, sign_up
from drio_mcp.pages.reset_password import reset_password
from drio_mcp.pages.sign_in import sign_in, sign_out
from drio_mcp.pages.static import static_file

PAGES = [
    Route("/", start_page),
    Route("/static/{name}", static_file),
    Route("/setup", set_up, methods=["GET", "POST"]),
    Route("/invite", accept_invitation, methods=["GET", "POST"]),
    Route("/reset", reset_password, methods=["GET", "POST"]),
    Route("/sign-in", sign_in, methods=["GET", "POST"]),
    Route(upstream.START_PATH, upstream.start),
    Route(CALLBACK, upstream.come_back),
    Route("/sign-up", sign_up, methods=["GET", "POST"]),
    Route("/sign-out", sign_out, methods=["GET", "POST"]),
    Route(AUTHORIZE, authorize, methods=["GET", "POST"]),
    Route(ROOT_AUTHORIZE, authorize, methods=["GET", "POST"]),
    Route("/account", account.account),
    Route("/account/profile", account.save_profile, methods=["POST"]),
    Route("/account/password", account.change_password, methods=["POST"]),
    Route("/account/sessions/revoke", account.revoke_session, methods=["POST"]),
    Route("/account/clients/revoke", account.revoke_client, methods=["POST"]),
    Route("/account/grants/revoke", account.revoke_grant, methods=["POST"]),
    Route("/account/tokens", account.create_token, methods=["POST"]),
    Route("/apps", apps.list_apps, methods=["GET", "POST"]),
    Route("/apps/{appId}", apps.show_app),
    Route("/apps/{appId}/settings", apps.app_settings, methods=["GET", "POST"]),
    Route("/apps/{appId}/delete", apps.delete_app, methods=["GET", "POST"]),
    Route("/apps/{appId}/clients", app_clients.app_clients, methods=["GET", "POST"]),
    Route("/apps/{appId}/approvals/{approvalId}", approval.show_approval, methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/use", connection_use.connection_use, methods=["GET", "POST"]),
    Route("/apps/{appId}/connect", new_connection.connect, methods=["GET", "POST"]),
    Route("/apps/{appId}/new", new_connection.new_connection, methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}", connection.show_connection, methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/edit", connection.edit_connection, methods=["GET", "POST"]),
    Route("/apps/{appId}/auth/{authId}/history", connection.show_history),
    Route("/apps/{appId}/auth/{authId}/delete", connection.delete_connection, methods=["GET", "POST"]),
    *(
        route
        for path in ("/apps/{appId}/provider-clients", "/operator/provider-clients")
        for route in (
            Route(path, provider_clients.list_clients),
            Route(f"{path}/new", provider_clients.new_client, methods=["GET", "POST"]),
            Route(f"{path}/{{clientId}}", provider_clients.show_client, methods=["GET", "POST"]),
            Route(f"{path}/{{clientId}}/delete", provider_clients.delete_client, methods=["GET", "POST"]),
        )
    ),
    Route("/apps/{appId}/webhooks", webhooks.list_webhooks),
    Route("/apps/{appId}/webhooks/new", webhooks.new_webhook, methods=["GET", "POST"]),
    Route("/apps/{appId}/webhooks/{webhookId}", webhooks.show_webhook, methods=["GET", "POST"]),
    Route("/apps/{appId}/webhooks/{webhookId}/delete", webhooks.delete_webhook, methods=["GET", "POST"]),
    Route("/operator", operator.show_overview),
    Route("/operator/people", operator_people.show_people, methods=["GET", "POST"]),
    Route("/operator/people/{userId}", operator_people.show_person, methods=["GET", "POST"]),
    Route("/operator/connections", operator.show_connections),
    Route("/operator/clients", operator.show_clients),
    Route("/operator/grants", operator.show_grants),
    Route("/operator/jobs", operator.show_jobs),
    Route("/operator/doctor", operator.show_doctor),
    Route("/connect/{token}", connect.connect, methods=["GET", "POST"]),
    Route("/connect/callback/{callback}", connect.come_back),
    Route("/connect/result/{authId}", connect.result),
    Route("/connect/again/{authId}", connect.try_again, methods=["POST"]),
]

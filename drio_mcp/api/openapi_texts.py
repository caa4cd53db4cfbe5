"""What openapi.json says beside the models: to what an operation belongs, what it is for, and an example of each."""

from collections.abc import Mapping
from typing import Any

TAGS: Mapping[str, str] = {
    "account": "Whose token it is, and that person's own tokens.",
    "apps": "Apps hold auth connections; each is an MCP server too.",
    "providers": "The catalog of services that can be connected.",
    "connections": "Auth connections: made, read, changed, deleted, and looked after.",
    "use": "Credentials, and calls with the credential put in. Wants the scope `connections:use`.",
    "provider-clients": "The OAuth clients that this server has at providers.",
    "webhooks": "Who is told what happens to connections.",
    "oauth": "The authorization server: registration, authorization, tokens, revocation, keys.",
}
"""By their names, in the order in which a reader wants them."""

DESCRIPTIONS: Mapping[str, str] = {
    "get_me": "E-mail, name and image are null unless their scopes were granted.",
    "list_tokens": "What a token is worth is told only when it is made, at /account or by drio-mcp tokens create.",
    "revoke_token": "Every process refuses it from then on. The token that asks may be the one that ends.",
    "list_apps": "Oldest first, in pages; nextCursor is there while there is more.",
    "create_app": "With an Idempotency-Key the same request within 24 hours gives the first answer again.",
    "get_app": "With If-None-Match the answer is 304 while nothing has changed.",
    "update_app": "RFC 7396: what is absent stays, null clears, arrays replace. With If-Match only that version.",
    "delete_app": "Its connections go with it, and access at their providers is given back where they allow it.",
    "list_auth_providers": "With q those that fit the words, best first. client says whose OAuth client there is.",
    "get_auth_provider": "By its key.",
    "list_auth_connections": "In pages, with the providers that they use. Secrets are masked.",
    "create_auth_connection": "For those who know all settings; connect_auth finds them out.",
    "connect_auth": "Finds out how target or providerKey signs in and makes the connection. connect.url is a page for "
    "the signed-in owner, once, for 30 minutes. The same request again gives the same connection.",
    "get_auth_connection": "With wait the answer comes as soon as the connection no longer waits for its person.",
    "update_auth_connection": "RFC 7396: what is absent stays, null clears, arrays replace. The mask keeps a secret.",
    "delete_auth_connection": "Final, and access at the provider is given back; with undo=true there are ten minutes.",
    "register_auth_client": "RFC 7591 at the provider's registration endpoint. Impossible: 409 with a diagnosis.",
    "validate_auth_connection": "Sets status and lastError by what was found; the evidence is in the answer.",
    "diagnose_auth_connection": "Changes nothing. nextStep is a call (tool, arguments) or a page (url), never both.",
    "refresh_auth_connection": "Once however many ask. Impossible: 409 with a diagnosis, or 503 with Retry-After.",
    "list_auth_history": "Who did what with which outcome; never a secret, an argument or a result.",
    "issue_auth_token": "Renewed before, if it has run out or is about to.",
    "call_through_proxy": "Method, query and body are passed on, and the answer is the provider's. Failures of our own "
    "carry X-Drio-Error and the envelope.",
    "list_provider_clients": "Their secrets are masked.",
    "create_provider_client": "One for all connections at that authorization server. Enter redirectUri there.",
    "get_provider_client": "connections is how many use it.",
    "update_provider_client": "Name, id, secret and authentication; a new secret heals every connection of the client.",
    "delete_provider_client": "409 while connections use it, unless force=true, which leaves them needs_reauth.",
    "list_webhooks": "Without their secrets.",
    "create_webhook": "Without events it is told of all. Messages are signed by the rules of Standard Webhooks.",
    "get_webhook": "Without its secret.",
    "update_webhook": "With rotateSecret the new secret is in the answer.",
    "delete_webhook": "What was waiting to be delivered is dropped.",
    "test_webhook": "The attempt is in the answer, and among the deliveries.",
    "list_webhook_deliveries": "With status, duration and outcome of each.",
}
"""By the operation's name. The server's provider clients are told of as an app's."""

PARAMETERS: Mapping[str, str] = {
    "appId": "The app's id.",
    "authId": "The connection's id or key.",
    "clientId": "The provider client's id.",
    "client_id": "The client id that registration gave.",
    "key": "The provider's key.",
    "tokenId": "The token's id, from the list.",
    "webhookId": "The webhook's id.",
    "path": "What is called, relative to apiBaseUrl; slashes belong to it.",
    "dryRun": "Give the answer, and change nothing.",
    "limit": "At most so many.",
    "cursor": "nextCursor of the page before.",
    "status": "Only those in this status.",
    "providerKey": "Only those of this provider.",
    "q": "Words to look for.",
    "wait": "Seconds to wait for the person, 0 to 55.",
    "undo": "Leave ten minutes to take it back.",
    "force": "Also while connections use it.",
    "If-Match": "The ETag that was read: 412 if it is another by now.",
    "If-None-Match": "The ETag that was read: 304 if it is still the same.",
    "Idempotency-Key": "Any text; the same key and body within 24 hours give the first answer again.",
}
"""Of parameters, wherever they stand."""

ID = "auth_3kTzQ0bL8vXm5rJ2wNcY7A"
APP_ID = "app_Xd1ijEjN8y22khE0HOOB5g"
MASK = "********"
AT = "2026-03-15T12:00:00.000Z"
AUTH = {
    "id": ID,
    "appId": APP_ID,
    "providerId": "provider_custom-oauth",
    "providerKey": "custom-oauth",
    "providerName": "Custom OAuth",
    "key": "primary-auth",
    "name": "Primary Auth",
    "status": "valid",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/oauth/authorize",
        "tokenEndpoint": "https://accounts.example.com/oauth/token",
        "clientId": "client_123",
        "clientSecret": MASK,
        "scopes": ["contacts:read"],
    },
    "secretRef": f"sealed://{ID}",
    "grants": ["contacts:read"],
    "lastValidatedAt": AT,
    "lastError": None,
}
LINK = {"url": "https://drio.example.com/connect/Zm9vYmFyYmF6", "expiresAt": "2026-03-15T12:30:00.000Z"}

BODIES: Mapping[str, Any] = {
    "create_app": {"name": "Sales assistant", "description": "Reads our CRM"},
    "update_app": {"description": None, "branding": {"color": "#0a7"}},
    "create_auth_connection": {
        "providerKey": "custom-api-key",
        "name": "Weather",
        "config": {"headerName": "X-Api-Key", "apiBaseUrl": "https://api.weather.example"},
    },
    "connect_auth": {"target": "https://mcp.linear.app/mcp", "name": "Linear"},
    "update_auth_connection": {"name": "Linear, team", "config": {"scopes": ["read"], "isDefault": True}},
    "issue_auth_token": {"scopes": ["contacts:read"]},
    "create_provider_client": {
        "providerKey": "gmail",
        "clientId": "1234.apps.example",
        "clientSecret": "from-the-console",
    },
    "update_provider_client": {"clientSecret": "the-new-one"},
    "create_webhook": {"url": "https://hooks.example.com/drio", "events": ["connection.needs_reauth"]},
    "update_webhook": {"rotateSecret": True},
}
"""A right body by the operation's name."""

ANSWERS: Mapping[str, Any] = {
    "get_me": {
        "user": {
            "workosUserId": "user_5mYd0T3hQ1nS8wPzKx2LrA",
            "email": "ada@example.com",
            "image": None,
            "name": "Ada",
            "scopes": ["openid", "profile", "email"],
        }
    },
    "list_tokens": {
        "tokens": [
            {
                "id": "grant_8bJ1xQ7mT4kZc0VwNs3RpA",
                "name": "Nightly backup",
                "scopes": ["openid", "connections:read"],
                "createdAt": AT,
                "usedAt": None,
                "expiresAt": "2026-04-14T12:00:00.000Z",
            }
        ]
    },
    "revoke_token": {"deleted": True},
    "delete_app": {"deleted": True},
    "get_auth_connection": {"auth": AUTH},
    "update_auth_connection": {"auth": AUTH},
    "connect_auth": {
        "auth": {**AUTH, "status": "pending", "secretRef": None, "grants": [], "lastValidatedAt": None},
        "connect": LINK,
        "plan": {
            "method": "dynamic_registration",
            "evidence": [
                {
                    "url": "https://mcp.linear.app/.well-known/oauth-protected-resource/mcp",
                    "status": 200,
                    "finding": "The resource names its authorization server",
                }
            ],
            "steps": ["Open the link and allow the access"],
        },
    },
    "diagnose_auth_connection": {
        "diagnosis": {
            "code": "reauthorization_required",
            "summary": "The provider no longer honours the grant: the person must allow it anew",
            "actor": "person",
            "evidence": [{"check": "refresh", "result": "failed", "detail": "The token endpoint said invalid_grant"}],
            "nextStep": {"tool": None, "arguments": None, "url": LINK["url"]},
        }
    },
    "issue_auth_token": {
        "token": {"accessToken": "ya29.example", "tokenType": "Bearer", "expiresAt": AT, "scopes": ["contacts:read"]}
    },
    "delete_auth_connection": {"deleted": True},
}
"""What a success looks like, by the operation's name; of the others the schema says enough."""

ERROR_EXAMPLE = {
    "error": {
        "code": "validation_error",
        "message": "The request is not valid",
        "details": [{"path": "config.tokenEndpoint", "message": "must begin with https"}],
        "requestId": "0b6f4c0e-7c52-4c1b-9b0a-6f0f6a1f2d3e",
    }
}


def tag_of(path: str) -> str:
    """The tag of the operations at this path of the API."""
    parts = path.removeprefix("/api/v1/").split("/")
    if parts[0] == "apps" and len(parts) > 2:
        if parts[2] != "auth":
            return parts[2]
        return "use" if parts[4:5] in (["token"], ["proxy"]) else "connections"
    return {"me": "account", "auth": "oauth"}.get(parts[0], parts[0])


def description_of(name: str) -> str:
    """What the operation of this name is for, in a sentence or two."""
    return DESCRIPTIONS[own_name(name)]


def own_name(name: str) -> str:
    """The name under which the texts stand: the server's provider clients are told of as an app's."""
    return name.replace("_server_", "_")

"""The OAuth endpoints in openapi.json: their parameters are the RFCs', so they are written down, not generated."""

from typing import Any

AUTH = "/api/v1/auth"
JSON = "application/json"
HTML = "text/html"
FORM = "application/x-www-form-urlencoded"

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
STRINGS: Schema = {"type": "array", "items": STRING}

ERROR: Schema = {
    "type": "object",
    "description": "RFC 6749 section 5.2",
    "properties": {"error": STRING, "error_description": STRING},
    "required": ["error", "error_description"],
}


def _object(required: str, optional: str = "", **other: Schema) -> Schema:
    """An object of strings, but for `other`; names are separated by spaces."""
    names = [*required.split(), *optional.split()]
    properties = {name: other.get(name, STRING) for name in names} | other
    return {"type": "object", "properties": properties} | ({"required": required.split()} if required else {})


CLIENT_METADATA = _object(
    "redirect_uris",
    "client_name client_uri logo_uri scope token_endpoint_auth_method jwks_uri application_type",
    redirect_uris=STRINGS,
    grant_types=STRINGS,
    response_types=STRINGS,
    jwks={"type": "object"},
)
CLIENT = _object(
    "client_id redirect_uris token_endpoint_auth_method registration_access_token registration_client_uri",
    "client_name client_secret",
    redirect_uris=STRINGS,
    grant_types=STRINGS,
    response_types=STRINGS,
    client_id_issued_at={"type": "integer"},
    client_secret_expires_at={"type": "integer"},
)
TOKENS = _object(
    "access_token token_type expires_in",
    "refresh_token scope id_token",
    expires_in={"type": "integer", "description": "Seconds"},
)
CREDENTIALS = "client_id client_secret client_assertion client_assertion_type"
TOKEN_REQUEST = _object("grant_type", f"{CREDENTIALS} code code_verifier redirect_uri refresh_token scope resource")
REFRESH_REQUEST = _object("refresh_token", f"{CREDENTIALS} redirect_uri scope resource")
ABOUT_TOKEN = _object("token", f"{CREDENTIALS} token_type_hint")
ANY: Schema = {"type": "object"}


def _operation(
    name: str,
    summary: str,
    *,
    body: Schema | None = None,
    forms: tuple[str, ...] = (JSON,),
    status: int = 200,
    answer: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    success: Schema = {"description": summary}
    if answer is not None:
        success["content"] = {JSON: {"schema": answer}}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {
            str(status): success,
            "default": {"description": "An OAuth error", "content": {JSON: {"schema": ERROR}}},
        },
    }
    if body is not None:
        described["requestBody"] = {"required": True, "content": {form: {"schema": body} for form in forms}}
    if parameters is not None:
        described["parameters"] = parameters
    return described


CLIENT_ID: list[Schema] = [{"name": "client_id", "in": "path", "required": True, "schema": STRING}]
AUTHORIZE: list[Schema] = [
    *({"name": name, "in": "query", "required": True, "schema": STRING} for name in ("client_id", "redirect_uri")),
    *({"name": name, "in": "query", "schema": STRING} for name in ("code_challenge", "code_challenge_method", "state")),
    *({"name": name, "in": "query", "schema": STRING} for name in ("response_type", "scope", "resource", "nonce")),
    *({"name": name, "in": "query", "schema": STRING} for name in ("prompt", "login_hint", "max_age")),
]

PAGE: Schema = {
    "responses": {
        "200": {"description": "The question, for a person", "content": {HTML: {}}},
        "303": {"description": "Back to the client, or on to the sign-in page"},
        "default": {
            "description": "Back to the client, on to the sign-in page, or an error page",
            "content": {HTML: {}},
        },
    }
}

OAUTH_PATHS: dict[str, Schema] = {
    f"{AUTH}/register": {
        "post": _operation(
            "register_client", "Register a client (RFC 7591)", body=CLIENT_METADATA, status=201, answer=CLIENT
        )
    },
    f"{AUTH}/register/{{client_id}}": {
        "get": _operation("read_client", "Read a registration (RFC 7592)", answer=CLIENT, parameters=CLIENT_ID),
        "put": _operation(
            "update_client",
            "Replace a registration (RFC 7592)",
            body=CLIENT_METADATA,
            answer=CLIENT,
            parameters=CLIENT_ID,
        ),
        "delete": _operation("delete_client", "Remove a registration (RFC 7592)", status=204, parameters=CLIENT_ID),
    },
    f"{AUTH}/authorize": {
        "get": _operation("authorize", "The page that asks a person (RFC 6749 section 3.1)", parameters=AUTHORIZE)
        | PAGE,
        "post": _operation("authorize_or_decide", "The same by form, and the form of that page (RFC 6749 section 3.1)")
        | PAGE,
    },
    f"{AUTH}/callback": {
        "get": _operation("come_back_from_sign_in", "The return from the OpenID provider that signs people in") | PAGE
    },
    f"{AUTH}/token": {
        "post": _operation(
            "token", "The token endpoint (RFC 6749 section 3.2)", body=TOKEN_REQUEST, forms=(FORM, JSON), answer=TOKENS
        )
    },
    f"{AUTH}/refresh": {
        "post": _operation(
            "refresh", "The token endpoint for refresh tokens", body=REFRESH_REQUEST, forms=(FORM, JSON), answer=TOKENS
        )
    },
    f"{AUTH}/revoke": {"post": _operation("revoke", "Revoke a token (RFC 7009)", body=ABOUT_TOKEN, forms=(FORM, JSON))},
    f"{AUTH}/introspect": {
        "post": _operation(
            "introspect",
            "What a token is (RFC 7662)",
            body=ABOUT_TOKEN,
            forms=(FORM, JSON),
            answer=_object("", active={"type": "boolean"}),
        )
    },
    f"{AUTH}/jwks": {"get": _operation("jwks", "The keys of ID tokens (RFC 7517)", answer=ANY)},
    f"{AUTH}/userinfo": {
        "get": _operation("userinfo", "Claims about the person (OpenID Connect Core section 5.3)", answer=ANY)
        | {"security": [{"oauth": ["openid"]}]},
        "post": _operation("userinfo_by_post", "The same (OpenID Connect Core section 5.3.1)", answer=ANY)
        | {"security": [{"oauth": ["openid"]}]},
    },
}

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


REFUSAL = {"error": "invalid_grant", "error_description": "This code was used before, or is too old"}
DESCRIPTIONS = {
    "register_client": "By anybody, or with an initial access token, as DRIO_REGISTRATION says.",
    "read_client": "With the registration access token as bearer.",
    "update_client": "With the registration access token as bearer; what is absent is gone.",
    "delete_client": "With the registration access token as bearer; all that people allowed the client ends.",
    "authorize": "Opened in the person's browser: signs them in, asks, and leads back with a code. PKCE with S256.",
    "authorize_or_decide": "Parameters may come as a form too; the page sends its own form here.",
    "come_back_from_sign_in": "Only where people sign in through an OpenID provider (DRIO_OIDC_ISSUER).",
    "token": "Codes and refresh tokens are redeemed here. Refresh tokens rotate; an early repeat gets the same answer.",
    "refresh": "As the token endpoint with grant_type=refresh_token.",
    "revoke": "A refresh token's end is the grant's. Unknown tokens are answered alike.",
    "introspect": "For the client to which the token was issued.",
    "jwks": "Those with which ID tokens are signed (ES256), old ones while tokens of theirs live.",
    "userinfo": "With an access token whose scopes have openid.",
    "userinfo_by_post": "With an access token whose scopes have openid.",
}
CODE = {
    "grant_type": "authorization_code",
    "code": "drio_ac_example",
    "code_verifier": "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    "redirect_uri": "http://127.0.0.1:33418/callback",
    "client_id": "client_example",
}
METADATA = {"redirect_uris": ["http://127.0.0.1:33418/callback"], "client_name": "My client"}
BODIES: dict[str, Schema] = {
    "register_client": METADATA,
    "update_client": METADATA,
    "token": CODE,
    "refresh": {"refresh_token": "drio_rt_example", "client_id": "client_example"},
    "revoke": {"token": "drio_rt_example", "client_id": "client_example"},
    "introspect": {"token": "drio_at_example", "client_id": "client_example"},
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
    refusal = {"description": "An OAuth error", "content": {JSON: {"schema": ERROR, "example": REFUSAL}}}
    described: Schema = {
        "operationId": name,
        "summary": summary,
        "description": DESCRIPTIONS[name],
        "tags": ["oauth"],
        "security": [],
        "responses": {str(status): success, "400": refusal, "default": refusal},
    }
    if body is not None:
        content = {"schema": body, "example": BODIES[name]}
        described["requestBody"] = {"required": True, "content": dict.fromkeys(forms, content)}
    if parameters is not None:
        described["parameters"] = parameters
    return described


CLIENT_ID: list[Schema] = [
    {
        "name": "client_id",
        "in": "path",
        "required": True,
        "description": "The client id that registration gave.",
        "schema": STRING,
    }
]
AUTHORIZATION_PARAMETERS = {
    "client_id": "Of a registered client, or the https URL of a client ID metadata document.",
    "redirect_uri": "One of the client's, exactly; the port of a loopback address is free.",
    "code_challenge": "RFC 7636 section 4.3.",
    "code_challenge_method": "S256.",
    "state": "Comes back as it is.",
    "response_type": "code, which is also what its absence means.",
    "scope": "Names with spaces between them; absent: openid profile email.",
    "resource": "RFC 8707: this server's MCP endpoint, or that of an app.",
    "nonce": "Comes back in the ID token.",
    "prompt": "none, login or consent.",
    "login_hint": "The e-mail address that the sign-in page shows.",
    "max_age": "Seconds since the last sign-in, after which it is asked for again.",
}
AUTHORIZE: list[Schema] = [
    {"name": name, "in": "query", "required": True, "description": words, "schema": STRING}
    if name in {"client_id", "redirect_uri"}
    else {"name": name, "in": "query", "description": words, "schema": STRING}
    for name, words in AUTHORIZATION_PARAMETERS.items()
]

PAGE: Schema = {
    "responses": {
        "200": {"description": "The question, for a person", "content": {HTML: {}}},
        "303": {"description": "Back to the client, or on to the sign-in page"},
        "400": {"description": "An error page: the client or its redirect URI is not known", "content": {HTML: {}}},
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

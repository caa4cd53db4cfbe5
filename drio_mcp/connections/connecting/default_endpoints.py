"""The endpoints that MCP 2025-03-26 gives to servers without any metadata (authorization, fallbacks).

They stand at the root of the MCP server's host: `/authorize`, `/token`, `/register`. Clients that follow that revision
go there unseen; here the token endpoint is asked first whether it is one, so that nobody is sent to a page that is not
there. That changes nothing: a request without a code is refused (RFC 6749 section 5.2).
"""

from drio_mcp.connections.connecting.plan import ServerMetadata
from drio_mcp.connections.connecting.survey import Look, Survey

AUTHORIZE, TOKEN, REGISTER = "/authorize", "/token", "/register"
CODELESS = b"grant_type=authorization_code"
REFUSALS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)
"""RFC 6749 section 5.2: what only a token endpoint says. An API that wants a token says `invalid_token`."""
NOBODY = frozenset({404, 410})


async def default_server(survey: Survey, root: str) -> tuple[list[Look], ServerMetadata | None]:
    """What was seen at the default places of `root`, and the authorization server that they make, if they do."""
    token = await survey.refusal(root + TOKEN, CODELESS, "token endpoint")
    told = token.document.get("error") if isinstance(token.document, dict) else None
    if not isinstance(told, str) or told not in REFUSALS:
        return [token], None
    page = await survey.page(root + AUTHORIZE, "authorization endpoint")
    if page.status is None or page.status in NOBODY:
        return [token, page], None
    return [token, page], ServerMetadata(
        issuer=None,  # nothing names one, so that `iss` is compared with the origin alone
        authorization_endpoint=root + AUTHORIZE,
        token_endpoint=root + TOKEN,
        registration_endpoint=root + REGISTER,
        token_endpoint_auth_methods=("none", "client_secret_basic", "client_secret_post"),
    )

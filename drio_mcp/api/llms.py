"""`/llms.txt`: what this server is and where to begin, for language models that come across its address."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from drio_mcp.middleware.context import services_of

TEXT = """\
# drio-mcp

> An MCP server with its own OAuth 2.1 authorization server. It makes auth connections between a person's apps and
> services (Linear, GitHub, any OAuth or API-key service), keeps them valid, and says what is wrong when they are not.

- Connect your MCP client to {origin}/mcp (streamable HTTP). It answers 401 with the place to sign in; register
  dynamically or by a client ID metadata document, use the code flow with PKCE.
- To connect a service, call the tool `connect_auth` with a URL or a provider key. It gives one link for the person to
  open. Never ask for passwords, keys or tokens in the conversation: the person enters them on a page of this server.
- When a connection does not work, call `diagnose_auth_connection`: it names who has to act and the next call or link.

## Reference

- [OpenAPI]({origin}/api/v1/openapi.json): every REST call; each tool has its mirror here
- [Authorization server metadata]({origin}/.well-known/oauth-authorization-server): RFC 8414
- [Protected resource metadata]({origin}/.well-known/oauth-protected-resource/mcp): RFC 9728
"""


async def llms(request: Request) -> Response:
    """The text, with this server's address in it (llmstxt.org)."""
    origin = services_of(request).settings.origin
    return PlainTextResponse(TEXT.format(origin=origin), headers={"Cache-Control": "public, max-age=300"})

"""The token endpoint (RFC 6749 section 3.2): which grant a request is for, and what it must bring."""

from collections.abc import Awaitable
from typing import Any

from drio_mcp.errors import DrioError, OAuthError
from drio_mcp.metrics import TOKEN_REQUESTS
from drio_mcp.oauth.client_authentication import ClientAuthentication, ClientCredentials, read_credentials
from drio_mcp.oauth.code_exchange import CodeExchange
from drio_mcp.oauth.parameters import Parameters
from drio_mcp.oauth.refresh import RefreshGrant


class TokenEndpoint:
    """Answers token requests."""

    def __init__(
        self, authentication: ClientAuthentication, code_exchange: CodeExchange, refresh: RefreshGrant
    ) -> None:
        self._authentication = authentication
        self._code_exchange = code_exchange
        self._refresh = refresh

    async def token(self, parameters: Parameters, authorization: str | None) -> dict[str, Any]:
        """`POST …/token`: redeem a code or refresh. `authorization` is the header of that name.

        Raises `OAuthError` (RFC 6749 section 5.2).
        """
        parameters.refuse_repeated()
        grant_type = parameters.get("grant_type")
        if grant_type == "refresh_token" or (grant_type is None and "refresh_token" in parameters):
            return await self.refresh(parameters, authorization, needs_grant_type=True)
        if grant_type not in {None, "authorization_code"}:
            raise OAuthError("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
        credentials = read_credentials(parameters, authorization)
        _require_client(parameters, credentials, "code", "code_verifier")
        parameters.require("grant_type")
        identify = await self._authentication.prepare(credentials)
        return await counted("authorization_code", self._code_exchange.redeem(parameters, identify))

    async def refresh(
        self, parameters: Parameters, authorization: str | None, *, needs_grant_type: bool = False
    ) -> dict[str, Any]:
        """`POST …/refresh`: the same as `token` with `grant_type=refresh_token` implied."""
        parameters.refuse_repeated()
        if parameters.get("grant_type") not in {None, "refresh_token"}:
            raise OAuthError("unsupported_grant_type", "This endpoint refreshes only; leave grant_type out")
        if needs_grant_type:
            parameters.require("grant_type")
        credentials = read_credentials(parameters, authorization)
        parameters.require("refresh_token")
        _require_client(parameters, credentials)
        identify = await self._authentication.prepare(credentials)
        return await counted("refresh_token", self._refresh.refresh(parameters, identify))


async def counted(grant_type: str, answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """Await the answer and count how it turned out."""
    try:
        issued = await answer
    except DrioError as error:
        TOKEN_REQUESTS.add(grant_type, error.error if isinstance(error, OAuthError) else error.code)
        raise
    TOKEN_REQUESTS.add(grant_type, "issued")
    return issued


def _require_client(parameters: Parameters, credentials: ClientCredentials, *further: str) -> None:
    """The client may also be named by its authentication (RFC 6749 section 2.3.1, RFC 7521 section 4.2)."""
    is_named = credentials.client_id is not None or credentials.assertion is not None
    parameters.require(*(() if is_named else ("client_id",)), *further)

"""What is known about the request under way: its id, where it came from, and who sent it."""

from typing import cast

from starlette.requests import HTTPConnection
from starlette.types import Scope

from drio_mcp.accounts.people import network_of
from drio_mcp.models import Principal
from drio_mcp.outbound import work_for
from drio_mcp.services import Services


def request_id_of(scope: Scope) -> str:
    """The UUID that stands in the error envelope, in `X-Request-Id` and in the log line."""
    return cast("str", scope["state"]["request_id"])


def address_of(request: HTTPConnection) -> str:
    """The client's address, as far as trusted proxies tell it."""
    return cast("str", request.scope["state"]["address"])


def asker_of(request: HTTPConnection) -> str:
    """The network that the address belongs to, for limits: a single IPv6 subscriber owns a whole /64."""
    return network_of(address_of(request))


def principal_of(request: HTTPConnection) -> Principal:
    """Who is calling; only behind the bearer gate."""
    return cast("Principal", request.scope["state"]["principal"])


def admit(scope: Scope, principal: Principal) -> None:
    """Note who is calling; what the request sends to the outside counts towards their share."""
    scope["state"]["principal"] = principal
    work_for(principal.user_id)


def services_of(request: HTTPConnection) -> Services:
    """The capabilities of the running program."""
    return cast("Services", request.app.state.services)

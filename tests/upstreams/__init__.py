"""A bench of providers on loopback, real HTTP, well-behaved unless told otherwise.

A provider is put together from parts (`AuthorizationServer`, `McpServer`, `KeyedApi`, `Site`, `OpenApiDescription`)
that share one origin, a log and a set of faults:

    with upstream(AuthorizationServer(registration="open"), McpServer()) as provider:
        provider.faults.at("token", too_many_requests(retry_after=7), times=1)
        ...
        assert provider.log.count("token") == 1
"""

from tests.upstreams.api import KeyedApi, OpenApiDescription, Site
from tests.upstreams.authorization import AuthorizationServer
from tests.upstreams.faults import (
    Fault,
    answers,
    html_error,
    huge,
    malformed_json,
    oauth_error,
    ok_with_error,
    redirects,
    too_many_requests,
    waits,
)
from tests.upstreams.former_mcp_server import FormerMcpServer
from tests.upstreams.mcp_server import McpServer
from tests.upstreams.person import allow, deny
from tests.upstreams.serving import Upstream, serve, upstream

__all__ = [
    "AuthorizationServer",
    "Fault",
    "FormerMcpServer",
    "KeyedApi",
    "McpServer",
    "OpenApiDescription",
    "Site",
    "Upstream",
    "allow",
    "answers",
    "deny",
    "html_error",
    "huge",
    "malformed_json",
    "oauth_error",
    "ok_with_error",
    "redirects",
    "serve",
    "too_many_requests",
    "upstream",
    "waits",
]

"""The metadata documents: RFC 8414, OpenID Connect Discovery 1.0 and RFC 9728. They say exactly what works."""

from typing import Any

from drio_mcp.config import Settings
from drio_mcp.models import Scope
from drio_mcp.oauth import scopes as scope_list
from drio_mcp.oauth.client_assertions import ALGORITHMS
from drio_mcp.oauth.client_metadata import AUTH_METHODS, GRANT_TYPES, RESPONSE_TYPES
from drio_mcp.oauth.resources import app_resource
from drio_mcp.oauth.signing import ALGORITHM
from drio_mcp.oauth.userinfo import CLAIMS

SCOPES = [str(scope) for scope in scope_list.ADVERTISED]
APP_SCOPES = [str(Scope.CONNECTIONS_USE), str(Scope.OFFLINE_ACCESS)]
"""`scopes_supported` of an app's resource: what there is to ask for, and to stay connected."""
CONFIDENTIAL_METHODS = [method for method in AUTH_METHODS if method != "none"]


class PublishedMetadata:
    """The documents, all made from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def protected_resource(self) -> dict[str, Any]:
        """RFC 9728 section 2; `resource` is the MCP endpoint in every place where clients look."""
        return self._resource(self._settings.resource, SCOPES, "drio-mcp")

    def app_resource(self, public_mcp_id: str, name: str) -> dict[str, Any]:
        """The same of an app that is used as an MCP server (contract section 8); `name` is the app's."""
        return self._resource(app_resource(self._settings, public_mcp_id), APP_SCOPES, name)

    def _resource(self, resource: str, scopes: list[str], name: str) -> dict[str, Any]:
        return {
            "resource": resource,
            "authorization_servers": [self._settings.origin],
            "scopes_supported": scopes,
            "bearer_methods_supported": ["header"],
            "resource_name": name,
        }

    def authorization_server(self) -> dict[str, Any]:
        """RFC 8414 section 2, with RFC 9207 section 3 and the Client ID Metadata Document draft section 5."""
        issuer = self._settings.origin
        base = f"{issuer}/api/v1/auth"
        document: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "registration_endpoint": f"{base}/register",
            "revocation_endpoint": f"{base}/revoke",
            "introspection_endpoint": f"{base}/introspect",
            "jwks_uri": f"{base}/jwks",
            "userinfo_endpoint": f"{base}/userinfo",
            # OpenID's, but also for clients that look here only: they take the absence to mean RS256.
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "scopes_supported": SCOPES,
            "response_types_supported": list(RESPONSE_TYPES),
            "response_modes_supported": ["query"],
            "grant_types_supported": list(GRANT_TYPES),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
            "revocation_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "introspection_endpoint_auth_methods_supported": CONFIDENTIAL_METHODS,
            "introspection_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": self._settings.client_documents == "on",
            "protected_resources": [self._settings.resource],
        }
        if self._settings.registration == "off":
            del document["registration_endpoint"]
        return document

    def openid_configuration(self) -> dict[str, Any]:
        """OpenID Connect Discovery section 3: the same, and what OpenID adds."""
        return self.authorization_server() | {
            "subject_types_supported": ["public"],
            "claims_supported": ["iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", *CLAIMS],
            "prompt_values_supported": ["none", "login", "consent"],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }

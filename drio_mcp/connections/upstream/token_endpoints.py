"""Where and how a connection asks for tokens: its configuration, its provider's facts, and what was discovered."""

import json
from dataclasses import replace
from typing import Any

from drio_mcp.config import Settings
from drio_mcp.connections.catalog.providers import Providers
from drio_mcp.connections.config_types import ASSERTED
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.fields import origin_of
from drio_mcp.connections.record.config_rules import still_needed
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.secret_references import SecretReferences, SecretUnavailable
from drio_mcp.connections.upstream.client_findings import way_of
from drio_mcp.connections.upstream.client_identity import redirect_uri
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.signing.assertions import Assertion
from drio_mcp.connections.upstream.stored_tokens import StoredTokens
from drio_mcp.connections.upstream.token_requests import UpstreamTokenEndpoint, public_name
from drio_mcp.opaque import Secret
from drio_mcp.store import Transaction, upstreams


class TokenEndpoints:
    """Builds token endpoints inside a decision."""

    def __init__(
        self, settings: Settings, providers: Providers, references: SecretReferences, tokens: StoredTokens
    ) -> None:
        self._settings = settings
        self._providers = providers
        self._references = references
        self._tokens = tokens

    def of(self, tx: Transaction, connection: Connection) -> UpstreamTokenEndpoint:
        """The connection's token endpoint. Raises `Fault` for what is missing, and `SealBroken`."""
        config = connection.config
        rules = ProviderRules.of(connection, self._providers.find(connection.row.provider_key))
        url, client_id = rules.token_url(connection), connection.client_id
        if url is None or client_id is None:
            lacking = "token_endpoint" if url is None else "client_id"
            raise Fault(Code.MISSING_CONFIGURATION, still_needed(lacking))
        upstream = tx.one(upstreams.FIND, connection_id=connection.id)
        server: dict[str, Any] = json.loads(upstream.server) if upstream else {}
        way = way_of(connection)
        preferred = (way.auth_method,) if way.auth_method else tuple(server.get("token_endpoint_auth_methods") or ())
        if not preferred and rules.entry.token_endpoint_auth_method is not None:
            preferred = (rules.entry.token_endpoint_auth_method,)
        secret = self._client_secret(tx, connection, origin_of(url))
        endpoint = UpstreamTokenEndpoint.with_methods(url, client_id, secret, preferred)
        known = rules.entry.token_endpoint_auth_method if rules.is_vouched and way.auth_method is None else None
        if known is not None and known in endpoint.auth_methods:  # another way would only blur what is refused
            methods = tuple(each for each in endpoint.auth_methods if public_name(each) == known)
            endpoint = replace(endpoint, auth_methods=methods)
        return replace(
            endpoint,
            resource=upstream.resource if upstream and way.has_resource else None,
            body=way.body,
            is_way_known=way.auth_method is not None or known is not None,
            audience=config.get("audience"),
            redirect_uri=redirect_uri(self._settings, connection.callback),
            scopes=tuple(config.get("scopes", ())),
            rules=rules,
            assertion=self._assertion(tx, connection, rules, url) if config["type"] in ASSERTED else None,
        )

    def _assertion(self, tx: Transaction, connection: Connection, rules: ProviderRules, url: str) -> Assertion:
        """The JWT that is to be signed for a grant. The key is sealed for where its signatures go."""
        config, origin = connection.config, origin_of(url)
        reference = connection.row.secret_ref
        if reference is not None:
            private_key: Secret | None = self._referred(reference, origin)
        else:
            private_key = self._tokens.unseal(tx, connection, "private_key", origin)
        if private_key is None:
            raise Fault(Code.AWAITING_CONSENT)
        told = {
            "client_id": connection.client_id,
            "subject": config.get("subject"),
            "audience": config.get("audience") or config.get("token_endpoint") or url,
            "scope": rules.entry.scope_separator.join(config.get("scopes", ())) or None,
        }
        values = {**rules.values, **{name: value for name, value in told.items() if value is not None}}
        passphrase = self._tokens.unseal(tx, connection, "passphrase", origin)
        return Assertion(rules.entry.assertion, values, private_key, passphrase, config.get("key_id"))

    def _referred(self, reference: str, origin: str) -> Secret:
        try:
            return self._references.read(reference, origin)
        except SecretUnavailable as error:
            raise Fault(Code.SECRET_UNAVAILABLE, str(error)) from None

    def _client_secret(self, tx: Transaction, connection: Connection, origin: str) -> Secret | None:
        """The secret, if it may go to the token endpoint's origin; a provider client's goes to its token endpoint."""
        if connection.client is not None and "client_id" not in connection.config:
            return self._tokens.client_secret(tx, connection.client)
        reference = connection.row.secret_ref
        if reference is None or connection.config["type"] in ASSERTED:  # whose reference is that of the private key
            return self._tokens.unseal(tx, connection, "client_secret", origin)
        return self._referred(reference, origin)

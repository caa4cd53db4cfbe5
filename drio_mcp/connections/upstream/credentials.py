"""The credential of a connection, as it is put into a request: a header, or a parameter of the query.

A credential goes to an allowed origin or nowhere. Stored secrets were sealed for their origins, so that a change of the
configuration cannot lead them elsewhere; for tokens the present origins are checked, since every stored token is voided
when another origin is admitted.
"""

import base64
import json
from dataclasses import dataclass
from urllib.parse import unquote_plus, urlencode, urlsplit, urlunsplit

from drio_mcp.connections.config_types import NEEDS, ConfigType
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.record.config_rules import missing, path_of
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.secret_references import SecretReferences, SecretUnavailable
from drio_mcp.connections.record.status import error_of
from drio_mcp.connections.upstream.refresh import AccessToken, TokenRefresh
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, StoredTokens
from drio_mcp.opaque import Secret
from drio_mcp.store import Database, Transaction, token_sets
from drio_mcp.vault import SealBroken

ISSUED = frozenset({ConfigType.OAUTH, ConfigType.MCP_OAUTH, ConfigType.OAUTH_CLIENT_CREDENTIALS})
"""The types whose credential is a token that the provider issues, and that is renewed here."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What makes a request one of the connection's. `values` are all forms in which the secret is sent."""

    headers: tuple[tuple[str, Secret], ...] = ()
    parameter: tuple[str, Secret] | None = None
    values: tuple[Secret, ...] = ()
    generation: int | None = None
    """That of the token, where it can be renewed."""

    def header_pairs(self) -> list[tuple[str, str]]:
        """The headers in the clear, for the request alone."""
        return [(name, value.reveal()) for name, value in self.headers]

    def address(self, url: str) -> str:
        """The URL with the credential in its query, where that is its place; one of that name given before is dropped.

        Such a URL goes to the provider and nowhere else: neither logs nor answers hold it.
        """
        if self.parameter is None:
            return url
        name, value = self.parameter
        parts = urlsplit(url)
        kept = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) != name]
        return urlunsplit(parts._replace(query="&".join([*kept, urlencode({name: value.reveal()})])))


class Credentials:
    """Finds the credential of a connection."""

    def __init__(
        self,
        db: Database,
        references: SecretReferences,
        tokens: StoredTokens,
        refresh: TokenRefresh,
    ) -> None:
        self._db = db
        self._references = references
        self._tokens = tokens
        self._refresh = refresh

    async def get(self, connection: Connection, origin: str, *, renew: bool = True) -> Credential:
        """The credential for a request to `origin`. With `renew`, a token that is about to run out is renewed first.

        Raises `Fault`.
        """
        require_usable(connection)
        kind = ConfigType(connection.config["type"])
        if kind is ConfigType.NONE:
            return Credential()
        if origin not in self._tokens.origins(connection):
            raise Fault(Code.ORIGIN_CHANGED, "The address is not at an origin to which the credential may be sent")
        if kind not in ISSUED:
            return await self._db.read(self._static, connection, kind, origin)
        if not renew:
            return await self._db.read(self._present, connection)
        token = await self._refresh.access_token(connection.id)
        return _bearer(connection, token.value, token.token_type, token.generation)

    async def refresh(self, connection: Connection, credential: Credential) -> bool:
        """Refresh a token that was refused; False where there is none to refresh. Raises `Fault`."""
        if credential.generation is None:
            return False
        row = await self._db.read(lambda tx: tx.one(token_sets.FIND, connection_id=connection.id))
        if row is None or not row.is_renewable:
            return False
        await self._refresh.refresh(connection.id, seen=credential.generation)
        return True

    async def refresh_now(self, connection_id: str, *, seen: int | None = None) -> None:
        """Refresh the token; with `seen`, only while that generation is the present one. Raises `Fault`."""
        await self._refresh.refresh(connection_id, seen=seen)

    async def token(self, connection: Connection, *, renew: bool = True) -> AccessToken:
        """The token to hand to its owner, for the types that have one. Raises `Fault`."""
        require_usable(connection)
        kind = ConfigType(connection.config["type"])
        if kind is ConfigType.BEARER:
            value = await self._db.read(self._value, connection, "access_token", None)
            return AccessToken(value, "Bearer", None, ())
        if kind not in ISSUED:
            sentence = "A connection of this type has no token to hand out; call the API through its proxy"
            raise Fault(Code.UNSUPPORTED_AUTH, sentence)
        if renew:
            return await self._refresh.access_token(connection.id)
        return await self._db.read(self._present_token, connection)

    def _present_token(self, tx: Transaction, connection: Connection) -> AccessToken:
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        value = self._open(tx, connection, ACCESS_TOKEN, None)
        if row is None or value is None:
            raise Fault(Code.AWAITING_CONSENT)
        return AccessToken(value, row.token_type, row.expires_at, tuple(json.loads(row.scopes or "[]")))

    def _present(self, tx: Transaction, connection: Connection) -> Credential:
        token = self._present_token(tx, connection)
        return _bearer(connection, token.value, token.token_type, None)

    def _static(self, tx: Transaction, connection: Connection, kind: ConfigType, origin: str) -> Credential:
        value = self._value(tx, connection, str(NEEDS[kind].credential), origin)
        match kind:
            case ConfigType.API_KEY_QUERY:
                return Credential(parameter=(connection.config["query_param_name"], value), values=(value,))
            case ConfigType.BASIC:
                pair = base64.b64encode(f"{connection.config['username']}:{value.reveal()}".encode()).decode("ascii")
                header = ("Authorization", Secret(f"Basic {pair}"))  # RFC 7617 section 2
                return Credential((header,), values=(value, Secret(pair)))
            case ConfigType.API_KEY_HEADER:
                prefix = connection.config.get("header_prefix", "")
                header = (connection.config["header_name"], Secret(prefix + value.reveal()))
                return Credential((header,), values=(value,))
        return _bearer(connection, value, "Bearer", None)

    def _value(self, tx: Transaction, connection: Connection, field: str, origin: str | None) -> Secret:
        reference = connection.row.secret_ref
        if reference is not None:
            try:
                return self._references.read(reference)
            except SecretUnavailable:
                raise Fault(Code.SECRET_UNAVAILABLE) from None
        value = self._open(tx, connection, field, origin)
        if value is None:
            raise Fault(Code.AWAITING_CONSENT)
        return value

    def _open(self, tx: Transaction, connection: Connection, field: str, origin: str | None) -> Secret | None:
        try:
            return self._tokens.unseal(tx, connection, field, origin)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None


def require_usable(connection: Connection) -> None:
    """Raises `Fault` for a connection that is disabled, or was never completed."""
    if connection.is_disabled:
        raise Fault(Code.DISABLED)
    needs = NEEDS[ConfigType(connection.config["type"])]
    lacking = missing(connection.config, connection.secrets, connection.row.secret_ref is not None)
    if "registration_endpoint" in connection.config:
        lacking = [name for name in lacking if name != "client_id"]  # it is ours to get, with the person's click
    if lacking and error_of(connection) is Code.ORIGIN_CHANGED:
        raise Fault(Code.ORIGIN_CHANGED)
    names = ", ".join(path_of(name) for name in lacking)
    if lacking == [needs.credential]:
        raise Fault(Code.AWAITING_CONSENT, f"The person has not yet entered {names}")
    if lacking:
        raise Fault(Code.MISSING_CONFIGURATION, f"Still needed: {names}")


def _bearer(connection: Connection, token: Secret, token_type: str, generation: int | None) -> Credential:
    """RFC 6750 section 2.1, unless the configuration names another header."""
    name, prefix = _header(connection, f"{_scheme(token_type)} ")
    return Credential(((name, Secret(prefix + token.reveal())),), values=(token,), generation=generation)


def _header(connection: Connection, usual_prefix: str) -> tuple[str, str]:
    name: str = connection.config.get("header_name", "Authorization")
    return name, connection.config.get("header_prefix", usual_prefix if name.lower() == "authorization" else "")


def _scheme(token_type: str) -> str:
    """`Bearer` in its usual spelling, since some servers compare it exactly."""
    return "Bearer" if token_type.lower() == "bearer" or not token_type.isalnum() else token_type

"""The credential of a connection, as it is put into a request: a header, or a parameter of the query.

A credential goes to an allowed origin or nowhere. Stored secrets and tokens were sealed for their origins, so that a
change of the configuration cannot lead them elsewhere, not even one in the database.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote_plus, urlencode, urlsplit, urlunsplit

from drio_mcp.clock import Clock
from drio_mcp.connections.catalog.templates import fill
from drio_mcp.connections.config_types import SELF_GRANTED, SIGNED, ConfigType, needs_of
from drio_mcp.connections.diagnosis_codes import Code, Fault
from drio_mcp.connections.record.config_rules import Config, header_of, missing, path_of, still_needed
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.secret_references import SecretReferences, SecretUnavailable
from drio_mcp.connections.record.status import error_of
from drio_mcp.connections.upstream.provider_rules import ProviderRules
from drio_mcp.connections.upstream.refresh import TokenRefresh
from drio_mcp.connections.upstream.refresh_decisions import AccessToken
from drio_mcp.connections.upstream.refusal_brake import RefusalBrake
from drio_mcp.connections.upstream.signing.aws_sigv4 import AwsKey, AwsSigner
from drio_mcp.connections.upstream.signing.oauth1 import OAuth1Key, OAuth1Signer
from drio_mcp.connections.upstream.signing.request import RequestSigner, UnsignedRequest
from drio_mcp.connections.upstream.stored_tokens import ACCESS_TOKEN, StoredTokens
from drio_mcp.foundations import Foundations
from drio_mcp.opaque import Randomness, Secret
from drio_mcp.outbound import parse_target
from drio_mcp.store import Transaction, token_sets
from drio_mcp.vault import SealBroken

ISSUED = SELF_GRANTED | {ConfigType.OAUTH, ConfigType.MCP_OAUTH}
"""The types whose credential is a token that the provider issues, and that is renewed here."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What makes a request one of the connection's. `values` are all forms in which the secret is sent."""

    headers: tuple[tuple[str, Secret], ...] = ()
    parameters: tuple[tuple[str, Secret], ...] = ()
    values: tuple[Secret, ...] = ()
    generation: int | None = None
    """That of the token, where it can be refreshed."""
    usual: tuple[tuple[str, str], ...] = ()
    """Headers that each call needs and that the caller may send otherwise, such as the API's version."""
    path_prefix: Secret | None = None
    """What stands before the path, where a provider wants the key there."""
    signer: RequestSigner | None = None
    """What signs each call, where there is nothing that all calls carry."""

    def header_pairs(self) -> list[tuple[str, str]]:
        """The headers in the clear, for the request alone."""
        return [(name, value.reveal()) for name, value in self.headers]

    def all_headers(self) -> list[tuple[str, str]]:
        """The same with those that each call needs."""
        own = {name.lower() for name, _ in self.headers}
        return [*(pair for pair in self.usual if pair[0].lower() not in own), *self.header_pairs()]

    @property
    def header_names(self) -> frozenset[str]:
        """The headers that are the credential's own, in lower case."""
        return frozenset(name.lower() for name, _ in self.headers) | (self.signer.names if self.signer else frozenset())

    def signed(
        self, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes | None, service: str | None = None
    ) -> "SignedCall":
        """The call as it goes out: the address in the spelling that was signed, and the headers with the signature.

        `headers` are all others that are sent, none of them the credential's own. `body` is None for one that is not
        kept; then only what does without it can be signed.
        """
        if self.signer is None:
            return SignedCall(url, tuple(headers), self.values)
        target = parse_target(url)
        path, _, query = target.path.partition("?")
        asked = UnsignedRequest(method, target.scheme, target.authority, path, query, headers, body, service)
        signature = self.signer.sign(asked)
        spelled = f"{target.scheme}://{target.authority}{signature.path}" + (
            f"?{signature.query}" if signature.query else ""
        )
        own = tuple((name, value.reveal()) for name, value in signature.headers)
        proofs = tuple(value for name, value in signature.headers if name == "Authorization")
        return SignedCall(spelled, (*headers, *own), (*self.values, *proofs))

    def address(self, url: str) -> str:
        """The URL with the credential in its query or path, where that is its place; parameters of its names given
        before are dropped.

        Such a URL goes to the provider and nowhere else: neither logs nor answers hold it.
        """
        if not self.parameters and self.path_prefix is None:
            return url
        parts = urlsplit(url)
        names = {name for name, _ in self.parameters}
        kept = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) not in names]
        own = [urlencode({name: value.reveal()}) for name, value in self.parameters]
        prefix = self.path_prefix.reveal() if self.path_prefix is not None else ""
        return urlunsplit(parts._replace(path=prefix + parts.path, query="&".join([*kept, *own])))


@dataclass(frozen=True, slots=True)
class SignedCall:
    """A call with all that it is sent with. `values` are what must not be seen in its answer."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    values: tuple[Secret, ...]


class Credentials:
    """Finds the credential of a connection."""

    def __init__(
        self,
        foundations: Foundations,
        references: SecretReferences,
        tokens: StoredTokens,
        refresh: TokenRefresh,
        brake: RefusalBrake,
    ) -> None:
        self._db = foundations.db
        self._clock: Clock = foundations.clock
        self._randomness: Randomness = foundations.randomness
        self._references = references
        self._tokens = tokens
        self.token_refresh = refresh
        """For whoever wants a token refreshed, or waits for one."""
        self._brake = brake

    def within(self, tx: Transaction, connection: Connection, origin: str) -> Credential | None:
        """The credential for a request to `origin`, inside the caller's decision; None where a token must be refreshed
        first. Raises `Fault`."""
        require_usable(connection)
        kind = ConfigType(connection.config["type"])
        if kind is ConfigType.NONE:
            return Credential()
        if origin not in self._tokens.origins(connection):
            raise Fault(Code.ORIGIN_CHANGED, "The address is not at an origin to which the credential may be sent")
        if kind not in ISSUED:
            return self._static(tx, connection, kind, origin)
        token = self.token_refresh.present(tx, connection, origin)
        return None if token is None else self._issued(connection, token)

    async def get(self, connection: Connection, origin: str, *, refresh: bool = True) -> Credential:
        """The same; a token that is about to run out is refreshed first, unless `refresh` is false. Raises `Fault`."""
        if not refresh:
            token = await self._db.read(self._present_token, connection, origin)
            return self._issued(connection, replace(token, generation=None))
        found = await self._db.read(self.within, connection, origin)
        return found or self._issued(connection, await self.token_refresh.access_token(connection.id, origin))

    async def refresh(self, connection: Connection, credential: Credential) -> bool:
        """Refresh a token that was refused; False where there is none to refresh. Raises `Fault`."""
        if credential.generation is None or not self._brake.may_refresh(connection.id, credential.generation):
            return False
        await self.token_refresh.refresh(connection.id, seen=credential.generation)
        return True

    def accepted(self, connection: Connection) -> None:
        """The API took the credential."""
        self._brake.accepted(connection.id)

    def token_within(self, tx: Transaction, connection: Connection, *, refresh: bool) -> AccessToken | None:
        """The token to hand to its owner, for the types that have one; None where it must be refreshed first.

        Without `refresh`, the token as it is, with or without life in it. Raises `Fault`.
        """
        require_usable(connection)
        kind = ConfigType(connection.config["type"])
        if kind is ConfigType.BEARER:
            return AccessToken(self._value(tx, connection, "access_token", None), "Bearer", None, ())
        if kind not in ISSUED:
            sentence = "A connection of this type has no token to hand out; call the API through its proxy"
            raise Fault(Code.UNSUPPORTED_AUTH, sentence)
        return self.token_refresh.present(tx, connection) if refresh else self._present_token(tx, connection)

    def _present_token(self, tx: Transaction, connection: Connection, origin: str | None = None) -> AccessToken:
        row = tx.one(token_sets.FIND, connection_id=connection.id)
        value = self._open(tx, connection, ACCESS_TOKEN, origin)
        if row is None or value is None:
            raise Fault(Code.AWAITING_CONSENT)
        return AccessToken(value, row.token_type, row.expires_at, tuple(json.loads(row.scopes or "[]")), row.generation)

    def _static(self, tx: Transaction, connection: Connection, kind: ConfigType, origin: str) -> Credential:
        needs = needs_of(connection.config)
        is_stored = needs.credential in connection.secrets or connection.row.secret_ref is not None
        value = self._value(tx, connection, str(needs.credential), origin) if is_stored else None
        if kind in SIGNED and value is not None:
            return self._as_sent(connection, self._signing(tx, connection, kind, origin, value))
        second = None
        if needs.further_credentials:
            second = self._open(tx, connection, needs.further_credentials[0], origin)
        return self._as_sent(connection, key_credential(connection.config, kind, value, second))

    def _signing(
        self, tx: Transaction, connection: Connection, kind: ConfigType, origin: str, secret: Secret
    ) -> Credential:
        """What signs calls. Of what it signs with, only a token that is sent along has to be masked."""
        config = connection.config
        if kind is ConfigType.AWS_SIGV4:
            session = self._open(tx, connection, "session_token", origin)
            key = AwsKey(config["access_key_id"], secret, config["region"], config["service"], session)
            return Credential(values=(secret, *([session] if session else [])), signer=AwsSigner(key, self._clock))
        token = self._open(tx, connection, "access_token", origin)
        token_secret = self._open(tx, connection, "token_secret", origin)
        if token is None or token_secret is None:
            raise Fault(Code.AWAITING_CONSENT)
        realm, method = self._tokens.rules(connection).signature(config)
        pair = OAuth1Key(config["client_id"], secret, token, token_secret, realm, method)
        values = (secret, token, token_secret)
        return Credential(values=values, signer=OAuth1Signer(pair, self._clock, self._randomness))

    def _issued(self, connection: Connection, token: AccessToken) -> Credential:
        issued = _issued(connection, self._tokens.rules(connection), token.value, token.generation)
        return self._as_sent(connection, issued)

    def _as_sent(self, connection: Connection, credential: Credential) -> Credential:
        """The credential with what else each call of this provider's API carries."""
        rules = self._tokens.rules(connection)
        usual, own = rules.api_headers(connection.client_id)
        query = rules.api_query()
        return replace(
            credential,
            headers=(*credential.headers, *((name, Secret(value)) for name, value in own.items())),
            parameters=(*credential.parameters, *((name, Secret(value)) for name, value in query.items())),
            usual=tuple(usual.items()),
        )

    def _value(self, tx: Transaction, connection: Connection, name: str, origin: str | None) -> Secret:
        reference = connection.row.secret_ref
        if reference is not None:
            try:
                return self._references.read(reference, origin)
            except SecretUnavailable as error:
                raise Fault(Code.SECRET_UNAVAILABLE, str(error)) from None
        value = self._open(tx, connection, name, origin)
        if value is None:
            raise Fault(Code.AWAITING_CONSENT)
        return value

    def _open(self, tx: Transaction, connection: Connection, name: str, origin: str | None) -> Secret | None:
        try:
            return self._tokens.unseal(tx, connection, name, origin)
        except SealBroken:
            raise Fault(Code.SECRET_UNAVAILABLE) from None


def require_usable(connection: Connection) -> None:
    """Raises `Fault` for a connection that is disabled, or was never completed."""
    if connection.is_disabled:
        raise Fault(Code.DISABLED)
    needs = needs_of(connection.config)
    lacking = missing(connection.config_in_use, connection.secrets, connection.row.secret_ref is not None)
    if "registration_endpoint" in connection.config:
        lacking = [name for name in lacking if name != "client_id"]  # it is ours to get, with the person's click
    if lacking and error_of(connection) is Code.ORIGIN_CHANGED:
        raise Fault(Code.ORIGIN_CHANGED)
    if lacking and set(lacking) <= {needs.credential, *needs.further_credentials}:
        names = ", ".join(path_of(name) for name in lacking)
        raise Fault(Code.AWAITING_CONSENT, f"The person has not yet entered {names}")
    if lacking:
        raise Fault(Code.MISSING_CONFIGURATION, still_needed(*lacking))


def key_credential(config: Config, kind: ConfigType, value: Secret | None, second: Secret | None) -> Credential:
    """The credential that a key or a password makes, by the configuration; `second` is the other part of the key."""
    parts: Mapping[str, str] = config.get("key_parts", {})
    if kind is ConfigType.BASIC:
        return _basic(config, parts, value)
    if value is None:
        raise Fault(Code.AWAITING_CONSENT)
    values = (value,) if second is None else (value, second)
    headers, parameters = [], []
    if second is not None and "second_header_name" in parts:
        headers.append((parts["second_header_name"], second))
    elif second is not None and "second_query_param_name" in parts:
        parameters.append((parts["second_query_param_name"], second))
    if "path_prefix" in parts:
        prefix = fill(parts["path_prefix"], {"api_key": quote(value.reveal(), safe=":")})
        return Credential(tuple(headers), tuple(parameters), values, path_prefix=Secret(prefix))
    if kind is ConfigType.API_KEY_QUERY:
        return Credential(tuple(headers), ((config["query_param_name"], value), *parameters), values)
    name, prefix = header_of(config)
    return Credential(((name, Secret(prefix + value.reveal())), *headers), tuple(parameters), values)


def _basic(config: Config, parts: Mapping[str, str], value: Secret | None) -> Credential:
    """RFC 7617 section 2; a key that the provider wants as user name may have been written there."""
    known = {"username": config.get("username", ""), "password": value.reveal() if value is not None else ""}
    user = parts.get("username", "{username}")
    if value is None and "{password}" in user:
        known["password"] = known["username"]
    pair = f"{fill(user, known)}:{fill(parts.get('password', '{password}'), known)}"
    sent = Secret(base64.b64encode(pair.encode()).decode("ascii"))
    return Credential(
        (("Authorization", Secret(f"Basic {sent.reveal()}")),), values=(*((value,) if value else ()), sent)
    )


def _issued(connection: Connection, rules: ProviderRules, token: Secret, generation: int | None) -> Credential:
    """A token that the provider issued, where it wants to see it; whatever `token_type` says, that is as a bearer's."""
    config, entry = connection.config, rules.entry
    if entry.query_param_name is not None and "header_name" not in config:
        return Credential(parameters=((entry.query_param_name, token),), values=(token,), generation=generation)
    name, prefix = header_of({"header_name": entry.header_name, "header_prefix": entry.header_prefix, **config})
    return Credential(((name, Secret(prefix + token.reveal())),), values=(token,), generation=generation)

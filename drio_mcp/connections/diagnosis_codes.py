"""The closed list of what can be the matter with a connection (contract section 3), and who can mend it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """The codes of a diagnosis and of `lastError`."""

    OK = "ok"
    MISSING_CONFIGURATION = "missing_configuration"
    AWAITING_CONSENT = "awaiting_consent"
    CONSENT_DENIED = "consent_denied"
    CONSENT_EXPIRED = "consent_expired"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    REAUTHORIZATION_REQUIRED = "reauthorization_required"
    CLIENT_UNKNOWN = "client_unknown"
    CLIENT_SECRET_WRONG = "client_secret_wrong"  # noqa: S105
    CLIENT_SECRET_EXPIRED = "client_secret_expired"  # noqa: S105
    REGISTRATION_REFUSED = "registration_refused"
    SCOPE_MISSING = "scope_missing"
    AUDIENCE_MISMATCH = "audience_mismatch"
    ISSUER_MISMATCH = "issuer_mismatch"
    METADATA_INVALID = "metadata_invalid"
    UNSUPPORTED_AUTH = "unsupported_auth"
    KEY_REJECTED = "key_rejected"
    PERMISSION_DENIED = "permission_denied"
    ENDPOINT_UNREACHABLE = "endpoint_unreachable"
    DNS_FAILURE = "dns_failure"
    TLS_FAILURE = "tls_failure"
    TIMEOUT = "timeout"
    ADDRESS_BLOCKED = "address_blocked"
    REDIRECT_REFUSED = "redirect_refused"
    RESPONSE_TOO_LARGE = "response_too_large"
    MALFORMED_RESPONSE = "malformed_response"
    RATE_LIMITED = "rate_limited"
    PROVIDER_OUTAGE = "provider_outage"
    CLOCK_SKEW = "clock_skew"
    ORIGIN_CHANGED = "origin_changed"
    SECRET_UNAVAILABLE = "secret_unavailable"  # noqa: S105
    DISABLED = "disabled"


class Mender(StrEnum):
    """Who must act: the signed-in person by a click, the owner of the app's settings, the provider, our operator."""

    NONE = "none"
    PERSON = "person"
    OWNER = "owner"
    PROVIDER = "provider"
    OPERATOR = "operator"


class Remedy(StrEnum):
    """The kind of call that comes next; the diagnosis fills in its arguments."""

    NONE = "none"
    LINK = "link"
    """The person opens the connection's page: consent, or the entry of a secret."""
    UPDATE = "update"
    REGISTER = "register"
    RETRY = "retry"
    """Validate again, later."""
    RECONNECT = "reconnect"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code tells: one sentence, who acts, by what, and whether waiting alone may mend it."""

    summary: str
    actor: Mender
    remedy: Remedy
    passes: bool = False


def _passing(summary: str, actor: Mender = Mender.PROVIDER) -> Meaning:
    return Meaning(summary, actor, Remedy.RETRY, passes=True)


CODES: Mapping[Code, Meaning] = {
    Code.OK: Meaning("The connection works", Mender.NONE, Remedy.NONE),
    Code.MISSING_CONFIGURATION: Meaning(
        "The configuration lacks a value that this type needs", Mender.OWNER, Remedy.UPDATE
    ),
    Code.AWAITING_CONSENT: Meaning(
        "The person has not yet allowed the connection, or not yet entered its secret", Mender.PERSON, Remedy.LINK
    ),
    Code.CONSENT_DENIED: Meaning("The person, or the provider, refused the authorization", Mender.PERSON, Remedy.LINK),
    Code.CONSENT_EXPIRED: Meaning("The authorization was not finished in time", Mender.PERSON, Remedy.LINK),
    Code.TOKEN_EXPIRED: Meaning(
        "The access token ran out and there is no refresh token to get another with", Mender.PERSON, Remedy.LINK
    ),
    Code.REAUTHORIZATION_REQUIRED: Meaning(
        "The provider no longer honours the grant: the person must allow it anew", Mender.PERSON, Remedy.LINK
    ),
    Code.CLIENT_UNKNOWN: Meaning("The provider does not know our client id", Mender.OWNER, Remedy.REGISTER),
    Code.CLIENT_SECRET_WRONG: Meaning("The provider refused the client secret", Mender.OWNER, Remedy.LINK),
    Code.CLIENT_SECRET_EXPIRED: Meaning("The client secret has expired", Mender.OWNER, Remedy.REGISTER),
    Code.REGISTRATION_REFUSED: Meaning("The provider refused to register a client", Mender.OWNER, Remedy.UPDATE),
    Code.SCOPE_MISSING: Meaning("Not every scope that was asked for has been granted", Mender.PERSON, Remedy.LINK),
    Code.AUDIENCE_MISMATCH: Meaning("The token was issued for another resource", Mender.OWNER, Remedy.UPDATE),
    Code.ISSUER_MISMATCH: Meaning(
        "The answer came from another authorization server than the one that was asked",
        Mender.PROVIDER,
        Remedy.RECONNECT,
    ),
    Code.METADATA_INVALID: Meaning("The provider's metadata is not valid", Mender.PROVIDER, Remedy.UPDATE),
    Code.UNSUPPORTED_AUTH: Meaning("No way of authorization that we support was found", Mender.OWNER, Remedy.UPDATE),
    Code.KEY_REJECTED: Meaning("The provider refused the key, token or password", Mender.PERSON, Remedy.LINK),
    Code.PERMISSION_DENIED: Meaning(
        "The credential is good, but it may not do what was asked", Mender.OWNER, Remedy.UPDATE
    ),
    Code.ENDPOINT_UNREACHABLE: _passing("The endpoint does not answer"),
    Code.DNS_FAILURE: Meaning("The host name does not resolve", Mender.OWNER, Remedy.UPDATE, passes=True),
    Code.TLS_FAILURE: _passing("The provider's certificate cannot be verified"),
    Code.TIMEOUT: _passing("The provider did not answer in time"),
    Code.ADDRESS_BLOCKED: Meaning(
        "The address is not one that outbound calls may reach", Mender.OPERATOR, Remedy.UPDATE
    ),
    Code.REDIRECT_REFUSED: Meaning("The endpoint answers with a redirect", Mender.OWNER, Remedy.UPDATE),
    Code.RESPONSE_TOO_LARGE: Meaning("The answer is larger than we read", Mender.PROVIDER, Remedy.UPDATE),
    Code.MALFORMED_RESPONSE: _passing("The answer could not be understood"),
    Code.RATE_LIMITED: _passing("The provider asked us to slow down"),
    Code.PROVIDER_OUTAGE: _passing("The provider has an error of its own"),
    Code.CLOCK_SKEW: Meaning("Our clock and the provider's differ too much", Mender.OPERATOR, Remedy.RETRY),
    Code.ORIGIN_CHANGED: Meaning(
        "The secret would go to another place than before, so it must be entered again", Mender.PERSON, Remedy.LINK
    ),
    Code.SECRET_UNAVAILABLE: Meaning("The stored secret cannot be opened", Mender.OPERATOR, Remedy.LINK),
    Code.DISABLED: Meaning("The connection is disabled", Mender.OWNER, Remedy.UPDATE),
}
"""Every code once; `docs/diagnosis.md` is generated from here."""


CLIENT_REFUSED = frozenset({Code.CLIENT_UNKNOWN, Code.CLIENT_SECRET_WRONG, Code.CLIENT_SECRET_EXPIRED})
"""What a provider says of a client, whoever's connection it was used for."""


def last_error(code: Code, sentence: str | None = None) -> str:
    """The form of a connection's `lastError`: `code: sentence`."""
    return f"{code}: {sentence or CODES[code].summary}"


class Fault(Exception):
    """What is the matter: a diagnosis code, and a sentence without values. The one exception that says so.

    `retry_after` are the seconds after which it is worth trying again, where that is known.
    """

    def __init__(self, code: Code, sentence: str | None = None, *, retry_after: int | None = None) -> None:
        self.code = code
        self.sentence = sentence or CODES[code].summary
        self.retry_after = retry_after
        super().__init__(f"{code}: {self.sentence}")

    @property
    def mends_itself(self) -> bool:
        """Whether nobody has to do anything but wait (contract section 3: 503, not 409)."""
        meaning = CODES[self.code]
        return meaning.passes and meaning.actor is Mender.PROVIDER


NEXT_STEPS: Mapping[Code, str] = {
    Code.ADDRESS_BLOCKED: "Give a public https URL, or ask the operator to admit the address in DRIO_OUTBOUND_ALLOW",
    Code.DNS_FAILURE: "Check the host name for a typing error",
    Code.TLS_FAILURE: "Tell the provider that its certificate cannot be verified",
    Code.TIMEOUT: "Try again; if it stays slow, ask the provider",
    Code.ENDPOINT_UNREACHABLE: "Check the address and the port, or try again later",
    Code.REDIRECT_REFUSED: "Give the URL to which it redirects",
    Code.RESPONSE_TOO_LARGE: "Give the URL of the API or MCP server itself",
    Code.MALFORMED_RESPONSE: "Tell the provider that its answer is not valid",
    Code.METADATA_INVALID: "Tell the provider what is wrong in its metadata, or enter the endpoints by hand",
    Code.ISSUER_MISMATCH: "Do not connect: the metadata belongs to another server. Tell the provider",
    Code.RATE_LIMITED: "Wait some minutes and try again",
    Code.PROVIDER_OUTAGE: "Try again when the provider is up",
    Code.UNSUPPORTED_AUTH: "Name a provider key from list_auth_providers, give the URL of the API or MCP server "
    "itself, or create the connection with its endpoints or key",
}
"""By diagnosis code: what gets a person on when discovery ends in it."""

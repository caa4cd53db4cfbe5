"""What is the matter with a connection, said to its person: one table of codes in plain words that name the service.

What the provider said itself, and the words of protocols, are details: the pages show them folded.
"""

from collections.abc import Mapping

from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.record.config_rules import named_as_needed
from drio_mcp.connections.record.schemas import AuthConnection, Status

SENTENCES: Mapping[Code, str] = {
    Code.OK: "{service} works",
    Code.MISSING_CONFIGURATION: "A setting is missing before {service} can be used",
    Code.AWAITING_CONSENT: "You have not allowed {service} yet, or not entered its secret",
    Code.CONSENT_DENIED: "You did not allow access to {service}, or it was refused there. Nothing was changed",
    Code.CONSENT_EXPIRED: "Allowing {service} was not finished in time. Start again: one click",
    Code.TOKEN_EXPIRED: "Your access to {service} has run out, and only you can renew it: one click",
    Code.REAUTHORIZATION_REQUIRED: "{service} no longer accepts what you allowed. Allow it again: one click",
    Code.CLIENT_UNKNOWN: "{service} does not know the app that we sign in with there. It has to be registered again",
    Code.CLIENT_SECRET_WRONG: "{service} did not accept the secret of the app that we sign in with there",
    Code.CLIENT_SECRET_EXPIRED: "The secret of the app that we sign in with at {service} has run out",
    Code.REGISTRATION_REFUSED: "{service} does not let us register by ourselves. Somebody has to make a client there",
    Code.SCOPE_MISSING: "{service} allowed less than was asked for. Some of it works",
    Code.AUDIENCE_MISMATCH: "What you allowed is for another service than {service}",
    Code.ISSUER_MISMATCH: "Somebody else answered in the place of {service}. Do not go on before this is understood",
    Code.METADATA_INVALID: "{service} describes itself in a way that cannot be used",
    Code.UNSUPPORTED_AUTH: "{service} wants to be signed in to in a way that is not supported",
    Code.KEY_REJECTED: "{service} did not accept the key, token or password. Enter a new one",
    Code.PERMISSION_DENIED: "{service} accepts you, but does not let you do this",
    Code.ENDPOINT_UNREACHABLE: "{service} does not answer at the moment. It is tried again by itself",
    Code.DNS_FAILURE: "The address of {service} does not exist. Look for a typing error",
    Code.TLS_FAILURE: "The connection to {service} would not be safe, so it is not made",
    Code.TIMEOUT: "{service} takes too long to answer. It is tried again by itself",
    Code.ADDRESS_BLOCKED: "This server may not reach the address of {service}",
    Code.REDIRECT_REFUSED: "{service} has moved to another address. Enter the new one",
    Code.RESPONSE_TOO_LARGE: "{service} answers with more than can be read",
    Code.MALFORMED_RESPONSE: "{service} answers with something that cannot be understood",
    Code.RATE_LIMITED: "{service} wants to be asked less often. It is tried again by itself",
    Code.PROVIDER_OUTAGE: "{service} has a problem of its own. It is tried again by itself",
    Code.CLOCK_SKEW: "The clock of this server and that of {service} differ too much",
    Code.ORIGIN_CHANGED: "The address of {service} was changed, so its secret has to be entered again",
    Code.SECRET_UNAVAILABLE: "The stored secret of {service} cannot be opened",
    Code.DISABLED: "Nothing can use {service} until you enable it",
}
"""One for each code; without a full stop, which the page puts."""


def sentence_for(auth: AuthConnection, code: Code) -> str:
    """The code in words that name the service."""
    if code is Code.TOKEN_EXPIRED and auth.status is Status.EXPIRING:
        return f"Your access to {service_of(auth)} runs out soon, and only you can renew it: one click"
    return SENTENCES[code].format(service=service_of(auth))


def service_of(auth: AuthConnection) -> str:
    """What its person calls the service: the provider's name, or for one that no catalog knows the connection's."""
    return auth.name if auth.provider_key.startswith("custom-") else auth.provider_name


def last_error_of(auth: AuthConnection) -> tuple[Code | None, str]:
    """The parts of `lastError`, which reads `code: sentence`."""
    code, _, sentence = (auth.last_error or "").partition(": ")
    return (Code(code), sentence) if code in SENTENCES else (None, auth.last_error or "")


def needed_of(auth: AuthConnection) -> frozenset[str]:
    """What `lastError` names as missing, by its path in a request: `config.clientId`."""
    code, sentence = last_error_of(auth)
    return named_as_needed(sentence) if code is Code.MISSING_CONFIGURATION else frozenset()

"""How a connection is, in words for people: its status, why it is so, and the one step that gets it on."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic.alias_generators import to_camel

from drio_mcp.connections.config_types import INITIAL_TOKEN, NEEDS, ConfigType
from drio_mcp.connections.diagnosis_codes import CODES, Code, Mender, Remedy
from drio_mcp.connections.record.clients import CONSENTED
from drio_mcp.connections.record.schemas import AuthConnection, Status
from drio_mcp.connections.record.status import WORKING
from drio_mcp.pages.sentences import last_error_of, needed_of, sentence_for, service_of

LABELS: Mapping[Status, str] = {
    Status.DRAFT: "Draft",
    Status.PENDING: "Pending",
    Status.VALID: "Works",
    Status.EXPIRING: "Expires soon",
    Status.DEGRADED: "Degraded",
    Status.NEEDS_REAUTH: "Needs you",
    Status.INVALID: "Does not work",
    Status.DISABLED: "Disabled",
}
"""What the pill says; its colour says nothing more."""

REASONS: Mapping[Status, str] = {
    Status.DRAFT: "It is set up, but nothing has proved it yet",
    Status.PENDING: "Everything is there; its first use will prove it",
    Status.VALID: "Ready to be used",
    Status.EXPIRING: "Its credential runs out soon",
    Status.DEGRADED: "It has worked, but not every time of late",
    Status.NEEDS_REAUTH: "The provider wants you to allow it again",
    Status.INVALID: "The provider does not accept it as it is",
    Status.DISABLED: "Nothing can use it until you enable it",
}
"""Why, where the connection itself has recorded nothing."""

SIGN_INS: Mapping[ConfigType, str] = {
    ConfigType.OAUTH: "You allow it at the service (OAuth)",
    ConfigType.MCP_OAUTH: "You allow it at the service (OAuth for MCP servers)",
    ConfigType.OAUTH_CLIENT_CREDENTIALS: "With an id and a secret of its own, without a person",
    ConfigType.API_KEY_HEADER: "With a key",
    ConfigType.API_KEY_QUERY: "With a key in the address",
    ConfigType.BEARER: "With a token",
    ConfigType.BASIC: "With a user name and a password",
    ConfigType.NONE: "Open to everybody; nothing is sent",
    ConfigType.OAUTH_JWT_BEARER: "With a private key, which signs for each token",
    ConfigType.GITHUB_APP: "As an installation of a GitHub App, with its private key",
    ConfigType.AWS_SIGV4: "With an access key, which signs each call",
    ConfigType.OAUTH1: "With two pairs of key and secret, which sign each call (OAuth 1.0)",
}
"""How a type of connection signs in, for people."""

WHO: Mapping[Mender, str] = {
    Mender.PERSON: "You can mend this now",
    Mender.OWNER: "You can mend this in its settings",
    Mender.PROVIDER: "The provider has to mend this",
    Mender.OPERATOR: "Whoever runs this server has to mend this",
}


@dataclass(frozen=True, slots=True)
class PageStep:
    """What comes next: a page (`path`), or a button of the connection's page (`action`)."""

    label: str
    path: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """One connection's state as the pages show it."""

    service: str
    status: Status
    label: str
    reason: str
    code: Code | None
    who: str | None
    step: PageStep | None
    details: str
    """What was recorded, in the words of the provider or of the protocol; empty where nothing was."""

    @property
    def needs_person(self) -> bool:
        """Whether its person has something to do about it."""
        return self.step is not None and self.step.action != "check" and self.status is not Status.DISABLED

    @property
    def urgency(self) -> int:
        """Where it stands in a list: what has worked and needs its person first, then what was never finished."""
        if not self.needs_person:
            return 2
        return 1 if self.status in {Status.DRAFT, Status.PENDING} else 0


def path_of(auth: AuthConnection) -> str:
    """The connection's own page."""
    return f"/apps/{auth.app_id}/auth/{auth.id}"


def state_of(auth: AuthConnection) -> State:
    """What to tell of the connection as it reads."""
    code, details = last_error_of(auth)
    if code is not None:
        reason, who = sentence_for(auth, code), WHO.get(CODES[code].actor)
    else:
        reason, who = "Its secret has not been entered yet" if lacks_secret(auth) else REASONS[auth.status], None
    return State(service_of(auth), auth.status, LABELS[auth.status], reason, code, who, step_of(auth, code), details)


def step_of(auth: AuthConnection, code: Code | None) -> PageStep | None:
    """The step that the code asks for; None where there is nothing to do, or nothing that a person here could do."""
    if auth.is_disabled:
        return PageStep("Enable", action="enable")
    if lacks_secret(auth) or (code is None and waits_for_consent(auth)):
        return PageStep(entry_label(auth), action="enter")
    remedy = CODES[code].remedy if code is not None else Remedy.NONE
    if (remedy is Remedy.LINK or _is_entered(auth, code)) and takes_entry(auth):
        return PageStep(entry_label(auth), action="enter")
    if remedy is Remedy.UPDATE:
        return PageStep("Change settings", path=f"{path_of(auth)}/edit")
    if remedy is Remedy.REGISTER and auth.config.registration_endpoint is not None:
        return PageStep("Register again", action="register")
    if remedy is Remedy.REGISTER:
        return PageStep("Change the client", path=f"{path_of(auth)}/edit")
    if remedy is Remedy.RECONNECT:
        return PageStep("Connect again", path=f"/apps/{auth.app_id}/connect")
    return PageStep("Check now", action="check") if auth.status is not Status.VALID else None


def _is_entered(auth: AuthConnection, code: Code | None) -> bool:
    """Whether what is wrong is asked for on the page of the secret, not among the settings."""
    if code is Code.REGISTRATION_REFUSED:
        return auth.config.type in CONSENTED and auth.config.client_id is None
    named = needed_of(auth)
    return bool(named) and named <= {
        f"config.{to_camel(each)}" for each in (*NEEDS[auth.config.type].asked, INITIAL_TOKEN)
    }


def lacks_secret(auth: AuthConnection) -> bool:
    """Whether it is meant to work, and cannot before somebody enters its secret."""
    is_off = auth.is_disabled
    return NEEDS[auth.config.type].is_secret_required and auth.secret_ref is None and not is_off


def waits_for_consent(auth: AuthConnection) -> bool:
    """Whether nobody has allowed it at its provider yet."""
    return auth.config.type in CONSENTED and auth.status in {Status.DRAFT, Status.PENDING}


def takes_entry(auth: AuthConnection) -> bool:
    """Whether there is a page on which a person gives this connection what it needs: a secret, or their consent."""
    return auth.config.type is ConfigType.MCP_OAUTH or bool(NEEDS[auth.config.type].asked)


def entry_label(auth: AuthConnection) -> str:
    """The button that leads to that page."""
    kind = auth.config.type
    if kind in CONSENTED:
        return "Connect again" if auth.status in WORKING else "Connect"
    nouns = {
        ConfigType.BASIC: "password",
        ConfigType.BEARER: "token",
        ConfigType.OAUTH_CLIENT_CREDENTIALS: "client secret",
        ConfigType.OAUTH_JWT_BEARER: "private key",
        ConfigType.GITHUB_APP: "private key",
        ConfigType.AWS_SIGV4: "access key",
        ConfigType.OAUTH1: "keys and secrets",
    }
    credential = NEEDS[kind].credential
    stored = credential is not None and getattr(auth.config, credential) is not None
    return f"{'Replace' if stored else 'Enter'} the {nouns.get(kind, 'key')}"

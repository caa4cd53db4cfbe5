"""What discovery found, and the way to connect that follows from it. Nothing here is stored or sent as such."""

from dataclasses import dataclass

from drio_mcp.connections.config_types import ConfigType
from drio_mcp.connections.diagnosis_codes import NEXT_STEPS, Code
from drio_mcp.connections.record.answers import Method

ONE_CLICK = frozenset({Method.CLIENT_METADATA_DOCUMENT, Method.DYNAMIC_REGISTRATION})
"""The ways for which nobody has to make a client at the provider."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was looked at: where, the HTTP status (None without an answer), and what it told."""

    url: str
    status: int | None
    finding: str


CLIENT_AUTHENTICATION = frozenset({"none", "client_secret_basic", "client_secret_post"})


@dataclass(frozen=True, slots=True)
class PlanProblem:
    """Why there is no way yet: a part of the plan, shown as it is.

    There is no connection yet to which a `Fault` could happen, so the next step stands here and is not found out from
    the connection.
    """

    code: Code
    summary: str
    next_step: str


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    """An authorization server as its metadata describes it (RFC 8414, OpenID Connect Discovery).

    `issuer` is recorded exactly as published: the `iss` of the answer must equal it (RFC 9207), which is what keeps
    one server's answer from being taken for another's.
    """

    issuer: str | None
    authorization_endpoint: str | None
    token_endpoint: str
    registration_endpoint: str | None = None
    revocation_endpoint: str | None = None
    introspection_endpoint: str | None = None
    userinfo_endpoint: str | None = None
    scopes_supported: tuple[str, ...] = ()
    token_endpoint_auth_methods: tuple[str, ...] = ("client_secret_basic",)
    """RFC 8414 section 2 names this default."""
    code_challenge_methods: tuple[str, ...] = ()
    """Empty where it says nothing about PKCE, which is then tried (RFC 7636 section 5)."""
    sends_iss: bool = False
    takes_metadata_documents: bool = False
    response_types: tuple[str, ...] = ()
    wants_pushed_requests: bool = False
    """Whether authorization requests must be pushed to it first (RFC 9126 section 5)."""
    wants_signed_requests: bool = False
    """Whether they must be signed (RFC 9101 section 10.5)."""

    @property
    def unsupported(self) -> str | None:
        """What keeps our client from this server, as the end of a sentence; None where nothing does."""
        if self.code_challenge_methods and "S256" not in self.code_challenge_methods:
            return "takes no code challenge by S256 (PKCE, RFC 7636), which is needed here"
        types = {part for each in self.response_types for part in each.split()}
        if types and "code" not in types and self.authorization_endpoint is not None:
            return "issues tokens without a code only (the implicit grant), which is not used here (RFC 9700)"
        if self.wants_pushed_requests:
            return "takes authorization requests only that were pushed to it before (RFC 9126), which is not done here"
        if self.wants_signed_requests:
            return "takes signed authorization requests only (RFC 9101), which are not made here"
        if not CLIENT_AUTHENTICATION & set(self.token_endpoint_auth_methods):
            return "wants clients to authenticate in none of the ways that are used here: by none, basic or post"
        return None


@dataclass(frozen=True, slots=True)
class KeyScheme:
    """Where a key is sent. `name` is the header's or the query parameter's."""

    type: ConfigType
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The way to connect `target`, and why. With a `problem`, `method` is the best that remains."""

    target: str
    method: Method
    config_type: ConfigType
    evidence: tuple[Evidence, ...]
    steps: tuple[str, ...]
    server: ServerMetadata | None = None
    key: KeyScheme | None = None
    provider_key: str | None = None
    resource: str | None = None
    """What to send as `resource` (RFC 8707), exactly as the protected resource calls itself."""
    scopes: tuple[str, ...] = ()
    api_base_url: str | None = None
    problem: PlanProblem | None = None
    takes_key: bool = True
    """Whether a key that the person has may help where nothing else was found."""
    is_mcp: bool = False
    """Whether an MCP server was found at the target."""


def problem(code: str, summary: str) -> PlanProblem:
    """The problem of that diagnosis code with its usual next step."""
    return PlanProblem(Code(code), summary, NEXT_STEPS.get(Code(code), NEXT_STEPS[Code.UNSUPPORTED_AUTH]))

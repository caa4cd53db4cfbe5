"""The vocabulary of catalog facts: what can be peculiar to a provider, as data that the engine executes.

Every member is read by code. Requests to the provider, its answers, the words of its errors and the parts of its keys
each have a class here; `CatalogEntry` in `entries` puts them together. Pointers are RFC 6901. Texts may hold places
(`templates`).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr

from drio_mcp.config import LOOPBACK_HOSTS
from drio_mcp.connections.diagnosis_codes import Code
from drio_mcp.connections.fields import FRAMING_HEADERS, PLACE
from drio_mcp.connections.json_pointer import POINTER
from drio_mcp.models import Model
from drio_mcp.text import is_plain


def _one_line(text: str) -> str:
    if not text.strip() or not is_plain(text):
        raise ValueError("must be one line of text, not empty")
    return text


def _https(text: str) -> str:
    bare = PLACE.sub("x", text)
    scheme, _, rest = bare.partition("://")
    host = rest.partition("/")[0]
    is_safe = scheme == "https" or (scheme == "http" and host.partition(":")[0] in LOOPBACK_HOSTS)
    if not is_safe or not host or "@" in host or any(char in bare for char in '{} \\"<>'):
        raise ValueError("must be an https URL whose places are written {name}; a right value is https://api.x.com/v1")
    return text


def _url(text: str) -> str:
    """A URL, or one whose beginning is a fact that the provider tells whole, such as Salesforce's `instance_url`."""
    return text if PLACE.match(text) else _https(text)


def _pointer(text: str) -> str:
    if POINTER.fullmatch(text) is None:
        raise ValueError("must be a JSON pointer; a right value is /data/access_token")
    return text


def _header(text: str) -> str:
    if not text or text.lower() in FRAMING_HEADERS or not all(c.isalnum() or c in "-_" for c in text):
        raise ValueError("must be the name of a header that may be set; a right value is X-Api-Key")
    return text


Line = Annotated[StrictStr, AfterValidator(_one_line)]
HttpsUrl = Annotated[StrictStr, AfterValidator(_https)]
AnyUrl = Annotated[StrictStr, AfterValidator(_url)]
Pointer = Annotated[StrictStr, AfterValidator(_pointer)]
Header = Annotated[StrictStr, AfterValidator(_header)]
Seconds = Annotated[StrictInt, Field(gt=0)]
Parameters = dict[Line, StrictStr]
"""Parameters or headers that are always sent; the values are texts with places."""

AuthMethod = Literal["client_secret_post", "client_secret_basic", "none"]
"""RFC 7591 section 2, `token_endpoint_auth_method`."""

Category = Literal[
    "accounting",
    "ads",
    "ai",
    "analytics",
    "commerce",
    "communication",
    "content",
    "crm",
    "databases",
    "design",
    "developer",
    "e-mail",
    "files",
    "finance",
    "fitness",
    "hr",
    "identity",
    "infrastructure",
    "knowledge",
    "marketing",
    "media",
    "monitoring",
    "payments",
    "productivity",
    "recruiting",
    "sales",
    "scheduling",
    "security",
    "social",
    "support",
]
"""What the provider is for, one word each; searched."""


class Variable(Model):
    """A part of the provider's URLs that differs per customer or region; the owner says it when connecting."""

    name: str = Field(pattern=r"^[a-zA-Z]\w*$")
    example: Line
    """A right value, shown to who left it out."""
    label: Line | None = None
    """What the provider calls it."""
    pattern: Line | None = None
    """Which values are right, as a regular expression; absent: labels of a host name, joined by dots."""
    choices: tuple[Line, ...] = ()
    """The regions or sites that there are; absent: any value of the pattern."""
    default: Line | None = None
    """What holds where the owner says nothing."""


class AuthorizationRules(Model):
    """How the authorization endpoint wants to be asked (RFC 6749 section 4.1.1), and what it answers."""

    names: dict[Line, Line] = Field(default_factory=dict)
    """Parameters under another name: `{"client_id": "client_key"}`."""
    omit: tuple[Line, ...] = ()
    """Parameters that are not sent, of those that usually are."""
    scope_parameter: Line = "scope"
    """Where the scopes stand (Slack's user tokens: `user_scope`)."""
    code_parameter: Line = "code"
    """Under which name the answer brings the code."""
    fragment: Line | None = None
    """A path behind `#` that stands before the query, where the page is a single-page application."""
    has_resource: StrictBool = True
    """False where `resource` (RFC 8707) makes the provider refuse."""
    prompt: Literal["always", "with-offline-access", "never"] = "with-offline-access"
    """When `prompt=consent` is sent: `always` where only that brings a refresh token, `never` where it does harm."""


class EndpointRequest(Model):
    """How one of the provider's endpoints wants to be asked; each member laid over that of `tokenRequest`."""

    url: AnyUrl | None = None
    """Where, if not at the token endpoint."""
    method: Literal["POST", "GET", "DELETE"] | None = None
    """With GET, all fields stand in the query. Absent: POST."""
    body: Literal["form", "json", "query"] | None = None
    """How the fields are sent otherwise. Absent: as a form (RFC 6749 appendix B)."""
    auth_method: Literal["client_secret_post", "client_secret_basic", "none", "bearer"] | None = None
    """How the client authenticates, if not as `tokenEndpointAuthMethod` says; `bearer`: with the token itself."""
    names: dict[Line, Line] = Field(default_factory=dict)
    """Fields under another name: `{"client_id": "app_id", "code": "auth_code"}`."""
    fields: Parameters = Field(default_factory=dict)
    """Fields that are sent too, or with another value. In JSON a name may be a pointer: `/credentials/site`."""
    omit: tuple[Line, ...] = ()
    """Fields that are not sent, of those that usually are."""
    headers: dict[Header, StrictStr] = Field(default_factory=dict)
    """Headers that are sent too."""


class AssertionRules(Model):
    """The JWT that is signed with a private key: for a grant (RFC 7523 section 2.1), or as the credential itself."""

    claims: Parameters = Field(
        default_factory=lambda: {"iss": "{client_id}", "sub": "{client_id}", "aud": "{audience}", "jti": "{token_id}"}
    )
    """Its claims beside `iat` and `exp`; one that names a place of which nothing is known is left out."""
    upper: tuple[Line, ...] = ()
    """The places whose values are put in capitals."""
    lifetime_seconds: Seconds = 3_600
    backdated_seconds: StrictInt = 0
    """How far back `iat` lies, for a provider whose clock may be behind ours."""
    is_bearer: StrictBool = False
    """The JWT itself goes with each call; there is no token endpoint."""


SignatureMethod = Literal["HMAC-SHA256", "HMAC-SHA1"]
"""RFC 5849 section 3.4.2, and the same with the hash that providers ask for today."""


class SignatureRules(Model):
    """How calls are signed (RFC 5849 section 3)."""

    method: SignatureMethod = "HMAC-SHA256"
    realm: Line | None = None
    """What stands as realm, from the variables; absent: none, unless `config.realm` names one."""
    is_realm_spelled: StrictBool = False
    """The realm is the account in capitals, with an underscore in place of the host's hyphen (NetSuite)."""


class TokenAnswerRules(Model):
    """Where the token endpoint's answer says what (RFC 6749 section 5.1)."""

    access_token: Pointer = "/access_token"  # noqa: S105
    refresh_token: Pointer = "/refresh_token"  # noqa: S105
    scope: Pointer = "/scope"
    expires: Pointer = "/expires_in"
    """The token's life or its end, in `expiresUnit`."""
    expires_unit: Literal["seconds", "milliseconds", "timestamp", "timestamp-ms", "date-time"] = "seconds"
    """`seconds` and `milliseconds` are a life, the others its end: seconds or milliseconds since 1970, RFC 3339."""
    refresh_expires: Pointer = "/refresh_token_expires_in"
    """The refresh token's life, in seconds."""
    lifetime_seconds: Seconds | None = None
    """How long tokens live where the answer does not say."""
    succeeded_at: Pointer | None = None
    """A member that says, with status 200 too, whether it is an answer or an error: see `succeededWith`."""
    succeeded_with: tuple[StrictStr | StrictInt | StrictBool, ...] = ()
    """The values of that member that mean success."""
    error: Pointer = "/error"
    """Where the error's word stands."""
    description: Pointer = "/error_description"
    """Where the error's sentence stands; words are looked for in it too."""


class TokenLife(Model):
    """How tokens are refreshed, and when they lapse."""

    refreshed_with: Literal["refresh_token", "access_token", "nothing"] = "refresh_token"
    """`access_token`: a long-lived token is swapped for a newer one while it lives. `nothing`: there is no refresh."""
    rotates: StrictBool | None = None
    """Whether a refresh replaces the refresh token; None where that is a setting of the app, or not known."""
    idle_seconds: Seconds | None = None
    """Unused for so long, the refresh token lapses."""
    refresh_lifetime_seconds: Seconds | None = None
    """So long after the consent the refresh token lapses, used or not."""
    is_issued_once: StrictBool = False
    """Later consents may bring no refresh token; that of the first goes on working, for the account that it is of."""
    earliest_refresh_seconds: Seconds | None = None
    """A refresh sooner than this after the last is refused."""


class ErrorWord(Model):
    """One of the provider's words, and what it means here. All parts that are given must fit."""

    means: Code
    word: StrictStr | StrictInt | StrictBool | None = None
    """The value at `at`, or of the answer's error; texts are compared without regard to case."""
    at: Pointer | None = None
    """Where the word stands, if not where the provider's errors usually do."""
    text: Line | None = None
    """A piece of the error's sentence, without regard to case."""
    status: StrictInt | None = None


class ErrorWords(Model):
    """The words of the provider's errors, where they are not those of the RFCs. The first that fits counts."""

    consent: tuple[ErrorWord, ...] = ()
    """On the way back from the provider (RFC 6749 section 4.1.2.1)."""
    token: tuple[ErrorWord, ...] = ()
    """Of the token endpoint (RFC 6749 section 5.2)."""
    api: tuple[ErrorWord, ...] = ()
    """Of the API, where its status does not tell: refusals with 200, expired tokens with 400 or 403."""


class Fact(Model):
    """Something that the provider says and that calls need: kept as `config.providerFacts` (contract section 3)."""

    name: str = Field(pattern=r"^[A-Za-z][\w.-]*$")
    """As the provider writes it, nested ones by path; looked-up ones as named here."""
    source: Literal["callback", "token", "lookup"]
    """The parameters of the answer to the consent, the token endpoint's answer, or the `lookup`."""
    at: Pointer | None = None
    """Where it stands. Absent: the member of that name, a dot for each level."""
    pattern: Line | None = None
    """What a right value looks like, as a regular expression; one that does not fit is not kept. Needed where the value
    becomes part of a host, so that tokens go to the provider's own hosts only."""
    is_required: StrictBool = False
    """Without it the connection does not work: consent is not called a success."""


class Lookup(Model):
    """A call of the provider's API after consent, for the facts whose source is `lookup`."""

    url: AnyUrl
    method: Literal["GET", "POST"] = "GET"
    headers: dict[Header, StrictStr] = Field(default_factory=dict)
    body: StrictStr | None = None
    """JSON text."""


class ScopeRules(Model):
    """How the provider compares scopes."""

    implies: dict[Line, tuple[Line, ...]] = Field(default_factory=dict)
    """Scopes that contain others. A `*` stands for the same text in what is implied: `write_*` implies `read_*`."""
    same: tuple[tuple[Line, ...], ...] = ()
    """Names of one scope each."""
    is_set_on_app: StrictBool = False
    """The app's settings decide, none are sent; what is granted is not compared with what was asked."""
    is_reported: StrictBool = True
    """False where the answer's scopes are not those that were granted."""
    callback_parameter: Line | None = None
    """The parameter of the answer to the consent that tells what was granted, where the token endpoint does not."""
    ignores_case: StrictBool = False


class CatalogProbe(Model):
    """A cheap call without effect that shows whether a credential works."""

    method: Literal["GET", "POST"]
    url: AnyUrl
    """It may hold `{access_token}`, where the token is asked about in the query."""
    body: StrictStr | None = None
    """JSON text, with POST; absent: an empty object."""
    service: Line | None = None
    """For which service it is signed, where that is not the connection's own."""


class ApiRules(Model):
    """What calls of the API need."""

    base_url: AnyUrl | None = None
    """Where calls through a connection go; absent: the first of `apiOrigins`."""
    headers: dict[Header, StrictStr] = Field(default_factory=dict)
    """Headers of each call, such as a version; what the caller sends wins, unless a place is in the value."""
    query: Parameters = Field(default_factory=dict)
    """Parameters of each call."""
    path_prefix: Line | None = None
    """A path before each call's own that holds the key: Telegram's `/bot{api_key}`."""


KeyField = Literal[
    "client_id",
    "client_secret",
    "private_key",
    "passphrase",
    "key_id",
    "subject",
    "installation_id",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "access_token",
    "token_secret",
    "realm",
]
"""The members of `config` that belong to keys which sign, by the names of the model's fields."""


class KeyParts(Model):
    """How what the person typed becomes the credential, for keys and passwords."""

    label: Line | None = None
    """What the provider calls the key, the token or the password."""
    second_label: Line | None = None
    """What the provider calls the second part: the user name, or the key that goes with the key."""
    second_header_name: Header | None = None
    """The header that the second part stands in."""
    second_query_param_name: Line | None = None
    """The query's parameter that the second part stands in."""
    username: StrictStr = "{username}"
    """What stands as user name, from the places `{username}` and `{password}`; what is in neither is not asked for."""
    password: StrictStr = "{password}"  # noqa: S105
    """What stands as password, likewise."""
    labels: dict[KeyField, Line] = Field(default_factory=dict)
    """What the provider calls the fields of a key that signs."""
    asked: tuple[KeyField, ...] = ()
    """Which of them the page asks for, where these are not the usual ones of the type."""
    optional: tuple[KeyField, ...] = ()
    """What of `asked` may be left empty."""
    file: dict[KeyField, Pointer] = Field(default_factory=dict)
    """Where they stand in the JSON file that the provider gives, which may be pasted as the key."""


class GrantRevocation(Model):
    """How a person's grant is taken back."""

    request: EndpointRequest | None = None
    """How the revocation endpoint wants to be asked, where that is not RFC 7009."""
    page: HttpsUrl | None = None
    """The page on which the person takes it back, where there is no endpoint."""


class Setup(Model):
    """How a client is made at the provider, or a key."""

    url: HttpsUrl
    """The page on which it is done."""
    steps: tuple[Line, ...] = ()
    """What to do there, in our words. `{redirectUri}` is the address to enter, `{scopes}` the scopes."""

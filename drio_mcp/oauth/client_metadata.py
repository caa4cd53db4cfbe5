"""Client metadata of RFC 7591 section 2: what a client may say about itself, and what of it is registered."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal

from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from drio_mcp.errors import OAuthError
from drio_mcp.oauth.client_names import harmless_name
from drio_mcp.oauth.redirect_uris import RedirectUriRefused, check_redirect_uri
from drio_mcp.outside import is_bounded_key, read_url

AuthMethod = Literal["none", "client_secret_basic", "client_secret_post", "private_key_jwt"]

AUTH_METHODS: tuple[AuthMethod, ...] = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
GRANT_TYPES = ("authorization_code", "refresh_token")
RESPONSE_TYPES = ("code",)

MAX_NAME = 200
MAX_KEYS = 20
MAX_JWKS = 16_384
MAX_DOCUMENT = 16_384
"""Characters of all metadata together: what a stranger may have stored here. Real clients need a tenth of it."""
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""RFC 7518 section 6: members that only the owner of a key may know; `k` is a symmetric key."""

Text = Annotated[str, StringConstraints(max_length=2048)]


def _web_address(value: Any) -> Any:
    """A page for people: anything but a web address would be a trap behind a link."""
    if isinstance(value, str) and web_host_of(value) is None:
        raise ValueError("must be an https URL that can be read, such as https://client.example/about")
    return value


def _clean(value: Any) -> Any:
    """RFC 7591 section 2 lets the server replace values: a name is for display, and 200 characters are plenty."""
    if not isinstance(value, str):
        return value
    name = harmless_name(value, otherwise="", longest=MAX_NAME)
    if not name:
        raise ValueError("must have a character that can be seen")
    return name


WebAddress = Annotated[Text, BeforeValidator(_web_address)]


class ClientMetadata(BaseModel):
    """The members of RFC 7591 section 2 that mean something here; others are ignored, as that section asks.

    `software_statement` is among the ignored ones: this server trusts no issuer of them (section 3.1.1).
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    redirect_uris: Annotated[tuple[Text, ...], Field(strict=False, min_length=1, max_length=50)]
    client_name: Annotated[str | None, BeforeValidator(_clean)] = None
    grant_types: Annotated[tuple[Text, ...], Field(strict=False, max_length=50)] = GRANT_TYPES
    response_types: Annotated[tuple[Text, ...], Field(strict=False, max_length=50)] = RESPONSE_TYPES
    token_endpoint_auth_method: AuthMethod = "none"  # noqa: S105
    token_endpoint_auth_signing_alg: Text | None = None
    application_type: Text | None = None
    scope: Text | None = None
    client_uri: WebAddress | None = None
    logo_uri: WebAddress | None = None
    tos_uri: WebAddress | None = None
    policy_uri: WebAddress | None = None
    contacts: Annotated[tuple[Text, ...], Field(strict=False, max_length=20)] | None = None
    software_id: Text | None = None
    software_version: Text | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: WebAddress | None = None

    @field_validator("grant_types")
    @classmethod
    def _drop_other_grants(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Types that are not offered are dropped, not refused; one that lives by codes needs codes (section 2.1)."""
        return tuple(each for each in GRANT_TYPES if each in value or each == "authorization_code")

    @field_validator("response_types")
    @classmethod
    def _drop_other_responses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return RESPONSE_TYPES

    @field_validator("jwks")
    @classmethod
    def _check_keys(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return value if value is None else check_key_set(value)

    @model_validator(mode="after")
    def _check_key_source(self) -> "ClientMetadata":
        if self.jwks is not None and self.jwks_uri is not None:  # section 2: MUST NOT both be present
            raise ValueError("give either jwks or jwks_uri, not both")
        needs_keys = self.token_endpoint_auth_method == "private_key_jwt"  # noqa: S105
        if needs_keys and self.jwks is None and self.jwks_uri is None:
            raise ValueError("private_key_jwt needs jwks or jwks_uri")
        if self.jwks_uri is not None and not self.jwks_uri.startswith("https://"):
            raise ValueError("jwks_uri must be an https URL")
        return self

    def document(self) -> dict[str, Any]:
        """The members that are set, as they are registered and answered."""
        return self.model_dump(mode="json", exclude_none=True)

    @cached_property
    def text(self) -> str:
        """The document as JSON, as it is stored."""
        return self.model_dump_json(exclude_none=True)


def web_host_of(address: Any) -> str | None:
    """The host of a web address; None for what is none, or cannot be read."""
    parts = read_url(address)
    return (parts.hostname or None) if parts is not None and parts.scheme in {"http", "https"} else None


def check_key_set(value: Mapping[str, Any]) -> dict[str, Any]:
    """A set of public keys that can be used (RFC 7517 section 5); raises `ValueError` that says what is wrong."""
    keys = value.get("keys")
    if not isinstance(keys, list) or not 0 < len(keys) <= MAX_KEYS or not all(isinstance(key, dict) for key in keys):
        raise ValueError(f"must have between 1 and {MAX_KEYS} keys")
    if len(json.dumps(keys)) > MAX_JWKS:
        raise ValueError("is too large")
    if any(PRIVATE_MEMBERS & key.keys() for key in keys):
        raise ValueError("must contain public keys only")
    if not all(is_bounded_key(key) for key in keys):
        raise ValueError("must contain RSA keys of 2048 to 4096 bits with an exponent below 2^32 only")
    try:
        KeySet.import_key_set({"keys": keys})
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("has a key that cannot be read") from None
    return {"keys": keys}


def read_metadata(body: Mapping[str, Any]) -> ClientMetadata:
    """The metadata in a registration request.

    Raises `invalid_client_metadata` or `invalid_redirect_uri` (RFC 7591 section 3.2.2) with what to change.
    """
    given = {name: value for name, value in body.items() if value is not None}
    if not given.get("redirect_uris"):
        raise OAuthError("invalid_client_metadata", "redirect_uris is required")
    try:
        metadata = ClientMetadata.model_validate(given)
    except ValidationError as error:
        raise _refusal(error) from None
    for uri in metadata.redirect_uris:
        check_redirect_uri(uri)
    if len(metadata.text) > MAX_DOCUMENT:
        raise OAuthError("invalid_client_metadata", f"The metadata may have at most {MAX_DOCUMENT} characters in all")
    return metadata


WORDS = {"tuple_type": "must be an array", "string_type": "must be a string"}
"""JSON's names for the types, where pydantic gives Python's."""


def _refusal(error: ValidationError) -> OAuthError:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    member = next((part for part in problem["loc"] if isinstance(part, str)), None)
    sentence = WORDS.get(problem["type"]) or problem["msg"].removeprefix("Value error, ").replace(
        "Input should", "must"
    )
    sentence = f"{member}: {sentence[:1].lower()}{sentence[1:]}" if member else sentence
    if member == "redirect_uris":
        return RedirectUriRefused(sentence)
    return OAuthError("invalid_client_metadata", sentence)

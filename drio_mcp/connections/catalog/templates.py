"""Texts of the catalog with places to fill in, such as `https://{subdomain}.zendesk.com`.

Three things stand in the places: what the owner says when connecting (the entry's `variables`), what the provider said
at consent or with its tokens (the entry's `facts`, contract section 3, `config.providerFacts`), and what the engine
alone knows while it makes a request or signs one (`ENGINE_VALUES`, `SIGNED_VALUES`).
"""

from collections.abc import Mapping

from drio_mcp.connections.fields import PLACE

ENGINE_VALUES = frozenset(
    {"client_id", "client_secret", "access_token", "refresh_token", "redirect_uri", "nonce", "scope"}
)
"""What a request's parameters and headers may name beside variables and facts."""

KEY_VALUES = frozenset({"api_key", "api_key_secret", "username", "password"})
"""What the parts of a key's credential may name: the fields of the page on which a person enters it."""

SIGNED_VALUES = frozenset({"audience", "subject", "installation", "key_fingerprint", "token_id"})
"""What the claims of a signed JWT may name beside those: settings of the connection, and what signing makes."""


def places(text: str) -> frozenset[str]:
    """The names of the places in the text."""
    return frozenset(PLACE.findall(text))


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with what is known filled in; other places stay as they are."""
    return PLACE.sub(lambda match: values.get(match[1], match[0]), text)


def filled(text: str, values: Mapping[str, str]) -> str | None:
    """The text with every place filled in, or None where a value is not known."""
    return fill(text, values) if places(text) <= values.keys() else None

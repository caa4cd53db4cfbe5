"""The parameters of a request to an OAuth endpoint (RFC 6749 sections 3.1 and 3.2)."""

from collections.abc import Iterable

from drio_mcp.errors import OAuthError

REPEATABLE = frozenset({"resource"})
"""RFC 8707 section 2 lets a request name several resources."""


class Parameters:
    """Names and values, read by the two rules that all endpoints share.

    A parameter without a value counts as absent, and none may be sent twice.
    """

    __slots__ = ("_values", "address", "repeated", "resources")

    def __init__(self, pairs: Iterable[tuple[str, str]], address: str | None = None) -> None:
        self.address = address
        """Where the request comes from, for the audit log."""
        self._values: dict[str, str] = {}
        self.repeated: set[str] = set()
        """Names that were sent more than once; the first value is the one kept."""
        self.resources: list[str] = []
        """Every `resource` (RFC 8707)."""
        for name, value in pairs:
            if not value:
                continue
            if "\0" in value:  # no database text holds it
                raise OAuthError("invalid_request", "A parameter contains the character U+0000")
            if name in REPEATABLE:
                self.resources.append(value)
            elif name in self._values:
                self.repeated.add(name)
            else:
                self._values[name] = value

    def get(self, name: str) -> str | None:
        """The value, or None when it is absent or empty."""
        return self._values.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def refuse_repeated(self) -> None:
        """Raises `invalid_request` when a parameter was sent twice, naming it if it is one of ours."""
        if self.repeated:
            raise OAuthError("invalid_request", "A parameter is sent twice; send each at most once")

    def require(self, *names: str) -> None:
        """Raises `invalid_request` naming all of `names` that are missing, in their order."""
        missing = [name for name in names if name not in self._values]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            raise OAuthError("invalid_request", f"Missing required field{plural}: {', '.join(missing)}")

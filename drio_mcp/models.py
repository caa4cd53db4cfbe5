"""The shapes that more than one room speaks of. Those of one noun stand beside that noun's capability."""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""RFC 3339 in UTC with milliseconds, as `clock.rfc3339` writes it."""


class Model(BaseModel):
    """A shape of the REST surface: camelCase outside, unknown fields refused, and frozen.

    What a model is validated with is made when it is first used (by pydantic, under a lock): of more than a hundred, a
    start uses none.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        extra="forbid",
        frozen=True,
        defer_build=True,
    )


def build_models(model: type[BaseModel] = Model) -> None:
    """Make it for all that are loaded, where one process does it for several."""
    for each in model.__subclasses__():
        each.model_rebuild()
        build_models(each)


class Scope(StrEnum):
    """Every scope that this server knows (contract section 3)."""

    OPENID = "openid"
    PROFILE = "profile"
    EMAIL = "email"
    OFFLINE_ACCESS = "offline_access"
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    CONNECTIONS_USE = "connections:use"


DEFAULT_SCOPES = (Scope.OPENID, Scope.PROFILE, Scope.EMAIL)


@lru_cache(maxsize=1 << len(Scope))
def reach(scopes: frozenset[str]) -> frozenset[str]:
    """The scopes with those that they include."""
    if scopes.issuperset(DEFAULT_SCOPES) or Scope.CONNECTIONS_WRITE in scopes:
        included = (Scope.CONNECTIONS_READ, Scope.CONNECTIONS_WRITE)
        return scopes.union(included)
    return scopes


@lru_cache(maxsize=1 << len(Scope))
def in_order(scopes: frozenset[str]) -> tuple[Scope, ...]:
    """The scopes in this server's order."""
    return tuple(scope for scope in Scope if scope in scopes)


@dataclass(frozen=True, slots=True)
class Profile:
    """What clients may learn about a person, as far as their scopes reach."""

    email: str
    name: str
    image: str | None
    subject: str | None
    """The person's name at the OpenID provider through which they sign in, if any."""
    is_email_verified: bool


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: the person, and through which client with which scopes. Made of what was checked already."""

    user_id: str
    profile: Profile
    grant_id: str
    client_id: str | None
    client_name: str
    scopes: frozenset[str]
    expires_at: int
    """Milliseconds; when the access token runs out."""
    address: str | None = None
    """Where the call comes from, for the audit log."""

    def allows(self, scope: str) -> bool:
        """Whether the token carries `scope`, directly or by one that includes it."""
        return scope in reach(self.scopes)

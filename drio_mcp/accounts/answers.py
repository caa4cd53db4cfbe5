"""The answers about people and apps, as REST sends them and tools give them in `structuredContent`."""

from collections.abc import Iterable

from pydantic import Field

from drio_mcp.accounts.apps import App
from drio_mcp.accounts.people import Person
from drio_mcp.models import Model, Scope


class User(Model):
    """The signed-in person (contract section 3); what the scopes do not reach is null."""

    workos_user_id: str
    email: str | None
    image: str | None
    name: str | None
    scopes: list[str]

    @classmethod
    def of(cls, person: Person, scopes: Iterable[str]) -> "User":
        """`person` as the bearer of a token with `scopes`, which are put into this server's order."""
        granted = set(scopes)
        return cls(
            workos_user_id=person.subject or person.id,
            email=person.email if Scope.EMAIL in granted else None,
            image=person.image if Scope.PROFILE in granted else None,
            name=person.name if Scope.PROFILE in granted else None,
            scopes=[scope for scope in Scope if scope in granted],
        )


class UserAnswer(Model):
    user: User


class AppAnswer(Model):
    """`dryRun` stands there only when nothing was changed because of it."""

    app: App
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)


class DeletedAnswer(Model):
    """`deleted` is true also for a dry run, which says so beside it."""

    deleted: bool = True
    dry_run: bool | None = Field(default=None, exclude_if=lambda value: value is None)

"""The answers about people and apps, as REST sends them and tools give them in `structuredContent`."""

from pydantic import Field

from drio_mcp.accounts.apps import App
from drio_mcp.models import Model, Principal, Scope, in_order


class User(Model):
    """The signed-in person (contract section 3); what the scopes do not reach is null."""

    workos_user_id: str
    email: str | None
    image: str | None
    name: str | None
    scopes: list[str]

    @classmethod
    def of(cls, principal: Principal) -> "User":
        """The person as the bearer of this token may see them."""
        person, shows_profile = principal.profile, Scope.PROFILE in principal.scopes
        return cls(
            workos_user_id=person.subject or principal.user_id,
            email=person.email if Scope.EMAIL in principal.scopes else None,
            image=person.image if shows_profile else None,
            name=person.name if shows_profile else None,
            scopes=list(in_order(principal.scopes)),
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

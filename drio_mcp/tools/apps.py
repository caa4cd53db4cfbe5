"""The tools about apps."""

from pydantic import Field, StrictBool

from drio_mcp.accounts.answers import AppAnswer, AppsAnswer
from drio_mcp.accounts.apps import CreateApp
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call


class ListApps(Model):
    """No arguments."""


class CreateAppArguments(CreateApp):
    """The REST body, and the query's `dryRun`."""

    dry_run: StrictBool = Field(default=False, description="Only show what would be made.")


async def list_apps(call: Call, arguments: ListApps) -> Answer:
    apps = await call.services.apps.list(call.user_id)
    lines = [f"- {app.name}: appId {app.id} ({app.status})" for app in apps]
    return Answer(AppsAnswer(apps=apps), "\n".join([f"{len(apps)} app{'' if len(apps) == 1 else 's'}:", *lines]))


async def create_app(call: Call, arguments: CreateAppArguments) -> Answer:
    body = CreateApp(name=arguments.name, description=arguments.description)
    app = await call.services.apps.create(call.user_id, body, arguments.dry_run)
    if arguments.dry_run:
        return Answer(AppAnswer(app=app, dry_run=True), f"Would create the app {app.name}. Nothing was changed.")
    return Answer(AppAnswer(app=app), f"Created the app {app.name}: appId {app.id}.")

"""The tools about apps."""

from pydantic import Field, StrictBool

from drio_mcp.accounts.answers import AppAnswer
from drio_mcp.accounts.apps import AppQuery, CreateApp
from drio_mcp.tools.tool import Answer, Call


class ListApps(AppQuery):
    """The query of the REST call."""


class CreateAppArguments(CreateApp):
    """The REST body, and the query's `dryRun`."""

    dry_run: StrictBool = Field(default=False, description="Only show what would be made.")


async def list_apps(call: Call, arguments: ListApps) -> Answer:
    answer = await call.services.apps.page(call.user_id, AppQuery(limit=arguments.limit, cursor=arguments.cursor))
    count = len(answer.apps)
    lines = [f"{count} app{'' if count == 1 else 's'}:"]
    lines += [f"- {app.name}: appId {app.id} ({app.status})" for app in answer.apps]
    if answer.next_cursor is not None:
        lines.append(f"There are more: call again with cursor {answer.next_cursor}")
    return Answer(answer, "\n".join(lines))


async def create_app(call: Call, arguments: CreateAppArguments) -> Answer:
    body = CreateApp(name=arguments.name, description=arguments.description)
    app = await call.services.apps.create(call.user_id, body, arguments.dry_run)
    if arguments.dry_run:
        return Answer(AppAnswer(app=app, dry_run=True), f"Would create the app {app.name}. Nothing was changed.")
    return Answer(AppAnswer(app=app), f"Created the app {app.name}: appId {app.id}.")

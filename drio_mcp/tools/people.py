"""The tool about the person who is signed in."""

from drio_mcp.accounts.answers import User, UserAnswer
from drio_mcp.errors import Unauthorized
from drio_mcp.models import Model, Scope
from drio_mcp.tools.schema import output_schema
from drio_mcp.tools.tool import Answer, Call, Tool


class GetMe(Model):
    """No arguments."""


async def get_me(call: Call, arguments: GetMe) -> Answer:
    person = await call.services.people.get(call.user_id)
    if person is None:
        raise Unauthorized(token_sent=True)
    user = User.of(person, call.principal.scopes)
    return Answer(UserAnswer(user=user), f"Signed in as {user.name} <{user.email}>; scopes: {' '.join(user.scopes)}.")


TOOLS = (
    Tool(
        name="get_me",
        title="Who is signed in",
        description="The signed-in person and what this token allows.",
        scope=Scope.OPENID,
        input=GetMe,
        output=output_schema(UserAnswer),
        handler=get_me,
        hints=frozenset({"read_only"}),
    ),
)

"""The tool about the person who is signed in."""

from drio_mcp.accounts.answers import User, UserAnswer
from drio_mcp.errors import Unauthorized
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call


class GetMe(Model):
    """No arguments."""


async def get_me(call: Call, arguments: GetMe) -> Answer:
    person = await call.services.people.get(call.user_id)
    if person is None:
        raise Unauthorized(token_sent=True)
    user = User.of(person, call.principal.scopes)
    return Answer(UserAnswer(user=user), f"Signed in as {user.name} <{user.email}>; scopes: {' '.join(user.scopes)}.")

"""The tool about the person who is signed in."""

from drio_mcp.accounts.answers import User, UserAnswer
from drio_mcp.models import Model
from drio_mcp.tools.tool import Answer, Call


class GetMe(Model):
    """No arguments."""


async def get_me(call: Call, arguments: GetMe) -> Answer:
    user = User.of(call.principal)
    named = [user.name, f"<{user.email}>" if user.email else None]
    who = " ".join(each for each in named if each) or user.workos_user_id
    return Answer(UserAnswer(user=user), f"Signed in as {who}; scopes: {' '.join(user.scopes)}.")

"""A receiver of webhooks, as an honest one is written: it checks the signature by the published rules alone."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from tests.upstreams.serving import Upstream


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Standard Webhooks 1.0: any of the space-separated `v1` signatures holds."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    right = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(right, each) for each in headers["webhook-signature"].split(" "))


@dataclass
class Receiver:
    """Answers what `answers` holds, one after the other, and then 204. `refuses` are types that it never takes."""

    answers: list[Response] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    taken: list[dict[str, Any]] = field(default_factory=list)

    def routes(self, upstream: Upstream) -> list[BaseRoute]:
        async def take(request: Request) -> Response:
            message = json.loads(await request.body())
            if message["type"] in self.refuses:
                return Response(status_code=500)
            if self.answers:
                answer = self.answers.pop(0)
                if answer.status_code >= 300:
                    return answer
            self.taken.append(message)
            return Response(status_code=204)

        return [upstream.route("/hook", "hook", take, ["POST"])]

    @property
    def types(self) -> list[str]:
        """The types of what was taken, in the order of arrival."""
        return [each["type"] for each in self.taken]

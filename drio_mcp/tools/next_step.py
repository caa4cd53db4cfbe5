"""What comes next, as the texts of tools say it. The structured part says the same (`errors.NextStep`)."""

import json
from collections.abc import Mapping
from typing import Any

WAIT_FOR_PERSON = "Then call get_auth_connection with waitSeconds 55: it answers once the person has done it."
"""After every link: one call instead of many."""


def with_arguments(arguments: Mapping[str, Any] | None) -> str:
    """What a call is made with, as models write it."""
    return f" with {json.dumps(dict(arguments), ensure_ascii=False)}" if arguments else ""

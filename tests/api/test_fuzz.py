"""Every operation of the document against requests that nobody would think of: none fails inside, and every answer is
one that the document describes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks

from tests.conftest import FakeClock
from tests.helpers.server import RunningServer, Someone, running_server

load_all_checks()
HOLD: Any = CHECKS.get_by_names(
    ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
FULL = ("openid", "profile", "email", "offline_access", "connections:use")
CONNECTION = {
    "providerKey": "custom-oauth",
    "name": "Primary",
    "config": {
        "type": "oauth",
        "authorizationEndpoint": "https://accounts.example.com/authorize",
        "tokenEndpoint": "https://accounts.example.com/token",
    },
}

Send = Callable[[Case[Any]], Any]


@dataclass(frozen=True, slots=True)
class Target:
    """A server of its own, what it says about itself, and a connection to try things on."""

    server: RunningServer
    schema: Any
    someone: Someone
    places: dict[str, str]

    def sender(self, token: str | None) -> Send:
        """How requests are sent: as made up, but half of the time at the person's own app and connection."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}

        def send(case: Case[Any]) -> Any:
            own = {name: self.places[name] for name in case.path_parameters if name in self.places}
            if len(str(case.query)) % 2:
                case.path_parameters.update(own)
            return case.call(base_url=self.server.url, headers=headers, allow_redirects=False, timeout=30)

        return send


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with running_server(tmp_path_factory.mktemp("server"), FakeClock(), registration_limit=100_000) as server:
        ada = server.add_person(is_operator=True)
        token = server.issue_token(ada.person.id, FULL)
        with server.client(headers={"Authorization": f"Bearer {token}"}) as client:
            document = client.get("/api/v1/openapi.json").json()
            app = client.get("/api/v1/apps").json()["apps"][0]["id"]
            auth = client.post(f"/api/v1/apps/{app}/auth", json=CONNECTION).json()["auth"]["id"]
        schema = schemathesis.openapi.from_dict(document)
        yield Target(server, schema, ada, {"appId": app, "authId": auth, "key": "stripe"})


def fuzz(target: Target, send: Send, examples: int) -> list[str]:
    """Try every operation; gives which there were."""
    tried = []
    for found in target.schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: Case[Any]) -> None:
            case.validate_response(send(case), checks=HOLD)

        attempt()
        tried.append(operation.label)
    return tried


@pytest.mark.parametrize("has_token", [True, False], ids=["with a token", "without one"])
@pytest.mark.parametrize("examples", [pytest.param(3, id="few"), pytest.param(150, id="many", marks=pytest.mark.slow)])
def test_every_operation_answers_as_described(target: Target, has_token: bool, examples: int) -> None:
    """Contract section 3: what is wrong with a request is told as 4xx in the described form."""
    token = target.server.issue_token(target.someone.person.id, FULL) if has_token else None
    tried = fuzz(target, target.sender(token), examples)
    assert "POST /api/v1/auth/token" in tried
    assert len(tried) == sum(len(each) for each in target.schema.raw_schema["paths"].values())

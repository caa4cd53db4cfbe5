"""`drio-mcp audit export`: what people and clients did, as JSON lines."""

import json
from pathlib import Path

from tests.helpers.server import PASSWORD, running_server

from .conftest import Drio


def test_the_export_names_what_happened_and_no_secret(drio: Drio, tmp_path: Path) -> None:
    drio("users", "create", "--email", "ada@example.com")
    token = drio("tokens", "create", "--email", "ada@example.com").out.strip()
    drio("users", "disable", "--email", "ada@example.com")
    result = drio("audit", "export")
    lines = [json.loads(line) for line in result.out.splitlines()]
    assert [line["event"] for line in lines] == ["account_created", "token_created", "account_disabled"]
    assert len({line["userId"] for line in lines}) == 1
    assert lines[1]["detail"] == "openid profile email"
    assert token not in result.out
    assert len(drio("audit", "export", "--since", lines[1]["at"]).out.splitlines()) == 2


def test_a_wrong_time_is_wrong_usage(drio: Drio) -> None:
    assert drio("audit", "export", "--since", "yesterday").status == 2


def test_a_failed_sign_in_is_noted_without_what_was_typed(drio: Drio, tmp_path: Path) -> None:
    """Somebody's password in the field of the address must not end in a log."""
    with running_server(tmp_path / "data") as server:
        server.add_person("ada@example.com")
        with server.client() as client:
            for email, password in (("ada@example.com", "wrong-password-1"), (PASSWORD, PASSWORD)):
                form = client.get("/sign-in").text
                csrf = form.split('name="csrf" value="')[1].split('"')[0]
                client.post("/sign-in", data={"email": email, "password": password, "csrf": csrf, "next": "/account"})
    failed = [
        line for line in map(json.loads, drio("audit", "export").out.splitlines()) if line["event"] == "sign_in_failed"
    ]
    assert [line["userId"] is not None for line in failed] == [True, False]
    assert {line["address"] for line in failed} == {"127.0.0.1"}
    assert PASSWORD not in json.dumps(failed)

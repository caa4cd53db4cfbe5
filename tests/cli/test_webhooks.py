"""`drio-mcp webhooks …`."""

import json
from typing import Any

import pytest

from .conftest import Drio

EMAIL = "ada@example.com"
URL = "https://receiver.example/hook"


@pytest.fixture
def ada(drio: Drio) -> tuple[str, ...]:
    """The options that name Ada."""
    drio("users", "create", "--email", EMAIL)
    return ("--email", EMAIL)


def make(drio: Drio, ada: tuple[str, ...], *more: str) -> dict[str, Any]:
    made = drio("webhooks", "create", *ada, "--url", URL, "--json", *more)
    assert made.status == 0, made.err
    webhook: dict[str, Any] = json.loads(made.out)
    return webhook


def test_a_webhook_is_made_listed_changed_and_deleted(drio: Drio, ada: tuple[str, ...]) -> None:
    made = make(drio, ada, "--event", "connection.deleted", "--description", "Mine")
    assert made["secret"].startswith("whsec_")
    [listed] = json.loads(drio("webhooks", "list", *ada, "--json").out)
    assert listed == {name: value for name, value in made.items() if name != "secret"}
    changed = drio("webhooks", "update", *ada, made["id"], "--disable", "--all-events", "--rotate-secret", "--json")
    after = json.loads(changed.out)
    assert (after["status"], len(after["events"]), after["description"]) == ("disabled", 9, "Mine")
    assert after["secret"] not in {None, made["secret"]}
    assert drio("webhooks", "delete", *ada, made["id"]).out == f"Deleted {made['id']}\n"
    assert drio("webhooks", "list", *ada).out == "The app has no webhook\n"


def test_a_test_that_fails_says_why_in_one_sentence(drio: Drio, ada: tuple[str, ...]) -> None:
    """The address is public and nothing answers there: the name does not exist (RFC 2606)."""
    made = drio("webhooks", "create", *ada, "--url", "https://nobody.invalid/hook")
    webhook_id = made.out.split()[1]
    tried = drio("webhooks", "test", *ada, webhook_id)
    assert (tried.status, tried.out) == (1, "")
    assert tried.err.startswith("drio-mcp: dns_failure: ")
    assert tried.err.count("\n") == 1
    [attempt] = json.loads(drio("webhooks", "deliveries", *ada, webhook_id, "--json").out)
    assert (attempt["type"], attempt["status"]) == ("webhook.test", None)
    assert "webhook.test" in drio("webhooks", "deliveries", *ada, webhook_id).out


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        (("create", "--url", "https://10.0.0.1/hook"), 1),
        (("create", "--url", URL, "--event", "connection.exploded"), 2),
        (("create", "--url", URL, "--description", "x" * 201), 2),
        (("create",), 2),
        (("delete", "wh_nothing"), 1),
        (("test", "wh_nothing"), 1),
        (("list", "--app", "nothing"), 1),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    drio: Drio, ada: tuple[str, ...], wrong: tuple[str, ...], status: int
) -> None:
    done = drio("webhooks", wrong[0], *ada, *wrong[1:])
    assert done.status == status
    assert done.out == ""
    assert done.err.count("\n") == 1


def test_nobody_is_not_found(drio: Drio) -> None:
    done = drio("webhooks", "list", "--email", "nobody@example.com")
    assert (done.status, done.err) == (1, "drio-mcp: Nobody has this e-mail address\n")

"""`drio-mcp users …`."""

import json

import pytest

from .conftest import Drio

PASSWORD = "correct horse battery staple\n"


def test_an_account_is_created_listed_and_disabled(drio: Drio) -> None:
    created = drio("users", "create", "--email", "Ada@Example.com", "--name", "Ada", "--password-stdin", stdin=PASSWORD)
    assert (created.status, created.err) == (0, "")
    assert created.out.startswith("Created ada@example.com (user_")

    [person] = json.loads(drio("users", "list", "--json").out)
    assert (person["email"], person["name"], person["operator"], person["disabled"]) == (
        "ada@example.com",
        "Ada",
        False,
        False,
    )

    assert drio("users", "disable", "--email", "ada@example.com").status == 0
    [person] = json.loads(drio("users", "list", "--json").out)
    assert person["disabled"] is True


def test_create_prints_the_account_as_json(drio: Drio) -> None:
    person = json.loads(drio("users", "create", "--email", "op@example.com", "--operator", "--json").out)
    assert person["id"].startswith("user_")
    assert person["operator"] is True
    assert person["name"] == "op"


def test_a_table_holds_a_name_as_it_is(drio: Drio) -> None:
    """Square brackets are the table library's markup, and a name is not."""
    drio("users", "create", "--email", "b@example.com", "--name", "[bold]Bob[/bold]")
    assert "[bold]Bob[/bold]" in drio("users", "list").out


def test_an_empty_list_says_what_to_do(drio: Drio) -> None:
    assert "setup-link" in drio("users", "list").out
    assert json.loads(drio("users", "list", "--json").out) == []


def test_a_short_password_is_refused_and_not_repeated(drio: Drio) -> None:
    result = drio("users", "create", "--email", "a@example.com", "--password-stdin", stdin="hunter2\n")
    assert result.status == 1
    assert "12" in result.err
    assert "hunter2" not in result.err + result.out
    assert json.loads(drio("users", "list", "--json").out) == []


def test_an_empty_standard_input_is_no_password(drio: Drio) -> None:
    assert drio("users", "create", "--email", "a@example.com", "--password-stdin").status == 2


def test_an_address_has_one_account(drio: Drio) -> None:
    drio("users", "create", "--email", "a@example.com")
    again = drio("users", "create", "--email", "A@example.com")
    assert again.status == 1
    assert again.err.count("\n") == 1


def test_nobody_cannot_be_disabled(drio: Drio) -> None:
    assert drio("users", "disable", "--email", "nobody@example.com").status == 1


def test_a_person_is_promoted_renamed_disabled_enabled_and_deleted(drio: Drio) -> None:
    drio("users", "create", "--email", "ada@example.com")

    def shown() -> tuple[bool, str, bool]:
        [person] = json.loads(drio("users", "list", "--json").out)
        return person["operator"], person["name"], person["disabled"]

    for act, expected in (
        (("promote",), (True, "ada", False)),
        (("demote",), (False, "ada", False)),
        (("rename", "--name", "Ada King"), (False, "Ada King", False)),
        (("disable",), (False, "Ada King", True)),
        (("enable",), (False, "Ada King", False)),
    ):
        result = drio("users", act[0], "--email", "Ada@example.com", *act[1:])
        assert (result.status, result.err) == (0, "")
        assert shown() == expected
    assert drio("users", "delete", "--email", "ada@example.com").status == 0
    assert json.loads(drio("users", "list", "--json").out) == []


@pytest.mark.parametrize("act", ["promote", "demote", "disable", "enable", "delete", "reset-password"])
def test_nobody_is_told_in_one_sentence(drio: Drio, act: str) -> None:
    result = drio("users", act, "--email", "nobody@example.com")
    assert (result.status, result.out) == (1, "")
    assert result.err == "drio-mcp: Nobody has this e-mail address\n"


def test_links_are_all_that_is_printed(drio: Drio) -> None:
    drio("users", "create", "--email", "ada@example.com", "--password-stdin", stdin=PASSWORD)
    for arguments, path in (
        (("invite",), "/invite?token="),
        (("invite", "--email", "bob@example.com", "--operator"), "/invite?token="),
        (("reset-password", "--email", "ada@example.com"), "/reset?token="),
    ):
        result = drio("users", *arguments)
        assert (result.status, result.err) == (0, "")
        assert result.out.startswith(f"http://127.0.0.1:8000{path}")
        assert len(result.out.splitlines()) == 1

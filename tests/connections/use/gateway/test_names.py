"""Names for clients: at most 64 characters, of letters that all take, unique, and always the same (section 8)."""

import re

from hypothesis import given
from hypothesis import strategies as st

from drio_mcp.connections.use.gateway.names import exposed_name, nearest, prefix_of

KEY = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(lambda key: len(key) <= 63)


def test_plain_names_stay_as_they_are() -> None:
    assert exposed_name("linear", "list_issues") == "linear__list_issues"


@given(key=KEY, tool=st.text(min_size=1, max_size=256))
def test_every_name_is_taken_everywhere(key: str, tool: str) -> None:
    name = exposed_name(key, tool)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name)
    assert name.startswith(prefix_of(key))
    assert name == exposed_name(key, tool)


@given(key=KEY, tools=st.lists(st.text(min_size=1, max_size=100), unique=True, max_size=30))
def test_different_tools_have_different_names(key: str, tools: list[str]) -> None:
    assert len({exposed_name(key, tool) for tool in tools}) == len(tools)


def test_long_keys_that_begin_alike_stay_apart() -> None:
    one, two = "a" * 60, "a" * 60 + "-2"
    assert exposed_name(one, "read") != exposed_name(two, "read")
    assert not exposed_name(two, "read").startswith(prefix_of(one))


def test_the_nearest_names() -> None:
    known = ["linear__list_issues", "linear__create_issue", "github__list_issues", "notes__write"]
    assert nearest("linear__list_issue", known)[0] == "linear__list_issues"
    assert "linear__create_issue" in nearest("create_issue", known)
    assert nearest("\x1b" * 5_000, known) == []

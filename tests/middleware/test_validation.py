"""Validation problems name the place and the rule, never the value."""

from typing import Literal

import pytest
from pydantic import Field, ValidationError

from drio_mcp.errors import Problem
from drio_mcp.middleware.validation import MOST_PROBLEMS, problems_of
from drio_mcp.models import Model

VALUE = "sk_live_51H"


class Inner(Model):
    kind: Literal["a", "b"]
    items: tuple[int, ...] = ()


class Outer(Model):
    name: str = Field(min_length=1)
    the_inner: Inner


def problems(data: object) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(data)
    return problems_of(caught.value)


def test_paths_are_those_of_the_json_document() -> None:
    found = problems({"theInner": {"kind": "c", "items": [1, "x"]}})
    assert [problem.path for problem in found] == ["name", "theInner.kind", "theInner.items[1]"]
    assert found[0].message == "is required"
    assert found[1].message == "must be 'a' or 'b'"


@pytest.mark.parametrize(
    "data",
    [
        {"name": "", "theInner": {"kind": VALUE}},
        {"name": [VALUE], "theInner": {"kind": "a", "items": [VALUE]}},
        {"name": "x", "theInner": VALUE},
        {"name": "x", "theInner": {"kind": "a"}, "clientSecret": VALUE},
        VALUE,
    ],
)
def test_no_submitted_value_is_echoed(data: object) -> None:
    assert VALUE not in repr(problems(data))


def test_a_thousand_faults_are_not_all_told() -> None:
    """An answer larger than the request that caused it would be an amplifier."""
    assert len(problems({f"field{number}": 1 for number in range(1000)})) == MOST_PROBLEMS


def test_unknown_field_is_named_only_if_it_looks_like_a_name() -> None:
    """Contract section 3: an identifier of at most 40 characters."""
    good = {"name": "x", "theInner": {"kind": "a"}}
    assert problems({**good, "redirectUri": 1}) == [Problem("redirectUri", "is not a known field")]
    assert problems({**good, "a" * 41: 1}) == [Problem("?", "is not a known field")]
    assert problems({**good, f"{VALUE} is secret": 1}) == [Problem("?", "is not a known field")]

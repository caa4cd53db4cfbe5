"""Parameters of OAuth requests: RFC 6749 sections 3.1 and 3.2."""

import pytest

from drio_mcp.oauth.parameters import Parameters

from .conftest import refused


def test_a_parameter_without_a_value_is_absent() -> None:
    parameters = Parameters([("code", ""), ("state", "x")])
    assert "code" not in parameters
    assert parameters.get("state") == "x"


def test_a_parameter_sent_twice_is_refused() -> None:
    parameters = Parameters([("code", "a"), ("code", "a")])
    assert parameters.repeated == {"code"}
    with refused("invalid_request"):
        parameters.refuse_repeated()


def test_resource_may_be_sent_twice() -> None:
    """RFC 8707 section 2."""
    parameters = Parameters([("resource", "a"), ("resource", "b")])
    parameters.refuse_repeated()
    assert parameters.resources == ["a", "b"]


@pytest.mark.parametrize(
    ("sent", "sentence"),
    [
        ([], "Missing required fields: client_id, code, code_verifier"),
        (["client_id", "code_verifier"], "Missing required field: code"),
        (["code"], "Missing required fields: client_id, code_verifier"),
    ],
)
def test_missing_fields_are_listed_in_the_order_of_the_reference(sent: list[str], sentence: str) -> None:
    with refused("invalid_request") as caught:
        Parameters([(name, "x") for name in sent]).require("client_id", "code", "code_verifier")
    assert caught.value.message == sentence


def test_nul_is_refused() -> None:
    with refused("invalid_request"):
        Parameters([("nonce", "a\0b")])

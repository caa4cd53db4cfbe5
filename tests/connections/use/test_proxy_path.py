"""A path that steps out of the connection's address is refused, however often it was encoded."""

import pytest

from drio_mcp.connections.use.proxy_path import proxied_url
from drio_mcp.errors import BadRequest

BASE = "https://api.example.com/v1"


def encoded(text: str, layers: int) -> str:
    """The text with each character percent-encoded, and the percent signs again for every further layer."""
    once = "".join(f"%{ord(each):02X}" for each in text)
    return once.replace("%", "%" + "25" * (layers - 1))


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_blank_may_be_encoded_four_times_and_stays_as_it_was(layers: int) -> None:
    path = f"a{encoded(' ', layers)}b"
    assert proxied_url(BASE, path, "") == f"{BASE}/{path}"


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_step_upwards_is_seen_below_four_layers(layers: int) -> None:
    with pytest.raises(BadRequest, match=r"segments \. and \.\."):
        proxied_url(BASE, f"a/{encoded('..', layers)}/b", "")


def test_what_is_encoded_more_often_is_refused_whatever_it_is() -> None:
    with pytest.raises(BadRequest, match="too many times"):
        proxied_url(BASE, encoded("a", 5), "")

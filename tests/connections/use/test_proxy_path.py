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


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize(
    "step",
    [
        "..%3fx",
        "..%3Fx",
        "%2e%2e%3fx",
        "..%23x",
        "..%3bx",
        "..;x",
        ".%3fx",
        "a/..%3f/b",
        "..%20%3fx",
        "..%c2%a0",
        "%c0%ae%c0%ae/x",
        "..%c0%afx",
        "..%c1%9cx",
        "%e0%80%ae%e0%80%ae/x",
        "%f0%80%80%ae./x",
        "%ef%bc%8e%ef%bc%8e/x",
        "..%ef%bc%8fx",
        "..%ef%bc%bcx",
        "..%ef%bc%9fx",
        "%e2%80%a5/x",
        "%ef%bc%8fevil.example",
    ],
)
def test_a_step_upwards_is_seen_as_lax_servers_see_it(step: str, layers: int) -> None:
    """Behind an encoded `?`, `#` or `;`, in longer forms of UTF-8 (RFC 3629 section 10), and full-width (NFKC)."""
    for _ in range(layers):
        step = step.replace("%", "%25")
    with pytest.raises(BadRequest):
        proxied_url(BASE, step, "")


@pytest.mark.parametrize(
    "path",
    [
        "a%3fx",
        "%3fx",
        "...",
        "..a",
        "a..",
        "a%23b",
        "v1.2",
        ".well-known/x",
        "a;b=..c",
        "caf%C3%A9",
        "caf%E9",
        "%EF%BC%A1",
    ],
)
def test_what_leads_nowhere_else_is_passed_on(path: str) -> None:
    assert proxied_url(BASE, path, "") == f"{BASE}/{path}"

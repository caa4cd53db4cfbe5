"""`drio-mcp setup-link`."""

import pytest

from .conftest import Drio


def test_each_call_prints_a_link_of_its_own(drio: Drio) -> None:
    first, second = drio("setup-link"), drio("setup-link")
    assert first.status == second.status == 0
    assert first.out.startswith("http://127.0.0.1:8000/setup?token=")
    assert first.out != second.out


def test_the_link_stands_on_the_public_url(drio: Drio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIO_PUBLIC_URL", "https://drio.example.com")
    assert drio("setup-link").out.startswith("https://drio.example.com/setup?token=")

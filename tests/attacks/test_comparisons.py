"""Timing of secret comparison (CWE-208, RFC 6819 section 4.3.3), by construction and not by stopwatch: what is compared
with a secret goes through `hmac.compare_digest`, and what is looked up is found by its hash."""

import ast
import hmac
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

import drio_mcp
from tests.attacks.moves import REGISTER, TOKEN, bearer
from tests.helpers.oauth import authorize, exchange, register
from tests.helpers.server import RunningServer, Someone

PACKAGE = Path(drio_mcp.__file__).parent
SECRET_NAMES = ("secret", "password", "token", "mac", "digest", "csrf", "verifier", "challenge", "hash", "signature")
PLAIN_ON_PURPOSE = {"secret_ref", "token_type", "token_endpoint", "token_endpoint_auth_method", "password_hash"}


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is compared in constant time, as it happens."""
    lengths: list[int] = []
    compare = hmac.compare_digest

    def noted(one: str | bytes, other: str | bytes) -> bool:
        lengths.append(len(one))
        return compare(one, other)  # type: ignore[arg-type]

    monkeypatch.setattr(hmac, "compare_digest", noted)
    return lengths


def test_wrong_secrets_are_compared_in_constant_time(
    server: RunningServer, http: httpx2.Client, ada: Someone, compared: list[int]
) -> None:
    """Client secret, registration token, code, verifier, tokens and the token of a form: each wrong one is compared as
    a whole, as a digest of fixed length."""
    confidential = register(http, token_endpoint_auth_method="client_secret_post")
    client_id = register(http)["client_id"]
    code = authorize(server, ada, client_id)
    path = f"{REGISTER}/{confidential['client_id']}"
    wrong = {"client_id": confidential["client_id"], "client_secret": "x", "grant_type": "refresh_token"}
    forged = ada.token[:-2] + ("AA" if not ada.token.endswith("AA") else "BB")
    attempts: dict[str, Callable[[], httpx2.Response]] = {
        "client secret": lambda: http.post(TOKEN, data={**wrong, "refresh_token": "x"}),
        "registration token": lambda: http.get(path, headers=bearer("x")),
        "access token": lambda: http.get("/api/v1/me", headers=bearer(forged)),
        "code verifier": lambda: exchange(http, client_id, replace(code, verifier="v" * 43)),
        "form": lambda: http.post("/sign-in", data={"csrf": "x"}, headers={"Cookie": f"drio_session={'c' * 43}"}),
    }
    for what, attempt in attempts.items():
        compared.clear()
        assert attempt().status_code in {400, 401, 403}, what
        assert [length for length in compared if length >= 32], what


def comparisons(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where `==` or `!=` has a name on both sides, one of which sounds like a secret."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and all(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops):
            sides = [node.left, *node.comparators]
            if any(isinstance(side, ast.Constant | ast.Call) for side in sides):
                continue
            for side in sides:
                name = side.attr if isinstance(side, ast.Attribute) else side.id if isinstance(side, ast.Name) else ""
                if any(part in SECRET_NAMES for part in name.split("_")) and name not in PLAIN_ON_PURPOSE:
                    yield node.lineno, name


def test_no_secret_is_compared_plainly() -> None:
    """The same by reading the program: `==` on anything that is named like a secret is a defect."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {name}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, name in comparisons(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert found == []


def test_the_reading_finds_what_it_looks_for() -> None:
    assert list(comparisons(ast.parse("if stored_hash == presented: pass"))) == [(1, "stored_hash")]
    assert list(comparisons(ast.parse("if row.token_type != kind: pass"))) == []

"""Where a credential is put, from where it is read, and where it may go."""

from pathlib import Path
from typing import Any

import pytest

from drio_mcp.connections.diagnosis_codes import Fault
from drio_mcp.connections.record import repository
from drio_mcp.connections.record.connection import Connection
from drio_mcp.connections.record.secret_references import SecretReferences
from drio_mcp.connections.upstream.credentials import Credential, Credentials
from drio_mcp.connections.upstream.refusal_brake import RefusalBrake
from drio_mcp.connections.upstream.stored_tokens import StoredTokens
from drio_mcp.opaque import Secret
from drio_mcp.store import Statement
from tests.conftest import FakeClock
from tests.connections.broken import Scene, keyed, mcp

REFER = Statement("UPDATE connections SET secret_ref = 'env:DRIO_SECRET_KEY' WHERE id = :id")


async def credential(scene: Scene, origin: str, environ: dict[str, str] | None = None) -> Credential:
    s = scene.here.services
    tokens = StoredTokens(s.clock, s.vault, s.providers)
    connection = await s.db.read(repository.find, scene.auth.id)
    assert isinstance(connection, Connection)
    return await Credentials(
        s.foundations, SecretReferences(None, environ or {}), tokens, s.token_refresh, RefusalBrake(s.clock)
    ).get(connection, origin)


@pytest.mark.parametrize("environ", [{"DRIO_SECRET_KEY": "from the environment"}, {}])
async def test_an_operators_reference_is_read_when_it_is_used(
    tmp_path: Path, clock: FakeClock, environ: dict[str, str]
) -> None:
    async with keyed(tmp_path, clock) as scene:
        await scene.here.services.db.write(lambda tx: tx.run(REFER, id=scene.auth.id))
        if environ:
            environ = environ | {"DRIO_SECRET_KEY_ORIGINS": scene.provider.origin}
            found = await credential(scene, scene.provider.origin, environ)
            assert found.header_pairs() == [("X-Api-Key", "from the environment")]
        else:
            with pytest.raises(Fault, match="secret_unavailable"):
                await credential(scene, scene.provider.origin, environ)


@pytest.mark.parametrize("stage", [keyed, mcp], ids=["a key", "a token"])
async def test_it_goes_to_an_allowed_origin_or_nowhere(stage: Any, tmp_path: Path, clock: FakeClock) -> None:
    async with stage(tmp_path, clock) as scene:
        assert (await credential(scene, scene.provider.origin)).values
        for origin in ("https://evil.example", scene.provider.origin + "0", "http://127.0.0.1"):
            with pytest.raises(Fault, match="origin_changed"):
                await credential(scene, origin)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://a.example/x", "https://a.example/x?key=1+%26+2"),
        ("https://a.example/x?b=%20", "https://a.example/x?b=%20&key=1+%26+2"),
        ("https://a.example/x?key=mine&b=2&KEY=3", "https://a.example/x?b=2&KEY=3&key=1+%26+2"),
        ("https://a.example/x?%6bey=mine", "https://a.example/x?key=1+%26+2"),
    ],
)
def test_a_key_in_the_query_stands_there_once(url: str, address: str) -> None:
    assert Credential(parameters=(("key", Secret("1 & 2")),)).address(url) == address
    assert Credential().address(url) == url


def test_a_credential_does_not_print() -> None:
    shown = repr(Credential(headers=(("Authorization", Secret("Bearer t")),), values=(Secret("t-secret"),)))
    assert "Bearer" not in shown
    assert "t-secret" not in shown

"""`drio-mcp keys …`."""

import asyncio
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from drio_mcp.config import load_settings
from drio_mcp.services import Services, build_services
from drio_mcp.store import signing_keys
from drio_mcp.vault.envelope import Envelope

from .conftest import Drio


def signing_key_and_its_seal() -> tuple[str, str]:
    """The id of the signing key, which must open for this, and of the key that it is sealed with."""
    services = build_services(load_settings())

    async def look(services: Services) -> tuple[str, str]:
        async with services.running():
            signer = await services.signing_keys.signer()
            [row] = await services.db.read(lambda tx: tx.all(signing_keys.LIST))
            assert row.kid == signer.kid
            return row.kid, Envelope.unpack(row.sealed).key_id

    return asyncio.run(look(services))


def ring(data: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads((data / "keys.json").read_text())
    return parsed


def test_rotation_adds_a_key_and_keeps_the_old_ones(drio: Drio, tmp_path: Path) -> None:
    drio("migrate")
    before = ring(tmp_path / "data")
    result = drio("keys", "rotate")
    assert (result.status, result.err) == (0, "")
    after = ring(tmp_path / "data")
    assert after["primary"] != before["primary"]
    assert before["keys"].items() < after["keys"].items()
    assert str(after["primary"]) in result.out


def test_rotation_seals_what_is_stored_anew(drio: Drio, tmp_path: Path) -> None:
    drio("migrate")
    before = signing_key_and_its_seal()
    assert "1 sealed values" in drio("keys", "rotate").out
    assert signing_key_and_its_seal() == (before[0], ring(tmp_path / "data")["primary"])
    assert "0 sealed values" in drio("keys", "rewrap").out


def test_a_ring_in_the_environment_is_printed_and_not_changed(
    drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drio("migrate")
    before = (tmp_path / "data" / "keys.json").read_text()
    monkeypatch.setenv("DRIO_KEYS", before)
    printed = drio("keys", "rotate")
    assert json.loads(printed.out)["keys"].items() > json.loads(before)["keys"].items()
    assert "DRIO_KEYS" in printed.err
    assert (tmp_path / "data" / "keys.json").read_text() == before

    monkeypatch.setenv("DRIO_KEYS", printed.out)
    assert drio("keys", "rewrap").status == 0


def test_a_full_disk_is_one_sentence_and_changes_nothing(
    drio: Drio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drio("migrate")
    before = {each.name for each in (tmp_path / "data").iterdir()}, ring(tmp_path / "data")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        result = drio("keys", "rotate")
    assert (result.status, result.err) == (1, "drio-mcp: No space left on device\n")
    assert ({each.name for each in (tmp_path / "data").iterdir()}, ring(tmp_path / "data")) == before
    assert drio("keys", "rotate").status == 0

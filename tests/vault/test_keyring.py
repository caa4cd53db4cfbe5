"""The key ring: made once, never lost, refused when broken (contract section 1, `DRIO_KEYS`)."""

import json
import stat
import threading
from pathlib import Path

import pytest

from drio_mcp.config import Settings, load_settings
from drio_mcp.errors import StartupError
from drio_mcp.opaque import b64url
from drio_mcp.vault import Keyring, UnknownKey


def settings_in(folder: Path) -> Settings:
    return Settings(data_dir=folder)


def test_the_first_start_makes_a_file_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    made = Keyring.load(settings_in(folder))
    assert stat.S_IMODE((folder / "keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [file.name for file in folder.iterdir()] == ["keys.json"]
    assert Keyring.load(settings_in(folder)).derive("x") == made.derive("x")


def test_of_many_first_starts_one_file_wins(tmp_path: Path) -> None:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(Keyring.load(settings_in(tmp_path)).derive("x"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version": 2, "primary": "k", "keys": {"k": "%s"}}' % b64url(bytes(32)).encode(),
        b'{"version": 1, "primary": "other", "keys": {"k": "%s"}}' % b64url(bytes(32)).encode(),
        b'{"version": 1, "primary": "k", "keys": {"k": "c2hvcnQ"}}',
        b'{"version": 1, "primary": "k", "keys": {"k": 5}}',
        b'{"version": 1, "primary": "k k", "keys": {"k k": "%s"}}' % b64url(bytes(32)).encode(),
        b'{"version": 1, "primary": ["k"], "keys": {"k": "%s"}}' % b64url(bytes(32)).encode(),
    ],
)
def test_a_broken_file_stops_the_start_and_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    with pytest.raises(StartupError, match=r"keys\.json .*restore it from a backup"):
        Keyring.load(settings_in(tmp_path))
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


def test_a_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StartupError, match="DRIO_DATA_DIR"):
        Keyring.load(settings_in(tmp_path / "file"))


def test_the_setting_is_used_in_place_of_a_file(tmp_path: Path) -> None:
    ring = Keyring.load(settings_in(tmp_path / "a"))
    same = Keyring.load(load_settings(data_dir=tmp_path / "b", keys=ring.dump().reveal()))
    assert same.derive("x") == ring.derive("x")
    assert not (tmp_path / "b").exists()


def test_a_wrong_setting_is_refused_without_repeating_it(tmp_path: Path) -> None:
    key = b64url(b"0123456789abcdef0123456789abcdef")
    wrong = json.dumps({"version": 1, "primary": "x", "keys": {"k": key}})
    with pytest.raises(StartupError) as refusal:
        Keyring.load(load_settings(data_dir=tmp_path, keys=wrong))
    assert "DRIO_KEYS" in refusal.value.message
    assert key not in refusal.value.message


def test_purposes_and_keys_do_not_share_bytes(tmp_path: Path) -> None:
    ring = Keyring.load(settings_in(tmp_path)).rotated()
    first, second = ring.ids
    derived = [ring.derive(purpose, key) for purpose in ("a", "b") for key in (first, second)]
    assert {len(each) for each in derived} == {32}
    assert len(set(derived)) == 4
    assert ring.derive("a") == ring.derive("a", second)


def test_rotation_adds_a_primary_key_and_keeps_the_old_ones(tmp_path: Path) -> None:
    before = Keyring.load(settings_in(tmp_path))
    old = before.derive("x")
    after = before.rotated()
    assert after.ids == (*before.ids, after.primary_id)
    assert after.derive("x", before.primary_id) == old
    assert after.derive("x") != old
    assert Keyring.load(settings_in(tmp_path)).primary_id == after.primary_id
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_a_running_process_finds_a_key_that_another_one_added(tmp_path: Path) -> None:
    running = Keyring.load(settings_in(tmp_path))
    rotated = Keyring.load(settings_in(tmp_path)).rotated()
    assert running.derive("x", rotated.primary_id) == rotated.derive("x")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownKey):
        Keyring.load(settings_in(tmp_path)).derive("x", "k-none")


def test_keys_do_not_print(tmp_path: Path) -> None:
    ring = Keyring.load(settings_in(tmp_path))
    stored = json.loads((tmp_path / "keys.json").read_text())["keys"]
    shown = f"{ring!r} {ring} {ring.dump()!r} {vars(ring)!r}"
    assert not any(key in shown for key in stored.values())

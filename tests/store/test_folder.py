"""The data folder (contract section 1: mode 0700)."""

import stat
from pathlib import Path

import pytest

from drio_mcp.config import Settings
from drio_mcp.errors import StartupError
from drio_mcp.services import build_services
from drio_mcp.store.folder import make_private


@pytest.mark.parametrize(("before", "after"), [(0o777, 0o700), (0o770, 0o700), (0o755, 0o755), (0o700, 0o700)])
def test_a_folder_that_others_can_write_is_put_right(tmp_path: Path, before: int, after: int) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    folder.chmod(before)
    build_services(Settings(data_dir=folder))
    assert stat.S_IMODE(folder.stat().st_mode) == after


def test_one_that_is_not_ours_to_change_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: int) -> None:
        raise PermissionError

    tmp_path.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", refuse)
    with pytest.raises(StartupError, match=r"mode 777"):
        make_private(tmp_path)


def test_a_folder_that_is_not_there_yet_is_nothing_to_change(tmp_path: Path) -> None:
    make_private(tmp_path / "data")
    assert not (tmp_path / "data").exists()

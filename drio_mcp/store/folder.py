"""The data folder: what lies in it is nobody else's to write (contract section 1, mode 0700)."""

import stat
from pathlib import Path

from drio_mcp.errors import StartupError

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def make_private(folder: Path) -> None:
    """Take from others the right to write in the folder; one that is not there yet is made private later.

    Who may write in it could put another database or key ring there. Raises `StartupError` when everybody may and it
    is not ours to change; a group that a platform gave a volume to is left as it is.
    """
    try:
        mode = folder.stat().st_mode
    except OSError:
        return  # it is not there, or whoever opens what lies in it says what is the matter
    if not stat.S_ISDIR(mode) or not mode & OTHERS_WRITE:
        return
    try:
        folder.chmod(0o700)
    except OSError:
        if mode & stat.S_IWOTH:
            raise StartupError(
                f"DRIO_DATA_DIR can be written by everybody (mode {stat.S_IMODE(mode):o}); chmod 700 {folder}"
            ) from None

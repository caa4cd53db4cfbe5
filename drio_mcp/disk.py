"""Files that outlive a power cut."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Let what was written reach the disk: a file's content, or a folder's names (fsync(2)). Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

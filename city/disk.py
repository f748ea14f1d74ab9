"""Files that survive a power cut."""

import os
from pathlib import Path


def write(path: Path, data: bytes) -> None:
    """Writes a new file, whose bytes are on the disk when this returns. Raises FileExistsError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Makes a file's bytes, or a folder's list of names, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

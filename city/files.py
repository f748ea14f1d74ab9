"""Files that survive a power cut, and files that somebody names."""

import codecs
import errno
import fcntl
import io
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write(path: Path, data: bytes) -> None:
    """Writes a new file, whose bytes are on the disk when this returns. Raises FileExistsError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def atomic_write(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once all of it is on the disk.

    Until then, and where writing fails, what was there stays. Of several that write at once the last one's
    stays. Raises OSError, also where a folder, a pipe or a device is there.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "It isn't a file", str(path))
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        fsync(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Nobody else does the same in `folder` meanwhile. The lock goes with its process.

    Raises BlockingIOError where somebody does.
    """
    with (folder / "lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


def read(path: Path, most: int) -> bytes:
    """The bytes of a file that somebody names.

    Raises OSError, also for a pipe or a device, which may never end, and for more than `most` bytes.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "It's a pipe or a device, not a file", str(path))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"It's larger than {most // 1_000_000} MB", str(path))
    return path.read_bytes()


def text(path: Path, most: int) -> str:
    """The words of such a file in UTF-8, or in UTF-16 with its mark, each line ending as ours do.

    A mark at the beginning, which editors of Windows write, is left out. Raises OSError, UnicodeDecodeError.
    """
    data = read(path, most)
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return io.StringIO(data.decode("utf-16" if is_wide else "utf-8-sig"), newline=None).read()


def is_full(fault: OSError) -> bool:
    """Whether a disk took nothing more: it is full or over its quota, or has become read-only."""
    return fault.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


def why(fault: OSError | UnicodeDecodeError) -> str:
    """Why a file could not be read, in words for who named it: without number and path."""
    return (fault.strerror if isinstance(fault, OSError) else "") or str(fault)


def fsync(path: Path) -> None:
    """Makes a file's bytes, or a folder's list of names, survive a power cut."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)

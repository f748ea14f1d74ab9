"""A file that is there whole or not at all."""

import os
from pathlib import Path

import pytest

from city import disk


def test_a_file_takes_the_place_of_another_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_bytes(b"before")
    with disk.whole(path) as file:
        file.write(b"after")
        file.flush()
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_there_stays_where_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_bytes(b"before")

    def fail() -> None:
        with disk.whole(path) as file:
            file.write(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_two_that_write_at_once_spoil_nothing(tmp_path: Path) -> None:
    path = tmp_path / "told"
    with disk.whole(path) as first, disk.whole(path) as second:
        first.write(b"first")
        second.write(b"second")
    assert path.read_bytes() == b"first"


def test_a_secret_is_its_owners_alone_from_the_first_byte(tmp_path: Path) -> None:
    with disk.whole(tmp_path / "secret", mode=0o600) as file:
        (part,) = tmp_path.iterdir()
        assert part.stat().st_mode & 0o777 == 0o600
        file.write(b"secret")
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


def test_neither_a_folder_nor_a_pipe_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for there in (tmp_path, tmp_path / "pipe", Path()):
        with pytest.raises(OSError, match="It isn't a file"), disk.whole(there):
            pass
    assert (tmp_path / "pipe").is_fifo()


def test_one_at_a_time(tmp_path: Path) -> None:
    with disk.alone(tmp_path), pytest.raises(BlockingIOError), disk.alone(tmp_path):
        pass
    with disk.alone(tmp_path):
        pass

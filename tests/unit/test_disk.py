"""A file that is there whole or not at all."""

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

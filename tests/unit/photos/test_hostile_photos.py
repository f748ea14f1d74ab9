"""Files that somebody made so that they cost much: each is told apart soon, in little room."""

import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator

import pytest
from pictures import assert_clean, encoded, png
from PIL import Image

from city.photos import decoding
from city.photos.processing import BadPhoto

SECONDS, ROOM = 2.0, 60_000_000  # of this process; bytes
NOISE = Image.effect_noise((200, 200), 60).convert("RGB")
ROWS = zlib.compress((b"\0" + bytes(300)) * 100)
BOMB = zlib.compress(bytes(100_000_000))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def of_a_million_parts() -> Iterator[tuple[str, bytes]]:
    """Files of 15 MB that somebody would go through part by part: each took seconds, or 300 MB."""
    jpeg, small = encoded(NOISE), png(100, 100, 8, 2, ROWS)
    yield "segments", jpeg[:2] + b"\xff\xe1\0\x08Exif\0\0" * 1_500_000 + jpeg[2:]
    yield "fill", jpeg[:2] + b"\xff" * 15_000_000 + jpeg[2:]
    yield "nothing", jpeg[:2] + b"\xff\0" * 7_500_000 + jpeg[2:]
    yield "restarts", jpeg[: jpeg.index(b"\xff\xda")] + b"\xff\xd0" * 7_500_000
    yield "scans", jpeg[:-2] + jpeg[jpeg.index(b"\xff\xda") :][:12] * 1_000_000
    yield "chunks", small[:33] + chunk(b"teXt", b"") * 1_250_000 + small[33:]
    yield "boxes", encoded(NOISE, "HEIF") + b"iloc\0\0\0\0" * 2_000_000


def with_one_that_is_too_large() -> Iterator[tuple[str, bytes, str]]:
    """And the code of its refusal; "" where the rest of the file is a photo, and is taken."""
    small, jpeg = png(100, 100, 8, 2, ROWS), encoded(NOISE)
    yield "text", small[:33] + chunk(b"zTXt", b"a\0\0" + BOMB) + small[33:], "broken"
    yield "profile", small[:33] + chunk(b"iCCP", b"a\0\0" + BOMB) + small[33:], "broken"
    yield "plain text", small[:33] + chunk(b"tEXt", b"a\0" + b"x" * 10_000_000) + small[33:], ""
    yield "rows", png(100, 100, 8, 2, BOMB), ""
    yield "profile of CMYK", encoded(Image.new("CMYK", (90, 60)), icc_profile=b"\xa5" * 4_000_000), ""
    at = jpeg.index(b"\xff\xc0") + 5
    for high, wide in ((0xFFFF, 0xFFFF), (0xFFFF, 1)):
        yield (
            f"{wide} × {high}",
            jpeg[:at] + struct.pack(">HH", high, wide) + jpeg[at + 4 :],
            "too_many_pixels",
        )
    yield "file behind it", jpeg + b"PK\3\4" + bytes(15_000_000), ""


def animated(kind: str, count: int) -> bytes:
    frames = [Image.new("RGB", (16, 16), (n % 256, n // 256, 7)) for n in range(count)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


def ending(data: bytes) -> str:
    """The code of its refusal, or "" where it is taken and leaves nothing but small pictures."""
    began = time.process_time()
    tracemalloc.start()
    try:
        for jpeg in decoding.develop(data).jpegs.values():
            assert_clean(jpeg)
            assert len(jpeg) < 200_000
        return ""
    except BadPhoto as bad:
        return bad.code
    finally:
        room = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (time.process_time() - began < SECONDS, room < ROOM) == (True, True), room


@pytest.mark.slow
def test_a_file_of_a_million_parts_is_broken_before_anybody_goes_through_them() -> None:
    for what, data in of_a_million_parts():
        assert ending(data) == "broken", what


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_thing_that_is_far_too_large_costs_little() -> None:
    for what, data, code in with_one_that_is_too_large():
        assert ending(data) == code, what


def test_of_thousands_of_pictures_the_first_is_taken() -> None:
    assert ending(animated("WEBP", 10_000)) == ""
    assert ending(animated("PNG", 1_000)) == ""

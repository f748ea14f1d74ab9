"""Pictures that the tests make: upright ones, spoiled ones, and what must not be left in a clean JPEG."""

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image
from PIL.Image import Transpose

from city.photos import processing

pillow_heif.register_heif_opener()  # so that Pillow can save one

RED, GREEN, BLUE, WHITE = (230, 20, 20), (20, 160, 20), (20, 20, 230), (255, 255, 255)
# What a camera held that way writes: the turn that spoils an upright picture (EXIF 2.32, tag 0x0112).
SPOIL = {
    1: None,
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


def quarters(size: tuple[int, int] = (600, 400)) -> Image.Image:
    """Red, green over blue, white: no two turns of it look the same."""
    picture = Image.new("RGB", size, WHITE)
    w, h = size[0] // 2, size[1] // 2
    for corner, colour in (((0, 0), RED), ((w, 0), GREEN), ((0, h), BLUE)):
        picture.paste(colour, (*corner, corner[0] + w, corner[1] + h))
    return picture


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def plain(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (60, 40)) -> bytes:
    return encoded(Image.new("RGB", size, colour))


def opened(jpeg: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(jpeg))
    assert (picture.format, picture.mode) == ("JPEG", "RGB")
    picture.load()
    return picture


def full(source: Any) -> Image.Image:
    return opened(processing.process(source).jpegs["full"])


def about(seen: Any, expected: tuple[int, ...], by: int = 6) -> bool:
    return all(abs(a - b) <= by for a, b in zip(seen, expected, strict=True))


def is_upright(picture: Image.Image) -> bool:
    w, h = picture.size
    spots = [(w // 4, h // 4), (3 * w // 4, h // 4), (w // 4, 3 * h // 4), (3 * w // 4, 3 * h // 4)]
    return w > h and all(
        about(picture.getpixel(spot), colour, 12)
        for spot, colour in zip(spots, (RED, GREEN, BLUE, WHITE), strict=True)
    )


def png(width: int, height: int, depth: int, colour: int, packed: bytes) -> bytes:
    """A PNG of already deflated rows: for what Pillow itself does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def segments(jpeg: bytes) -> list[int]:
    """The marker bytes of a JPEG up to its first scan."""
    found, at = [], 2
    while jpeg[at + 1] != 0xDA:
        found.append(jpeg[at + 1])
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return found


def assert_clean(jpeg: bytes) -> None:
    # JFIF, quantisation, Huffman, progressive frame: nothing that could hold a word.
    assert set(segments(jpeg)) <= {0xE0, 0xDB, 0xC4, 0xC2}
    assert jpeg[6:10] == b"JFIF"
    assert int.from_bytes(jpeg[4:6], "big") == 16  # a JFIF header without room for a thumbnail
    for trace in (b"Exif", b"GPSL", b"ICC_PROFILE", b"ns.adobe.com", b"xmpmeta", b"Photoshop", b"MPF\0"):
        assert trace not in jpeg
    assert set(opened(jpeg).info) <= {
        "jfif", "jfif_version", "jfif_unit", "jfif_density", "progressive", "progression",
    }  # fmt: skip
    assert jpeg.endswith(b"\xff\xd9")


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "Larkhaven Cameras"
    tags.get_ifd(0x8825).update({1: "N", 2: (41.0, 45.0, 30.0), 3: "W", 4: (72.0, 40.0, 12.0)})
    return tags


def wide_gamut() -> bytes:
    """An ICC profile with the primaries of Display P3 and a gamma of 2.2 (ICC.1:2022, matrix profile)."""

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + b"".join(struct.pack(">i", round(v * 65536)) for v in values)

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(2.2 * 256)) + b"\0\0"
    tags = {
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
    }
    table, body, offset = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value
    illuminant = struct.pack(">iii", 63190, 65536, 54061)
    head = struct.pack(">I4sI4s4s4s", offset + len(body), b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + illuminant
    return head.ljust(128, b"\0") + table + body

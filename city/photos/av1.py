"""How large the pictures of an AVIF are as they are coded, whatever the file says of it elsewhere.

An AVIF may call a picture of 265 megapixels a stamp: its decoder unpacks all of it and shrinks it afterwards.
What counts stands in the sequence headers of its AV1 streams (AV1 specification, 5.5.1). Where the streams
lie, photos/isobmff.py says of a still picture, and of others the boxes stco and stsz (ISO/IEC 14496-12, 8.7).
"""

import re
from collections.abc import Callable, Iterator

from city.photos import isobmff
from city.photos.isobmff import MOST_BOXES, MOST_UNITS, Unreadable

MOST_RATIO = 4  # how many times over a file may name its own bytes

# What follows a name is only looked at: a name that is not meant may stand right before one that is.
_CODED = re.compile(rb"infe(?=\x02...(..)..av01|\x03...(....)..av01)", re.DOTALL)
_CHUNKS = re.compile(rb"stco(?=\0...(?!\0{4})....(....))|co64(?=\0...(?!\0{4})....(.{8}))", re.DOTALL)
_SAMPLES = re.compile(rb"stsz(?=\0...(....)....(....))", re.DOTALL)
_SEQUENCE_HEADER, _LONGEST = 1, 512  # bytes, with 32 operating points


def coded_sizes(data: bytes) -> list[int]:
    """How many pixels each sequence header allows. Raises Unreadable, also where there is none."""
    found, units = [], 0
    for stream in _streams(data):
        for kind, body in _units(stream):
            units += 1
            if units > MOST_UNITS:
                raise Unreadable("too many parts")
            if kind == _SEQUENCE_HEADER:
                found.append(_pixels(bytes(body[:_LONGEST])))
    if not found:
        raise Unreadable("no picture")
    return found


def _streams(data: bytes) -> Iterator[memoryview]:
    """The bytes of every coded item of a still picture, and the first sample of every track."""
    view, left = memoryview(data), MOST_RATIO * len(data)
    coded = {int.from_bytes(one or other, "big") for one, other in _CODED.findall(data)}
    for item, pieces in isobmff.items(data):
        if item not in coded:
            continue
        here = [(min(start, len(data)), min(stop, len(data))) for start, stop in pieces]
        left -= sum(stop - start for start, stop in here)
        if left < 0:
            raise Unreadable("names its bytes too often")
        yield memoryview(b"".join(view[start:stop] for start, stop in here))
    begins = {int.from_bytes(one or other, "big") for one, other in _CHUNKS.findall(data)}
    sizes = {
        int.from_bytes(first if each == bytes(4) else each, "big") for each, first in _SAMPLES.findall(data)
    }
    if max(len(begins), len(sizes)) > MOST_BOXES:
        raise Unreadable("too many boxes")
    yield from (view[start : start + size] for start in begins for size in sizes)


def _units(stream: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The kind and the body of each unit (OBU) of a stream. Decoders do not mind its reserved bits."""
    at = 0
    while at < len(stream):
        head = stream[at]
        at += 2 if head & 4 else 1
        size = len(stream) - at
        if head & 2:
            size = 0
            for n, byte in enumerate(stream[at : at + 8]):
                size |= (byte & 127) << 7 * n
                if byte < 128:
                    break
            at += n + 1 if at < len(stream) else 0
        yield head >> 3 & 15, stream[at : at + size]
        at += size


def _pixels(header: bytes) -> int:
    """The largest picture that a sequence header allows."""
    bits, left = int.from_bytes(header, "big"), 8 * len(header)

    def read(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise Unreadable("a header ends too early")
        return bits >> left & ((1 << count) - 1)

    read(4)  # the profile; whether it is a still picture
    if read(1):
        read(5)
    else:
        _skip_operating_points(read)
    wide, high = read(4) + 1, read(4) + 1
    return (read(wide) + 1) * (read(high) + 1)


def _skip_operating_points(read: Callable[[int], int]) -> None:
    delay = 0  # bits; 0 where there is no decoder model
    if read(1):  # timing
        read(64)
        if read(1):
            zeros = 0
            while not read(1):
                zeros += 1
            read(zeros if zeros < 32 else 0)
        if read(1):
            delay = read(5) + 1
            read(42)
    has_display_delay = read(1)
    for _point in range(read(5) + 1):
        read(12)
        if read(5) > 7:
            read(1)
        if delay and read(1):
            read(2 * delay + 1)
        if has_display_delay and read(1):
            read(4)

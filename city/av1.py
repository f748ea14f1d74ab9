"""How large the pictures of an AVIF are as they are coded, whatever the file says of it elsewhere.

An AVIF may call a picture of 265 megapixels a stamp: its decoder unpacks all of it and shrinks it afterwards.
What counts stands in the sequence headers of its AV1 streams (AV1 specification, 5.5.1). Where the streams
lie is said by the boxes iloc and infe, or stco and stsz (ISO/IEC 14496-12, 8.11 and 8.7). The boxes are found
by their names wherever they stand, so that none is passed over that a decoder would heed.
"""

import re
from collections.abc import Callable, Iterator

MOST_UNITS = 20_000  # in all streams; a picture of a hundred tiles has a few hundred
MOST_RATIO = 4  # how many times over a file may name its own bytes
MOST_BOXES = 8  # of one kind that say where something begins

# What follows a name is only looked at: a name that is not meant may stand right before one that is.
_CODED = re.compile(rb"infe(?=\x02...(..)..av01|\x03...(....)..av01)", re.DOTALL)
_ILOC = re.compile(rb"iloc(?=([\0-\x02])...)", re.DOTALL)
_IDAT = re.compile(rb"idat")
_CHUNKS = re.compile(rb"stco(?=\0...(?!\0{4})....(....))|co64(?=\0...(?!\0{4})....(.{8}))", re.DOTALL)
_SAMPLES = re.compile(rb"stsz(?=\0...(....)....(....))", re.DOTALL)
_SEQUENCE_HEADER, _LONGEST = 1, 512  # bytes, with 32 operating points


class Unreadable(Exception):
    """Streams that cannot be found, or named a thousand times over: no decoder should see them."""


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
    boxes = list(_ILOC.finditer(data))
    for box in boxes[: MOST_BOXES + 1]:
        for item, pieces in _items(data, box.end() + 4, box[1][0]):
            if item not in coded:
                continue
            left -= sum(stop - start for start, stop in pieces)
            if left < 0:
                raise Unreadable("names its bytes too often")
            yield memoryview(b"".join(view[start:stop] for start, stop in pieces))
    begins = {int.from_bytes(one or other, "big") for one, other in _CHUNKS.findall(data)}
    sizes = {
        int.from_bytes(first if each == bytes(4) else each, "big") for each, first in _SAMPLES.findall(data)
    }
    if max(len(boxes), len(begins), len(sizes)) > MOST_BOXES:
        raise Unreadable("too many boxes")
    yield from (view[start : start + size] for start in begins for size in sizes)


def _items(data: bytes, at: int, version: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each item of an iloc box, and from where to where its pieces lie, for each idat that may be meant."""

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(data):
            raise Unreadable("ends too early")
        return int.from_bytes(data[at - size : at], "big")

    inner = [box.end() for box in _IDAT.finditer(data)]
    if len(inner) > MOST_BOXES:
        raise Unreadable("too many boxes of items")
    sizes = number(2)
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    wide, count = 4 if version == 2 else 2, 0
    for _item in range(number(wide)):
        item = number(wide)
        is_inner = version > 0 and number(2) & 15 == 1
        number(2)  # which file is meant: this one
        base, pieces, more = number(base_size), [], number(2)
        count += more + 1
        if count > MOST_UNITS:  # they may take no room at all
            raise Unreadable("too many items")
        for _piece in range(more):
            number(index_size if version else 0)
            start, length = base + number(offset_size), number(length_size)
            pieces.append((start, start + length if length else len(data)))
        for begin in inner if is_inner else [0]:
            yield item, [(min(begin + a, len(data)), min(begin + b, len(data))) for a, b in pieces]


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

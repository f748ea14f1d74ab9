"""Where the pictures lie of which a HEIC is put together, as its boxes say (ISO/IEC 14496-12, 8.11).

The boxes are found by their names wherever they stand, so that none is passed over that a decoder would heed.
"""

import re
from collections.abc import Iterator
from itertools import islice

MOST_UNITS = 20_000  # of what a file names; a picture of a hundred tiles has a few hundred
MOST_BOXES = 8  # of one kind that say where something begins

# What follows a name is only looked at: a name that is not meant may stand right before one that is.
_ILOC = re.compile(rb"iloc(?=([\0-\x02])...)", re.DOTALL)
_IDAT = re.compile(rb"idat")
_MAIN = re.compile(rb"pitm(?=\0...(..)|\x01...(....))", re.DOTALL)


class Unreadable(Exception):
    """Pictures that cannot be found, or are named a thousand times over: no decoder should see them."""


def items(data: bytes) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each item, and from where to where its pieces lie, also beyond the end. Raises Unreadable."""
    found = list(islice(_ILOC.finditer(data), MOST_BOXES + 1))
    if len(found) > MOST_BOXES:
        raise Unreadable("too many boxes")
    for box in found:
        yield from _items(data, box.end() + 4, box[1][0])


def lacking(data: bytes) -> float:
    """Which share of the main picture's tiles, by number, does not lie in the file as a whole."""
    main = _MAIN.search(data)
    wanted = _tiles(data, main[1] or main[2]) if main else set()
    ends = {item: max((stop for _, stop in pieces), default=0) for item, pieces in items(data)}
    cut = [item for item in wanted if ends.get(item, 0) > len(data)]
    return len(cut) / len(wanted) if wanted else 0.0


def _tiles(data: bytes, item: bytes) -> set[int]:
    """What the item is put together from; itself where it is no grid."""
    size = len(item)
    box = re.search(rb"dimg(?=" + re.escape(item) + rb"(..))", data, re.DOTALL)
    if box is None:
        return {int.from_bytes(item, "big")}
    at = box.end() + size + 2
    count = int.from_bytes(box[1], "big")
    return {int.from_bytes(data[at + size * n : at + size * (n + 1)], "big") for n in range(count)}


def _items(data: bytes, at: int, version: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each item of an iloc box, and from where to where its pieces lie, for each idat that may be meant."""

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(data):
            raise Unreadable("ends too early")
        return int.from_bytes(data[at - size : at], "big")

    inner = [box.end() for box in islice(_IDAT.finditer(data), MOST_BOXES + 1)]
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
            yield item, [(begin + start, begin + stop) for start, stop in pieces]

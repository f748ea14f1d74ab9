"""The demo's photos: six drawn pictures, each in variants that no eye tells apart."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from city import photos
from city.developing import Developed, develop
from city.stores import Store

PICTURES = Path(__file__).parent / "demo_photos"
# Whoever covers a part of a photo covers it wherever the same bytes were sent: in life next to nowhere.
VARIANTS = 128
HANDS = 8  # files written at once: each waits for the disk


def filled(store: Store) -> dict[str, Iterator[Developed]]:
    """The pictures by name, each an endless round of its variants, whose bytes are in the store by now."""
    drawn = {path.stem: develop(path.read_bytes()) for path in sorted(PICTURES.glob("*.jpg"))}
    album = {name: [_variant(picture, n) for n in range(VARIANTS)] for name, picture in drawn.items()}
    with ThreadPoolExecutor(HANDS) as hands:
        for pictures in album.values():
            list(hands.map(lambda picture: photos.keep(store, picture), pictures))
    return {name: cycle(pictures) for name, pictures in album.items()}


def _variant(picture: Developed, n: int) -> Developed:
    """The same to the eye in other bytes: its finest detail, of which it has next to none, weighs more."""
    jpegs = {}
    for size, jpeg in picture.jpegs.items():
        last = jpeg.index(b"\xff\xdb") + 4 + 64  # of the first table of weights (JPEG, B.2.4.1)
        jpegs[size] = jpeg[:last] + bytes([jpeg[last] + n]) + jpeg[last + 1 :]
    return replace(picture, jpegs=jpegs)

"""The demo's photos: six drawn pictures, each in variants that no eye tells apart."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path

from city.photos import photos
from city.photos.processing import ProcessedPhoto, process
from city.photos.storage import Store

PICTURES = Path(__file__).parent / "photo_files"
# Whoever covers a part of a photo covers it wherever the same bytes were sent: in life next to nowhere.
VARIANTS = 128
HANDS = 8  # files written at once: each waits for the disk


class Album:
    """The pictures by name, each an endless round of its variants."""

    def __init__(self) -> None:
        self._drawn = {path.stem: process(path.read_bytes()) for path in sorted(PICTURES.glob("*.jpg"))}
        self._turns = {name: cycle(range(VARIANTS)) for name in self._drawn}
        self._taken: dict[tuple[str, int], ProcessedPhoto] = {}

    def take(self, name: str) -> ProcessedPhoto:
        """The next variant of a picture. Its bytes are in the store after put()."""
        n = next(self._turns[name])
        if (name, n) not in self._taken:
            self._taken[name, n] = _variant(self._drawn[name], n)
        return self._taken[name, n]

    def put(self, store: Store) -> None:
        """Brings into the store what was taken and, since no photo would need it, nothing else."""
        with ThreadPoolExecutor(HANDS) as hands:
            list(hands.map(partial(photos.store_sizes, store), self._taken.values()))


def _variant(picture: ProcessedPhoto, n: int) -> ProcessedPhoto:
    """The same to the eye in other bytes: its finest detail, of which it has next to none, weighs more."""
    jpegs = {}
    for size, jpeg in picture.jpegs.items():
        last = jpeg.index(b"\xff\xdb") + 4 + 64  # of the first table of weights (JPEG, B.2.4.1)
        jpegs[size] = jpeg[:last] + bytes([jpeg[last] + n]) + jpeg[last + 1 :]
    return replace(picture, jpegs=jpegs)

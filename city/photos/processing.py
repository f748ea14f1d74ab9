"""Developing: strangers' bytes become clean JPEGs, in a process that has so much memory and time only.

What is done to the bytes stands in decoding.py, and how they are kept apart in decoder.py. Here is who may
wait for it, and what its end means. No disk, no database.
"""

import atexit
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass
from math import ceil, floor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, BinaryIO

SIZES = {"full": 2048, "page": 1200, "thumb": 240}  # longest edge, px; largest first
MAX_UPLOAD = 20_000_000  # bytes

# However many photos arrive, one is decoded at a time: it may take all that decoder.py allows. Each that
# waits holds a thread of the web server, which has 64 for all that anybody asks.
AT_ONCE, MOST_WAITING = 1, 16
PATIENCE = 45.0  # seconds that one waits for its turn
MOST_SECONDS = 30  # that one may take; beyond that the machine has too much to do
PART = 1 << 18  # bytes that are handed over at once
ENDED = b"ended "  # what the last word on a photo begins with; behind it stands how its process ended
COMMAND = [sys.executable, "-m", "city.photos.decoder"]
_turn = threading.BoundedSemaphore(AT_ONCE)
_room = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)
log = logging.getLogger(__name__)


class BadPhoto(Exception):
    """An upload that is not taken.

    `code` is one of not_a_photo, broken, too_large (bytes), too_many_pixels (or too dear otherwise), too_many
    (for one form), or no_room (in all forms together).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Busy(Exception):
    """Too many photos wait already, or the machine could not decode this one. The same may come again."""


@dataclass(frozen=True)
class ProcessedPhoto:
    """An upload made into clean JPEGs by size; `width` and `height` are the full one's, in px."""

    upload_sha256: str
    width: int
    height: int
    jpegs: dict[str, bytes]
    cut: bool = False  # a part of it was damaged, and is not in the JPEGs


@dataclass(frozen=True)
class Box:
    """A part of a picture, in percent of its width and height from the upper left corner."""

    left: float
    top: float
    width: float
    height: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The first and the last pixel, both inside; a pixel that is only touched is inside too."""
        right, bottom = self.left + self.width, self.top + self.height
        return (
            floor(self.left * width / 100), floor(self.top * height / 100),
            min(ceil(right * width / 100), width) - 1, min(ceil(bottom * height / 100), height) - 1,
        )  # fmt: skip


def process(source: BinaryIO | bytes) -> ProcessedPhoto:
    """The upload as three upright sRGB JPEGs without any metadata. Touches neither disk nor database.

    Takes JPEG (of Ultra HDR and MPO the plain picture), HEIC, AVIF, PNG and WebP, told by content and never
    by name; of an animation the first picture. Where one ends too early (a JPEG or PNG also where it is
    damaged further down), the rows above are kept if they are most of it; of a HEIC the tiles that are
    there, with grey beside them. Raises BadPhoto and Busy. Slow (a third of a second for 12 megapixels):
    call it before the transaction and hand the result to photos.stage().
    """
    return _developed({"do": "develop"}, source)


def redact_areas(jpeg: bytes, boxes: Sequence[Box], upload_sha256: str) -> ProcessedPhoto:
    """One of our own full sizes with the boxes painted over, and the smaller sizes made from that.

    Nothing below a box is in any of them: the paint comes before the packing. Raises BadPhoto where its bytes
    were damaged, and Busy.
    """
    boxed = [astuple(box) for box in boxes]
    return _developed({"do": "cover", "boxes": boxed, "upload_sha256": upload_sha256}, jpeg)


def small(jpeg: bytes, most: int) -> bytes:
    """One of our own JPEGs as one of `most` bytes: the first of ever smaller and plainer ones that fits.

    Raises BadPhoto `broken` where its bytes were damaged, and Busy.
    """
    _told, [packed] = _decoded({"do": "small", "most": most}, jpeg)
    return packed


def _developed(asked: Mapping[str, Any], source: BinaryIO | bytes) -> ProcessedPhoto:
    told, jpegs = _decoded(asked, source)
    return ProcessedPhoto(**told | {"jpegs": dict(zip(SIZES, jpegs, strict=True))})


def _decoded(asked: Mapping[str, Any], source: BinaryIO | bytes) -> tuple[dict[str, Any], list[bytes]]:
    """What the decoder tells of it, and its JPEGs. Raises BadPhoto and Busy."""
    if not _room.acquire(blocking=False):
        raise Busy
    try:
        if not _turn.acquire(timeout=PATIENCE):
            raise Busy
        try:
            said, ended = _answer(asked, _parts(source))
        finally:
            _turn.release()
    finally:
        _room.release()
    if ended:
        log.warning("The process that decoded a photo ended with %s", ended)
    if -ended in (signal.SIGALRM, signal.SIGKILL):  # out of time or, most often, of the machine's memory
        raise Busy
    if ended:
        raise BadPhoto("too_many_pixels" if -ended == signal.SIGXCPU else "broken")
    told = json.loads(said[0])
    if "refused" in told:
        raise BadPhoto(told["refused"])
    return told, said[1:]


def _parts(source: BinaryIO | bytes) -> Iterator[bytes]:
    """What is handed over, little by little: nobody holds a whole upload. Raises BadPhoto `too_large`."""
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    left = MAX_UPLOAD + 1
    while part := file.read(min(left, PART)):  # a socket gives less than it was asked for
        left -= len(part)
        if not left:
            raise BadPhoto("too_large")
        yield part


def _answer(asked: Mapping[str, Any], parts: Iterator[bytes]) -> tuple[list[bytes], int]:
    """What the decoder says of one photo, and how its process ended. Raises BadPhoto and Busy."""
    ours, theirs = socket.socketpair()
    with theirs, Connection(ours.detach()) as photo:
        try:
            _decoder.take(theirs)
            theirs.close()
            with suppress(BrokenPipeError):  # it ended before all was there, and how is to be heard
                photo.send_bytes(json.dumps(asked).encode())
                for part in parts:
                    photo.send_bytes(part)
                photo.send_bytes(b"")
            return _heard(photo)
        except (EOFError, OSError) as fault:
            log.error("The decoder has ended: %r", fault)
            _decoder.end()
            raise Busy from fault


def _heard(photo: Connection) -> tuple[list[bytes], int]:
    """Raises EOFError or OSError where its last word, how the process ended, does not come."""
    said = list[bytes]()
    while photo.poll(MOST_SECONDS + PATIENCE):
        word = photo.recv_bytes()
        if word.startswith(ENDED):
            return said, int(word.removeprefix(ENDED))
        said.append(word)
    raise OSError("no answer")


class _Decoder:
    """The process of decoder.py, begun with the first photo and again wherever it was ended."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def take(self, photo: socket.socket) -> None:
        """Hands over the other end of a photo's connection. Raises OSError."""
        if self._control is not None:
            with suppress(OSError):
                socket.send_fds(self._control, [b"."], [photo.fileno()])
                return
            self.end()
        socket.send_fds(self._begin(), [b"."], [photo.fileno()])

    def end(self) -> None:
        """Whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.leave()

    def leave(self) -> None:
        """To another process, which has begun it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._process.returncode is None:
            self._process.returncode = 0
        self._control = self._process = None

    def _begin(self) -> socket.socket:
        self._control, theirs = socket.socketpair()
        # Neither secrets nor the database are its business. Its threads share one heap: each heap more would
        # count as 64 MB of what it may take.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("CITYLINE_")}
        with theirs:
            self._process = subprocess.Popen(
                COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2], env=ours | {"MALLOC_ARENA_MAX": "1"},
            )  # fmt: skip
        return self._control


def _begin_anew() -> None:
    """In a process that another one has become by a fork: that one's photos are not ours."""
    global _turn, _room
    _turn = threading.BoundedSemaphore(AT_ONCE)
    _room = threading.BoundedSemaphore(AT_ONCE + MOST_WAITING)
    _decoder.leave()


_decoder = _Decoder()
atexit.register(_decoder.end)
os.register_at_fork(after_in_child=_begin_anew)

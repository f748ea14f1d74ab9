"""What becomes of real photos: taken or refused as photos.toml says, upright, without metadata, at what cost.

    bin/bench photos

The files are those of $CITYLINE_BENCH_DATA/photos/; photos.toml names each with its fate. `peak_mb` is by how
much the memory of one process grows that develops all of them, one after the other. `ratio_12mp` compares one
photo of 12 megapixels with what cannot be left out: unpacking it, shrinking it to the full size and packing
that; ours with the way to the decoder's process and back. `metadata_bytes` counts what is left in any size,
`metadata_bytes_sent` what was in the files. `met` says which targets that meets.
"""

import io
import json
import os
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import exiv2
from PIL import Image, ImageChops, ImageStat
from pillow_heif.as_plugin import HeifImageFile

from bench._site import ROOT, say
from bench._targets import Target, judge, printed
from city.photos import decoding, processing
from city.photos.processing import BadPhoto

FATES = ROOT / "bench" / "photos.toml"
ROUNDS = 15
FILES = 71
TARGETS: list[Target] = [
    ("files", ">=", FILES), ("accepted", ">=", 69), ("crashed", "<=", 0), ("as_expected", ">=", FILES),
    ("metadata_bytes", "<=", 0), ("orientation_ok", ">=", 16), ("ratio_12mp", "<=", 1.3),
]  # fmt: skip
# Of 255, in the mean of a colour. The sixteen were packed one by one, which alone makes 4; a turn makes 40.
ALIKE = 10.0


def main() -> None:
    """Prints the one line."""
    data = os.environ.get("CITYLINE_BENCH_DATA")
    if not data:
        print(json.dumps({"bench": "photos", "skipped": "CITYLINE_BENCH_DATA isn't a folder with real data"}))
        return
    exiv2.LogMsg.setLevel(exiv2.LogMsg.Level.mute)
    files, fates = _pictures(Path(data) / "photos"), tomllib.loads(FATES.read_text())
    taken: dict[str, dict[str, bytes]] = {}
    outcomes: dict[str, dict[str, Any]] = {}
    for name, path in files.items():
        outcomes[name], taken[name] = _fate(path)
        if outcomes[name] != fates.get(name):
            say(f"{name}: {outcomes[name]}, expected {fates.get(name)}")
    for name in fates.keys() - files.keys():
        say(f"{name}: not in the folder")
    counted = Counter(next(iter(outcome)) for outcome in outcomes.values())
    line = {
        "bench": "photos",
        "files": len(files),
        "accepted": counted["size"],
        "refused": counted["refused"],
        "crashed": counted["crashed"],
        "as_expected": sum(outcomes[name] == fates.get(name) for name in files),
        "metadata_bytes": sum(_metadata(jpeg) for made in taken.values() for jpeg in made.values()),
        "metadata_bytes_sent": sum(_metadata(path.read_bytes()) for path in files.values()),
        "orientation_ok": sum(_orientations(taken)),
        "peak_mb": _alone(_peak, list(files.values())),
        "ratio_12mp": _ratio(Path(data) / "photos" / "heic" / "iphone_13_pro_max.HEIC"),
    }
    judge(line, TARGETS)
    print(printed(line))


def _pictures(folder: Path) -> dict[str, Path]:
    """Every file but the texts that say where they come from."""
    found = (path for path in sorted(folder.glob("*/*")) if path.suffix != ".txt" and path.name != "LICENSE")
    return {str(path.relative_to(folder)): path for path in found}


def _fate(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What becomes of a file, as the manifest says it, and its JPEGs; in a process that may crash."""
    try:
        return _alone(_develop, path)
    except BrokenProcessPool:
        return {"crashed": "process"}, {}


def _develop(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    warnings.simplefilter("ignore", UserWarning)  # Pillow speaks up about damaged EXIF
    try:
        new = decoding.develop(path.read_bytes())
    except BadPhoto as bad:
        return {"refused": bad.code}, {}
    except BaseException as fault:
        return {"crashed": repr(fault)}, {}
    return {"size": [new.width, new.height], **({"cut": True} if new.cut else {})}, new.jpegs


def _alone(work: Any, of: Any) -> Any:
    """What `work` returns, done in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, of).result()


def _peak(paths: list[Path]) -> int:
    """By how many MB this process grows while it develops the files."""
    before = _kilobytes("VmRSS")
    for path in paths:
        _develop(path)
    return (_kilobytes("VmHWM") - before) // 1024


def _kilobytes(what: str) -> int:
    """A figure of this process alone: getrusage() would begin with what its parent had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{what}:")[2].split()[0])


def _metadata(data: bytes) -> int:
    """Bytes of metadata: by our walk over a JPEG's segments or by exiv2, whichever finds more."""
    return max(sum(_segments(data)), _by_exiv2(data))


def _segments(jpeg: bytes) -> Iterator[int]:
    """The sizes of APP1 to APP15 and comments, and of APP0 what is more than JFIF's 16 bytes."""
    if not jpeg.startswith(b"\xff\xd8"):
        return
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        kind, size = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if 0xE1 <= kind <= 0xEF or kind == 0xFE:
            yield size
        elif kind == 0xE0:
            yield max(size - 16, 0)
        at += 2 + size
        if kind == 0xDA:  # entropy coded: a marker is 0xFF before anything but 0 and a restart
            while at + 1 < len(jpeg) and (jpeg[at] != 0xFF or jpeg[at + 1] in (0, *range(0xD0, 0xD8))):
                at += 1
        if at + 1 < len(jpeg) and jpeg[at + 1] == 0xD9:
            yield len(jpeg) - at - 2  # behind the end
            return


def _by_exiv2(data: bytes) -> int:
    try:
        image = exiv2.ImageFactory.open(data)
        image.readMetadata()
    except exiv2.Exiv2Error:  # it is none of its formats, or too damaged for it
        return 0
    tags = [*image.exifData(), *image.iptcData(), *image.xmpData()]
    return sum(tag.size() for tag in tags) + image.iccProfile().size() + len(image.comment())


def _orientations(taken: dict[str, dict[str, bytes]]) -> Iterator[bool]:
    """Whether each photo of the sixteen looks like the first of its row, which was never turned."""
    for row in ("Landscape", "Portrait"):
        first, *_others = pictures = [
            Image.open(io.BytesIO(taken[f"exif_orientation/{row}_{n}.jpg"]["full"])) for n in range(1, 9)
        ]
        for picture in pictures:
            same = picture.size == first.size
            yield same and max(ImageStat.Stat(ImageChops.difference(picture, first)).mean) < ALIKE


def _ratio(heic: Path) -> float:
    """Ours against the bare minimum, in turns on the same JPEG of 12 megapixels; the median of each."""
    picture, out = HeifImageFile(heic.open("rb")), io.BytesIO()
    picture.save(out, "JPEG", quality=92)
    sent = out.getvalue()
    ours, least = [], []
    for _round in range(ROUNDS):
        least.append(_seconds(_least, sent))
        ours.append(_seconds(processing.process, sent))
    say(f"12 megapixels: {median(ours) * 1000:.0f} ms, at least {median(least) * 1000:.0f} ms")
    return median(ours) / median(least)


def _seconds(work: Any, data: bytes) -> float:
    began = perf_counter()
    work(data)
    return perf_counter() - began


def _least(data: bytes) -> bytes:
    """Decode, resize and encode, as sparingly as develop() does it, for the largest size alone."""
    picture = Image.open(io.BytesIO(data), formats=["JPEG"])
    edge = processing.SIZES["full"]
    scale = edge / max(picture.size)
    picture.draft("RGB", (int(picture.width * scale), int(picture.height * scale)))
    picture.thumbnail((edge, edge), reducing_gap=2.0)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=decoding.QUALITY, progressive=True, optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    main()

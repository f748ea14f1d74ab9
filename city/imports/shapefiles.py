"""Shapefiles: .shp and .dbf with their .prj and .cpg beside them, or all of it in one .zip.

Nothing is unpacked to the disk, so a name inside a .zip leads nowhere; each part is read up to a limit,
whatever size the archive claims.
"""

import codecs
import logging
import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from io import BytesIO
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from typing import Any

import shapefile

from city.imports import readers
from city.imports.readers import Row, Source, Unusable, shown

MOST_MEMBERS = 10_000  # of a .zip
PARTS = (".shp", ".dbf", ".prj", ".cpg")  # the others are indexes, which are not read
WORDS = (".prj", ".cpg")  # which name a coordinate system and an encoding
MOST_WORDS = 64 * 1024  # bytes; the longest definitions of a system have some thousands
# Of rings that run the wrong way round: they are taken as they are, and mended like any other shape.
logging.getLogger("shapefile").setLevel(logging.ERROR)

_ENDED: Any = object()
_SHP, _ZIP = b"\x00\x00\x27\x0a", b"PK"

# What a .dbf says of its letters in byte 29, where no .cpg says it:
# https://desktop.arcgis.com/en/arcmap/latest/manage-data/shapefiles/ (code page conversion)
_LANGUAGES = {0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x57: "cp1252", 0x58: "cp1252"}

_BROKEN = (
    shapefile.ShapefileException, shapefile.GeoJSON_Error, struct.error, ArithmeticError, AssertionError,
    AttributeError, EOFError, LookupError, MemoryError, OSError, TypeError, ValueError,
)  # fmt: skip
# What its reader raises for a name without letters, half a character, and packings other than deflate too.
_BROKEN_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, LookupError, OSError,
    RuntimeError, ValueError,
)  # fmt: skip


def is_one(path: Path) -> bool:
    """Whether the file begins like a .shp or a .zip. False as well where it cannot be read."""
    if not path.is_file():  # a pipe in its place would be waited at for ever
        return False
    try:
        with path.open("rb") as file:
            return file.read(4).startswith((_SHP, _ZIP))
    except OSError:
        return False


def open_source(path: Path) -> Source:
    """The rows of a Shapefile, by number. `crs` is the text of its .prj, empty where there is none.

    Raises Unusable: too large, a part is missing, broken, letters that cannot be read.
    """
    parts = _zipped(path) if _is_zip(path) else _beside(path)
    if ".dbf" not in parts:
        raise Unusable(
            path.name, "has no .dbf next to it (the .dbf has the columns). Copy all the files together"
        )
    crs = _text(parts.get(".prj", b""), f"{path.name}: its .prj")
    rows = list(_rows(path, parts[".shp"], parts[".dbf"], _encoding(path, parts)))
    if not rows:
        raise Unusable(path.name, "is empty: it has no shapes")
    columns = tuple(rows[0].values)
    size = path.stat().st_size
    return Source(path, columns, "feature", iter(rows), size, lambda: size, crs)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == _ZIP


def _beside(path: Path) -> dict[str, bytes]:
    """The parts of the same name in the folder, in whatever case their ends are written."""
    beside = [each for each in path.parent.iterdir() if each.stem == path.stem and each.is_file()]
    parts = [path]  # what was named counts, whatever its own end is
    parts += sorted(each for each in beside if each.suffix.lower() in PARTS[1:] and each != path)
    ends = [PARTS[0], *(part.suffix.lower() for part in parts[1:])]
    _check_one_of_each(path, [(end, part.name) for end, part in zip(ends, parts, strict=True)])
    found = dict[str, bytes]()
    try:
        for end, part in zip(ends, parts, strict=True):
            with part.open("rb") as file:
                found[end] = _read(part.name, end, part.stat().st_size, file.read, found)
    except OSError as error:
        raise Unusable(path.name, f"can't be read ({error.strerror})") from error
    return found


def _zipped(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                (PurePosixPath(info.filename), info) for info in archive.infolist() if not info.is_dir()
            ]
            if len(members) > MOST_MEMBERS:
                raise Unusable(
                    path.name, f"contains {len(members):,} files. At most {MOST_MEMBERS:,} are allowed"
                )
            ours = [
                (each, info)
                for each, info in members
                if not each.name.startswith(".") and "__MACOSX" not in each.parts
            ]
            shapes = [each for each, _info in ours if each.suffix.lower() == ".shp"]
            if len(shapes) != 1:
                names = ", ".join(shown(str(each)) for each in shapes[:5]) or "none"
                raise Unusable(path.name, f"must contain one .shp. It contains: {names}")
            own = [
                (each.suffix.lower(), info)
                for each, info in ours
                if each.with_suffix("") == shapes[0].with_suffix("") and each.suffix.lower() in PARTS
            ]
            _check_one_of_each(path, [(end, info.filename) for end, info in own])
            found = dict[str, bytes]()
            for end, info in own:
                where = f"{path.name}: {PurePosixPath(info.filename).name}"
                with archive.open(info) as file:
                    found[end] = _read(where, end, info.file_size, file.read, found)
            return found
    except _BROKEN_ZIP as error:
        raise Unusable(path.name, f"is a .zip that can't be read ({error})") from error


def _check_one_of_each(path: Path, parts: Sequence[tuple[str, str]]) -> None:
    """Raises Unusable where two parts have one end: nobody could say which of them counts."""
    names = dict[str, str]()
    for end, name in parts:
        if end in names:
            both = f"{shown(names[end])} and {shown(name)}"
            raise Unusable(path.name, f"has two parts {end}: {both}. Keep only the right one")
        names[end] = name


def _read(
    where: str, end: str, size: int, read: Callable[[int], bytes], before: Mapping[str, bytes]
) -> bytes:
    """All that `read` gives. `size` is what the folder or the archive says, which may be a lie.

    What was read `before` counts as well: all parts are held at once.
    """
    if end in WORDS:
        most, limit = MOST_WORDS, f"{MOST_WORDS // 1024} KB. Is it the right file?"
    else:
        most = readers.MOST_BYTES - sum(len(data) for data in before.values())
        together = " together with the other parts" if before else ""
        limit = f"{readers.MOST_BYTES // 1_000_000} MB{together}. Crop it to the city first"
    data = read(most + 1) if size <= most else b""
    if max(len(data), size) > most:
        raise Unusable(where, f"is larger than {limit}")
    return data


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise Unusable(where, f"isn't text (byte {error.start + 1})") from error


def _encoding(path: Path, parts: dict[str, bytes]) -> str:
    """How the letters of the .dbf are written: as the .cpg says, else the .dbf itself, else UTF-8."""
    if said := _text(parts.get(".cpg", b""), f"{path.name}: its .cpg"):
        # "UTF-8", "ANSI 1252" and "ISO 8859-1" are all found in the field.
        for name in (said, f"cp{said.split()[-1]}", said.replace(" ", "-")):
            try:
                return codecs.lookup(name).name
            except (LookupError, ValueError):  # a NUL is no name at all
                continue
        raise Unusable(f"{path.name}: its .cpg", f"names {shown(said)}, which isn't a known encoding")
    dbf = parts[".dbf"]
    return _LANGUAGES.get(dbf[29], "utf-8") if len(dbf) > 29 else "utf-8"


def _rows(path: Path, shp: bytes, dbf: bytes, encoding: str) -> Iterator[Row]:
    n = 0
    try:
        with (
            warnings.catch_warnings(action="ignore"),  # what matters ends in an error all the same
            shapefile.Reader(shp=BytesIO(shp), dbf=BytesIO(dbf), encoding=encoding) as reader,
        ):
            drawn, told = reader.iterShapes(), reader.iterRecords(deleted_as_None=True)
            for n, (shape, record) in enumerate(zip_longest(drawn, told, fillvalue=_ENDED), start=1):
                if _ENDED in (shape, record):
                    short, long = (".shp", ".dbf") if shape is _ENDED else (".dbf", ".shp")
                    raise Unusable(f"{path.name} feature {n}", f"the {short} ends before the {long} does")
                if record is None:
                    continue  # deleted, and not packed away yet
                values = {str(name): _word(value) for name, value in record.as_dict().items()}
                geometry = None if shape.shapeType == shapefile.NULL else dict(shape.__geo_interface__)
                yield Row(n, values, geometry)
    except _BROKEN as error:
        if isinstance(error.__cause__ or error.__context__, UnicodeDecodeError) or "decode" in str(error):
            fault = f"its text isn't {encoding}. Put the right encoding in a .cpg file next to it"
            raise Unusable(f"{path.name} feature {n + 1}", fault) from error
        fault = f"is a broken Shapefile ({shown(str(error) or type(error).__name__)})"
        raise Unusable(f"{path.name} feature {n + 1}", fault) from error


def _word(value: object) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    words = readers.text(value)
    if "\0" in words:
        raise ValueError("a zero byte in its text")
    return words

"""The city's open data as files: every night a whole new edition in a folder, with a manifest.

An edition is written beside the one that is read and put into its place at once, so that whoever reads finds
all of one or all of the other, also where the writer is killed half way.
"""

import gzip
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city import files as city_files
from city.config.city_file import CityFile
from city.db import engine as db
from city.db.models import CityVersion, Erasure, EventSequence
from city.opendata import rows as opendata_rows
from city.opendata.rows import Format
from city.settings import Settings

MANIFEST: Final = "manifest.json"
PACKED: Final = ".gz"  # how all but the manifest lie on the disk
BETWEEN: Final = timedelta(minutes=10)  # two editions, while one thing after the other is erased
_CURRENT: Final = "current"  # the file that names the edition that is read
_LEVEL: Final = 6  # of compression; the highest takes three times as long for a twentieth less


@dataclass(frozen=True, slots=True)
class File:
    """One file of an edition. `bytes` and `sha256` are those of the file itself, not of what is packed.

    `kind` is cases, requests, contacts, measures or a layer's; `year` is that of the cases.
    """

    name: str
    kind: str
    year: int | None
    mimetype: str
    rows: int
    bytes: int
    packed_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Edition:
    """What was made in one night: as of the line `seq` of the log, written at `made_at`."""

    made_at: datetime
    seq: int
    licence: str
    licence_url: str
    files: Mapping[str, File]
    folder: Path

    def path(self, name: str) -> Path:
        """Where a file lies, packed; the manifest as it is."""
        return self.folder / (name if name == MANIFEST else f"{name}{PACKED}")


def place(settings: Settings) -> Path:
    """The folder of the editions."""
    return settings.var / "open-data"


def current(root: Path) -> Edition | None:
    """The edition that is read; None before the first was made, or where another release has made it."""
    try:
        folder = root / _mark(root)["folder"]
        told = orjson.loads((folder / MANIFEST).read_bytes())
        files = {each["name"]: File(**each) for each in told["files"]}
        licence = told["licence"] or {"name": "", "url": ""}
        made_at = datetime.fromisoformat(told["made_at"])
        return Edition(made_at, told["seq"], licence["name"], licence["url"], files, folder)
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return None


def is_due(s: Session, root: Path, city: CityFile, now: datetime) -> bool:
    """Whether a new day has begun by the city's clocks since the last edition, or one cannot wait for it.

    What somebody asked to be erased leaves the files within BETWEEN, and so does what the city file makes
    private or places less exactly, and what a restored database does not know any more. What the records
    schedule clears waits for the night.
    """
    edition = current(root)
    if edition is None or _day(edition.made_at, city) < _day(now, city):
        return True
    if now < edition.made_at + BETWEEN:
        return False
    mark, decided = _mark(root), _decided(s)
    return {name: mark.get(name) for name in decided} != decided or edition.seq > _seq(s)


def make(engine: Engine, root: Path, city: CityFile, now: datetime) -> Generator[None]:
    """Writes a new edition, a page with every step, and with the last step puts it in its place.

    All of it is one moment of the database. Whoever stops half way leaves nothing. Raises OSError, and where
    somebody makes one already BlockingIOError.
    """
    root.mkdir(parents=True, exist_ok=True)
    folder = root / f"{now:%Y-%m-%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}"
    with city_files.exclusive(root):
        folder.mkdir()
        try:
            yield from _written(engine, root, folder, city, now)
        except BaseException:  # also where nobody goes on
            if not _is_current(root, folder):  # it is, where only the last look at the disk failed
                shutil.rmtree(folder, ignore_errors=True)
            raise
        _clear(root, folder)


def _written(engine: Engine, root: Path, folder: Path, city: CityFile, now: datetime) -> Generator[None]:
    with db.read_session(engine) as s, ExitStack() as stack:
        mark = {"folder": folder.name, **_decided(s)}
        seq = _seq(s)
        shelf = _Shelf(folder, stack)
        yield from _cases(s, city, shelf)
        yield from _tables(s, city, shelf, now)
        files = shelf.closed()
    licence = {"name": city.licence, "url": city.licence_url} if city.licence else None
    told = {
        "city": city.name, "made_at": now.isoformat(timespec="seconds"), "seq": seq, "licence": licence,
        "files": [asdict(file) for file in files],
    }  # fmt: skip
    city_files.write(folder / MANIFEST, json.dumps(told, indent=1, ensure_ascii=False).encode())
    city_files.fsync(folder)
    _put(root, mark)


def _mark(root: Path) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads((root / _CURRENT).read_bytes())
    return told


def _is_current(root: Path, folder: Path) -> bool:
    return (root / _CURRENT).exists() and _mark(root)["folder"] == folder.name


def _day(at: datetime, city: CityFile) -> str:
    return at.astimezone(city.time_zone).date().isoformat()


def _decided(s: Session) -> dict[str, Any]:
    """What takes something out of what is public and does not wait, since somebody asked for or decided it.

    Not what the records schedule clears: it has been there for years, and a first clearing goes on for days.
    Calls that are forgotten and photos that are covered stand in no file.
    """
    of_reports = Erasure.report_id.is_not(None) | Erasure.key.is_not(None)
    return {
        "erased": s.scalar(select(func.count()).select_from(Erasure).where(of_reports)),
        "version": s.scalar(select(func.max(CityVersion.number))),
    }


def _seq(s: Session) -> int:
    return s.scalar(select(EventSequence.n)) or 0


def _cases(s: Session, city: CityFile, shelf: "_Shelf") -> Iterator[None]:
    """A file each year and format: by the year in which the cases were opened, on the city's own clocks."""
    for rows in opendata_rows.cases(s, city):
        for year in sorted({row.opened_at.year for row in rows}):
            opened = [row for row in rows if row.opened_at.year == year]
            for kind, form in (("cases", "csv"), ("cases", "geojson"), ("requests", "bulk")):
                shelf.add(kind, opendata_rows.FORMATS[form], opened, year)
        yield


def _tables(s: Session, city: CityFile, shelf: "_Shelf", now: datetime) -> Iterator[None]:
    tables: list[tuple[str, Format, Callable[[], Iterator[list[Any]]]]] = [
        ("contacts", opendata_rows.CONTACTS, lambda: opendata_rows.contacts(s, city, now)),
        ("measures", opendata_rows.MEASURES, lambda: opendata_rows.measures(s, city, now)),
        *(
            (kind, opendata_rows.LAYER, lambda kind=kind: opendata_rows.ground(s, kind))
            for kind in opendata_rows.LAYERS
        ),
    ]
    for kind, form, read in tables:
        shelf.add(kind, form, [])
        for rows in read():
            shelf.add(kind, form, rows)
            yield


class _Shelf:
    """The files of an edition while they are written."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._open: dict[str, _Writing] = {}

    def add(self, kind: str, form: Format, rows: list[Any], year: int | None = None) -> None:
        """Writes rows behind what the file has already; the first time its head."""
        name = f"{kind}-{year}.{form.suffix}" if year else f"{kind}.{form.suffix}"
        if name not in self._open:
            self._open[name] = _Writing(self._folder / f"{name}{PACKED}", name, kind, year, form, self._stack)
        self._open[name].add(rows)

    def closed(self) -> list[File]:
        """Ends every file; returns them kind by kind, the newest year first."""
        files = [writing.closed() for writing in self._open.values()]
        kinds = list(dict.fromkeys(file.kind for file in files))
        return sorted(files, key=lambda file: (kinds.index(file.kind), -(file.year or 0), file.name))


class _Writing:
    """One file on its way to the disk, packed, with what the manifest will say of it."""

    def __init__(
        self, path: Path, name: str, kind: str, year: int | None, form: Format, stack: ExitStack
    ) -> None:
        self._name, self._kind, self._year, self._form = name, kind, year, form
        self._path, self._rows, self._bytes, self._hash = path, 0, 0, hashlib.sha256()
        self._raw = stack.enter_context(path.open("xb"))
        # Without a name and a time inside, the same rows give the same bytes.
        self._packed = stack.enter_context(
            gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=self._raw, mtime=0)
        )
        self._write(form.head)

    def add(self, rows: list[Any]) -> None:
        held = self._form.of(rows)
        self._write(self._form.lines(held, self._rows > 0))
        self._rows += len(held)

    def closed(self) -> File:
        self._write(self._form.foot)
        self._packed.close()
        self._raw.flush()
        city_files.fsync(self._path)
        return File(
            self._name, self._kind, self._year, self._form.mimetype, self._rows, self._bytes,
            self._path.stat().st_size, self._hash.hexdigest(),
        )  # fmt: skip

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._bytes += len(data)
        self._packed.write(data)


def _put(root: Path, mark: Mapping[str, Any]) -> None:
    with city_files.atomic_write(root / _CURRENT) as file:
        file.write(json.dumps(mark).encode())


def _clear(root: Path, kept: Path) -> None:
    """Removes earlier editions, and what a killed process left half written."""
    for found in root.iterdir():
        if found.is_dir() and found != kept:
            shutil.rmtree(found, ignore_errors=True)
        elif found.name.startswith(f"{_CURRENT}."):
            found.unlink(missing_ok=True)

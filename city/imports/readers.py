"""Files of other systems, read row by row (CSV, GeoJSON, TopoJSON), and every fault with its place."""

import csv
import gzip
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, TextIO

from city.imports import topojson

MOST_BYTES = 256 * 1024 * 1024  # of a file that is held in memory whole
LONGEST_CELL = 1_000_000  # letters; a quote that is never closed would swallow the rest of the file
LONGEST_LINE = 2_000_000  # letters; a packed file may hold one line of any length
LONGEST_SHOWN = 60

Told = Callable[[int, int], object]  # how much is done, and of how much


class Unusable(Exception):
    """A file, mapping or option that cannot be used, and nothing was imported: where, what, what helps."""

    def __init__(self, where: str, fault: str) -> None:
        super().__init__(f"{where}: {fault}")


@dataclass(frozen=True)
class Row:
    """One row. `line` is its first line in a CSV, or its number among the features of a GeoJSON.

    `fault` says why the row itself cannot be read. `geometry` is GeoJSON's.
    """

    line: int
    values: dict[str, str]
    geometry: dict[str, Any] | None = None
    fault: str = ""


@dataclass
class Source:
    """An open file. `columns` are those that a row may have; iterating gives the rows."""

    path: Path
    columns: tuple[str, ...]
    unit: str  # what Row.line counts: "line" or "feature"
    rows: Iterator[Row]
    size: int  # bytes on the disk
    position: Callable[[], int] = field(default=lambda: 0)  # bytes read so far
    crs: str = ""  # the coordinate system, as the file names it; empty where it says nothing: degrees

    def require(self, column: str, option: str) -> str:
        """The column's name; raises Unusable with the names that there are."""
        if column not in self.columns:
            there = ", ".join(self.columns) or "none"
            raise Unusable(option, f"{self.path.name} has no column {column!r}. It has: {there}")
        return column


@dataclass
class SideFile:
    """Rows that were not taken, written beside the source as they are found: line, reason, the row."""

    path: Path
    unit: str
    _file: TextIO | None = None

    def write(self, row: Row, reason: str) -> None:
        """Writes the row down; the file is begun with the first one."""
        if self._file is None:
            self._file = self._begun()
            csv.writer(self._file).writerow((self.unit, "reason", "row"))
        csv.writer(self._file).writerow((row.line, reason, json.dumps(row.values, ensure_ascii=False)))

    def leave(self, row: Row, reason: str) -> None:
        """Writes down a row that could be taken, and was left alone."""
        self.write(row, reason)

    def _begun(self) -> TextIO:
        """A new file, so that a link which somebody put in its place is not written through."""
        try:
            self.path.unlink(missing_ok=True)
            return self.path.open("x", encoding="utf-8", newline="")
        except OSError as error:
            raise Unusable(self.path.name, f"can't be written ({error.strerror})") from error

    def close(self) -> str | None:
        """The side file's path, or None where every row was taken."""
        if self._file is None:
            self.path.unlink(missing_ok=True)  # that of an earlier run tells of nothing any more
            return None
        self._file.close()
        return str(self.path)


@dataclass
class Outcome:
    """What came of the rows. `read` is the sum of imported, rejected, unchanged and, in layers, unlocated.

    `more` holds what only one kind of import counts, `said` lines that a person should read.
    """

    read: int = 0
    imported: int = 0
    rejected: int = 0
    unlocated: int = 0
    unchanged: int = 0
    more: dict[str, int] = field(default_factory=dict)
    side_file: str | None = None
    said: list[str] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """The figures alone, as a log keeps them."""
        first = ("read", "imported", "rejected", "unlocated", "unchanged")
        return {name: getattr(self, name) for name in first} | self.more


class TooManyRejected(Exception):
    """More rows were rejected than allowed; whoever catches it must keep nothing of the transaction."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@contextmanager
def open_source(path: Path, *, whole: bool = False) -> Iterator[Source]:
    """Opens a CSV (also .gz), GeoJSON or TopoJSON, told apart by their first letter.

    A CSV is streamed; where the caller keeps all rows (`whole`), and for JSON always, a file of more than
    256 MB is refused. Raises Unusable: missing, empty, binary, broken, too large.
    """
    is_json = first_letters(path)[:1] in (b"{", b"[")
    size = path.stat().st_size
    if (whole or is_json) and size > MOST_BYTES:
        raise Unusable(
            path.name,
            f"has {size // 1_000_000} MB, but at most {MOST_BYTES // 1_000_000} MB can be read. "
            "Crop it to the city, or split it",
        )
    with ExitStack() as files:
        yield _open_json(path, size) if is_json else _open_csv(path, size, MOST_BYTES if whole else 0, files)


def first_letters(path: Path) -> bytes:
    """The beginning of a text, packed or not, by which its kind is told; raises Unusable where it is none."""
    start = _start(path)
    if start[:2] == b"\x1f\x8b":
        with _reading(path), gzip.open(path) as file:
            start = file.read(4096)
    _check_text(path, start)
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()


def text(value: Any) -> str:
    """A value as a CSV would have it: what tables are compared by."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # many exporters write every number with a point
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def shown(value: str) -> str:
    """A value as a message quotes it: short, on one line."""
    one = " ".join(value.split())
    return repr(one if len(one) <= LONGEST_SHOWN else one[:LONGEST_SHOWN] + "…")


def _start(path: Path) -> bytes:
    if path.is_dir():
        raise Unusable(path.name, "is a folder")
    if path.exists() and not path.is_file():
        raise Unusable(path.name, "is a pipe or a device. Save it to a file first")
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise Unusable(path.name, f"can't be read ({error.strerror})") from error


def _check_text(path: Path, start: bytes) -> None:
    if not start.strip():
        raise Unusable(path.name, "is empty")
    if b"\x00" in start:
        at = start.index(b"\x00")
        raise Unusable(path.name, f"isn't text (byte {at + 1} is zero). Use CSV, JSON, or XML in UTF-8")


def _open_csv(path: Path, size: int, most: int, files: ExitStack) -> Source:
    raw = files.enter_context(path.open("rb"))
    packed = raw.peek(2)[:2] == b"\x1f\x8b"
    unpacked: Any = files.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw
    text = files.enter_context(TextIOWrapper(unpacked, encoding="utf-8-sig", newline=""))
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.reader(_counted(path, text, most))
    with _reading(path, lambda: reader.line_num):
        header = [name.strip() for name in next(reader, [])]
    twice = sorted(name for name, times in Counter(header).items() if name and times > 1)
    if twice:
        raise Unusable(f"{path.name} line 1", f"has the column {twice[0]!r} twice")
    if len(header) < 2:
        raise Unusable(
            f"{path.name} line 1", f"has one column, {shown(''.join(header))}. Is it separated by commas?"
        )
    rows = _csv_rows(path, reader, header)
    return Source(path, tuple(name for name in header if name), "line", rows, size, raw.tell)


def _counted(path: Path, file: TextIO, most: int) -> Iterator[str]:
    """The lines, as long as they stay below `most` letters in all: a small .gz may unpack to anything."""
    total = 0
    for n in itertools.count(1):
        line = file.readline(LONGEST_LINE)
        if not line:
            return
        if len(line) == LONGEST_LINE:
            raise Unusable(f"{path.name} line {n}", f"is longer than {LONGEST_LINE // 1_000_000} MB")
        if "\0" in line:
            raise Unusable(f"{path.name} line {n}", "contains a zero byte. Use UTF-8 text")
        total += len(line)
        if most and total > most:
            raise Unusable(path.name, f"unpacks to more than {most // 1_000_000} MB")
        yield line


def _csv_rows(path: Path, reader: Any, header: Sequence[str]) -> Iterator[Row]:
    with _reading(path, lambda: reader.line_num):
        while True:
            line = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            if not cells:
                continue  # an empty line
            fault = "" if len(cells) == len(header) else f"has {len(cells)} cells, not {len(header)}"
            yield Row(line, dict(zip(header, cells, strict=False)), None, fault)


class _reading:
    """Turns what a reader of bytes, text or CSV raises into Unusable, with the line where it happened."""

    def __init__(self, path: Path, line: Callable[[], int] = lambda: 0) -> None:
        self._path, self._line = path, line

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        where = f"{self._path.name} line {max(self._line(), 1)}"
        if isinstance(error, UnicodeDecodeError):  # text is decoded some lines ahead
            raise Unusable(f"{where} or after it", "isn't UTF-8. Save the file as UTF-8") from error
        if isinstance(error, csv.Error):
            raise Unusable(where, f"isn't valid CSV ({error}). A quote may be missing earlier") from error
        if isinstance(error, OSError | EOFError | zlib.error):
            raise Unusable(where, f"can't be read ({error})") from error


def _open_json(path: Path, size: int) -> Source:
    top = parsed(path)
    if not isinstance(top, dict):
        raise Unusable(path.name, "is a JSON list. Use a FeatureCollection")
    if top.get("type") == "Topology":
        try:
            features = list(topojson.features(top))
        except topojson.Broken as error:
            raise Unusable(path.name, f"is a broken TopoJSON ({error})") from error
    elif top.get("type") == "FeatureCollection" and isinstance(top.get("features"), list):
        features = top["features"]
    else:
        found = shown(str(top.get("type")))
        raise Unusable(path.name, f"is JSON of type {found}. Use a FeatureCollection or Topology")
    if not features:
        raise Unusable(path.name, "is empty: it has no features")
    rows = [_feature(n, feature) for n, feature in enumerate(features, start=1)]
    columns = tuple(dict.fromkeys(name for row in rows for name in row.values))
    return Source(path, columns, "feature", iter(rows), size, lambda: size, _crs(top))


def parsed(path: Path) -> Any:
    """What a JSON file holds; raises Unusable with line and column where it is broken or cannot be kept."""
    try:
        text = _unzipped(path).decode("utf-8-sig")
        if "\\u0000" in text:
            raise Unusable(path.name, "contains a zero byte (\\u0000) in its text")
        found = json.loads(text, parse_constant=_refuse_constant)
        if "\\ud" in text.lower():  # half a character may stand there, which no database keeps
            json.dumps(found, ensure_ascii=False).encode()
        return found
    except json.JSONDecodeError as error:
        where = f"{path.name} line {error.lineno}, column {error.colno}"
        raise Unusable(where, f"is broken JSON ({error.msg})") from error
    except UnicodeEncodeError as error:
        raise Unusable(path.name, "contains half a character (\\ud800 to \\udfff alone)") from error
    except UnicodeDecodeError as error:
        raise Unusable(path.name, f"isn't UTF-8 (byte {error.start + 1})") from error
    except RecursionError as error:
        raise Unusable(path.name, "is nested too deeply") from error
    except ValueError as error:
        raise Unusable(path.name, f"is broken JSON ({error})") from error


def _unzipped(path: Path) -> bytes:
    with path.open("rb") as raw, _reading(path):
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        data = gzip.GzipFile(fileobj=raw).read(MOST_BYTES + 1) if packed else raw.read()
    if len(data) > MOST_BYTES:
        raise Unusable(path.name, f"unpacks to more than {MOST_BYTES // 1_000_000} MB")
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} isn't a number")


def _crs(top: dict[str, Any]) -> str:
    """GeoJSON is WGS 84 (RFC 7946, section 4); an older `crs` member may say otherwise."""
    crs = top.get("crs")
    if crs is None:
        return ""
    properties = crs.get("properties") if isinstance(crs, dict) else None
    return str(properties.get("name", properties)) if isinstance(properties, dict) else str(crs)


def _feature(n: int, feature: Any) -> Row:
    if not isinstance(feature, dict):
        return Row(n, {}, None, "isn't a feature")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        return Row(n, {}, None, "has no properties")
    values = {str(name): text(value) for name, value in properties.items()}
    if feature.get("id") is not None:
        values.setdefault("id", text(feature["id"]))
    geometry = feature.get("geometry")
    return Row(n, values, geometry if isinstance(geometry, dict) else None)

"""An Open311 GeoReport v2 list of requests, in JSON or XML, read as rows. Asks no server."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from city.imports import readers
from city.imports.readers import MOST_BYTES, Row, Source, Unusable, shown

# https://wiki.open311.org/GeoReport_v2/#get-service-requests, and what servers add to it most.
FIELDS: Final = (
    "service_request_id", "status", "status_notes", "service_name", "service_code", "description",
    "agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime",
    "address", "address_string", "address_id", "zipcode", "lat", "long", "media_url",
)  # fmt: skip
LIST, REQUEST = "service_requests", "request"
MOST_FIELDS = 200  # every row has all of them: a megabyte of fields of its own each would take all memory
DEEPEST = 20  # levels of XML; a list has three, extensions a few more


def is_list(path: Path) -> bool:
    """Whether the file is XML, or JSON that is a list or holds one: told by its first letters."""
    start = readers.first_letters(path)
    return start[:1] in (b"<", b"[") or (start[:1] == b"{" and f'"{LIST}"'.encode() in start[:200])


def read(path: Path) -> Source:
    """The requests of a list; a field that one of them lacks is empty. Row.line counts them from 1.

    Raises Unusable with its place: no list of requests, an error answer, broken, empty, too large; XML with
    a document type or entities, which no such list needs and bombs are made of.
    """
    size = path.stat().st_size
    is_xml = readers.first_letters(path)[:1] == b"<"
    found: list[dict[str, str] | None] = [*_of_xml(path)] if is_xml else _of_json(path)
    if not found:
        raise Unusable(path.name, "is empty: it has no requests")
    columns = tuple(dict.fromkeys((*FIELDS, *(name for values in found for name in values or ()))))
    if len(columns) > MOST_FIELDS:
        raise Unusable(path.name, f"has more than {MOST_FIELDS} different fields")
    if not any(values and values.get(FIELDS[0]) for values in found):
        there = ", ".join(found[0] or ()) or "nothing"
        raise Unusable(path.name, f"lists no requests. None has a {FIELDS[0]}. The first has {there}")
    empty = dict.fromkeys(columns, "")
    rows = [
        Row(n, empty | (values or {}), fault="" if values is not None else "isn't a request")
        for n, values in enumerate(found, start=1)
    ]
    return Source(path, columns, "request", iter(rows), size, lambda: size)


def _of_json(path: Path) -> list[dict[str, str] | None]:
    top = readers.parsed(path)
    if isinstance(top, dict):  # some servers wrap the list
        top = top.get(LIST)
    if not isinstance(top, list):
        raise Unusable(path.name, f"is JSON without a list of requests, at the top or in {LIST!r}")
    if top and isinstance(top[0], dict) and "code" in top[0] and FIELDS[0] not in top[0]:
        raise Unusable(path.name, f"is an error message: {shown(_error(top[0]))}")
    return [
        {name: readers.text(value) for name, value in item.items()} if isinstance(item, dict) else None
        for item in top
    ]


def _error(told: dict[str, Any]) -> str:
    return f"{told.get('code', '')} {told.get('description', '')}".strip()


def _of_xml(path: Path) -> Iterator[dict[str, str]]:
    """The requests of an XML list, one after the other, so that a long one takes no more room than a row."""
    open_: list[Element] = []
    with closing(_opened(path)) as file:
        try:
            for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
                if event == "start":
                    open_.append(element)
                    _check_level(path, open_)
                    continue
                open_.pop()
                if len(open_) == 1:
                    yield _values(path, element, open_[0])
                    open_[0].clear()
        except ParseError as error:
            line, column = error.position
            fault = str(error).partition(":")[0]
            raise Unusable(
                f"{path.name} line {line}, column {column + 1}", f"is broken XML ({fault})"
            ) from error
        except DefusedXmlException as error:
            fault = "declares a document type or entities, which a list of requests never needs"
            raise Unusable(path.name, fault) from error
        except (OSError, EOFError, ValueError, LookupError, zlib.error) as error:
            raise Unusable(path.name, f"can't be read ({error})") from error


def _check_level(path: Path, open_: list[Element]) -> None:
    root = open_[0]
    if len(open_) == 1 and root.tag not in (LIST, "errors", "error"):
        raise Unusable(path.name, f"is XML with <{root.tag}> at the top, but needs <{LIST}>")
    if len(open_) > DEEPEST:
        raise Unusable(path.name, f"is nested deeper than {DEEPEST} levels")


def _values(path: Path, element: Element, root: Element) -> dict[str, str]:
    if root.tag != LIST:
        said = _error({child.tag: child.text for child in element}) or element.text or ""
        raise Unusable(path.name, f"is an error message: {shown(said)}")
    if element.tag != REQUEST:
        raise Unusable(path.name, f"has a <{element.tag}> among its requests")
    return {child.tag: (child.text or "").strip() for child in element}


def _opened(path: Path) -> "_Bounded":
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return _Bounded(path, gzip.open(path) if packed else path.open("rb"))


class _Bounded:
    """A file that may be small and unpack to anything."""

    def __init__(self, path: Path, file: "IO[bytes] | gzip.GzipFile") -> None:
        self._path, self._file, self._left = path, file, MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise Unusable(self._path.name, f"unpacks to more than {MOST_BYTES // 1_000_000} MB")
        return data

    def close(self) -> None:
        self._file.close()

"""The city's open data: files of every night and what is in them; and the daily root of the log.

By that root anybody can see that nothing was changed.
"""

import gzip
from itertools import groupby
from pathlib import Path

from babel.numbers import format_decimal
from flask import Blueprint, Response, jsonify, request, send_file, url_for
from flask_babel import get_locale
from flask_babel import gettext as _

from city import csv_cells
from city.audit import events
from city.opendata import editions
from city.opendata.editions import MANIFEST, PACKED, Edition, File
from pwa.metrics import data_dictionary
from pwa.web import access, localization
from pwa.web.fragments import render

bp = Blueprint("data", __name__)

SHOWN = 31
CHUNK = 1 << 16  # bytes of a file that are unpacked at once


@bp.get("/data")
def page() -> Response:
    """The files of last night, and the roots of the last month with how to check them."""
    edition = _edition()
    with access.reading() as s:
        roots = events.daily_roots(s, SHOWN)
    canonical = access.current_city().settings.base_url + url_for(".page")
    return render(
        "figures/data.html", roots=roots, indexed=True, canonical=canonical, edition=edition,
        kinds=_by_kind(edition) if edition else {}, tables=data_dictionary.tables(), manifest=MANIFEST,
    )  # fmt: skip


@bp.get("/data/dictionary")
def words() -> Response:
    """What every column of every file means."""
    canonical = access.current_city().settings.base_url + url_for(".words")
    return render(
        "figures/dictionary.html", tables=data_dictionary.tables(), indexed=True, canonical=canonical
    )


@bp.get("/data/dictionary.json")
def words_for_programs() -> Response:
    """The same as JSON."""
    told = [
        table._asdict() | {"columns": [column._asdict() for column in table.columns]}
        for table in data_dictionary.tables().values()
    ]
    return _open_to_all(jsonify(tables=told))


@bp.get("/data/files/<name>")
def file(name: str) -> Response:
    """One file of the edition, by a name of its manifest; with .gz behind it as it lies on the disk."""
    try:
        response = _answer(access.or_404(_edition()), name)
    except FileNotFoundError:  # another edition has just taken the place of this one
        response = _answer(access.or_404(_edition()), name)
    response.make_conditional(request)
    return _open_to_all(response)


@bp.get("/data/roots.csv")
def table() -> Response:
    """Every root there ever was."""
    with access.reading() as s:
        rows = [(root.day.isoformat(), root.seq, root.prev, root.hash) for root in events.daily_roots(s)]
    head = ("day", "last line", "root before", "root")
    answer = Response(csv_cells.lines([head, *rows]), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=roots.csv"
    return answer


@bp.app_template_filter()
def data_type(code: str) -> str:
    """What kind of value a column has."""
    return {
        "text": _("text"), "number": _("number"), "time": _("time"), "month": _("month"), "shape": _("shape"),
    }[code]  # fmt: skip


@bp.app_template_filter()
def heavy(size: int) -> str:
    """ "212 KB", "2.1 MB"."""
    if size < 1_000_000:
        return f"{localization.figure(max(1, round(size / 1000)))}{localization.NBSP}KB"
    return f"{format_decimal(size / 1_000_000, '#,##0.0', locale=get_locale())}{localization.NBSP}MB"


def _edition() -> Edition | None:
    return editions.current(editions.place(access.current_city().settings))


def _by_kind(edition: Edition) -> dict[str, list[list[File]]]:
    """Of each kind the files of each year, which differ in their format."""
    files = edition.files.values()
    return {
        kind: [list(of_year) for _year, of_year in groupby(of_kind, key=lambda each: each.year)]
        for kind, of_kind in groupby(files, key=lambda each: each.kind)
    }


def _answer(edition: Edition, name: str) -> Response:
    """404 for a name that the manifest does not have: no other becomes a path."""
    if name == MANIFEST:
        response = Response(edition.path(name).read_bytes(), mimetype="application/json")
        response.set_etag(edition.folder.name)
        response.last_modified = edition.made_at
        return response
    found = access.or_404(edition.files.get(name.removesuffix(PACKED)))
    path = edition.path(found.name)
    if name.endswith(PACKED):
        return _packed(edition, path, "application/gzip", f"{found.sha256}-packed", name)
    if request.accept_encodings.quality("gzip"):
        response = _packed(edition, path, found.mimetype, f"{found.sha256}-gzip", name)
        response.headers["Content-Encoding"] = "gzip"
        return response
    response = _unpacked(path, found.mimetype)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    response.content_length, response.last_modified = found.bytes, edition.made_at
    response.set_etag(found.sha256)
    return response


def _packed(edition: Edition, path: Path, mimetype: str, tag: str, name: str) -> Response:
    return send_file(
        path, mimetype, as_attachment=True, download_name=name, etag=tag, last_modified=edition.made_at
    )


def _unpacked(path: Path, mimetype: str) -> Response:
    packed = gzip.GzipFile(path)
    response = Response(iter(lambda: packed.read(CHUNK), b""), mimetype=mimetype)
    response.call_on_close(packed.close)
    return response


def _open_to_all(response: Response) -> Response:
    """Pages of other sites may read it; whoever keeps it asks each time whether it is still so."""
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Cache-Control"] = "public, no-cache"
    response.vary.add("Accept-Encoding")
    return response

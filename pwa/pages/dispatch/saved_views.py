"""What is done with a view of the board: saving it, and taking its cases along as a table or on paper."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, g, request, stream_with_context, url_for
from flask_babel import gettext as _

from city import csv_cells
from city.board import queries as board_queries
from city.board import rows as queue_rows
from city.board import saved_views
from city.board.queries import View
from city.board.rows import Row
from city.db import engine as db
from city.lifecycle import Refused
from pwa.board import page as around
from pwa.board.view_url import args_of, view_asked
from pwa.web import access, errors, localization
from pwa.web.fragments import go, render

MOST_PRINTED = 500  # some forty pages
MOST_LETTERS = 100_000  # of the numbers in one field

bp = Blueprint("view", __name__, url_prefix="/dispatch")

# The columns of the table, in their order; docs/how-to/operations.md explains them.
COLUMNS = (
    "number", "service", "service_name", "state", "standing", "urgent", "address", "lat", "lon", "asset",
    "crew", "opened_at", "due_at", "closed_at", "outcome", "reports", "priority", "tags",
)  # fmt: skip


@bp.get("/cases.csv")
def table() -> Response:
    """All cases of the view as a table, whole however many they are: nothing of the people who told."""
    view, here, now = view_asked().whole, access.current_city(), access.now()

    def lines() -> Iterator[bytes]:
        with db.read_session(here.engine) as s:
            yield csv_cells.lines([COLUMNS])
            for rows in board_queries.all_rows(s, view, now=now):
                yield csv_cells.lines(_row(row) for row in rows)

    answer = Response(stream_with_context(lines()), mimetype="text/csv")
    answer.headers["Content-Disposition"] = (
        f'attachment; filename="cases-{localization.local(now):%Y-%m-%d}.csv"'
    )
    return answer


@bp.get("/print")
@bp.post("/print")
def printed() -> Response:
    """The cases that a form names, to be printed; without any those of the view. MOST_PRINTED at most."""
    view, form = view_asked().whole, request.form
    numbers = list(
        dict.fromkeys([*form.getlist("case"), *" ".join(form.getlist("cases"))[:MOST_LETTERS].split()])
    )
    chosen = bool(numbers) and not form.get("all")
    with access.reading() as s:
        if chosen:
            found = queue_rows.of_numbers(s, numbers, sealed=view.sealed)
            rows = queue_rows.danger_first(found)[:MOST_PRINTED]
            is_more = len(numbers) > MOST_PRINTED
        else:
            page = board_queries.queue(s, view, now=access.now(), limit=MOST_PRINTED)
            rows, is_more = page.rows, bool(page.next)
        return render(
            "dispatch/print.html", rows=rows, chosen=chosen, most=MOST_PRINTED, is_more=is_more,
            **around.sides(s, view, rows),
        )  # fmt: skip


@bp.post("/views")
def name_view() -> Response:
    """Saves the view under a name."""
    view, name = view_asked().whole, request.form.get("name", "")
    try:
        with access.writing() as s:
            saved_views.save(s, g.person.id, name, args_of(view), shared=_shared(), at=access.now())
    except Refused as fault:
        return _unnamed(view, fault)
    return _done(view, _("View saved."))


@bp.post("/views/<natural:view_id>")
def rename_view(view_id: int) -> Response:
    """Gives one of the own views another name."""
    view = view_asked().whole
    try:
        with access.writing() as s:
            own = access.or_404(saved_views.owned_by(s, g.person.id, view_id))
            saved_views.rename(s, own, request.form.get("name", ""), shared=_shared())
    except Refused as fault:
        return _unnamed(view, fault)
    return _done(view, _("View saved."))


@bp.post("/views/<natural:view_id>/removal")
def remove_view(view_id: int) -> Response:
    """Forgets one of the own views; a supervisor also one that others share."""
    with access.writing() as s:
        found = saved_views.removable(s, g.actor, g.person.id, view_id)
        saved_views.remove(s, access.or_404(found))
    return _done(view_asked().whole, _("View removed. Its cases haven't changed."))


def _shared() -> bool:
    return request.form.get("shared") == "yes"


def _done(view: View, said: str) -> Response:
    flash(said)
    return go(url_for("dispatch.board", **args_of(view)))


def _unnamed(view: View, fault: Refused) -> Response:
    with access.reading() as s:
        parts = around.whole(s, view)
        return render("dispatch/board.html", status=422, view_fault=errors.words(fault), **parts)


def _row(row: Row) -> list[Any]:
    return [
        row.number, row.service_code, localization.said(row.service), row.state, row.standing,
        int(row.urgent), row.address, row.lat, row.lon, row.asset, row.crew, _moment(row.opened_at),
        _moment(row.due_at), _moment(row.closed_at), row.outcome, row.reports, int(row.raised),
        "; ".join(row.tags),
    ]  # fmt: skip


def _moment(at: datetime | None) -> str:
    """On the city's own clocks, with how far they are from UTC."""
    return localization.local(at).isoformat(timespec="seconds") if at else ""

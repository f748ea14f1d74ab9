"""The city's open data: the daily root of the log, by which anybody can see that nothing was changed."""

import csv
import io

from flask import Blueprint, Response, url_for

from city import events
from pwa import access
from pwa.fragments import render

bp = Blueprint("data", __name__)

SHOWN = 31


@bp.get("/data")
def page() -> Response:
    """The roots of the last month, and how to check them."""
    with access.reading() as s:
        roots = events.roots(s, SHOWN)
    canonical = access.here().settings.base_url + url_for(".page")
    return render("figures/data.html", roots=roots, indexed=True, canonical=canonical)


@bp.get("/data/roots.csv")
def table() -> Response:
    """Every root there ever was."""
    file = io.StringIO()
    out = csv.writer(file)
    out.writerow(("day", "last line", "root before", "root"))
    with access.reading() as s:
        out.writerows((root.day.isoformat(), root.seq, root.prev, root.hash) for root in events.roots(s))
    answer = Response(file.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = "attachment; filename=roots.csv"
    return answer

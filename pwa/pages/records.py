"""How long the city keeps what, and which cases are on hold: for managers and administrators."""

from flask import Blueprint, Response

from city import holds
from pwa import access, filters
from pwa.fragments import render

MOST = 200  # holds on the page; each leads to its case, where it is lifted

bp = Blueprint("records", __name__, url_prefix="/admin/records")


@bp.get("")
def page() -> Response:
    """The records schedule of the city file, and the holds, the oldest first."""
    schedule = access.here().city.retention
    with access.reading() as s:
        rows, total = holds.listed(s, MOST)
        return render(
            "admin/records.html", classes=filters.record_classes(schedule), places=schedule.places, rows=rows,
            total=total,
        )  # fmt: skip

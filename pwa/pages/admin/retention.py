"""How long the city keeps what, and which cases are on hold: for managers and administrators."""

from flask import Blueprint, Response, g
from flask_babel import gettext as _
from flask_babel import ngettext

from city.cases import legal_holds
from city.config.retention_schedule import CLASSES, Schedule
from pwa.web import access
from pwa.web.fragments import render

MOST = 200  # holds on the page; each leads to its case, where it is lifted

bp = Blueprint("records", __name__, url_prefix="/admin/records")


@bp.get("")
def page() -> Response:
    """The records schedule of the city file, and the holds, the oldest first."""
    schedule = access.current_city().city.retention
    with access.reading() as s:
        rows, total = legal_holds.listed(s, MOST)
        return render(
            "admin/records.html", classes=_classes(schedule), places=schedule.places, rows=rows,
            total=total, sealed=g.sealed,
        )  # fmt: skip


def _classes(schedule: Schedule) -> list[tuple[str, str, str]]:
    """What the records schedule names: what it is, since when it counts, and how long it is kept."""
    words = {
        "contacts": (
            _("Contact info left for updates"),
            _("since the case ended, or since they unfollowed a neighborhood or street"),
        ),
        "words": (_("Descriptions, answers, photos, notes, and tags of cases"), _("since the case ended")),
        "private": (_("The same for private cases"), _("since the case ended")),
        "calls": (_("Phone numbers and notes from calls"), _("since the call")),
        "messages": (_("Messages sent or given up on"), _("since the reported event")),
        "phones": (_("Phones that stopped syncing"), _("since the last sync")),
    }
    found = []
    for name in CLASSES:
        period = getattr(schedule, name)
        kept = _("forever")
        if period and period.years:
            kept = ngettext("%(num)d year", "%(num)d years", period.years)
        elif period:
            kept = ngettext("%(num)d day", "%(num)d days", period.days)
        elif name == "private" and schedule.words:
            kept = _("as long as other cases")
        found.append((*words[name], kept))
    return found

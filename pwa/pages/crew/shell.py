"""The crew's shell: one page whose pieces are drawn on the phone, with or without signal."""

from flask import Blueprint, Response
from flask_babel import force_locale
from flask_babel import gettext as _

from city.lifecycle import WAIT_REASONS, wait_reasons
from pwa.web import access, formatting, localization
from pwa.web.forms import ReportForm
from pwa.web.fragments import render
from pwa.web.pwa_shell import of_release, release

bp = Blueprint("crew", __name__)


@bp.get("/crew")
def shell() -> Response:
    """The page itself, the same for everybody, so that a phone may keep it and start without signal.

    Who uses the phone and what there is to do comes from the phone's own copy, kept up to date by field sync.
    """
    page = render(
        "crew/shell.html",
        release=release(),
        notes=_notes(),
        form=ReportForm(""),
        faults={},
        formats=localization.for_scripts(),
        map_words=formatting.map_words(),
        waits={reason: WAIT_REASONS[reason].pauses for reason in wait_reasons(office=False)},
    )
    return of_release(page)


def _notes() -> dict[str, list[tuple[str, str]]]:
    """By group: what the crew reads, and what residents are told, in the city's own language."""
    read = _ready_made()
    with force_locale(localization.locale_of(access.current_city().city.languages[0])):
        told = _ready_made()
    return {group: list(zip(read[group], told[group], strict=True)) for group in read}


def _ready_made() -> dict[str, tuple[str, ...]]:
    """Notes by group of services. Residents read them, so they say what was done."""
    return {
        "streetlight": (
            _("New lamp"), _("New driver"), _("Checked after dark"), _("Cable repaired"), _("Pole secured"),
        ),
        "tree": (_("Cut and removed"), _("Branch removed"), _("Tree secured"), _("Stump ground down")),
        "trash": (_("Emptied"), _("Cleared and swept"), _("Trash can replaced")),
        "other": (_("Repaired"), _("Cleaned"), _("Barrier put up"), _("Replaced")),
    }  # fmt: skip

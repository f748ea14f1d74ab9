"""The crew's shell: one page whose pieces are drawn on the phone, with or without signal."""

from flask import Blueprint, Response, g
from flask_babel import force_locale
from flask_babel import lazy_gettext as _l

from city.lifecycle import CREW
from pwa import access
from pwa.fragments import render

# Ready-made notes, by group of services. Residents read them, so they say what was done.
NOTES = {
    "streetlight": (
        _l("New lamp"), _l("New driver"), _l("Checked after dark"), _l("Cable repaired"), _l("Pole secured"),
    ),
    "tree": (_l("Cut and cleared"), _l("Limb removed"), _l("Tree secured"), _l("Stump ground down")),
    "trash": (_l("Emptied"), _l("Cleared and swept"), _l("Basket replaced")),
    "other": (_l("Repaired"), _l("Cleaned"), _l("Barrier put up"), _l("Replaced")),
}  # fmt: skip

bp = Blueprint("crew", __name__)


@bp.get("/crew")
@access.for_role(CREW)
def shell() -> Response:
    """The page itself. What it shows comes from the phone's own copy, kept up to date by field sync."""
    return render("crew/shell.html", person=g.person, crews=g.person.crews, notes=_notes())


def _notes() -> dict[str, list[tuple[str, str]]]:
    """By group: what the crew reads, and what is told to residents, in the city's own language."""
    with force_locale(access.here().city.languages[0]):
        told = {group: [str(note) for note in notes] for group, notes in NOTES.items()}
    return {
        group: [
            (str(note), words) for note, words in zip(NOTES.get(group, ()), told.get(group, ()), strict=True)
        ]
        for group in (each.code for each in access.here().city.groups)
    }

"""How a case stands, in words: one row for each state of `city/lifecycle.py`, and every page asks here."""

from typing import NamedTuple

from flask_babel import gettext as _

from pwa.web.localization import once_a_language


class Words(NamedTuple):
    """`label` is for staff. Of an open case a neighbor reads `stage` within a line; whoever follows it reads
    `subject` as a letter's subject and `news` as its first sentence, "" where the promise says it better.
    """

    label: str
    stage: str = ""
    subject: str = ""
    news: str = ""


@once_a_language
def _words() -> dict[str, Words]:
    return {
        "new": Words(_("New"), _("just reported"), _("Reported"), _("This report is open.")),
        "accepted": Words(
            _("Accepted"), _("reviewed by the city"), _("Reviewed"), _("We reviewed this report.")
        ),
        "assigned": Words(
            _("Assigned"), _("crew assigned"), _("Crew assigned"), _("We assigned a crew.")
        ),
        "underway": Words(_("In progress"), _("crew on site"), _("Crew on site"), _("A crew is on site.")),
        "waiting": Words(_("On hold"), _("on hold"), _("On hold")),
        "closed": Words(_("Closed")),
        "merged": Words(_("Merged")),
        "cancelled": Words(_("Canceled")),
    }  # fmt: skip


def of(state: str) -> Words:
    """The words of a state; of one that nobody moves its own name."""
    return _words().get(state) or Words(state)


def label(state: str) -> str:
    """A state as staff read it."""
    return of(state).label


def stage(state: str) -> str:
    """How far an open case is, as a neighbor says it."""
    return of(state).stage

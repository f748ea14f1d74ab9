"""When a case has changed while its drawer stood open: nothing is done, and both versions are shown."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from flask import g, request
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.board import changes
from city.board.changes import Stand
from city.cases import queries, sla
from city.db.models import Case, Event
from city.lifecycle import Refused, possible
from pwa.board.view_url import is_id
from pwa.web import formatting

# Forms with fields of their own: they stand open with all that was entered, and are sent again themselves.
WITH_FIELDS: Final = ("place", "wait", "close", "reopen", "merge", "cancel")
BESIDE: Final = ("csrf_token", "seen", "listed")  # what a form carries beside what was filled in


@dataclass(frozen=True)
class Conflict:
    """A case as somebody saw it and as it is, and what they were about to do to it."""

    was: Stand
    now: Stand
    lines: list[Event]  # what happened in between and matters, oldest first
    possible: bool  # whether it may be done all the same
    url: str
    # The form that stands open with what was entered; "" where it had no fields or is another case's.
    form: str
    entered: list[tuple[str, str]]  # otherwise what is sent again
    words: str  # what was about to be done
    kept: str  # the words for residents that were written for it


def unless_overtaken(s: Session, verb: Callable[[Session, Case], object], case: Case, opened: str) -> object:
    """Runs the verb and returns what it did.

    Raises Refused `overtaken` where its form was filled in before the case changed.

    The form's `seen` is the last line that the story of the case `opened` had when it was shown; a form
    without it asks nothing. It is looked up after the verb, which holds the case then, and what the verb did
    is undone with its transaction. Somebody who wants what is so already is told so.
    """
    seen = request.form.get("seen", "")

    def overtaken() -> bool:
        shown = queries.by_number(s, opened) if is_id(seen) else None
        return shown is not None and changes.is_stale(s, shown, int(seen))

    try:
        done = verb(s, case)
    except Refused as fault:
        if not overtaken():
            raise
        raise Refused("overtaken") from fault
    if done is not False and overtaken():
        raise Refused("overtaken")
    return done


def conflict(
    s: Session, case: Case, story: Sequence[Event], last: int, fault: Exception | None, doing: str
) -> Conflict | None:
    """Both versions, where the fault says that there are two; the case is shown as at line `last`."""
    if not isinstance(fault, Refused) or fault.code != "overtaken":
        return None
    seen, verb = int(request.form["seen"]), (request.endpoint or "").rpartition(".")[2]
    own = request.view_args == {"number": case.number}
    sent = [pair for pair in request.form.items(multi=True) if pair[0] not in BESIDE]
    return Conflict(
        was=changes.state_at(story, seen),
        now=changes.state_at(story, last),
        lines=[line for line in story if seen < line.n <= last and changes.is_conflicting(line)],
        possible=not own
        or verb
        in possible(case.state, g.actor.roles, office=case.service.office, danger=sla.in_danger(case)),
        url=request.script_root + request.full_path.rstrip("?"),
        form=doing if own and doing in WITH_FIELDS else "",
        entered=sent,
        words=_about_to(s, case, verb),
        kept=request.form.get("words", ""),
    )


def _about_to(s: Session, case: Case, verb: str) -> str:
    told = request.form.get
    crew = told("crew", "")
    crews = queries.crew_names(s) if is_id(crew) else {}
    reason = formatting.reason(told("reason", ""))
    outcome = formatting.outcome(told("outcome"), office=case.service.office)
    return {
        "accept": _("You wanted to accept it."),
        "assign": _("You wanted to assign it to %(crew)s.", crew=crews.get(int(crew), "") if crews else ""),
        "unassign": _("You wanted to unassign it."),
        "reclassify": _(
            "You wanted to change its type to %(type)s.", type=formatting.kind_name(told("service", ""))
        ),
        "relocate": _("You wanted to change its location."),
        "reschedule": _("You wanted to give it a new date."),
        "split": _("You wanted to move report %(number)s to its own case.", number=told("report", "")),
        "wait": _("You wanted to put it on hold (%(reason)s).", reason=reason),
        "resume": _("You wanted to resume it."),
        "close": _("You wanted to close it as “%(outcome)s”.", outcome=outcome),
        "reopen": _("You wanted to reopen it."),
        "merge": _("You wanted to merge it into %(number)s.", number=told("into", "")),
        "unmerge": _("You wanted to separate it again."),
        "cancel": _("You wanted to cancel it (%(reason)s).", reason=reason),
    }.get(verb, "")

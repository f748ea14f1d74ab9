"""What became of a batch in words: what went, what did not and why, and what an undoing left."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flask import g
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.cases import batches, queries
from city.db.models import Batch
from city.lifecycle import Refused
from pwa.web import access, errors, formatting, localization

SHOWN_FOR = timedelta(minutes=3)  # what was done just now; so long the key of Undo serves it


def done(batch: Batch, crews: Mapping[int, str], *, office: bool) -> str:
    """One line of what was done, "1,000 cases given to Crew 2"; empty where nothing was. `crews` by id.

    `office` says that all of them are an office's.
    """
    n, what = batch.done, batch.what
    if not n:
        return ""
    facts: dict[str, Any] = {"n": n}
    if batch.act == "assign" and what.get("crew") == batches.USUAL:
        return ngettext(
            "%(n)s case assigned to its usual crew",
            "%(n)s cases assigned, each to its usual crew",
            n,
            **facts,
        )
    if batch.act == "assign":
        facts["crew"] = crews.get(what.get("crew", 0), "")
        return ngettext("%(n)s case assigned to %(crew)s", "%(n)s cases assigned to %(crew)s", n, **facts)
    if batch.act == "wait":
        facts["reason"] = formatting.reason(what.get("reason", ""))
        return ngettext(
            "%(n)s case put on hold: %(reason)s", "%(n)s cases put on hold: %(reason)s", n, **facts
        )
    if batch.act == "close":
        facts["outcome"] = formatting.outcome(what.get("outcome"), office=office)
        return ngettext("%(n)s case closed: %(outcome)s", "%(n)s cases closed: %(outcome)s", n, **facts)
    if batch.act in ("tag", "untag"):
        facts["tag"] = what.get("tag", "")
        if batch.act == "tag":
            return ngettext("%(n)s case tagged “%(tag)s”", "%(n)s cases tagged “%(tag)s”", n, **facts)
        return ngettext(
            "Tag “%(tag)s” removed from %(n)s case", "Tag “%(tag)s” removed from %(n)s cases", n, **facts
        )
    if batch.act == "merge":
        facts["number"] = what.get("into", "")
        return ngettext("%(n)s case merged into %(number)s", "%(n)s cases merged into %(number)s", n, **facts)
    if batch.act == "reclassify":
        facts["type"] = formatting.kind_name(what["service"])
        return ngettext("%(n)s case changed to %(type)s", "%(n)s cases changed to %(type)s", n, **facts)
    if batch.act == "relocate":
        return ngettext("%(n)s case moved", "%(n)s cases moved", n, **facts)
    if batch.act == "reschedule":
        return ngettext("New date given for %(n)s case", "New date given for %(n)s cases", n, **facts)
    if batch.act == "accept":
        return ngettext("%(n)s case accepted", "%(n)s cases accepted", n, **facts)
    if batch.act == "raise":
        return ngettext("%(n)s case set to high priority", "%(n)s cases set to high priority", n, **facts)
    return ngettext("%(n)s case set to normal priority", "%(n)s cases set to normal priority", n, **facts)


def offered(s: Session) -> dict[str, Any]:
    """What the board says of its reader's newest act as long as it can be undone: a line, and undoing()'s.

    What was done to one case is said for SHOWN_FOR: its Undo stands over the list, for a slip seen at once.
    """
    batch = batches.last(s, g.actor, access.now())
    if batch is None or (batch.done == 1 and not _seconds_left(batch)):
        return {}
    return {"just_done": told(s, batch)} | undoing(batch)


def told(s: Session, batch: Batch) -> str:
    """One line of what was done, with the case's number where that is one; empty where nothing was."""
    crews, office = queries.crew_names(s), batches.is_office(s, batch)
    return _single(s, batch, crews, office=office) if batch.done == 1 else done(batch, crews, office=office)


def undoing(batch: Batch) -> dict[str, Any]:
    """What its Undo needs: `undo`, which, None where it is too late; `undo_by_key`, for how many seconds more
    the key serves it; `done_at`, when it was done, in words.
    """
    if not batches.may_undo(batch, g.actor, access.now()):
        return {"undo": None}
    left = _seconds_left(batch)
    when = localization.clock(batch.at) if left else _("%(age)s ago", age=formatting.age(batch.at))
    return {"undo": batch.id, "undo_by_key": left, "done_at": when}


def _seconds_left(batch: Batch) -> int:
    return max(0, int((batch.at + SHOWN_FOR - access.now()).total_seconds()))


def _single(s: Session, batch: Batch, crews: Mapping[int, str], *, office: bool) -> str:
    number, what = batches.number_of(s, batch), batch.what
    if batch.act == "assign" and what.get("crew") in crews:
        return _("%(number)s assigned to %(crew)s", number=number, crew=crews[what["crew"]])
    if batch.act == "wait":
        return _(
            "%(number)s put on hold: %(reason)s", number=number, reason=formatting.reason(what["reason"])
        )
    if batch.act == "close":
        outcome = formatting.outcome(what.get("outcome"), office=office)
        return _("%(number)s closed: %(outcome)s", number=number, outcome=outcome)
    if batch.act == "reclassify":
        return _("%(number)s changed to %(type)s", number=number, type=formatting.kind_name(what["service"]))
    if batch.act == "merge" and "number" in what:  # of a batch of one nothing says which it was
        return _("%(number)s merged into %(into)s", number=number, into=what["into"])
    if batch.act == "split":
        return _("%(report)s moved to %(case)s", report=what["report"], case=what["into"])
    words = {
        "reschedule": _("New date given for %(number)s", number=number),
        "reopen": _("%(number)s reopened", number=number),
        "unmerge": _("%(number)s separated", number=number),
        "relocate": _("%(number)s moved", number=number),
        "accept": _("%(number)s accepted", number=number),
        "unassign": _("%(number)s unassigned", number=number),
        "resume": _("%(number)s resumed", number=number),
        "cancel": _("%(number)s canceled", number=number),
    }
    return words.get(batch.act) or f"{number}: {done(batch, crews, office=office)}"


def same(batch: Batch) -> str:
    """How many were so before; empty where none was."""
    n = batch.same
    words = ngettext("%(n)s needed no change", "%(n)s needed no change", n, n=n)
    return words if n else ""


def refused(rows: list[Any]) -> list[tuple[str, list[str]]]:
    """Why cases were left out, each reason with its numbers. `rows` are [number, code, facts]."""
    alike: dict[tuple[str, tuple[tuple[str, Any], ...]], list[str]] = {}
    for number, code, facts in rows:
        alike.setdefault((code, tuple(sorted(facts.items()))), []).append(number)
    told: dict[str, list[str]] = {}
    for (code, known), numbers in alike.items():
        told.setdefault(errors.words(Refused(code, **dict(known))), []).extend(numbers)
    return sorted((why, sorted(numbers)) for why, numbers in told.items())


def undone(s: Session, batch: Batch) -> str:
    """One line of what was put back."""
    n = batches.put_back(batch)
    facts = {"n": n}
    if not n:
        return _("Nothing was undone")
    if batch.done == 1:
        return _("%(number)s put back the way it was", number=batches.number_of(s, batch))
    return ngettext(
        "%(n)s case put back the way it was", "%(n)s cases put back the way they were", n, **facts
    )


def left(batch: Batch) -> list[tuple[str, list[str]]]:
    """What an undoing could not put back, as refused() says it."""
    why = _("We didn't undo this, because something changed in the meantime.")
    return [(why, list(batch.left))] if batch.left else []

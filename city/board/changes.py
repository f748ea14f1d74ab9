"""What has changed since: in a list that stands open, and of one case while somebody had it before them.

Read from the log. A list is told from a `seq` on, a case from a line `n` of its own story on: unlike the
case's version, which only counts, a line says what happened, who did it, and whether it matters to what
somebody is about to do.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import String, cast, literal, select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.board import queries as board_queries
from city.board.queries import View
from city.db.models import Case, ChainTip, Event
from city.lifecycle import ASSIGNED, MERGED, OPEN, UNDERWAY, WAITING

# Cases that one answer tells: two pages of the queue. Of more it says only that they are many: reading one's
# own page anew is shorter then.
MOST = 200
# Lines of the log after which nobody follows any more, but looks anew: a big city's busy day, or an import.
STALE = 50_000
# Kinds of lines that change no state and yet what somebody would do.
MATTERS = ("raise priority", "lower priority")
# And those by which a case comes into a narrow view or leaves it, which stop nobody.
MOVES_LISTS = (
    "at risk", "late", "escalate", "ring", "review", "reviewed", "recorded", "no evidence", "photo failed",
    "tag", "untag", "place", "service", "promise", "reclassify", "relocate",
    "proposed", "proposal withdrawn", "ask", "answer", "add", "update", "undelivered",
    "forward", "passed on", "forward refused", "forward unclear", "forward ended", "handed back",
    "partner accepted", "partner done", "partner sent back", "partner told", "partner unreached",
)  # fmt: skip
# These add to a case what it is found by, or hurry it; no case leaves a list because of them.
ADDS = ("join", "subscribe", "merged in", "merged out")
# Moves after which the same crew has the case, or nobody still, and those after which nobody has it.
KEEPS_THE_JOB = ("accept", "start", "wait", "resume")
ENDS_THE_JOB = ("unassign", "make safe", "needs parts", "close", "merge", "cancel")

_CASES = events.of_case(0).removesuffix("0")


@dataclass(frozen=True)
class Changed:
    """What became of a view: `here` are the numbers in it that changed, `fresh` those that may be new in it.

    `gone` are those outside of it by now, with the last line that took them there, or none.
    """

    here: list[str] = field(default_factory=list)
    fresh: list[str] = field(default_factory=list)
    gone: list[tuple[str, Event | None]] = field(default_factory=list)
    many: bool = False  # more than MOST changed, or an import was undone, and none is told


@dataclass(frozen=True)
class Stand:
    """How a case stood at a line of its story: state, crew by id, why it waits or how it ended, priority."""

    state: str = ""
    crew: int | None = None
    why: str = ""
    raised: bool = False


def in_view(s: Session, view: View, seq: int, *, now: datetime) -> Changed:
    """What the lines after `seq` did to the cases of a view; `now` is the moment at which it is asked.

    Three statements, however many cases the view holds.
    """
    moved = select(ChainTip.subject).where(ChainTip.seq > seq, ChainTip.subject.startswith(_CASES))
    subjects = list(s.scalars(moved.order_by(ChainTip.seq).limit(MOST + 1)))
    if not subjects:
        return Changed()
    if len(subjects) > MOST:
        return Changed(many=True)
    told: dict[str, list[Event]] = {subject: [] for subject in subjects}
    lines = select(Event).where(Event.subject.in_(subjects), Event.seq > seq).order_by(Event.seq)
    for line in s.scalars(lines):
        told[line.subject].append(line)
    changed = Changed()
    found = board_queries.filter_ids(s, view, [_id(subject) for subject in subjects], now=now)
    if len(found) < len(subjects):  # what an import's undoing took back is called otherwise by now
        return Changed(many=True)
    for case_id, number, inside in found:
        story = told[events.of_case(case_id)]
        if not inside:
            changed.gone.append((number, next((line for line in story[::-1] if _moves_lists(line)), None)))
            continue
        if any(_brings(line, view) for line in story):
            changed.fresh.append(number)
        if story[0].n > 1:  # nobody can have seen the row of what was opened since
            changed.here.append(number)
    return changed


def is_conflicting(line: Event) -> bool:
    """Whether somebody who is about to act on the case should know of this line first.

    A move does, a change of priority, and danger that came with a report or with a case that was merged into
    this one. What else was added to the case does not: a report, a photo, a note.
    """
    brings_danger = line.kind in ("join", "merged in") and bool(line.facts.get("danger"))
    return line.now is not None or line.kind in MATTERS or brings_danger


def is_stale(s: Session, case: Case, n: int) -> bool:
    """Whether something that matters happened after line `n` of the case's story, which somebody has read.

    Asked by a verb that holds the case: nobody can add a line then, and its own are not written yet. A story
    that has no such line is another one, as after a restore.
    """
    asked = select(Event).where(Event.subject == events.of_case(case.id), Event.n >= n).order_by(Event.n)
    known, *since = [*s.scalars(asked)] or [None]
    return known is None or known.n != n or any(is_conflicting(line) for line in since)


def overtaken(s: Session, cases: Collection[Case], seq: int, by: Actor) -> set[int]:
    """The ids of those cases to which something that matters happened after line `seq` of the log.

    What `by` did is none of it: they know; nor that a case was opened, before which nobody chose it.
    Asked by who holds the cases. Two statements, however many cases.
    """
    subjects = {events.of_case(case.id): case.id for case in cases}
    later = select(ChainTip.subject).where(ChainTip.seq > seq, ChainTip.subject.startswith(_CASES))
    moved = [subject for subject in s.scalars(later) if subject in subjects]
    lines = select(Event).where(Event.subject.in_(moved), Event.seq > seq, Event.actor != by.name)
    return {subjects[line.subject] for line in s.scalars(lines) if line.n > 1 and is_conflicting(line)}


def state_at(story: Sequence[Event], n: int) -> Stand:
    """How the case stood at line `n` of its story."""
    state, why, waits_for = "", "", ""
    crew: int | None = None
    had: int | None = None
    raised = False
    for line in sorted(story, key=lambda line: line.n):
        if line.n > n:
            break
        if line.kind in MATTERS:
            raised = line.kind == "raise priority"
        if line.now is None:
            continue
        state, why = line.now, str(line.facts.get("reason") or line.facts.get("outcome") or "")
        if state == WAITING:  # of one that waits again, or still, the log does not say why once more
            why = waits_for = why or waits_for
        if line.kind in ("assign", "take on", "undo batch"):
            crew = line.facts.get("crew")
        elif line.facts.get("lost"):
            crew, had = None, crew
        elif line.kind in ENDS_THE_JOB:
            crew, had = None, had if line.was == MERGED else crew
        elif line.kind in ("take back", "unmerge") and state in (ASSIGNED, UNDERWAY, WAITING):
            crew = had
    return Stand(state, crew, why, raised)


def last_line(s: Session, number: str) -> int:
    """The number of the last line of a case's story; 0 where there is no such case."""
    subject = literal(_CASES) + cast(Case.id, String)
    return (
        s.scalar(select(ChainTip.n).join(Case, ChainTip.subject == subject).where(Case.number == number)) or 0
    )


def _brings(line: Event, view: View) -> bool:
    """Whether this line may have brought its case into the view."""
    if line.kind == "open" or (line.was is not None and line.was not in OPEN):
        return True
    may_grow = bool(view.words or view.standing or view.area or view.channel)
    return (_moves_lists(line) and not _passes(line, view)) or (may_grow and line.kind in ADDS)


def _passes(line: Event, view: View) -> bool:
    """Whether the line changes nothing that the view asks of an open case: before it was as much in there."""
    asked = view.asked.keys() - {"sort", "after"}
    if asked - {"state", "crew", "group", "service", "age", "since", "until"}:
        return False  # of these a line does not say all that they hang on
    touched = {
        "state": line.now != line.was,
        "crew": line.now is not None and line.kind not in KEEPS_THE_JOB,
        "group": line.kind in ("service", "reclassify"),
        "service": line.kind in ("service", "reclassify"),
        **dict.fromkeys(("age", "since", "until"), False),
    }
    return not any(touched[name] for name in asked)


def _moves_lists(line: Event) -> bool:
    return is_conflicting(line) or line.kind in MOVES_LISTS


def _id(subject: str) -> int:
    return int(subject.removeprefix(_CASES))

"""The conflict table: what an operation may still do when the city has moved on meanwhile. Pure.

`decide()` reads the rows from above and takes the first that fits. docs/reference/sync.md has the same rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from city.lifecycle import (
    ACCEPTED,
    ASSIGNED,
    CANCELLED,
    CLOSED,
    MOVES,
    OPEN,
    UNDERWAY,
    WAITING,
)
from city.lifecycle import MERGED as MERGED_STATE
from city.settings import Settings
from sync.protocol import APPLIED, DEPOSITED, MERGED, RECORDED

# What carries no state of its own: true whatever became of the case, so it always attaches to one's own.
FACTS: Final = ("note", "photo", "time")
# What says that the case is of another type, or lies elsewhere: it moves nothing by itself.
PROPOSES: Final = "propose"
# Operation → the move of lifecycle.py that it asks for, and the state that the move leads to.
ASKS: Final = {
    "start": ("start", UNDERWAY),
    "pause": ("pause", ASSIGNED),
    "resume": ("resume", ASSIGNED),
    "wait": ("wait", WAITING),
    "make_safe": ("make safe", ACCEPTED),
    "needs_parts": ("needs parts", WAITING),
    "close": ("close", CLOSED),
}
# Operation → how it ends a job without closing the case.
ENDS: Final = {"make_safe": "made safe", "needs_parts": "needs parts"}

# What operations.py does for a decision.
TRANSITION: Final = "transition"  # the move that the operation asks for
TRANSITION_UNDER_OLD_JOB: Final = "transition under old job"
TRANSITION_AFTER_RESTORE: Final = "transition after restore"  # the case is restored first
ATTACH: Final = "attach"  # words and photos go to the case, which stays in its state
RECORD_RECEIPT_ONLY: Final = "record receipt only"  # that it came, without its words and photos
NOTHING: Final = "nothing"


@dataclass(frozen=True)
class Rules:
    """What a city may settle for itself: whether a crew's closing counts all the same."""

    reassigned: bool = True  # where its job was given to a crew that has not begun
    cancelled: bool = False  # where the case was cancelled meanwhile


RULES: Final = Rules()


def rules_of(settings: Settings) -> Rules:
    """What the city chose in `CITYLINE_CREW_REASSIGNED` and `CITYLINE_CREW_CANCELLED`."""
    return Rules(reassigned=settings.crew_reassigned == "done", cancelled=settings.crew_cancelled == "done")


@dataclass(frozen=True)
class Situation:
    """What the city finds when an operation arrives: the case, and who holds it, under its lock."""

    kind: str  # of the operation
    cycle: int | None  # of the operation
    job: int | None  # the assignment it was done under
    state: str
    case_cycle: int
    live: int | None  # the assignment that is live now
    live_is_ours: bool = False  # it is held by the same crew as the operation's job
    live_started: bool = False
    author_may: bool = True  # still in that crew, and not disabled
    # Their crew has or had the case, or they reported it; asked only of what moves nothing.
    theirs: bool = True
    erased: bool = False
    root: str | None = None  # the number of the case that this one was merged into
    closed_by_us: bool = False  # this cycle was closed by somebody of the same crew
    job_ended: str | None = None  # why the assignment is not live any more
    rules: Rules = RULES
    waits_otherwise: bool = False  # it asks to wait, and the case waits for something else
    danger: bool = False  # somebody is in danger
    corrected: bool = False  # the phone knew another type or place
    is_so: bool = False  # the case is what it proposes


@dataclass(frozen=True)
class Decision:
    """The result that the phone hears, and what is to be done. `review` asks a person to look."""

    result: str
    effect: str
    why: str | None = None
    to: str | None = None
    review: bool = False


@dataclass(frozen=True)
class _Row:
    when: Callable[[Situation], bool]
    result: str
    effect: str
    why: str | None = None
    review: bool = False


TABLE: Final = (
    # Whoever wrote it may not act for that crew now: it is stored, photos and all, until a supervisor says.
    _Row(lambda c: not c.author_may, DEPOSITED, NOTHING, "author"),
    _Row(lambda c: c.erased, RECORDED, RECORD_RECEIPT_ONLY, "erased", review=True),
    _Row(lambda c: c.kind in FACTS and c.theirs, APPLIED, ATTACH),
    _Row(
        lambda c: c.kind in FACTS or (c.kind == PROPOSES and not c.theirs),
        RECORDED,
        ATTACH,
        "not_your_job",
        review=True,
    ),
    # Work of an earlier cycle says nothing about the problem that came back.
    _Row(lambda c: c.cycle is not None and c.cycle < c.case_cycle, RECORDED, ATTACH, "reopened", review=True),
    _Row(
        lambda c: c.state == CANCELLED and c.rules.cancelled and c.kind == "close" and c.job is not None,
        APPLIED,
        TRANSITION_AFTER_RESTORE,
        "cancelled",
        review=True,
    ),
    _Row(lambda c: c.state == CANCELLED, RECORDED, ATTACH, "cancelled", review=True),
    _Row(lambda c: c.state == MERGED_STATE, RECORDED, ATTACH, "merged", review=True),
    _Row(lambda c: c.state == CLOSED and c.closed_by_us and c.kind == "close", MERGED, ATTACH, "closed"),
    _Row(lambda c: c.job_ended is not None and c.job_ended == ENDS.get(c.kind), MERGED, ATTACH, "closed"),
    _Row(lambda c: c.state == CLOSED, RECORDED, ATTACH, "closed", review=True),
    _Row(lambda c: c.kind == PROPOSES and c.is_so, MERGED, ATTACH, "done"),
    # Whoever has the job by now: they stood there, and staff decide.
    _Row(lambda c: c.kind == PROPOSES, APPLIED, ATTACH),
    _Row(
        lambda c: c.live is not None and c.live_is_ours and _would_delay_danger(c),
        RECORDED,
        ATTACH,
        "danger",
        review=True,
    ),
    # What the crew did there is done; whether it was this problem, a person must say.
    _Row(
        lambda c: (
            c.live is not None and c.live_is_ours and c.kind == "close" and c.corrected and _is_possible(c)
        ),
        APPLIED,
        TRANSITION,
        "corrected",
        review=True,
    ),
    _Row(lambda c: c.live is not None and c.live_is_ours and _is_possible(c), APPLIED, TRANSITION),
    _Row(lambda c: c.live is not None and c.live_is_ours, RECORDED, ATTACH, "step_back", review=True),
    # From here on the job was taken away, or never was this crew's.
    _Row(lambda c: c.job is None, RECORDED, ATTACH, "not_your_job", review=True),
    _Row(lambda c: c.kind != "close", RECORDED, ATTACH, "reassigned", review=True),
    _Row(
        lambda c: c.live is None and c.job_ended in ("reclassified", "relocated"),
        APPLIED,
        TRANSITION_UNDER_OLD_JOB,
        "corrected",
        review=True,
    ),
    _Row(lambda c: c.live is None, APPLIED, TRANSITION_UNDER_OLD_JOB, "unassigned", review=True),
    _Row(
        lambda c: not c.live_started and c.rules.reassigned,
        APPLIED,
        TRANSITION_UNDER_OLD_JOB,
        "reassigned",
        review=True,
    ),
    _Row(lambda c: True, RECORDED, ATTACH, "reassigned", review=True),
)


def decide(situation: Situation) -> Decision:
    """The first row of the table that fits."""
    row = next(row for row in TABLE if row.when(situation))
    to = situation.root if situation.state == MERGED_STATE else None
    return Decision(row.result, row.effect, row.why, to, row.review)


def _would_delay_danger(situation: Situation) -> bool:
    """Whether it would let danger wait: what the crew said is kept, and the job stays where it stands."""
    move, leads_to = ASKS[situation.kind]
    return situation.danger and leads_to == WAITING and situation.state in MOVES[move].sources


def _is_possible(situation: Situation) -> bool:
    """Whether the move leads on from here. One that is done already is harmless: the verb says so."""
    move, leads_to = ASKS[situation.kind]
    if situation.waits_otherwise:
        return False  # somebody has let it wait for something else, and knew more
    done_already = situation.state == leads_to and situation.kind not in ENDS
    return situation.state in OPEN and (done_already or situation.state in MOVES[move].sources)

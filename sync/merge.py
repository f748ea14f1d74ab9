"""The conflict table: what an operation may still do when the city has moved on meanwhile. Pure.

`decide()` reads the rows from above and takes the first that fits. The rows are those of `docs/sync.md`.
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

# What operations.py has to do for a decision. BARE keeps that it came, without its words and photos.
VERB, VERB_UNDER_OLD_JOB, KEEP, BARE, NOTHING = "verb", "verb under old job", "keep", "bare", "nothing"
VERB_AFTER_ALL = "verb after all"  # on a case that is restored first


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
class Seen:
    """What the city finds when an operation arrives: the case, and who holds it, under its lock."""

    t: str
    cycle: int | None  # of the operation
    job: int | None  # the assignment it was done under
    state: str
    case_cycle: int
    live: int | None  # the assignment that is live now
    live_is_ours: bool = False  # it is held by the same crew as the operation's job
    live_started: bool = False
    author_may: bool = True  # still in that crew, and not disabled
    theirs: bool = True  # their crew has or had the case, or they reported it; asked of facts only
    erased: bool = False
    root: str | None = None  # the number of the case that this one was merged into
    closed_by_us: bool = False  # this cycle was closed by somebody of the same crew
    job_ended: str | None = None  # why the assignment is not live any more
    rules: Rules = RULES
    waits_otherwise: bool = False  # it asks to wait, and the case waits for something else
    danger: bool = False  # somebody is in danger


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
    when: Callable[[Seen], bool]
    result: str
    effect: str
    why: str | None = None
    review: bool = False


TABLE: Final = (
    # Whoever wrote it may not act for that crew now: it is stored, photos and all, until a supervisor says.
    _Row(lambda c: not c.author_may, DEPOSITED, NOTHING, "author"),
    _Row(lambda c: c.erased, RECORDED, BARE, "erased", review=True),
    _Row(lambda c: c.t in FACTS and c.theirs, APPLIED, KEEP),
    _Row(lambda c: c.t in FACTS, RECORDED, KEEP, "not_your_job", review=True),
    # Work of an earlier cycle says nothing about the problem that came back.
    _Row(lambda c: c.cycle is not None and c.cycle < c.case_cycle, RECORDED, KEEP, "reopened", review=True),
    _Row(
        lambda c: c.state == CANCELLED and c.rules.cancelled and c.t == "close" and c.job is not None,
        APPLIED,
        VERB_AFTER_ALL,
        "cancelled",
        review=True,
    ),
    _Row(lambda c: c.state == CANCELLED, RECORDED, KEEP, "cancelled", review=True),
    _Row(lambda c: c.state == MERGED_STATE, RECORDED, KEEP, "merged", review=True),
    _Row(lambda c: c.state == CLOSED and c.closed_by_us and c.t == "close", MERGED, KEEP, "closed"),
    _Row(lambda c: c.job_ended is not None and c.job_ended == ENDS.get(c.t), MERGED, KEEP, "closed"),
    _Row(lambda c: c.state == CLOSED, RECORDED, KEEP, "closed", review=True),
    _Row(
        lambda c: c.live is not None and c.live_is_ours and _parks(c), RECORDED, KEEP, "danger", review=True
    ),
    _Row(lambda c: c.live is not None and c.live_is_ours and _possible(c), APPLIED, VERB),
    _Row(lambda c: c.live is not None and c.live_is_ours, RECORDED, KEEP, "step_back", review=True),
    # From here on the job was taken away, or never was this crew's.
    _Row(lambda c: c.job is None, RECORDED, KEEP, "not_your_job", review=True),
    _Row(lambda c: c.t != "close", RECORDED, KEEP, "reassigned", review=True),
    _Row(lambda c: c.live is None, APPLIED, VERB_UNDER_OLD_JOB, "unassigned", review=True),
    _Row(
        lambda c: not c.live_started and c.rules.reassigned,
        APPLIED,
        VERB_UNDER_OLD_JOB,
        "reassigned",
        review=True,
    ),
    _Row(lambda c: True, RECORDED, KEEP, "reassigned", review=True),
)


def decide(seen: Seen) -> Decision:
    """The first row of the table that fits."""
    row = next(row for row in TABLE if row.when(seen))
    to = seen.root if seen.state == MERGED_STATE else None
    return Decision(row.result, row.effect, row.why, to, row.review)


def _parks(seen: Seen) -> bool:
    """Whether it would let danger wait: what the crew said is kept, and the job stays where it stands."""
    move, leads_to = ASKS[seen.t]
    return seen.danger and leads_to == WAITING and seen.state in MOVES[move].sources


def _possible(seen: Seen) -> bool:
    """Whether the move leads on from here. One that is done already is harmless: the verb says so."""
    move, leads_to = ASKS[seen.t]
    done_already = seen.state == leads_to and seen.t not in ENDS and not seen.waits_otherwise
    return seen.state in OPEN and (done_already or seen.state in MOVES[move].sources)

"""The life of a case as one table: states, moves, and who may make each. Pure; touches no database."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class State:
    """What others ask of a state; its words are in `pwa/web/states.py`.

    `status` is Open311's, "" for one that no list has. `step` is the public step that leads to it, "" where
    none does by that name.
    """

    is_open: bool
    status: str
    step: str = ""


NEW, ACCEPTED, ASSIGNED, UNDERWAY, WAITING, CLOSED, MERGED, CANCELLED = (
    "new", "accepted", "assigned", "underway", "waiting", "closed", "merged", "cancelled",
)  # fmt: skip
STATES: Final[Mapping[str, State]] = {
    NEW: State(True, "open"),
    ACCEPTED: State(True, "open", "accept"),
    ASSIGNED: State(True, "open", "assign"),
    UNDERWAY: State(True, "open", "start"),
    WAITING: State(True, "open", "wait"),
    CLOSED: State(False, "closed"),
    MERGED: State(False, ""),  # its place is taken by what it was merged into
    CANCELLED: State(False, "closed"),
}
OPEN: Final = tuple(name for name, state in STATES.items() if state.is_open)
# What an undone import leaves of a case, since the log cannot forget it. No row of the table: nobody moves
# it, no list has it, and no address leads to it.
UNDONE: Final = "undone"

RESIDENT, CREW, PARTNER, SUPERVISOR, DISPATCHER, CALL_TAKER, MANAGER, ADMINISTRATOR, SYSTEM = ROLES = (
    "resident", "crew", "partner", "supervisor", "dispatcher", "call-taker", "manager", "administrator",
    "system",
)  # fmt: skip

# What somebody with a role may besides: all that those may who have the roles behind it.
INCLUDES: Final[Mapping[str, tuple[str, ...]]] = {SUPERVISOR: (DISPATCHER,)}

# How work in the field ends; and how an office's does, which goes nowhere: it tells somebody something.
FIELD_OUTCOMES: Final = ("fixed", "not found", "not ours", "no action")
ANSWERED: Final = "answered"
OFFICE_OUTCOMES: Final = (ANSWERED, "not ours", "no action")
OUTCOMES: Final = (ANSWERED, *FIELD_OUTCOMES)
# "Fixed" needs a photo or one of these, chosen with the same tap.
NO_PHOTO: Final = ("unsafe", "dark", "nothing to see")


@dataclass(frozen=True)
class WaitReason:
    """What a case may wait for. `days` is how long where nobody says, `most` how long at all; the city file
    may say otherwise. `pauses` says that its promise clock stands meanwhile: somebody else has to act first.
    `office` says that an office waits for it too.
    """

    days: int
    most: int
    pauses: bool = False
    office: bool = False


# An office waits for whoever asked, and for nobody else.
WAIT_REASONS: Final[Mapping[str, WaitReason]] = {
    "parts": WaitReason(7, 30),
    "weather": WaitReason(2, 14),
    "crew": WaitReason(2, 14),
    "utility": WaitReason(14, 90, pauses=True),
    "resident": WaitReason(7, 30, pauses=True, office=True),
}
# Why somebody is given a new date: none that the resident could do something about.
NEW_DATE_REASONS: Final = ("parts", "weather", "crew", "utility")
NEW_DATE_DAYS: Final = 365  # at most from today
DANGER_WAITS_HOURS: Final = 24  # at most, and by a supervisor's hand
CANCEL_REASONS: Final = ("withdrawn", "spam", "test")
# A photo may lie on a phone in a dead zone over a weekend; after that it proves nothing any more.
EVIDENCE_HOURS: Final = 72
# Offices that are none of the city's departments, to whom a call may be transferred.
ELSEWHERE: Final = ("911", "police", "utility", "county", "state")
# As in Open311; counted in letters, after line ends were made one.
MAX_WORDS: Final = 4000

# Most failed repairs show within two weeks; after that it is a new problem at the old place.
REOPEN_DAYS: Final = 14
NOT_FIXED: Final = "not fixed"  # the mark of a case that a resident sent back
WAIT_OVER: Final = "wait over"  # and of one that came back by itself after a wait
REPLIED: Final = "replied"  # and of one whose reporter wrote something that nobody has read
PARTNER_DONE: Final = "partner done"  # and of one that a partner calls done, which nobody has accepted
PARTNER_REFUSED: Final = "partner refused"  # and of one that a partner gave back
# Twice sent back by residents is a pattern that a dispatcher's queue will not mend.
REOPENINGS_BEFORE_SUPERVISOR: Final = 2
# So many people's reports raise a case's priority where the city file does not say otherwise: more than one
# household and its neighbors, and fewer than a whole street.
PRIORITY_REPORTERS: Final = 5


class Refused(Exception):
    """A move that the table does not allow. `code` is stable; pages put it into the user's words."""

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code, facts)
        self.code = code
        self.facts = facts


@dataclass(frozen=True)
class Move:
    """One row of the table. `to` is None where the case goes back to a state it had, or stays in its own.

    `office` are those who make it where the case is an office's: None for the same as everywhere, and
    nobody for what needs a crew. `danger` are those who make it while somebody is in danger.
    """

    name: str
    sources: tuple[str, ...]
    to: str | None
    roles: tuple[str, ...]
    office: tuple[str, ...] | None = None
    danger: tuple[str, ...] | None = None

    @property
    def needs_crew(self) -> bool:
        """Whether no office can make it."""
        return self.office == ()


# Call-takers call back, so they do at an office's case what a crew does at its job.
DESK_ROLES: Final = (DISPATCHER, CALL_TAKER)
NO_ROLE: Final[tuple[str, ...]] = ()

MOVES: Final = {
    move.name: move
    for move in (
        Move("accept", (NEW,), ACCEPTED, (DISPATCHER, CALL_TAKER)),
        Move("assign", OPEN, ASSIGNED, (DISPATCHER,), NO_ROLE),
        # The partner's own: it refuses a job, see partners/handovers.py.
        Move("unassign", (ASSIGNED, UNDERWAY), ACCEPTED, (DISPATCHER, PARTNER), NO_ROLE),
        Move("start", (ASSIGNED,), UNDERWAY, (CREW,), NO_ROLE),
        Move("pause", (UNDERWAY,), ASSIGNED, (CREW,), NO_ROLE),
        # The system's own: a report names a thing that is not the city's, see intake.submit(), or its
        # reporter was asked something, see reports/conversation.py.
        # Danger waits by a supervisor's hand alone. What waits may wait longer, or for something else.
        Move(
            "wait",
            OPEN,
            WAITING,
            (DISPATCHER, CREW, SYSTEM),
            (*DESK_ROLES, SYSTEM),
            (SUPERVISOR,),
        ),
        # The system's own too: somebody tells of danger where a case waits, see transitions.endanger(), or
        # answers what it waits for.
        Move("resume", (WAITING,), None, (DISPATCHER, CREW, SYSTEM), (*DESK_ROLES, SYSTEM)),
        Move("make safe", (ASSIGNED, UNDERWAY), ACCEPTED, (CREW,), NO_ROLE),
        Move("needs parts", (ASSIGNED, UNDERWAY), WAITING, (CREW,), NO_ROLE, NO_ROLE),
        # The system's own: another owner to whom it was passed on has closed it, see forwarding/forwards.py.
        Move("close", OPEN, CLOSED, (CREW, PARTNER, DISPATCHER, SYSTEM), DESK_ROLES),
        Move("reopen", (CLOSED,), ACCEPTED, (RESIDENT, DISPATCHER), (RESIDENT, *DESK_ROLES)),
        Move("merge", tuple(s for s in STATES if s != CANCELLED), MERGED, (DISPATCHER, CALL_TAKER)),
        Move("unmerge", (MERGED,), None, (DISPATCHER,)),
        # What a crew met in the field and reported itself, and what it closed by mistake a moment ago.
        Move("take on", (NEW, ACCEPTED), ASSIGNED, (CREW,), NO_ROLE),
        Move("take back", (ACCEPTED, WAITING, CLOSED), None, (CREW,), NO_ROLE),
        # What staff did to one case or to many, and nothing else happened since: see batches.py.
        Move(
            "undo batch",
            (*OPEN, CLOSED, CANCELLED),
            None,
            (DISPATCHER, CALL_TAKER),
        ),
        Move("restore", (CANCELLED,), ACCEPTED, (DISPATCHER, SYSTEM)),
        # Corrections: they change what a case is, or where, and its state only where a crew loses it.
        Move("reclassify", OPEN, None, DESK_ROLES),
        Move("relocate", OPEN, None, DESK_ROLES, NO_ROLE),
        # A new date moves no clock: whether a case is on time is judged by what was promised first.
        Move("reschedule", OPEN, None, (SUPERVISOR,), NO_ROLE),
        Move("split", (*OPEN, CLOSED), None, (DISPATCHER,)),
        # A resident may withdraw only while nobody has acted on it: see check().
        Move("cancel", OPEN, CANCELLED, (DISPATCHER, RESIDENT)),
    )
}

# What changes no state, and who may do it.
ACTS: Final = {
    "note": (CREW, DISPATCHER, CALL_TAKER),
    # What the city and a reporter write each other: see reports/conversation.py.
    "ask": (DISPATCHER, CALL_TAKER),
    "update": (DISPATCHER, CALL_TAKER),
    "write": (RESIDENT,),
    # What a partner says of its job by its link: see partners/handovers.py.
    "partner": (PARTNER,),
    # To another owner's endpoint, once and for the worker to send: see forwarding/forwards.py.
    "forward": (DISPATCHER,),
    # What came in and is no case yet: see inbox/entries.py.
    "inbox": (DISPATCHER, CALL_TAKER),
    "show": (DISPATCHER, CALL_TAKER),
    # The system at the command line of whoever keeps the city's machine: see privacy/caller_erasure.py.
    "erase": (DISPATCHER, ADMINISTRATOR, SYSTEM),
    "forget": (ADMINISTRATOR, SYSTEM),
    "redact": (DISPATCHER,),
    # Whoever answers courts and requests for records: see cases/legal_holds.py.
    "hold": (MANAGER, ADMINISTRATOR),
    "export record": (MANAGER, ADMINISTRATOR, SYSTEM),
    "review": (DISPATCHER,),
    "tell apart": (DISPATCHER, CALL_TAKER),
    "tag": (DISPATCHER, CALL_TAKER),
    # The system raises it where many people have told of a case: see cases/reporter_count.py.
    "priority": (DISPATCHER, SYSTEM),
    "contact": (DISPATCHER, CALL_TAKER),
    # The system out of a file: see answers/article_files.py.
    "answer": (SUPERVISOR, CALL_TAKER, MANAGER, ADMINISTRATOR, SYSTEM),
    "release": (SUPERVISOR,),
}


def widened(roles: Iterable[str]) -> frozenset[str]:
    """The roles in which somebody acts who was given these: INCLUDES adds to them, once and not in turn."""
    given = frozenset(roles)
    return given.union(*(INCLUDES.get(role, ()) for role in given))


def given_for(role: str) -> tuple[str, ...]:
    """The roles of which somebody was given one who acts in `role`: itself, and those that include it."""
    return (role, *(wider for wider, narrower in INCLUDES.items() if role in narrower))


def may(act: str, roles: frozenset[str]) -> None:
    """Raises Refused `not_allowed` unless one of `roles` may do `act`."""
    if not roles.intersection(ACTS[act]):
        raise Refused("not_allowed", move=act)


def allow(move: str, roles: frozenset[str]) -> None:
    """Raises Refused `not_allowed` unless one of `roles` may make this move at all."""
    if not roles.intersection(MOVES[move].roles + (MOVES[move].office or ())):
        raise Refused("not_allowed", move=move)


def allow_here(move: str, roles: frozenset[str], *, office: bool) -> None:
    """Raises Refused `not_allowed` unless one of `roles` may make this move with such a case: see check()."""
    row = MOVES[move]
    if not roles.intersection(row.office if office and row.office else row.roles):
        raise Refused("not_allowed", move=move)


def check(
    move: str, state: str, roles: frozenset[str], *, office: bool = False, danger: bool = False
) -> Move:
    """The row of `move`, or Refused: `not_allowed` (role), `no_crew`, `wrong_state` or `danger_waits`.

    `office` says that the case is an office's: `no_crew` is what needs somebody in the field. `danger` says
    that somebody is in danger: `danger_waits` is what these roles may do with any other case.
    """
    row = MOVES[move]
    if office and row.needs_crew:
        raise Refused("no_crew", move=move)
    allow_here(move, roles, office=office)
    if state not in row.sources:
        raise Refused("wrong_state", move=move, state=state)
    if move == "cancel" and DISPATCHER not in roles and state != NEW:
        raise Refused("wrong_state", move=move, state=state)
    if danger and row.danger is not None and not roles.intersection(row.danger):
        raise Refused("danger_waits", move=move)
    return row


def outcomes(*, office: bool) -> tuple[str, ...]:
    """How a case ends that is an office's, or one of the field."""
    return OFFICE_OUTCOMES if office else FIELD_OUTCOMES


def wait_reasons(*, office: bool) -> tuple[str, ...]:
    """What a case waits for that is an office's, or one of the field."""
    return tuple(name for name, reason in WAIT_REASONS.items() if reason.office or not office)


def possible(state: str, roles: frozenset[str], *, office: bool = False, danger: bool = False) -> list[str]:
    """Names of the moves that somebody with `roles` may make from `state`, in the table's order."""
    found = []
    for name in MOVES:
        try:
            check(name, state, roles, office=office, danger=danger)
        except Refused:
            continue
        found.append(name)
    return found

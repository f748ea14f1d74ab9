"""What a crew says is wrong about a case: another type, or another place. It changes nothing by itself.

A proposal is a line of the case's story that staff alone read. They take it by the corrections of
cases/corrections.py, or leave it; the crew hears of both.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, transitions
from city.db.in_list import is_in
from city.db.models import Batch, BatchItem, Case, Photo, Service, SyncOperation
from city.geo import Point, distance
from city.lifecycle import MOVES, OPEN, WAIT_OVER, Refused, may
from city.photos import photos
from city.places import lookup

PROPOSED: Final = "proposed"  # the line in the story, and the mark of a case that somebody must look at
WITHDRAWN: Final = "proposal withdrawn"
TAKEN, LEFT = "taken", "left"  # what the crew hears
SAME_METRES = 10  # a phone that stands at the case's own place proposes no other


class Line(Protocol):
    """What is read of a line of a story."""

    @property
    def kind(self) -> str: ...
    @property
    def facts(self) -> dict[str, Any]: ...
    @property
    def actor(self) -> str: ...


@dataclass(frozen=True)
class Proposal:
    """Another type, by its service's code, or another place, or both.

    `accuracy_m` is how sure the phone was of the point, None where nobody measured. Of one that was read from
    a story, `operation` is the phone's own id of it, `actor` who sent it, `address` what the point is near.
    """

    service: str | None = None
    point: Point | None = None
    accuracy_m: float | None = None
    words: str = ""
    operation: str = ""
    actor: str = ""
    address: str = ""


def _but_type(proposal: Proposal) -> Proposal:
    return replace(proposal, service=None)


def _but_place(proposal: Proposal) -> Proposal:
    return replace(proposal, point=None)


def _says(proposal: Proposal) -> bool:
    return proposal.service is not None or proposal.point is not None


# What a correction leaves of a proposal.
_CORRECTS: Final[Mapping[str, Callable[[Proposal], Proposal]]] = {
    "reclassify": _but_type,
    "relocate": _but_place,
}


def check(s: Session, proposal: Proposal) -> None:
    """Raises Refused: `malformed` where nothing is proposed or the accuracy is below 0, `unknown_service` for
    a type that is none or an office's, `outside_city`, `words_too_long`."""
    transitions.check_words(proposal.words)
    if not _says(proposal) or (proposal.accuracy_m or 0) < 0:
        raise Refused("malformed")
    if proposal.service is not None:
        service = s.get(Service, proposal.service)
        if service is None or service.office:
            raise Refused("unknown_service")
    if proposal.point and lookup.outside(s, proposal.point):
        raise Refused("outside_city")


def is_so(case: Case, proposal: Proposal) -> bool:
    """Whether the case is already what is proposed."""
    has_type = proposal.service in (None, case.service_code)
    return has_type and (proposal.point is None or _is_at(case, proposal.point))


def propose(
    s: Session,
    case: Case,
    proposal: Proposal,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    cycle: int | None = None,
    photos_taken: Collection[Photo] = (),
    why: str | None = None,
    look: bool = True,
) -> bool:
    """Keeps what a crew proposes, with its photos; nothing else about the case changes.

    `why` says why nobody need decide any more, as where the case is closed: it is kept as a fact. `look`
    marks the case for review. Raises Refused as check().
    """
    may("note", by.roles)
    check(s, proposal)
    locks.lock(s, case)
    cycle = cycle or case.cycle
    for position, photo in enumerate(photos_taken):
        photos.attach(s, photo, case_id=case.id, cycle=cycle, position=position)
    facts: dict[str, Any] = {"operation": proposal.operation, "cycle": cycle}
    told: dict[str, Any] = {"words": proposal.words} if proposal.words else {}
    if proposal.service is not None:
        facts["service"] = proposal.service
    if proposal.point:
        facts["place"] = True
        told |= {
            "lat": proposal.point.lat, "lon": proposal.point.lon, "accuracy_m": proposal.accuracy_m,
            "address": lookup.describe(s, proposal.point),
        }  # fmt: skip
    if why:
        facts["why"] = why
    if look:
        if case.review == WAIT_OVER and not why:
            facts["over"] = True  # taken back, it leaves the mark that was there
        _mark(case, why)
    events.record(
        s, transitions.subject(case), PROPOSED, by=by, at=at, at_device=at_device, facts=facts,
        photos=[photo.sha256 for photo in photos_taken], words=told or None,
    )  # fmt: skip
    transitions.bump_version(s, case)
    return True


def pending(case: Case, story: Iterable[tuple[Line, Mapping[str, Any]]]) -> list[Proposal]:
    """What was proposed of an open case and nobody has decided, oldest first; `story` is the case's own.

    Of a proposal of both, what is left of it. A correction decides all that were made of its kind before it,
    until it is undone; "reviewed" decides all.
    """
    if case.state not in OPEN:
        return []
    waiting: dict[str, Proposal] = {}
    before: dict[str, dict[str, Proposal]] = {}
    for event, words in story:
        if event.kind == PROPOSED and "why" not in event.facts:
            one = _read(event, words)
            waiting[one.operation] = one
        elif event.kind == WITHDRAWN:
            waiting.pop(event.facts["of"], None)
        elif event.kind == "reviewed":
            waiting.clear()
        elif event.kind in _CORRECTS:
            before[event.kind] = dict(waiting)
            bare = {name: _CORRECTS[event.kind](one) for name, one in waiting.items()}
            waiting = {name: one for name, one in bare.items() if _says(one)}
        elif event.kind == "undo batch" and event.facts.get("what") in before:
            waiting = before.pop(event.facts["what"]) | waiting
    found = (
        replace(one, service=None) if one.service == case.service_code else one for one in waiting.values()
    )
    return [one for one in found if one.service or one.point]


def newest(waiting: Iterable[Proposal]) -> list[Proposal]:
    """Of each person the last word about the type, and about the place: they may have said so twice."""
    found, seen = list[Proposal](), set[tuple[str, str]]()
    for one in reversed(list(waiting)):
        if (one.actor, "type") in seen:
            one = _but_type(one)
        if (one.actor, "place") in seen:
            one = _but_place(one)
        seen |= {(one.actor, "type")} if one.service is not None else set()
        seen |= {(one.actor, "place")} if one.point is not None else set()
        if _says(one):
            found.append(one)
    return found[::-1]


def take(s: Session, case: Case) -> None:
    """After a correction of the case: whoever proposed it hears of that, and nobody need look any more."""
    locks.lock(s, case)
    story = events.of_so_far(s, transitions.subject(case))
    left = {one.operation for one in pending(case, story)}
    asked = [event.facts["operation"] for event, _ in story if event.kind == PROPOSED]
    _answer(s, case, [each for each in asked if each not in left], TAKEN)
    if not left and case.review == PROPOSED:
        case.review = None


def take_many(s: Session, batch: Batch) -> None:
    """The same for each case of a batch of corrections that somebody must look at."""
    of_it = select(BatchItem.case_id).where(BatchItem.batch_id == batch.id)
    for case in s.scalars(select(Case).where(Case.id.in_(of_it), Case.review.is_not(None)).order_by(Case.id)):
        take(s, case)


def reviewed(s: Session, case: Case, *, by: Actor, at: datetime) -> bool:
    """Somebody has looked at what the case was marked for; what was proposed is left as it is."""
    locks.lock(s, case)
    story = events.of_so_far(s, transitions.subject(case)) if case.review else []
    left = [one.operation for one in pending(case, story)]
    if not transitions.reviewed(s, case, by=by, at=at):
        return False
    _answer(s, case, left, LEFT)
    return True


def withdraw(
    s: Session, case: Case, operation: str, *, by: Actor, at: datetime, at_device: datetime | None = None
) -> bool:
    """The crew takes a proposal back; False where it was decided before."""
    may("note", by.roles)
    locks.lock(s, case)
    story = events.of_so_far(s, transitions.subject(case))
    waiting = [one.operation for one in pending(case, story)]
    if operation not in waiting:
        return False
    if waiting == [operation] and case.review == PROPOSED:
        case.review = _marked_before(story)
    events.record(
        s, transitions.subject(case), WITHDRAWN, by=by, at=at, at_device=at_device, facts={"of": operation}
    )
    transitions.bump_version(s, case)
    return True


def _marked_before(story: Iterable[tuple[Line, Mapping[str, Any]]]) -> str | None:
    """WAIT_OVER where a proposal stands over that, and nobody has done anything since."""
    found = None
    for event, _words in story:
        if event.kind == PROPOSED and event.facts.get("over"):
            found = WAIT_OVER
        elif event.kind in MOVES or event.kind == "reviewed":
            found = None
    return found


def _mark(case: Case, why: str | None) -> None:
    """Marks the case; what it was marked for already stays, and this is read beside it."""
    if why:
        case.review = why
    elif case.review in (None, WAIT_OVER):
        case.review = PROPOSED


def _answer(s: Session, case: Case, operations: Collection[str], why: str) -> None:
    """Lets the phones hear what became of their proposals; each is told once."""
    asked = select(SyncOperation).where(SyncOperation.case_id == case.id, is_in(SyncOperation.id, operations))
    for row in s.scalars(asked) if operations else ():
        if row.code == "applied" and "why" not in row.result:
            row.result = {**row.result, "why": why}
            events.publish_to_sync_feed(s, f"user:{row.person_id}", "result", row.id, present=True)


def _read(event: Line, words: Mapping[str, Any]) -> Proposal:
    lat, lon = words.get("lat"), words.get("lon")
    return Proposal(
        event.facts.get("service"), Point(lat, lon) if lat is not None and lon is not None else None,
        words.get("accuracy_m"), words.get("words", ""), event.facts["operation"], event.actor,
        words.get("address", ""),
    )  # fmt: skip


def _is_at(case: Case, point: Point) -> bool:
    if case.lat is None or case.lon is None:
        return False
    return distance(point, Point(case.lat, case.lon)) <= SAME_METRES

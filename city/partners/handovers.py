"""What a partner says of its job by a link, and what staff answer. Its words and photos are in the story."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.audit.events import Actor
from city.cases import locks, transitions
from city.cases.transitions import Closing
from city.db.models import Assignment, Case, Handover, Partner, PartnerLink, Photo, Service
from city.lifecycle import DISPATCHER, PARTNER_DONE, PARTNER_REFUSED, Refused, may
from city.people import partners
from city.people.accounts import THE_SYSTEM
from city.photos import photos
from city.text import is_blank

# Lines of the story; the last is a mark of the case too.
ACCEPTED, DONE, SENT_BACK, TOLD = "partner accepted", PARTNER_DONE, "partner sent back", "partner told"
UNREACHED: Final = "partner unreached"
MOST: Final = 200  # jobs on one page


@dataclass(frozen=True)
class Job:
    """A case that a partner has now, and how it goes with it."""

    case: Case
    assignment: Assignment
    handover: Handover


def jobs(s: Session, partner: Partner, link: PartnerLink) -> list[Job]:
    """What the link shows: the partner's jobs that no private kind has, the first due first."""
    asked = (
        select(Case, Assignment, Handover)
        .join(Assignment, (Assignment.case_id == Case.id) & Assignment.ended_at.is_(None))
        .outerjoin(Handover, Handover.assignment_id == Assignment.id)
        .join(Service, Service.code == Case.service_code)
        .where(Assignment.crew_id == partner.crew_id, Service.private.is_(False))
        .options(joinedload(Case.service), joinedload(Case.asset))
        .order_by(Case.due_at, Case.id)
        .limit(MOST)
    )
    if link.case_id is not None:
        asked = asked.where(Case.id == link.case_id)
    return [Job(case, held, row or Handover(assignment_id=held.id)) for case, held, row in s.execute(asked)]


def of_case(s: Session, case: Case) -> Handover | None:
    """How it goes with a partner that has the case now; None where none has it."""
    held = transitions.live(case)
    if held is None or partners.of_crew(s, held.crew_id) is None:
        return None
    return s.get(Handover, held.id) or Handover(assignment_id=held.id)


def accept(s: Session, partner: Partner, link: PartnerLink, case: Case, *, at: datetime) -> bool:
    """The partner takes the job. The promise goes on counting."""
    by, row = _hold(s, partner, link, case, at)
    if row.accepted_at:
        return False
    row.accepted_at = at
    _say(s, case, ACCEPTED, by=by, at=at, facts={"crew": partner.crew_id})
    return True


def refuse(s: Session, partner: Partner, link: PartnerLink, case: Case, words: str, *, at: datetime) -> bool:
    """The partner gives the job back, and says why: Refused `why_refused` without. Staff must look."""
    by, row = _hold(s, partner, link, case, at)
    if is_blank(words):
        raise Refused("why_refused")
    row.done_at = None
    transitions.unassign(s, case, by=by, at=at, words=words)
    case.review = case.review or PARTNER_REFUSED
    return True


def done(
    s: Session, partner: Partner, link: PartnerLink, case: Case, closing: Closing, *, at: datetime
) -> bool:
    """The work is done: the case closes, or waits until somebody at the city has accepted it.

    The same twice changes nothing. Raises Refused as transitions.close(), and `handover_moved` where the
    partner has the job no longer.
    """
    by, row = _hold(s, partner, link, case, at)
    if row.done_at:
        return False
    if not partner.needs_acceptance:
        return transitions.close(s, case, closing, by=by, at=at)
    transitions.check_words(closing.words)
    closing.refuse_odd()
    closing.refuse_misfit(office=False, origin="live")
    for position, photo in enumerate(closing.photos):
        photos.attach(s, photo, case_id=case.id, cycle=case.cycle, position=position)
    row.done_at = at
    case.review = case.review or PARTNER_DONE
    _say(
        s, case, DONE, by=by, at=at, words=closing.words,
        facts={"crew": partner.crew_id, "outcome": closing.outcome, "no_photo": closing.no_photo},
        shas=[photo.sha256 for photo in closing.photos],
    )  # fmt: skip
    return True


def take_as_done(s: Session, case: Case, *, by: Actor, at: datetime) -> bool:
    """Staff accept it: the case is closed as the partner said. Its clock stops when the partner was done."""
    row = _waiting(s, case, by)
    event, told = _last_done(s, case)
    shown = photos_of(s, case, event.photos)
    closing = Closing(
        event.facts["outcome"], no_photo=event.facts["no_photo"], words=told.get("words", ""), photos=shown
    )
    return transitions.close(s, case, closing, by=by, at=at, at_device=row.done_at)


def send_back(s: Session, case: Case, words: str, *, by: Actor, at: datetime) -> bool:
    """Staff do not accept it, and say why: the partner gets a link anew and reads that."""
    row = _waiting(s, case, by)
    if is_blank(words):
        raise Refused("why_refused")
    transitions.check_words(words)
    row.done_at = row.told_at = None
    if case.review == PARTNER_DONE:
        case.review = None
    _say(s, case, SENT_BACK, by=by, at=at, words=words)
    return True


def tell(s: Session, case: Case, words: str, *, by: Actor, at: datetime) -> bool:
    """Words for the partner, who reads them with the job. Refused `told_missing` without any."""
    _theirs(s, case, by)
    if is_blank(words):
        raise Refused("told_missing")
    transitions.check_words(words)
    _say(s, case, TOLD, by=by, at=at, words=words)
    return True


def send_again(s: Session, case: Case, *, by: Actor, at: datetime) -> bool:
    """The partner gets another link to the case; the old ones end."""
    row = _theirs(s, case, by)
    if case.review == UNREACHED:
        case.review = None
    partners.revoke_all(s, _partner(s, case), case_id=case.id, at=at)
    row.told_at = None
    return True


def revoke(s: Session, case: Case, *, by: Actor, at: datetime) -> bool:
    """The partner's links to this case open nothing any more."""
    _theirs(s, case, by)
    return partners.revoke_all(s, _partner(s, case), case_id=case.id, at=at) > 0


def undelivered(s: Session, link_id: int, why: str, *, at: datetime) -> None:
    """The partner's mailbox took no letter: somebody at the city must call them."""
    link = s.get(PartnerLink, link_id)
    if link is None:
        return
    link.fault = why[:500]
    jobs_of_it = jobs(s, s.get_one(Partner, link.crew_id), link)
    for job in jobs_of_it:
        locks.lock(s, job.case)
        job.case.review = job.case.review or UNREACHED
        _say(s, job.case, UNREACHED, by=THE_SYSTEM, at=at, facts={"crew": link.crew_id})


def said(s: Session, case: Case, *kinds: str) -> list[tuple[Any, dict[str, Any]]]:
    """The lines of these kinds since the partner has it, with their words, the newest last."""
    held = transitions.live(case)
    return [
        (event, words)
        for event, words in events.of_so_far(s, transitions.subject(case))
        if event.kind in kinds and held and event.at >= held.given_at
    ]


def photos_of(s: Session, case: Case, shas: Sequence[str]) -> list[Photo]:
    """The case's photos of these hashes, in their order."""
    rows = s.scalars(select(Photo).where(Photo.case_id == case.id, Photo.sha256.in_(shas)))
    found = {photo.sha256: photo for photo in rows}
    return [found[sha] for sha in shas if sha in found]


def _hold(
    s: Session, partner: Partner, link: PartnerLink, case: Case, at: datetime
) -> tuple[Actor, Handover]:
    """The case locked and its handover; Refused `handover_moved` where it is the partner's no longer."""
    by = partners.actor(partner)
    may("partner", by.roles)
    locks.lock(s, case)
    held = transitions.live(case)
    if held is None or held.crew_id != partner.crew_id or case.service.private:
        raise Refused("handover_moved")
    link.used_at = at
    return by, _row(s, held)


def _row(s: Session, held: Assignment) -> Handover:
    row = s.get(Handover, held.id)
    if row is None:
        row = Handover(assignment_id=held.id)
        s.add(row)
        s.flush()
    return row


def _partner(s: Session, case: Case) -> Partner:
    held = transitions.live(case)
    found = partners.of_crew(s, held.crew_id) if held else None
    if found is None:
        raise Refused("handover_moved")
    return found


def _theirs(s: Session, case: Case, by: Actor) -> Handover:
    if DISPATCHER not in by.roles:
        raise Refused("not_allowed", move="partner")
    locks.lock(s, case)
    _partner(s, case)
    held = transitions.live(case)
    assert held  # noqa: S101 _partner() has seen it
    return _row(s, held)


def _waiting(s: Session, case: Case, by: Actor) -> Handover:
    row = _theirs(s, case, by)
    if row.done_at is None:
        raise Refused("handover_moved")
    return row


def _last_done(s: Session, case: Case) -> tuple[Any, dict[str, Any]]:
    found = said(s, case, DONE)
    if not found:
        raise Refused("handover_moved")
    return found[-1]


def _say(
    s: Session,
    case: Case,
    kind: str,
    *,
    by: Actor,
    at: datetime,
    words: str = "",
    facts: dict[str, Any] | None = None,
    shas: Sequence[str] = (),
) -> None:
    events.record(
        s, transitions.subject(case), kind, by=by, at=at, facts=facts, photos=shas,
        words={"words": words} if words else None,
    )  # fmt: skip
    transitions.bump_version(s, case)

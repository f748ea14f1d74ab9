"""The verbs of a case. Each locks what it touches, checks the table, and writes state and log together.

Every verb takes the session of one transaction, who acts (`by`) and when (`at`, aware UTC), returns True
when it changed something and False when it was done already, and raises lifecycle.Refused otherwise.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from city import geo
from city.audit import counters, events
from city.audit.events import Actor
from city.cases import board_index, duplicates, legal_holds, locks, reporter_count, sla, waits
from city.cases import numbers as case_numbers
from city.cases import search as case_search
from city.cases.queries import evidence
from city.cases.queries import root_of as root_of
from city.db import bulk_insert
from city.db.models import (
    Assignment,
    Case,
    Closure,
    Crew,
    ExpectedPhoto,
    Message,
    Photo,
    Report,
    Service,
    SyncOperation,
)
from city.lifecycle import (
    ACCEPTED,
    ANSWERED,
    ASSIGNED,
    CANCEL_REASONS,
    CANCELLED,
    CLOSED,
    CREW,
    DISPATCHER,
    EVIDENCE_HOURS,
    MAX_WORDS,
    MERGED,
    MOVES,
    NEW,
    NO_PHOTO,
    NOT_FIXED,
    OPEN,
    OUTCOMES,
    PARTNER,
    PARTNER_DONE,
    PARTNER_REFUSED,
    REPLIED,
    RESIDENT,
    UNDERWAY,
    WAIT_OVER,
    WAIT_REASONS,
    WAITING,
    Refused,
    allow,
    check,
    may,
    outcomes,
    wait_reasons,
)
from city.people import callers, partners
from city.people.accounts import THE_SYSTEM
from city.photos import photos
from city.places.lookup import Place
from city.text import is_blank

# The marks that go where somebody has decided what happens next.
_UNTIL_DECIDED = (WAIT_OVER, REPLIED, PARTNER_DONE, PARTNER_REFUSED)
# How a crew's move ends its job, as the assignment says it.
ENDINGS = {"close": "closed", "make safe": "made safe", "needs parts": "needs parts"}


def open_case(
    s: Session,
    service: Service,
    place: Place | None,
    *,
    by: Actor,
    at: datetime,
    urgent: bool = False,
    linked_to: Case | None = None,
    since: datetime | None = None,
    split_from: Case | None = None,
    origin: str = "live",
) -> Case:
    """A new case at `place`; None means that nobody knows where, and stays unknown.

    An office's case lies nowhere, whatever place is told: it stands on no map and goes to no crew. `since` is
    when it was told, where that was earlier; `split_from` the case of which it was a part.
    """
    hurried = urgent or service.urgent
    place = None if service.office else place
    year = at.astimezone(sla.zone_of(service)).year
    case = Case(
        number=case_numbers.named(year, case_numbers.reserve(s, year)[0]),
        service=service,
        state=NEW,
        lat=place.lat if place else None,
        lon=place.lon if place else None,
        accuracy_m=place.accuracy_m if place else None,
        place_source=place.source if place else "unknown",
        address=place.label if place else "",
        cell=geo.cell(place.point) if place else None,
        asset_id=place.asset_id if place else None,
        urgent=hurried,
        linked_to_id=linked_to.id if linked_to else None,
        origin=origin,
        opened_at=since or at,
        clock_from=since or at,
        assignments=[],
    )
    sla.start_clock(case, at)
    s.add(case)
    s.flush()
    board_index.mark_dirty(s, case)
    duplicates.flag_probable(s, [case])
    case_search.mark_changed(s, case.id)
    facts: dict[str, Any] = {
        **sla.as_facts(case),
        "urgent": case.urgent,
        **board_index.measured(case, board_index.area_of(s, case)),
    }
    if linked_to:
        facts["linked_to"] = linked_to.number
    if split_from:
        facts |= {"split_from": split_from.number, "since": case.opened_at.astimezone(UTC).isoformat()}
    events.record(s, subject(case), "open", by=by, at=at, now=NEW, facts=facts, origin=origin)
    return case


def accept(s: Session, case: Case, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """A person at the city has read it and takes it on."""
    allow("accept", by.roles)
    locks.lock(s, case)
    if case.state == ACCEPTED:
        return False
    check_move("accept", case, by)
    return moved(s, case, "accept", ACCEPTED, by=by, at=at, origin=origin)


def assign(s: Session, case: Case, crew: Crew, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """Gives the case to a crew; a crew that held it loses it as `reassigned`.

    A partner's crew may not get every case: raises Refused as people.partners.check().
    """
    allow("assign", by.roles)
    locks.lock(s, case)
    held = live(case)
    if held and held.crew_id == crew.id and case.state in (ASSIGNED, UNDERWAY):
        return False
    check_move("assign", case, by)
    if crew.partner and origin != "import":
        partners.check(s, crew.partner, case)
    if case.state == WAITING:
        sla.resume_clock(case, at)
    _end(s, case, "reassigned", at)
    given = _give(s, case, crew.id, at)
    if case.review == NOT_FIXED:  # whoever sends a crew has looked
        case.review = None
    facts = {"crew": crew.id, "assignment": given.id, "cycle": case.cycle}
    return moved(s, case, "assign", ASSIGNED, by=by, at=at, facts=facts, origin=origin)


def unassign(
    s: Session, case: Case, *, by: Actor, at: datetime, words: str = "", origin: str = "live"
) -> bool:
    """Takes the case back from its crew. A partner gives its own job back, and says why in `words`."""
    allow("unassign", by.roles)
    locks.lock(s, case)
    if case.state == ACCEPTED:
        return False
    check_move("unassign", case, by)
    _own_job(case, by)
    _end(s, case, "unassigned", at)
    return moved(s, case, "unassign", ACCEPTED, by=by, at=at, words=words, origin=origin)


def start(
    s: Session,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """The crew is at work."""
    allow("start", by.roles)
    locks.lock(s, case)
    if case.state == UNDERWAY:
        return False
    check_move("start", case, by)
    job = _own_job(case, by)
    if job and job.started_at is None:
        job.started_at = min(at, max(at_device, job.given_at)) if at_device else at
    return moved(s, case, "start", UNDERWAY, by=by, at=at, at_device=at_device, origin=origin)


def pause(
    s: Session,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """The crew breaks off and keeps the job."""
    allow("pause", by.roles)
    locks.lock(s, case)
    if case.state == ASSIGNED:
        return False
    check_move("pause", case, by)
    _own_job(case, by)
    return moved(s, case, "pause", ASSIGNED, by=by, at=at, at_device=at_device, origin=origin)


def wait(
    s: Session,
    case: Case,
    reason: str,
    *,
    until: datetime | None = None,
    asked: bool = False,
    passed_to: str = "",
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """The case waits for somebody else, or longer, or for something else than before.

    `until` is when it comes back by itself, see waits.py; None is as long as that usually takes. The promise
    clock stands only where somebody else has to act first: see lifecycle.WAIT_REASONS, and for its reporter
    only where they were `asked` something that they can read: see reports/conversation.py. What was late
    already stays late. `passed_to` names the owner who has taken it: see forwarding/forwards.py.
    Raises Refused `danger_waits` where somebody is in danger, save to a supervisor, and what
    waits.checked_end() does.
    """
    allow("wait", by.roles)
    _one_of(reason, WAIT_REASONS, "wait_reason")
    locks.lock(s, case)
    pause = sla.open_pause(case) if case.state == WAITING else None
    longer = pause is not None and pause.why == reason and passed_to in ("", pause.passed_to)
    if pause and longer and until in (None, pause.until):
        return False
    check_move("wait", case, by, origin)
    _one_of(reason, wait_reasons(office=case.service.office), "wait_reason")
    job = _own_job(case, by)
    if origin != "import":  # what another system lets wait comes back as it says
        # A phone's word may come days later; its clock is believed between assignment and receipt.
        said_at = min(at, max(at_device, job.given_at if job else at)) if at_device else at
        since = pause.began_at if pause and longer else said_at
        until = waits.checked_end(case, reason, since, until, at=said_at)
    if pause and longer:
        pause.until = until
    else:
        stops = False if reason == "resident" and origin == "live" and not asked else None
        sla.resume_clock(case, at)
        sla.pause_clock(case, reason, at, until, stops=stops, passed_to=passed_to)
    owner = case.asset.owner if reason == "utility" and case.asset else ""
    facts = sla.wait_facts(reason, owner, until, sla.passed_to(case))
    return moved(s, case, "wait", WAITING, by=by, at=at, at_device=at_device, facts=facts, origin=origin)


def resume(
    s: Session,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """The wait is over: back to the crew that holds it, or to the queue."""
    allow("resume", by.roles)
    locks.lock(s, case)
    if case.state in (ACCEPTED, ASSIGNED):
        return False
    check_move("resume", case, by)
    _own_job(case, by)
    sla.resume_clock(case, at)
    state = ASSIGNED if live(case) else ACCEPTED
    return moved(s, case, "resume", state, by=by, at=at, at_device=at_device, origin=origin)


def endanger(s: Session, case: Case, *, at: datetime, origin: str = "live") -> None:
    """Somebody is in danger at a case that was told before: it is hurried, and waits for nothing any more."""
    sla.escalate_urgent(case, at)
    if case.state == WAITING and origin != "import":
        resume(s, case, by=THE_SYSTEM, at=at, origin=origin)


def make_safe(
    s: Session,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    photos_taken: Sequence[Photo] = (),
    words: str = "",
    origin: str = "live",
) -> bool:
    """Nobody can be hurt any more, but it is not mended: the job ends, the case and its clock go on."""
    allow("make safe", by.roles)
    locks.lock(s, case)
    if case.state == ACCEPTED and case.follow_on:
        return False
    check_move("make safe", case, by)
    _own_job(case, by)
    _end(s, case, "made safe", at)
    case.follow_on = True
    shas = _attach(s, case, photos_taken)
    return moved(
        s,
        case,
        "make safe",
        ACCEPTED,
        by=by,
        at=at,
        at_device=at_device,
        photos=shas,
        words=words,
        origin=origin,
    )


def needs_parts(
    s: Session,
    case: Case,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    photos_taken: Sequence[Photo] = (),
    words: str = "",
    origin: str = "live",
) -> bool:
    """The crew cannot go on without a part: the job ends and the case waits.

    Raises Refused `danger_waits` where somebody is in danger.
    """
    allow("needs parts", by.roles)
    locks.lock(s, case)
    if case.state == WAITING and sla.waits_for(case) == "parts" and not live(case):
        return False
    check_move("needs parts", case, by, origin)
    _own_job(case, by)
    _end(s, case, "needs parts", at)
    until = None if origin == "import" else waits.usual_end(case, "parts", at)
    sla.pause_clock(case, "parts", at, until)
    shas = _attach(s, case, photos_taken)
    return moved(
        s, case, "needs parts", WAITING, by=by, at=at, at_device=at_device, photos=shas, words=words,
        facts=sla.wait_facts("parts", "", until), origin=origin,
    )  # fmt: skip


@dataclass(frozen=True)
class Closing:
    """How a case's cycle ends, and what shows it.

    `photos` are those that are here, `promised` how many are on their way; `no_photo` is why there is none.
    `elsewhere` says that another owner did the work and keeps what shows it.
    Residents read the canned `reply`, see canned_replies.as_stored(), and then `words`.
    """

    outcome: str
    no_photo: str | None = None
    words: str = ""
    reply: dict[str, Any] | None = None
    photos: Sequence[Photo] = ()
    promised: int = 0
    elsewhere: bool = False

    @property
    def is_shown(self) -> bool:
        """Whether a photo shows it, or is to."""
        return bool(self.photos or self.promised)

    def says(self, done: Closure) -> bool:
        """Whether it says what that closing said."""
        return (done.outcome, done.words, done.reply) == (self.outcome, self.words, self.reply)

    def refuse_odd(self) -> None:
        """Raises Refused for words that no closing knows."""
        _one_of(self.outcome, OUTCOMES, "outcome")
        if self.no_photo is not None:
            _one_of(self.no_photo, NO_PHOTO, "no_photo")

    def refuse_misfit(self, *, office: bool, origin: str) -> None:
        """Raises Refused where it cannot end such a case, or lacks what its outcome needs."""
        if self.outcome not in outcomes(office=office):
            raise Refused("outcome_misfits", outcome=self.outcome)
        if self.outcome == ANSWERED and not self.reply and is_blank(self.words):
            raise Refused("told_missing")
        is_proven = self.is_shown or self.no_photo is not None or origin == "import" or self.elsewhere
        if self.outcome == "fixed" and not is_proven:
            raise Refused("evidence_missing")


def close(
    s: Session,
    case: Case,
    closing: Closing,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    under: Assignment | None = None,
    look: str | None = None,
    origin: str = "live",
) -> bool:
    """Ends the case's cycle with an outcome and its evidence.

    "fixed" needs a photo or a reason for having none: Refused `evidence_missing`; what another system closed
    (origin `import`) keeps its evidence over there. "answered" needs what was told, a reply or words: Refused
    `told_missing`. What is no end of such a case, an office's or one of the field, is `outcome_misfits`.
    Promised photos count once they are stored, and not at all if that takes too long: see doubt(). The
    promise clock stops at the device's time, bounded by assignment and receipt. `under` names the job of a
    crew that had no signal when its job was given away: it did the work, so whoever holds the job now loses
    it as `withdrawn`. `look` says why a dispatcher must look at it. The same closing twice is harmless; one
    that ends it otherwise or says something else is `wrong_state`, so that nobody takes words for kept that
    are not.
    """
    allow("close", by.roles)
    closing.refuse_odd()
    locks.lock(s, case)
    done = case.closures[-1] if case.closures else None
    if case.state == CLOSED and done and _same_hand(done, by) and closing.says(done):
        return False
    check_move("close", case, by)
    closing.refuse_misfit(office=case.service.office, origin=origin)
    job, held = under or _own_job(case, by), live(case)
    done_at = min(at, max(at_device, job.given_at if job else case.opened_at)) if at_device else at
    closure = Closure(
        cycle=case.cycle, outcome=closing.outcome, no_photo=None if closing.is_shown else closing.no_photo,
        words=closing.words, reply=closing.reply, crew_id=job.crew_id if job else None,
        person_id=by.person_id, done_at=done_at, closed_at=at,
    )  # fmt: skip
    case.closures.append(closure)
    if closing.is_shown:
        s.flush()  # photos name it by its id
    shas = _attach(s, case, closing.photos, closure)
    _end(s, case, "closed" if held is job else "withdrawn", at)
    sla.resume_clock(case, done_at)
    sla.pause_clock(case, "closed", done_at)
    follow_on = case.follow_on
    case.closed_at, case.outcome, case.follow_on = at, closing.outcome, False
    case.review = look
    facts = {
        "outcome": closing.outcome, "no_photo": closure.no_photo, "cycle": case.cycle,
        "crew": closure.crew_id, "done_at": done_at.astimezone(UTC).isoformat(),
        "bounded": at_device is not None and at_device != done_at and not _fits(case, at_device, at),
    }  # fmt: skip
    if follow_on:
        facts["follow_on"] = True
    if job and partners.of_crew(s, job.crew_id):
        facts["partner"] = True
    if counts_as_restarted(s, case):
        facts["restarted"] = True
    facts |= {counters.PAUSED.format(why): n for why, n in sla.paused_seconds(case).items()}
    if case.rescheduled_to:
        facts["new_date"] = case.rescheduled_to.astimezone(UTC).isoformat()
    if reply := closing.reply:
        facts |= {"reply": reply["code"], "policy": reply["policy"]}
    return moved(
        s, case, "close", CLOSED, by=by, at=at, at_device=at_device, facts=facts, photos=shas,
        words=closing.words, origin=origin,
    )  # fmt: skip


def _fits(case: Case, at_device: datetime, at: datetime) -> bool:
    """Whether a crew may have closed it then, before it was a job: its own report came with the closing."""
    met = [report.at_device for report in case.reports if report.channel == "crew" and report.at_device]
    return bool(met) and max(min(met), at - timedelta(hours=EVIDENCE_HOURS)) <= at_device <= at


def reopen(s: Session, case: Case, *, by: Actor, at: datetime, words: str = "", origin: str = "live") -> bool:
    """A closed case lives again in its next cycle, and its clock runs on.

    Where a resident sent it back, no crew holds it and nobody in the office knows: it is marked for review
    until somebody has looked or a crew has it.
    """
    allow("reopen", by.roles)
    locks.lock(s, case)
    if case.state == ACCEPTED and case.cycle > 1:
        return False
    check_move("reopen", case, by)
    case.cycle += 1
    case.warned = None
    case.closed_at, case.outcome, case.rescheduled_to = None, None, None
    case.review = NOT_FIXED if RESIDENT in by.roles else None
    sla.resume_clock(case, at)
    done = case.closures[-1]
    if done.crew_id:  # it stood on that crew's phone as done; now nobody has it
        events.publish_to_sync_feed(
            s, f"crew:{done.crew_id}", "job", case.number, present=False, why="reopened"
        )
    moved(s, case, "reopen", ACCEPTED, by=by, at=at, facts={"cycle": case.cycle}, words=words, origin=origin)
    reporter_count.reporter_added(s, case, at=at)  # they may have become many while it was closed
    return True


def merge(
    s: Session,
    case: Case,
    into: Case,
    *,
    by: Actor,
    at: datetime,
    keep_crew: int | None = None,
    taken_back: bool = False,
    origin: str = "live",
) -> bool:
    """Makes `case` a duplicate of the root of `into`; its rows and Reports stay where they are.

    Two crews at work: `keep_crew` names the one that goes on, otherwise Refused `choose_crew`. A case
    into itself, or into one that was merged into it, is Refused `merge_cycle`; a public one into a private
    one `merge_private`; an office's and one of the field, which end in different ways, `merge_office`; two
    offices' that one caller did not ask alike, `merge_caller`: each would read the other's answer; one in
    danger into one that is closed, where nobody looks, `merge_danger`. Neither of the last two holds where
    the two were one case, and their parting is `taken_back`.
    """
    allow("merge", by.roles)
    root = locks.lock_with_root(s, case, into)
    if root.id == case.id:
        raise Refused("merge_cycle")
    if case.state == MERGED and case.merged_into_id == root.id:
        return False
    check_move("merge", case, by)
    if root.state not in MOVES["merge"].sources:
        raise Refused("wrong_state", move="merge", state=root.state)
    if root.service.private and not case.service.private:
        raise Refused("merge_private")  # whoever told of it would read what nobody else may
    if root.service.office != case.service.office:
        raise Refused("merge_office")
    if root.service.office and not taken_back and not _asked_by_one(s, case, root):
        raise Refused("merge_caller")
    if root.state == CLOSED and sla.in_danger(case) and origin != "import" and not taken_back:
        raise Refused("merge_danger")  # nobody looks at what is closed
    ours, theirs = live(case), live(root)
    crew_id = _surviving_crew(ours, theirs, keep_crew)
    was_late = not taken_back and _is_late(case, at)
    for one in {into, root}:
        duplicates.forget_not_duplicate(s, case, one)
    if case.state != MERGED:
        case.merged_from, case.merged_crew_id = case.state, ours.crew_id if ours else None
        case.merged_started_at = ours.started_at if ours else None
    left = s.get(Case, case.merged_into_id) if case.merged_into_id else None
    if left:
        legal_holds.inherit_on_merge(s, case, by=by, at=at)
    case.merged_into_id = root.id
    _end(s, case, "merged", at)
    brings_danger = sla.in_danger(case) and not sla.in_danger(root)
    for each in (left, root):
        _take_after_family(s, each, at)
    told = {"into": root.number, "closed": root.state == CLOSED} | ({"late": True} if was_late else {})
    moved(s, case, "merge", MERGED, by=by, at=at, facts=told, origin=origin)
    came = {"case": case.number} | ({"danger": True} if brings_danger else {})
    events.record(s, subject(root), "merged in", by=by, at=at, facts=came, origin=origin)
    if crew_id and root.state in OPEN and (theirs is None or theirs.crew_id != crew_id):
        _take_over(s, root, crew_id, by=by, at=at, origin=origin)
    else:
        bump_version(s, root)
    reporter_count.reporter_added(s, root, at=at)
    if left and (old := root_of(s, left)) is not root:
        reporter_count.reporter_removed(s, old, at=at)
        bump_version(s, old)  # its promise may count from a later day now
    if brings_danger and root.state in OPEN:
        endanger(s, root, at=at, origin=origin)
    return True


def unmerge(s: Session, case: Case, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """Gives a merged case its former state and crew back, its due date as if the clock had never stopped.

    It and its root are told apart from now on. Raises Refused `no_report` for a case whose split was undone.
    """
    allow("unmerge", by.roles)
    if case.merged_into_id is None:
        return False
    root = locks.lock_with_root(s, case, case)
    check_move("unmerge", case, by)
    if not case.reports and case.origin != "import":  # a split was taken back: nobody told of it alone
        raise Refused("no_report")
    state = case.merged_from or ACCEPTED
    if case.merged_crew_id and state in (ASSIGNED, UNDERWAY, WAITING):
        _give(s, case, case.merged_crew_id, at).started_at = case.merged_started_at
    parent = s.get(Case, case.merged_into_id)
    legal_holds.inherit_on_merge(s, case, by=by, at=at)
    case.merged_into_id = case.merged_from = case.merged_crew_id = case.merged_started_at = None
    moved(s, case, "unmerge", state, by=by, at=at, facts={"from": root.number}, origin=origin)
    events.record(s, subject(root), "merged out", by=by, at=at, facts={"case": case.number}, origin=origin)
    duplicates.remember_not_duplicate(s, case, root)  # somebody has looked
    for each in (case, root):
        reporter_count.reporter_removed(s, each, at=at)
    bump_version(s, root)
    _take_after_family(s, parent, at)
    if state in OPEN:  # what was separated from it meanwhile may have moved its clock
        sla.refresh(case, at)
    return True


def undo_unmerge(s: Session, case: Case, root: Case, was: dict[str, Any], *, by: Actor, at: datetime) -> bool:
    """The case is merged into `root` once more, as snapshot() said before it was separated.

    The crew that it was given back is no reason to choose one: the root keeps its own, or none.
    """
    ours, theirs = live(case), live(root)
    end_assignments(s, [case], "merged", at)
    merge(s, case, root, by=by, at=at, keep_crew=theirs.crew_id if theirs else None)
    case.merged_crew_id = ours.crew_id if ours else None
    case.merged_started_at = ours.started_at if ours else None
    case.merged_into_id = was["parent"]
    _take_after_family(s, s.get(Case, was["parent"]), at)
    return True


def undo_remerge(s: Session, case: Case, parent: Case, *, by: Actor, at: datetime) -> bool:
    """The case goes back from another's duplicates to those of `parent`, among which it was before.

    Raises Refused as merge() does, where that takes it no more.
    """
    merge(s, case, parent, by=by, at=at)
    case.merged_into_id = parent.id
    _take_after_family(s, parent, at)
    return True


def cancel(s: Session, case: Case, reason: str, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """Ends a case that should not be one: withdrawn, spam or a test."""
    allow("cancel", by.roles)
    _one_of(reason, CANCEL_REASONS, "cancel_reason")
    locks.lock(s, case)
    if case.state == CANCELLED:
        return False
    check_move("cancel", case, by)
    if DISPATCHER not in by.roles and len(case.reports) > 1:
        raise Refused("others_joined")
    _end(s, case, "cancelled", at)
    sla.resume_clock(case, at)
    sla.pause_clock(case, "closed", at)
    return moved(s, case, "cancel", CANCELLED, by=by, at=at, facts={"reason": reason}, origin=origin)


def restore(s: Session, case: Case, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """A cancelled case lives again: it was done all the same, or cancelled by mistake."""
    allow("restore", by.roles)
    locks.lock(s, case)
    if case.state == ACCEPTED:
        return False
    check_move("restore", case, by)
    sla.resume_clock(case, at)
    return moved(s, case, "restore", ACCEPTED, by=by, at=at, origin=origin)


def self_assign(
    s: Session, case: Case, crew_id: int, *, by: Actor, at: datetime, origin: str = "live"
) -> bool:
    """A crew takes on what it has just reported itself. Raises Refused `not_your_job` for another crew."""
    allow("take on", by.roles)
    if crew_id not in by.crew_ids:
        raise Refused("not_your_job")
    locks.lock(s, case)
    held = live(case)
    if held and held.crew_id == crew_id and case.state == ASSIGNED:
        return False
    check_move("take on", case, by)
    given = _give(s, case, crew_id, at)
    facts = {"crew": crew_id, "assignment": given.id, "cycle": case.cycle}
    return moved(s, case, "take on", ASSIGNED, by=by, at=at, facts=facts, origin=origin)


def undo_own_completion(
    s: Session,
    case: Case,
    move: str,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """Undoes the crew's own last move ("close", "make safe" or "needs parts"): the job is theirs again.

    The caller has seen that nothing else happened since. Photos stay with the case. Raises Refused
    `wrong_state` where that was not the last thing that ended the job.
    """
    allow("take back", by.roles)
    locks.lock(s, case)
    check_move("take back", case, by)
    job = case.assignments[-1] if case.assignments else None
    last = events.last_move(s, subject(case))
    undoes = last is not None and last.kind == move and last.now == case.state
    if job is None or last is None or not undoes or job.ended_why != ENDINGS.get(move):
        raise Refused("wrong_state", move="take back", state=case.state)
    if job.crew_id not in by.crew_ids:
        raise Refused("not_your_job")
    s.flush()
    to = last.was or ASSIGNED
    job.ended_at = job.ended_why = None
    waited = next((p for p in reversed(case.pauses) if p.why != "closed"), None)
    _forget_pause(s, case)
    if move == "close":
        _forget_closure(s, case)
    if move != "needs parts":  # which says nothing of it
        case.follow_on = bool(last.facts.get("follow_on"))
    if to == WAITING and waited:  # as if it had never been over
        waited.ended_at = None
    sla.refresh(case, at)
    facts = {"what": move, "cycle": case.cycle}
    return moved(s, case, "take back", to, by=by, at=at, at_device=at_device, facts=facts, origin=origin)


def snapshot(case: Case) -> dict[str, Any]:
    """What undo_batch() needs to put the case back as it is now: state, crew, waiting, and why to look."""
    held, pause = live(case), sla.open_pause(case)
    return {
        "state": case.state, "crew": held.crew_id if held else None,
        "started": held.started_at.isoformat() if held and held.started_at else None,
        "job": held.id if held else None, "pause": pause.id if pause else None,
        "until": pause.until.isoformat() if pause and pause.until else None,
        "follow_on": case.follow_on, "review": case.review, "warned": case.warned,
        "date": case.rescheduled_to.isoformat() if case.rescheduled_to else None,
        "parent": case.merged_into_id,
    }  # fmt: skip


def undo_batch(
    s: Session, case: Case, what: str, was: dict[str, Any], *, by: Actor, at: datetime, batch: int
) -> bool:
    """Puts the case back as snapshot() said before the act `what`: one of batches.SINGLE.

    The caller has seen that nothing else happened since. The promise clock is as if it had neither stopped
    nor run on meanwhile; a closing is forgotten, and is no reopening: the caller has asked free_closings().
    """
    allow("undo batch", by.roles)
    locks.lock(s, case)
    check_move("undo batch", case, by)
    if what == "resume":
        check_move("wait", case, by)  # danger waits by the same hands alone
    for pause in [p for p in case.pauses if p.ended_at is None and p.id != was["pause"]]:
        case.pauses.remove(pause)
        s.delete(pause)
    for pause in case.pauses:
        if pause.id == was["pause"]:
            pause.ended_at = None
            pause.until = datetime.fromisoformat(was["until"]) if was.get("until") else None
    if what == "close":
        _take_away_closure(s, case)
    if what in ("close", "cancel"):
        for job in case.assignments:
            if job.id == was["job"]:
                job.ended_at = job.ended_why = None
        case.follow_on, case.review = was["follow_on"], was["review"]
    elif what == "reopen":
        done = case.closures[-1]
        case.cycle, case.closed_at, case.outcome = case.cycle - 1, done.closed_at, done.outcome
        case.review, case.warned = was["review"], was["warned"]
        case.rescheduled_to = datetime.fromisoformat(was["date"]) if was["date"] else None
    elif what in ("assign", "unassign") or (was["crew"] and not live(case)):
        case.review = case.review or was["review"]
        _end(s, case, "unassigned", at)
        if was["crew"]:
            started = was["started"]
            given = _give(s, case, was["crew"], at)
            given.started_at = datetime.fromisoformat(started) if started else None
    sla.refresh(case, at)
    held = live(case)
    facts = {"what": what, "batch": batch, "cycle": case.cycle, "crew": held.crew_id if held else None}
    return moved(s, case, "undo batch", was["state"], by=by, at=at, facts=facts, origin="live")


def note(
    s: Session,
    case: Case,
    words: str,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """A private note: staff read it, nobody else."""
    if is_blank(words):
        raise Refused("empty_note")
    check_words(words)
    may("note", by.roles)
    locks.lock(s, case)
    events.record(
        s,
        subject(case),
        "note",
        by=by,
        at=at,
        at_device=at_device,
        words={"note": words.strip()},
        origin=origin,
    )
    bump_version(s, case)
    return True


def record_fact(
    s: Session,
    case: Case,
    what: str,
    *,
    by: Actor,
    at: datetime,
    why: str | None = None,
    cycle: int | None = None,
    facts: dict[str, Any] | None = None,
    photos_taken: Sequence[Photo] = (),
    words: str = "",
    at_device: datetime | None = None,
    origin: str = "live",
) -> bool:
    """Keeps what a crew did as a fact, with its evidence, and moves nothing.

    `what` is the operation ("close", "photo", …). `why` says why it could not move the case any more; a
    person must then look. `cycle` is the one it belongs to, by default the case's own.
    """
    may("note", by.roles)
    check_words(words)
    locks.lock(s, case)
    cycle = cycle or case.cycle
    for position, photo in enumerate(photos_taken):
        photos.attach(s, photo, case_id=case.id, cycle=cycle, position=position)
    told = {"what": what, "cycle": cycle, **(facts or {})}
    if why:
        case.review = why
        told["why"] = why
    events.record(
        s, subject(case), "recorded", by=by, at=at, at_device=at_device, facts=told,
        photos=[photo.sha256 for photo in photos_taken], words={"words": words} if words else None,
        origin=origin,
    )  # fmt: skip
    bump_version(s, case)
    return True


def photo_came(
    s: Session,
    photo: Photo,
    *,
    case_id: int,
    cycle: int | None,
    closure_id: int | None,
    report_id: int | None,
    position: int,
    by: Actor,
    at: datetime,
    message_id: int | None = None,
) -> bool:
    """Gives a photo that was on its way when its closing or report was taken to where it belongs.

    Whatever became of the case meanwhile. Raises Refused `photo_attached` where another case has it.
    """
    case = s.get_one(Case, case_id)
    locks.lock(s, case)
    if photo.case_id == case_id:
        return False
    photos.attach(
        s, photo, case_id=case_id, report_id=report_id, cycle=cycle, message_id=message_id, position=position
    )
    photo.closure_id = closure_id
    facts = {"cycle": cycle} if cycle else {}
    events.record(s, subject(case), "photo came", by=by, at=at, facts=facts, photos=[photo.sha256])
    if report_id or message_id:
        # It shows what to mend. No version: a closing may be taken back until something else happens.
        _tell(s, case)
    return True


def photo_failed(s: Session, case: Case, why: str, *, by: Actor, at: datetime) -> bool:
    """A photo that was promised will never be here, or is not within the days it may take."""
    locks.lock(s, case)
    case.review = case.review or "photo"
    events.record(s, subject(case), "photo failed", by=by, at=at, facts={"why": why})
    bump_version(s, case)
    return True


def ask_supervisor(s: Session, case: Case, *, by: Actor, at: datetime, words: str = "") -> bool:
    """Marks a closed case that was sent back too often: a supervisor decides what happens."""
    locks.lock(s, case)
    case.review = "sent back"
    events.record(s, subject(case), "review", by=by, at=at, words={"words": words} if words else None)
    bump_version(s, case)
    return True


def reviewed(s: Session, case: Case, *, by: Actor, at: datetime) -> bool:
    """Somebody has looked at what the case was marked for."""
    may("review", by.roles)
    locks.lock(s, case)
    if case.review is None:
        return False
    events.record(s, subject(case), "reviewed", by=by, at=at, facts={"why": case.review})
    case.review = None
    looked_at = update(SyncOperation).where(
        SyncOperation.case_id == case.id, SyncOperation.review.is_not(None)
    )
    s.execute(looked_at.values(review=None))
    bump_version(s, case)
    return True


def flag_missing_evidence(s: Session, *, at: datetime, by: Actor) -> int:
    """Marks closings whose photo is still not in the store after lifecycle.EVIDENCE_HOURS: it counts as none.

    Returns how many. What arrives later is shown, but the closing stays one without evidence. The worker
    calls this with THE_SYSTEM.
    """
    unstored = select(Photo.closure_id).where(Photo.stored_at.is_(None), Photo.closure_id.is_not(None))
    missing = select(ExpectedPhoto.closure_id).where(
        ExpectedPhoto.photo_id.is_(None), ExpectedPhoto.closure_id.is_not(None)
    )
    late = (
        select(Closure)
        .where(Closure.unproven_at.is_(None), Closure.id.in_(unstored.union(missing)))
        .where(Closure.closed_at <= at - timedelta(hours=EVIDENCE_HOURS))
    )
    marked = 0
    for closure in s.scalars(late.order_by(Closure.case_id)).all():
        case = s.get_one(Case, closure.case_id)
        locks.lock(s, case)
        s.refresh(closure)
        if closure.unproven_at or evidence(s, case, closure.cycle):
            continue
        closure.unproven_at = at
        if case.state == CLOSED and case.cycle == closure.cycle:
            case.review = "no evidence"
        facts = {"cycle": closure.cycle, **board_index.measured(case, board_index.area_of(s, case))}
        events.record(s, subject(case), "no evidence", by=by, at=at, facts=facts)
        bump_version(s, case)
        marked += 1
    return marked


def bump_version(s: Session, case: Case) -> None:
    """Something about the case has changed: the phones that hold it hear of it."""
    case.version += 1
    _tell(s, case)


def _tell(s: Session, case: Case) -> None:
    """Lets the phones that hold the case hear of it as it is now."""
    held = case.assignments[-1] if case.assignments else None
    if held is None:
        return
    if held.ended_at is None:
        events.publish_to_sync_feed(s, f"crew:{held.crew_id}", "job", case.number, present=True)
    elif held.ended_why == "closed" and held.cycle == case.cycle:
        # It stands on that crew's phones as done, for the day, unless it has become something else.
        stays = case.state == CLOSED
        why = "closed" if stays else case.state
        events.publish_to_sync_feed(s, f"crew:{held.crew_id}", "job", case.number, present=stays, why=why)


def end_assignments(s: Session, cases: Iterable[Case], why: str, at: datetime, *, flush: bool = True) -> None:
    """Ends the live jobs of cases that are given out anew: together, as one by one takes a statement each."""
    for case in cases:
        _end(s, case, why, at)
    if flush:
        s.flush()


def free_closings(s: Session, closings: Sequence[Closure]) -> None:
    """Nothing names these closings any more: they are about to be forgotten."""
    ids = sorted(closing.id for closing in closings)
    # Held, so that the worker queues no letter meanwhile that would name one of them when it is gone.
    s.execute(select(Closure.id).where(Closure.id.in_(ids)).order_by(Closure.id).with_for_update())
    for table in (Photo, ExpectedPhoto, Message):
        s.execute(update(table).where(table.closure_id.in_(ids)).values(closure_id=None))


def live(case: Case) -> Assignment | None:
    """The assignment that a crew holds now."""
    return next((a for a in case.assignments if a.ended_at is None), None)


def subject(case: Case) -> str:
    """The case's name in the log."""
    return events.of_case(case.id)


def check_move(move: str, case: Case, by: Actor, origin: str = "live") -> None:
    """The table's word on a move of this case; raises as lifecycle.check() does.

    What another system let wait, waits over there: that is a fact, whatever the danger.
    """
    danger = sla.in_danger(case) and origin != "import"
    check(move, case.state, by.roles, office=case.service.office, danger=danger)


def moved(
    s: Session,
    case: Case,
    move: str,
    to: str,
    *,
    by: Actor,
    at: datetime,
    at_device: datetime | None = None,
    facts: dict[str, Any] | None = None,
    photos: Sequence[str] = (),
    words: str = "",
    told: dict[str, Any] | None = None,
    origin: str,
) -> bool:
    """Takes the locked case to the state `to` and writes the line that says so; for verbs alone.

    `words` are what its author said, `told` whatever else may not stand in the log for ever.
    """
    was, case.state = case.state, to
    if case.review in _UNTIL_DECIDED and by is not THE_SYSTEM:
        case.review = None  # somebody has decided what happens next
    case.standing = sla.sla_status(case, at)
    check_words(words)
    told = {
        name: value for name, value in {"words": words, **(told or {})}.items() if value not in ("", None)
    }
    if not {was, to} <= set(OPEN):
        facts = {**(facts or {}), **board_index.measured(case, board_index.area_of(s, case))}
    events.record(
        s, subject(case), move, by=by, at=at, was=was, now=to, at_device=at_device, facts=facts,
        photos=photos, words=told or None, origin=origin,
    )  # fmt: skip
    bump_version(s, case)
    if (was in OPEN) != (to in OPEN):
        case_search.stand(s, case.id)
    return True


def _forget_pause(s: Session, case: Case) -> None:
    """The clock never stood for what is taken back."""
    for pause in [p for p in case.pauses if p.ended_at is None]:
        case.pauses.remove(pause)
        s.delete(pause)
    s.flush()


def _forget_closure(s: Session, case: Case) -> None:
    free_closings(s, case.closures[-1:])
    _take_away_closure(s, case)
    s.flush()


def _take_away_closure(s: Session, case: Case) -> None:
    closure = case.closures[-1]
    case.closures.remove(closure)
    s.delete(closure)
    case.closed_at, case.outcome, case.review = None, None, None


def _give(s: Session, case: Case, crew_id: int, at: datetime) -> Assignment:
    if any(s.is_modified(former) for former in case.assignments):
        s.flush()  # the index allows one live assignment, and inserts come before updates
    # A phone names its job by this id, perhaps after the database was put back from a backup.
    id_ = bulk_insert.dated_id(s, Assignment, at)
    given = Assignment(id=id_, crew_id=crew_id, cycle=case.cycle, given_at=at)
    case.assignments.append(given)
    return given


def _end(s: Session, case: Case, why: str, at: datetime) -> None:
    held = live(case)
    if held is None:
        return
    held.ended_at, held.ended_why = at, why
    # A job that the crew itself closed stays on its phone for the day; any other ending takes it away.
    events.publish_to_sync_feed(
        s, f"crew:{held.crew_id}", "job", case.number, present=why == "closed", why=why
    )


def _own_job(case: Case, by: Actor) -> Assignment | None:
    """The live job; who is only crew or partner may touch no other's. An office's case is no crew's."""
    held = live(case)
    if case.service.office or DISPATCHER in by.roles or not by.roles.intersection((CREW, PARTNER)):
        return held
    if held is None or held.crew_id not in by.crew_ids:
        raise Refused("not_your_job")
    return held


def _attach(s: Session, case: Case, taken: Sequence[Photo], closure: Closure | None = None) -> list[str]:
    for position, photo in enumerate(taken):
        photos.attach(s, photo, case_id=case.id, cycle=case.cycle, position=position)
        photo.closure_id = closure.id if closure else None
    return [photo.sha256 for photo in taken]


def _same_hand(done: Closure, by: Actor) -> bool:
    return done.person_id == by.person_id or (done.crew_id is not None and done.crew_id in by.crew_ids)


def _asked_by_one(s: Session, case: Case, root: Case) -> bool:
    """Whether one known caller asked the same kind of question twice."""
    keys = [report.key for report in (*case.reports, *root.reports)]
    return case.service_code == root.service_code and callers.reported_by_same_caller(s, keys)


def _surviving_crew(ours: Assignment | None, theirs: Assignment | None, keep: int | None) -> int | None:
    holding = {a.crew_id for a in (ours, theirs) if a}
    if len(holding) < 2:
        return next(iter(holding), None)
    if keep not in holding:
        raise Refused("choose_crew", crews=sorted(holding))
    return keep


def _take_over(s: Session, root: Case, crew_id: int, *, by: Actor, at: datetime, origin: str) -> None:
    """The merged case's crew goes on at the root; a root that waits keeps waiting in its hands."""
    _end(s, root, "withdrawn", at)
    given = _give(s, root, crew_id, at)
    facts = {"crew": crew_id, "assignment": given.id, "cycle": root.cycle}
    to = WAITING if root.state == WAITING else ASSIGNED
    moved(s, root, "assign", to, by=by, at=at, facts=facts, origin=origin)


def _take_after_family(s: Session, case: Case | None, at: datetime) -> None:
    """Its clock starts at the first Report, danger hurries it, and it is found by all that was told, those of
    merged cases included; so up to the root. What is separated takes all of it along."""
    while case is not None:
        case_search.mark_changed(s, case.id)
        s.expire(case, ["merged_cases"])
        family = select(Case.clock_from, Case.urgent).where(Case.merged_into_id == case.id)
        merged = s.execute(family).all()
        case.clock_from = min([case.opened_at, *(each.clock_from for each in merged)])
        case.urgent = any(each.urgent for each in merged) or (case.urgent and is_dangerous(s, case))
        if case.state in OPEN:
            sla.refresh(case, at)
        case = s.get(Case, case.merged_into_id) if case.merged_into_id else None


def _is_late(case: Case, at: datetime) -> bool:
    """Whether its promise is over, that of a merged case as if it went on by itself, or was over before its
    type was corrected. What was closed has counted then."""
    if (case.merged_from or case.state) not in OPEN:
        return False
    over = at > case.due_at if case.state == MERGED else sla.is_overdue(case, at)
    return over or case.corrected_late


def counts_as_restarted(s: Session, case: Case) -> bool:
    """Whether no figure may call the case on time, whenever it ends: its promise was over before its type was
    corrected, or that of a case before it was merged into this one.

    No statement for a case that was locked by its number, and two for each that lies merged into it.
    """
    if case.corrected_late:
        return True
    for each in case.merged_cases:
        line = events.last_move(s, subject(each))
        if (line is not None and "late" in line.facts) or counts_as_restarted(s, each):
            return True
    return False


def is_dangerous(s: Session, case: Case) -> bool:
    """Whether the case is urgent: its kind is, one of its reports told of danger, or one in its family is."""
    if case.service.urgent:
        return True
    told = select(Report.id).where(Report.case_id == case.id, Report.danger)
    merged = select(Case.id).where(Case.merged_into_id == case.id, Case.urgent)
    return s.scalar(told.union_all(merged).limit(1)) is not None


def check_words(words: str) -> None:
    """Raises Refused `words_too_long` for more than a line of the log keeps."""
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)


def _one_of(value: str, choices: Collection[str], name: str) -> None:
    if value not in choices:
        raise Refused("unknown_value", name=name, value=value)

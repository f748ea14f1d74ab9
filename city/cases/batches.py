"""Acting on many cases at once: one transaction, an event each, and one Undo for all of them.

What a batch does to a case is a verb of transitions.py, corrections.py, priorities.py or tags.py, and nothing
else: here are only the many.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, selectinload

from city import lifecycle
from city.audit.events import Actor
from city.cases import corrections, duplicates, locks, priorities, queries, sla, tags, transitions, waits
from city.cases.transitions import Closing
from city.config.routing import Rule
from city.db import bulk_insert
from city.db.engine import gc_paused
from city.db.models import Asset, Assignment, Batch, BatchItem, Case, Crew, Service
from city.lifecycle import (
    DISPATCHER,
    MAX_WORDS,
    MERGED,
    NEW_DATE_REASONS,
    NO_PHOTO,
    OPEN,
    OUTCOMES,
    UNDONE,
    WAIT_OVER,
    WAIT_REASONS,
    WAITING,
    Refused,
    allow,
    may,
)
from city.places.lookup import Place

# Enough for a storm's worth of one service; SQLite has one writer, and this many hold it for a few seconds.
MOST: Final = 5000
# Each merge and each undoing of one asks anew what the survivor's whole family says: five to twelve
# statements a case, where the other acts need a few for all.
MOST_MERGED: Final = 500
# As long as somebody sits before what they did; later most cases have gone on, and nothing would be put back.
UNDO_FOR: Final = timedelta(minutes=30)
# Until then the same form, sent again, finds what became of it.
KEPT_FOR: Final = timedelta(days=1)

ACTS: Final = (
    "assign", "accept", "wait", "raise", "lower", "close", "tag", "untag", "merge", *corrections.ACTS,
)  # fmt: skip
# What is done to one case alone and can be taken back like a batch of it.
SINGLE: Final = (
    "assign", "unassign", "accept", "wait", "resume", "close", "reopen", "cancel", "merge", "unmerge",
    *corrections.ACTS, corrections.SPLIT,
)  # fmt: skip
USUAL: Final = "usual"  # instead of a crew's id: each case to the crew to which it would go anyway
# What changes two cases at once, each only half without the other.
PAIRS: Final = ("unmerge", corrections.SPLIT)
# What somebody would do otherwise had they known of a report of danger, or of another's assignment.
UNLESS_CHANGED: Final = ("assign", "accept", "wait", "close", "merge", *corrections.ACTS)

# What is taken back by another act, so that whoever takes it back must be allowed that.
BACK: Final = {"merge": "unmerge", "unmerge": "merge"}

Verb = Callable[[Case], bool]


def digest(key: str, by: Actor, name: str, what: dict[str, Any], chosen: Collection[str]) -> str:
    """What tells one sending of a form from another: its key, who sends it, and all that it asks for.

    `chosen` are the numbers, or what stands for them. Somebody else's key so leads nowhere.
    """
    told = [key, by.name, name, what, sorted(set(chosen))]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def of_digest(s: Session, sent: str) -> Batch | None:
    """The batch that this form has made already."""
    return s.scalars(select(Batch).where(Batch.digest == sent)).first()


@gc_paused()
def act(
    s: Session,
    numbers: Collection[str],
    name: str,
    what: dict[str, Any],
    *,
    by: Actor,
    at: datetime,
    sent: str,
    mode: str = "rest",
    reply: Callable[[Case], dict[str, Any]] | None = None,
    overtaken: Callable[[Collection[Case]], Collection[int]] | None = None,
    usual: Callable[[Collection[Case]], Mapping[int, Crew]] | None = None,
    rules: Sequence[Rule] = (),
) -> Batch:
    """Does `name` (one of ACTS) to every case, in the order of their ids; a form sent again does nothing.

    `what` holds what the act asks for: `crew`, an id or USUAL; `reason` and `until`, a day; `outcome`,
    `no_photo` and `words`; `service`; `place`, the fields of a Place; `tag`; `into`, a number, or "" for the
    oldest of them. `reply` gives what a case's residents read of a closing, as canned_replies.as_stored() has
    it. `overtaken` gives the ids of those that changed since they were chosen, which stay out where the act
    is one of UNLESS_CHANGED; all do where a merge's survivor is among them.
    `usual` gives the crew to which each would go anyway, by a case's id: such an assigning leaves alone what
    a crew has already. `sent` is the form's digest().

    Cases that may not move stay out, and stand in the batch's `refused`; with `mode` "all" nothing is done at
    all where there are any.
    Raises Refused `batch_refused` (with `refused`), `nothing_chosen`, `not_allowed`, `unknown_value`, or what
    not_too_many() does.
    """
    _may(name, by)
    if not numbers:
        raise Refused("nothing_chosen")
    not_too_many(name, len(set(numbers)))
    # Words stand with each case's own line.
    kept = {key: value for key, value in what.items() if key != "words"}
    if "tag" in kept:
        kept["tag"] = tags.folded(kept["tag"])
    id_ = _begun(s, sent, name, kept, by, at)
    if id_ is None:
        batch = of_digest(s, sent)
        assert batch  # noqa: S101 its twin has just been committed
        return batch
    batch = s.get_one(Batch, id_)
    found, into = _locked(s, numbers, _named(s, what) if name == "merge" else None)
    chosen = sorted((found[n] for n in found.keys() & set(numbers)), key=lambda each: each.id)
    if name == "merge":
        into = into or _oldest(chosen)
        batch.what = kept | {"into": into.number}
        chosen = [case for case in chosen if case is not into]
    apart = duplicates.is_not_duplicate(s, into) if into else set()
    root = transitions.snapshot(into) | {"root": True} if into else {}
    before = {case.id: snapshot(case, name) for case in chosen}
    known = [*chosen, into] if into else chosen
    changed = overtaken(known) if overtaken and name in UNLESS_CHANGED else ()
    if into and into.id in changed:  # then they would go where nobody meant them to
        changed = {case.id for case in chosen}
    going = [case for case in chosen if case.id not in changed]
    crews = usual(going) if usual and what.get("crew") == USUAL else None
    verb = _verb(s, name, what, going, into, by, at, reply, crews, rules)
    refused: list[list[Any]] = [
        [number, "unknown_number", {}] for number in sorted(set(numbers) - found.keys())
    ]
    moved: list[tuple[Case, dict[str, Any]]] = []
    for case in chosen:
        was = before[case.id] | ({"apart": True} if case.id in apart else {})
        try:
            if case.id in changed:
                raise Refused("changed_since_chosen")
            # Every verb refuses before it changes anything, so none needs a savepoint; words, which a closing
            # measures last, were measured above.
            if verb(case):
                moved.append((case, was))
            else:
                batch.same += 1
        except Refused as fault:
            refused.append([case.number, fault.code, fault.facts])
    if refused and mode == "all":
        raise Refused("batch_refused", refused=refused)
    if name in corrections.CORRECTIONS:
        corrections.derive(s, [case for case, _was in moved])
    batch.done, batch.refused = len(moved), refused
    if into and moved:
        moved.append((into, root))
    s.flush()
    bulk_insert.put(
        s, BatchItem,
        [{"batch_id": id_, "case_id": c.id, "version": c.version, "was": was} for c, was in moved],
    )  # fmt: skip
    return batch


def snapshot(case: Case, name: str) -> dict[str, Any]:
    """How the case is before `name` is done to it, as undo() needs it."""
    was = transitions.snapshot(case)
    return was | corrections.snapshot(case, name) if name in corrections.ACTS else was


def snapshot_with_root(s: Session, case: Case, name: str, into: Case) -> tuple[Case, dict[str, Any]]:
    """Holds both and what they were merged into; the root of `into`, which `name` is about to change too, and
    how undo() must find it."""
    root = locks.lock_with_root(s, case, into)
    if name == "merge":
        return root, transitions.snapshot(root) | {"root": True}
    return root, {"own": True}


def keep_single(
    s: Session,
    case: Case,
    name: str,
    what: dict[str, Any],
    was: dict[str, Any],
    *,
    by: Actor,
    at: datetime,
    other: tuple[Case, dict[str, Any]] | None = None,
) -> Batch:
    """Keeps what was just done to one case, so that undo() takes it back as it does with many.

    `name` is one of SINGLE, `what` as act() has it, `was` the case's snapshot() before. `other` is the case
    into which it was merged, from which it was separated, or that was split from it, with how that was.
    """
    if other:  # of the two it is this one that the act was about
        what = what | {"number": case.number, "into": other[0].number}
    batch = Batch(
        digest=uuid4().hex, person_id=by.person_id, at=at, act=name, what=what, done=1, same=0,
        refused=[], left=[],
    )  # fmt: skip
    s.add(batch)
    s.flush()
    for each, before in ((case, was), *([other] if other else ())):
        s.add(BatchItem(batch_id=batch.id, case_id=each.id, version=each.version, was=before))
    return batch


def not_too_many(name: str, count: int) -> None:
    """Raises Refused `too_many_cases` or, for the act "merge", `too_many_to_merge`."""
    if name == "merge" and count > MOST_MERGED:
        raise Refused("too_many_to_merge", most=MOST_MERGED, asked=count)
    if count > MOST:
        raise Refused("too_many_cases", most=MOST, asked=count)


def validate(s: Session, name: str, what: dict[str, Any]) -> None:
    """Raises Refused as act() would for what a form says itself: nobody is asked whether they mean that."""
    if name == "close":
        _closing(what)
    elif name == "merge":
        _named(s, what)


@gc_paused()
def undo(s: Session, batch_id: int, *, by: Actor, at: datetime) -> Batch:
    """Puts every case of the batch back as it was, unless something else happened to it since: see `left`.

    Raises Refused `unknown_batch`, `undone_already`, `too_late_to_undo`, or `not_allowed` to whoever may not
    do what was done.
    """
    batch = s.scalars(select(Batch).where(Batch.id == batch_id).with_for_update()).first()
    if batch is None:
        raise Refused("unknown_batch")
    _may_undo(batch, by)
    if batch.undone_at:
        raise Refused("undone_already")
    if at - batch.at > UNDO_FOR:
        raise Refused("too_late_to_undo")
    items = {
        item.case_id: item for item in s.scalars(select(BatchItem).where(BatchItem.batch_id == batch_id))
    }
    rows = s.execute(
        select(BatchItem.case_id, Case.number).join(Case, Case.id == BatchItem.case_id)
        .where(BatchItem.batch_id == batch_id)
    )  # fmt: skip
    found = locks.lock_numbered(s, [number for _id, number in rows])
    if batch.act in lifecycle.MOVES:  # of an office's cases more may be done by more people
        for case in found.values():
            lifecycle.allow_here(batch.act, by.roles, office=case.service.office)
    _prepare(s, batch.act, found.values(), at)
    if batch.act in corrections.CORRECTIONS:
        corrections.load(s, found.values())
    left = []
    moved_on = {case.id for case in found.values() if case.version != items[case.id].version}
    if moved_on and batch.act in PAIRS:  # what is done to two is taken back of both, or of none
        moved_on = set(items)
    if batch.act == "assign":
        transitions.end_assignments(
            s, [case for case in found.values() if case.id not in moved_on], "unassigned", at
        )
    if batch.act == "close":
        closings = [case.closures[-1] for case in found.values() if case.id not in moved_on]
        for start in range(0, len(closings), locks.AT_ONCE):
            transitions.free_closings(s, closings[start : start + locks.AT_ONCE])
    for case in sorted(found.values(), key=lambda each: (bool(items[each.id].was.get("root")), each.id)):
        if case.id in moved_on:
            left.append(case.number)
            continue
        try:
            _put_back(s, case, batch, items[case.id].was, by=by, at=at)
        except Refused:
            if batch.act != "merge":
                raise
            left.append(case.number)  # what it was merged into before takes no more
            continue
        if items[case.id].was.get("review") == WAIT_OVER and not case.review:
            case.review = WAIT_OVER  # nobody has decided what happens next after all
    if batch.act in corrections.CORRECTIONS:
        corrections.derive(s, [case for case in found.values() if case.id not in moved_on])
    batch.undone_at, batch.undone_by_id, batch.left = at, by.person_id, left
    return batch


def put_back(batch: Batch) -> int:
    """How many of its cases an undoing put back. What they were merged into is none of them."""
    return batch.done - len([number for number in batch.left if number != batch.what.get("into")])


def last(s: Session, by: Actor, now: datetime, case: Case | None = None) -> Batch | None:
    """This person's newest batch, or the newest that changed this case alone, that can still be undone."""
    newest = select(Batch).where(Batch.person_id == by.person_id, Batch.at > now - UNDO_FOR)
    if case:
        newest = newest.join(BatchItem, BatchItem.batch_id == Batch.id)
        newest = newest.where(BatchItem.case_id == case.id, Batch.done == 1)
    batch = s.scalars(newest.order_by(Batch.at.desc(), Batch.id.desc()).limit(1)).first()
    return batch if batch and may_undo(batch, by, now) else None


def may_undo(batch: Batch, by: Actor, now: datetime) -> bool:
    """Whether this person can still put the batch's cases back."""
    try:
        _may_undo(batch, by)
    except Refused:
        return False
    return batch.done > 0 and batch.undone_at is None and now - batch.at <= UNDO_FOR


def among(s: Session, batch: Batch, numbers: Collection[str]) -> list[str]:
    """Those of these numbers whose cases the batch changed."""
    asked = select(Case.number).join(BatchItem, BatchItem.case_id == Case.id)
    return list(s.scalars(asked.where(BatchItem.batch_id == batch.id, Case.number.in_(numbers))))


def number_of(s: Session, batch: Batch) -> str:
    """The number of the case that it changed, where that is one."""
    if number := batch.what.get("number"):
        return str(number)
    asked = select(Case.number).join(BatchItem, BatchItem.case_id == Case.id)
    return s.scalars(asked.where(BatchItem.batch_id == batch.id).order_by(Case.id).limit(1)).first() or ""


def is_office(s: Session, batch: Batch) -> bool:
    """Whether it closed cases of offices alone, which end in words of their own."""
    if batch.act != "close":
        return False
    in_the_field = (
        select(BatchItem.case_id)
        .join(Case, Case.id == BatchItem.case_id)
        .join(Service, Service.code == Case.service_code)
        .where(BatchItem.batch_id == batch.id, ~Service.office)
    )
    return s.scalar(in_the_field.limit(1)) is None


def acts_of(by: Actor) -> list[str]:
    """What this person may do to many cases at once."""
    found = []
    for name in ACTS:
        try:
            _may(name, by)
        except Refused:
            continue
        found.append(name)
    return found


def sweep(s: Session, now: datetime) -> int:
    """Forgets batches that nobody can undo any more; the log keeps what they did. Returns how many."""
    gone = s.execute(delete(Batch).where(Batch.at < now - KEPT_FOR))
    return int(getattr(gone, "rowcount", 0))


def _may(name: str, by: Actor) -> None:
    if name not in ACTS:
        raise Refused("unknown_value", name="act", value=name)
    if by.person_id is None:
        raise Refused("not_allowed", move=name)
    if name in ("raise", "lower", "tag", "untag"):
        may("tag" if "tag" in name else "priority", by.roles)
        return
    allow(name, by.roles)
    if name in ("wait", "close") and DISPATCHER not in by.roles:
        raise Refused("not_allowed", move=name)  # a crew's own are on its phone, one by one


def _may_undo(batch: Batch, by: Actor) -> None:
    if batch.act in SINGLE and batch.done == 1:
        allow(batch.act, by.roles)
        allow("undo batch", by.roles)
        if batch.act in BACK:
            allow(BACK[batch.act], by.roles)
        return
    _may(batch.act, by)
    if batch.act in BACK:
        allow(BACK[batch.act], by.roles)


def _begun(s: Session, sent: str, name: str, what: dict[str, Any], by: Actor, at: datetime) -> int | None:
    """The new batch's id; None where this form was sent already. A twin in the same moment waits here."""
    make = postgresql_insert if s.get_bind().dialect.name == "postgresql" else sqlite_insert
    row = make(Batch).values(
        digest=sent, person_id=by.person_id, at=at, act=name, what=what, done=0, same=0, refused=[], left=[]
    )
    return s.execute(row.on_conflict_do_nothing(index_elements=["digest"]).returning(Batch.id)).scalar()


def _named(s: Session, what: dict[str, Any]) -> Case | None:
    """The case that the others are to be merged into; None where that is the oldest of them."""
    if not what.get("into"):
        return None
    if (into := queries.by_number(s, what["into"])) is None:
        raise Refused("unknown_number")
    return into


def _oldest(chosen: Sequence[Case]) -> Case:
    """Of those that were not merged already."""
    if not chosen:
        raise Refused("unknown_number")
    roots = [case for case in chosen if case.merged_into_id is None]
    if not roots:
        raise Refused("wrong_state", move="merge", state=MERGED)
    return min(roots, key=lambda case: (case.opened_at, case.id))


def _locked(s: Session, numbers: Collection[str], into: Case | None) -> tuple[dict[str, Case], Case | None]:
    """Every case by its number, locked in the order of ids, and the root that they are to be merged into."""
    if into:
        found, into = locks.lock_numbered_with_root(s, numbers, into)
    else:
        found = locks.lock_numbered(s, numbers)
    return {number: case for number, case in found.items() if case.state != UNDONE}, into


def _verb(
    s: Session,
    name: str,
    what: dict[str, Any],
    chosen: Sequence[Case],
    into: Case | None,
    by: Actor,
    at: datetime,
    reply: Callable[[Case], dict[str, Any]] | None,
    usual: Mapping[int, Crew] | None,
    rules: Sequence[Rule],
) -> Verb:
    """The verb of one case. Raises Refused where what the act asks for is not there, or makes no sense."""
    _prepare(s, name, chosen, at)
    words = what.get("words", "")
    if name == "accept":
        return lambda case: transitions.accept(s, case, by=by, at=at)
    if name == "assign" and usual is not None:
        return lambda case: _to_usual_crew(s, case, usual, by, at)
    if name == "assign":
        crew = s.get(Crew, what["crew"]) if isinstance(what.get("crew"), int) else None
        if crew is None:
            raise Refused("unknown_value", name="crew", value=what.get("crew"))
        transitions.end_assignments(
            s, [case for case in chosen if _changes_hands(case, crew)], "reassigned", at
        )
        return lambda case: transitions.assign(s, case, crew, by=by, at=at)
    if name == "wait":
        reason = _one_of(what, "reason", WAIT_REASONS)
        day = what.get("until") or ""
        return lambda case: transitions.wait(s, case, reason, until=waits.on_day(case, day), by=by, at=at)
    if name == "close":
        closing = _closing(what)
        return lambda case: transitions.close(
            s, case, replace(closing, reply=reply(case) if reply else None), by=by, at=at
        )
    if name == "reclassify":
        service = s.get(Service, what["service"]) if isinstance(what.get("service"), str) else None
        if service is None:
            raise Refused("unknown_service")
        many = corrections.read_ahead(s, chosen)
        return lambda case: corrections.reclassify(
            s, case, service, rules=rules, words=words, many=many, by=by, at=at
        )
    if name == "relocate":
        place = Place(**what["place"])
        s.info["assets"] = s.get(Asset, place.asset_id) if place.asset_id else None  # kept at hand
        many = corrections.read_ahead(s, chosen, place)
        return lambda case: corrections.relocate(
            s, case, place, rules=rules, words=words, many=many, by=by, at=at
        )
    if name == "reschedule":
        reason, day = _one_of(what, "reason", NEW_DATE_REASONS), what.get("until") or ""
        return lambda case: corrections.reschedule(
            s, case, reason, waits.on_day(case, day, sla.END_OF_DAY), by=by, at=at
        )
    if name in ("raise", "lower"):
        turn = priorities.raise_priority if name == "raise" else priorities.lower_priority
        return lambda case: turn(s, case, by=by, at=at)
    if name in ("tag", "untag"):
        word = tags.folded(what.get("tag", ""))
        do = tags.tag if name == "tag" else tags.untag
        return lambda case: do(s, case, word, by=by, at=at)
    assert into  # noqa: S101 act() has found it
    return lambda case: _merge(s, case, into, by, at)


def _closing(what: dict[str, Any]) -> Closing:
    """How all of them are closed. Raises Refused where its outcome, its reason or its words do not do."""
    outcome = _one_of(what, "outcome", OUTCOMES)
    no_photo = _one_of(what, "no_photo", NO_PHOTO) if outcome == "fixed" else None
    words = what.get("words", "")
    if len(words) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    return Closing(outcome, no_photo=no_photo, words=words)


def _merge(s: Session, case: Case, into: Case, by: Actor, at: datetime) -> bool:
    if case.state == MERGED and case.merged_into_id != into.id:
        # Undoing knows the state before all merging only; and its own root is not among the locked.
        raise Refused("wrong_state", move="merge", state=MERGED)
    return transitions.merge(s, case, into, by=by, at=at)


def _to_usual_crew(s: Session, case: Case, usual: Mapping[int, Crew], by: Actor, at: datetime) -> bool:
    if transitions.live(case):
        return False
    if case.id not in usual:
        raise Refused("no_usual_crew")
    return transitions.assign(s, case, usual[case.id], by=by, at=at)


def _changes_hands(case: Case, crew: Crew) -> bool:
    """Whether giving the case to the crew ends a job."""
    held = transitions.live(case)
    return case.state in OPEN and held is not None and (held.crew_id != crew.id or case.state == WAITING)


def _prepare(s: Session, name: str, chosen: Collection[Case], at: datetime) -> None:
    """Reads by the thousand what the verbs would otherwise ask for one by one."""
    bulk_insert.reserve(s, Assignment, at)
    ids = sorted(case.id for case in chosen)
    for start in range(0, len(ids), locks.AT_ONCE):
        some = ids[start : start + locks.AT_ONCE]
        if name in ("tag", "untag"):
            s.scalars(select(Case).where(Case.id.in_(some)).options(selectinload(Case.tags))).all()
    if name == "wait":
        things = {case.asset_id for case in chosen if case.asset_id}
        s.info["assets"] = [
            asset
            for part in (sorted(things)[n : n + locks.AT_ONCE] for n in range(0, len(things), locks.AT_ONCE))
            for asset in s.scalars(select(Asset).where(Asset.id.in_(part)))
        ]  # kept: the session itself holds on to nothing that nobody else holds


def _one_of(what: dict[str, Any], name: str, choices: Collection[str]) -> str:
    value = what.get(name) or ""
    if value not in choices:
        raise Refused("evidence_missing" if name == "no_photo" else "unknown_value", name=name, value=value)
    return str(value)


def _put_back(s: Session, case: Case, batch: Batch, was: dict[str, Any], *, by: Actor, at: datetime) -> None:
    word = batch.what.get("tag", "")
    if batch.act == "raise":
        priorities.lower_priority(s, case, by=by, at=at, undoes=batch.id)
    elif batch.act == "lower":
        priorities.raise_priority(s, case, by=by, at=at, undoes=batch.id)
    elif batch.act == "tag":
        tags.untag(s, case, word, by=by, at=at)
    elif batch.act == "untag":
        tags.tag(s, case, word, by=by, at=at)
    elif was.get("own"):
        return  # it goes with the other of the two
    elif batch.act == corrections.SPLIT:
        own = queries.by_number(s, batch.what["into"])
        assert own  # noqa: S101 it was locked above
        corrections.undo_split(s, case, own, by=by, at=at, batch=batch.id)
    elif batch.act == "unmerge":
        into = queries.by_number(s, batch.what["into"])
        assert into  # noqa: S101 it was locked above
        transitions.undo_unmerge(s, case, into, was, by=by, at=at)
    elif batch.act in corrections.ACTS:
        if DISPATCHER not in by.roles and (transitions.live(case) or was["crew"]):
            raise Refused("crew_has_it")  # nor may a call-taker correct it, or give it to a crew
        corrections.undo(s, case, batch.act, was, by=by, at=at, batch=batch.id)
    elif was.get("root"):
        held = transitions.live(case)
        if (held.crew_id if held else None) != was["crew"]:  # it had taken over the crew of a merged one
            transitions.undo_batch(s, case, "assign", was, by=by, at=at, batch=batch.id)
    elif batch.act == "merge":
        root = transitions.root_of(s, case)
        if was.get("parent"):
            transitions.undo_remerge(s, case, s.get_one(Case, was["parent"]), by=by, at=at)
            if was.get("apart"):
                duplicates.remember_not_duplicate(s, case, root)
            return
        transitions.unmerge(s, case, by=by, at=at)
        if not was.get("apart"):
            duplicates.forget_not_duplicate(
                s, case, root
            )  # nobody said that they are two: it was only taken back
    else:
        transitions.undo_batch(s, case, batch.act, was, by=by, at=at, batch=batch.id)

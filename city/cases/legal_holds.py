"""Holds: cases of which nothing may be removed, since a court or a request for records wants them.

A hold covers what was merged into its case. Verbs like those of cases.py.
"""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session, joinedload

from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Held
from city.audit.events import Actor
from city.cases import locks
from city.cases.queries import merge_chains
from city.db.models import Case, LegalHold
from city.lifecycle import Refused, may
from city.people import accounts
from city.text import is_blank

MOST_LETTERS: Final = 500

log = logging.getLogger(__name__)


def place(s: Session, case: Case, reason: str, var: Path, *, by: Actor, at: datetime) -> bool:
    """Nothing of the case is cleared, erased or covered from now on. False where it was held already.

    The list of erasures in `var` is what a restored backup will be told to hold again. Raises Refused
    `not_allowed`, `hold_unnamed` without a reason, `hold_too_long`.
    """
    may("hold", by.roles)
    reason = reason.strip()
    if is_blank(reason):
        raise Refused("hold_unnamed")
    if len(reason) > MOST_LETTERS:
        raise Refused("hold_too_long", most=MOST_LETTERS)
    locks.lock(s, case)
    if s.get(LegalHold, case.id):
        return False
    s.add(LegalHold(case_id=case.id, reason=reason, placed_at=at, placed_by_id=by.person_id))
    # Who sues the city is personal, so the log's line holds it where it may be deleted once that is over.
    events.record(s, events.of_case(case.id), "hold", by=by, at=at, words={"words": reason})
    _append_to_ledger(s, case, var, placed=True, at=at)
    return True


def lift(s: Session, case: Case, var: Path, *, by: Actor, at: datetime) -> bool:
    """The records schedule counts again, and what is due goes with its next run. False without a hold."""
    may("hold", by.roles)
    locks.lock(s, case)
    held = s.get(LegalHold, case.id)
    if held is None:
        return False
    s.delete(held)
    events.record(s, events.of_case(case.id), "lift hold", by=by, at=at)
    _note_taken_along(s, held, var)
    _append_to_ledger(s, case, var, placed=False, at=at)
    return True


def reapply_after_restore(s: Session, line: Held, var: Path, *, at: datetime) -> bool:
    """Places or lifts once more what was placed or lifted before a restore; False where it is so already.

    Who wanted the case kept is not known any more: the reason is empty.
    """
    case = s.scalars(select(Case).where(Case.number == line.hold)).first()
    if case is None or erasure_ledger.first_key(s, case.id) != line.key:
        return False
    locks.lock(s, case)
    held, then = s.get(LegalHold, case.id), datetime.fromisoformat(line.at)
    if line.placed and held is None:
        s.add(LegalHold(case_id=case.id, reason="", placed_at=then))
    elif not line.placed and held is not None and held.placed_at <= then:
        s.delete(held)
    else:
        return False
    kind = "hold" if line.placed else "lift hold"
    events.record(s, events.of_case(case.id), kind, by=accounts.THE_SYSTEM, at=at)
    _append_to_ledger(s, case, var, placed=line.placed, at=then)
    return True


def inherit_on_merge(s: Session, case: Case, *, by: Actor, at: datetime) -> None:
    """A case that leaves the one that it was merged into takes the hold of that one along: whoever wants it
    kept wants all that was part of it then. It is lifted by itself.

    It has no line in the list of erasures until the other one is lifted: in a backup it is most often merged
    still, and so held.
    """
    held = set(s.scalars(select(LegalHold.case_id)))
    if not held or case.id in held:
        return
    above = next((id_ for id_ in merge_chains(s, [case.id])[case.id] if id_ in held), None)
    if above is not None:
        _take_along(s, case, above, by=by, at=at)


def copy_on_split(s: Session, case: Case, own: Case, *, by: Actor, at: datetime) -> None:
    """What is split off from a case that is held is held as well."""
    if s.get(LegalHold, case.id):
        _take_along(s, own, case.id, by=by, at=at)


def refuse(s: Session, case: Case) -> None:
    """Raises Refused `on_hold` where the case may lose nothing. Whoever asks holds it and all that it was
    merged into: locks.lock_to_roots()."""
    if held_case_ids(s, [case.id]):
        raise Refused("on_hold", number=case.number)


def held_case_ids(s: Session, case_ids: Collection[int]) -> set[int]:
    """Those of these cases that are held, or were merged into one that is."""
    held = set(s.scalars(select(LegalHold.case_id)))
    if not held:  # as on most days
        return set()
    return {case_id for case_id, chain in merge_chains(s, case_ids).items() if held.intersection(chain)}


def listed(s: Session, limit: int) -> tuple[Sequence[LegalHold], int]:
    """The holds, the oldest first, with their cases; and how many there are in all. Two statements."""
    asked = select(LegalHold).options(joinedload(LegalHold.case).joinedload(Case.service))
    rows = s.scalars(asked.order_by(LegalHold.placed_at, LegalHold.case_id).limit(limit)).all()
    return rows, s.scalar(select(func.count()).select_from(LegalHold)) or 0


def _take_along(s: Session, case: Case, held: int, *, by: Actor, at: datetime) -> None:
    first = s.get_one(LegalHold, held)
    s.add(LegalHold(case_id=case.id, reason=first.reason, placed_at=at, placed_by_id=first.placed_by_id))
    events.record(s, events.of_case(case.id), "hold", by=by, at=at, words={"words": first.reason})


def _note_taken_along(s: Session, lifted: LegalHold, var: Path) -> None:
    """Notes the holds that cases took along as they left this one: in a backup that has them merged still,
    only its hold keeps them. They have its reason; a line too many does no harm.
    """
    asked = select(LegalHold).options(joinedload(LegalHold.case)).order_by(LegalHold.case_id)
    along = asked.where(LegalHold.reason == lifted.reason, LegalHold.placed_at >= lifted.placed_at)
    for hold in s.scalars(along.where(LegalHold.case_id != lifted.case_id)).all():
        _append_to_ledger(s, hold.case, var, placed=True, at=hold.placed_at)


def _append_to_ledger(s: Session, case: Case, var: Path, *, placed: bool, at: datetime) -> None:
    """Writes into the list of erasures where the transaction is committed, and nothing where it is undone.

    A hold is written before the commit and its end after: whatever goes wrong, too much is kept.
    """
    line = Held(case.number, erasure_ledger.first_key(s, case.id), placed, at.isoformat())
    if placed:
        event.listen(s, "before_commit", lambda _session: erasure_ledger.append(var, line), once=True)
    else:
        event.listen(s, "after_commit", lambda _session: _note_lifted(var, line), once=True)


def _note_lifted(var: Path, line: Held) -> None:
    """The hold is gone by now, so a full disk is no reason to say that it is not."""
    try:
        erasure_ledger.append(var, line)
    except OSError:
        log.exception("Lifting the hold of %s couldn't be noted, so a restore would bring it back", line.hold)

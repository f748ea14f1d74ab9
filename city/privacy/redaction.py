"""Redaction: parts of a photo painted over for good. It becomes another photo, and the old bytes go."""

import uuid
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Redacted
from city.audit.events import Actor
from city.cases import legal_holds, locks, transitions
from city.db.engine import read_session, transaction
from city.db.models import Case, Erasure, Photo
from city.lifecycle import SYSTEM, Refused, may
from city.people import accounts
from city.photos import photos, processing
from city.photos.processing import Box, ProcessedPhoto
from city.photos.storage import Store

MOST_BOXES = 20
LEAST = 0.1  # percent of an edge; less is a slip of the finger


@dataclass(frozen=True)
class Covered:
    """A photo as it will be: which one it was, what is painted over, and all its sizes made anew."""

    photo_id: str
    boxes: tuple[Box, ...]
    new: ProcessedPhoto


def validate(boxes: Sequence[Box]) -> None:
    """Raises Refused `no_boxes`, `too_many_boxes`, or `bad_box` with `nth`, counted from 1."""
    if not boxes:
        raise Refused("no_boxes")
    if len(boxes) > MOST_BOXES:
        raise Refused("too_many_boxes", most=MOST_BOXES)
    for nth, box in enumerate(boxes, 1):
        inside = (
            box.left >= 0 and box.top >= 0 and box.left + box.width <= 100 and box.top + box.height <= 100
        )
        if not inside or not (box.width >= LEAST and box.height >= LEAST):
            raise Refused("bad_box", nth=nth)


def redact_copy(photo: Photo, boxes: Sequence[Box], store: Store, var: Path) -> Covered:
    """Paints the boxes over, for redact(). Slow, like developing: hold no lock meanwhile.

    Raises as check() does; KeyError where nobody has the photo's bytes, StoreDown.
    """
    validate(boxes)
    jpeg = photos.read(store, var, photo, "full")
    return Covered(photo.id, tuple(boxes), processing.redact_areas(jpeg, boxes, photo.upload_sha256))


def redact(
    engine: Engine, store: Store, var: Path, covered: Covered, *, by: Actor, at: datetime
) -> dict[str, str]:
    """Puts the painted photo in the place of the one that it was, wherever the same picture was sent.

    Returns the new ids by the old ones: an address that somebody kept leads nowhere. Raises Refused
    `not_allowed`, `on_hold` for a case that must be kept whole, or `photo_gone` where somebody else redacted
    or erased it meanwhile; StoreDown, before anything has changed or, where only the old bytes are left to be
    removed, with the worker to do that.
    """
    may("redact", by.roles)
    with read_session(engine) as s:
        photo = s.get(Photo, covered.photo_id)
        became = {other.id: str(uuid.uuid4()) for other in _alike(s, photo)} if photo else {}
    return _carry_out(engine, store, var, covered, became, by=by, at=at)


def redact_again(engine: Engine, store: Store, var: Path, told: Redacted, *, at: datetime) -> bool:
    """Does once more what was decided before a restore; False where there is nothing to do. Raises StoreDown.

    Each of several photos of one picture has a line of its own.
    """
    with read_session(engine) as s:
        photo = s.get(Photo, told.photo)
    if photo is None:
        return False
    try:
        covered = redact_copy(photo, [Box(*box) for box in told.boxes], store, var)
    except KeyError:  # what nobody has cannot come back
        return False
    became = {told.photo: told.became}
    return bool(_carry_out(engine, store, var, covered, became, by=accounts.THE_SYSTEM, at=at))


def photos_sharing_bytes(s: Session, photo: Photo) -> int:
    """How many other photos show the same picture, byte for byte: they are redacted with it."""
    return (s.scalar(select(func.count()).where(Photo.sha256 == photo.sha256)) or 1) - 1


def _carry_out(
    engine: Engine,
    store: Store,
    var: Path,
    covered: Covered,
    became: dict[str, str],
    *,
    by: Actor,
    at: datetime,
) -> dict[str, str]:
    """New bytes, then rows and log, then the old bytes: whatever ends it, one of the two photos is whole."""
    names = photos.store_sizes(store, covered.new)
    try:
        with transaction(engine) as s:
            became = _replace(s, covered, became, var, by=by, at=at)
    except BaseException:
        photos.delete_unreferenced(engine, store, names)
        raise
    photos.store_sizes(
        store, covered.new
    )  # found there from a try that was killed, they may just have been swept
    photos.leave_staging(var, became)
    photos.move_staged_to_storage(engine, store, var, at, only=list(became.values()))
    photos.purge_owed(engine, store, at)
    return became


def _replace(
    s: Session, covered: Covered, became: dict[str, str], var: Path, *, by: Actor, at: datetime
) -> dict[str, str]:
    mine = select(Photo).where(Photo.id.in_(became)).order_by(Photo.id)
    wanted = {photo.case_id for photo in s.scalars(mine) if photo.case_id is not None}
    held = {case.id: case for case in s.scalars(select(Case).where(Case.id.in_(wanted)))}
    locks.lock_to_roots(s, held.values())
    # One that was given to a case in this very moment is not of those that we hold, and stays.
    found = [
        photo
        for photo in s.scalars(mine.with_for_update(), execution_options={"populate_existing": True})
        if photo.case_id is None or photo.case_id in held
    ]
    if covered.photo_id not in [photo.id for photo in found]:
        raise Refused("photo_gone")
    if SYSTEM not in by.roles:  # what was decided before a restore is carried out again, hold or none
        for case in held.values():
            legal_holds.refuse(s, case)
    boxes = tuple(astuple(box) for box in covered.boxes)
    # Before the commit: one begun is carried out again after a restore, and never one forgotten.
    erasure_ledger.append(
        var, *[Redacted(photo.id, became[photo.id], boxes, at.isoformat()) for photo in found]
    )
    was = found[0].sizes
    for photo in found:
        photos.replace(s, var, photo, covered.new, photo_id=became[photo.id])
        if photo.case_id is None:
            continue
        case = held[photo.case_id]
        events.record(
            s,
            transitions.subject(case),
            "redact",
            by=by,
            at=at,
            photos=[photos.names_of(covered.new)["full"]],
            facts={"was": was["full"], "boxes": boxes},
        )
        transitions.bump_version(s, case)
    s.add(Erasure(at=at, seqs=[], photos=sorted(set(was.values()))))
    return {photo.id: became[photo.id] for photo in found}


def _alike(s: Session, photo: Photo) -> list[Photo]:
    return list(s.scalars(select(Photo).where(Photo.sha256 == photo.sha256).order_by(Photo.id)))

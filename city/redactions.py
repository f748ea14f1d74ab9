"""Redaction: parts of a photo painted over for good. It becomes another photo, and the old bytes go."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from city import cases, developing, erasures, events, locks, people, photos
from city.developing import Box, Developed
from city.erasures import Redacted
from city.events import Actor
from city.lifecycle import Refused, may
from city.photos import Store
from city.schema import Case, Erasure, Photo

MOST_BOXES = 20
LEAST = 0.1  # percent of an edge; less is a slip of the finger


@dataclass(frozen=True)
class Covered:
    """A photo as it will be: which one it was, what is painted over, and all its sizes made anew."""

    photo_id: str
    boxes: tuple[Box, ...]
    new: Developed


def check(boxes: Sequence[Box]) -> None:
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


def cover(photo: Photo, boxes: Sequence[Box], store: Store, var: Path) -> Covered:
    """Paints the boxes over. Slow, like developing: call it before the transaction, and redact() in it.

    Raises as check() does; KeyError where nobody has the photo's bytes, StoreDown.
    """
    check(boxes)
    jpeg = photos.read(store, var, photo, "full")
    return Covered(photo.id, tuple(boxes), developing.cover(jpeg, boxes, photo.upload_sha256))


def redact(s: Session, covered: Covered, var: Path, *, by: Actor, at: datetime) -> dict[str, str]:
    """Puts the painted photo in the place of the one that it was, wherever the same picture was sent.

    Returns the new ids by the old ones: an address that somebody kept leads nowhere. Run finish() after the
    commit. Raises Refused `not_allowed`, or `photo_gone` where somebody else redacted or erased it meanwhile.
    """
    may("redact", by.roles)
    photo = s.get(Photo, covered.photo_id)
    if photo is None:
        raise Refused("photo_gone")
    return _replace(
        s, covered, {other.id: str(uuid.uuid4()) for other in _alike(s, photo)}, var, by=by, at=at
    )


def redact_again(s: Session, told: Redacted, store: Store, var: Path, *, at: datetime) -> dict[str, str]:
    """Does once more what was decided before a restore; {} where there is nothing to do. Raises StoreDown.

    Each of several photos of one picture has a line of its own.
    """
    photo = s.get(Photo, told.photo)
    if photo is None:
        return {}
    try:
        covered = cover(photo, [Box(*box) for box in told.boxes], store, var)
    except KeyError:  # what nobody has cannot come back
        return {}
    return _replace(s, covered, {told.photo: told.became}, var, by=people.THE_SYSTEM, at=at)


def finish(engine: Engine, store: Store, var: Path, became: Mapping[str, str], now: datetime) -> None:
    """Brings the new bytes into the store and removes the old ones. What fails here the worker does."""
    photos.leave_staging(var, became)
    photos.settle_all(engine, store, var, now, only=list(became.values()))
    photos.forget(engine, store, now)


def shared(s: Session, photo: Photo) -> int:
    """How many other photos show the same picture, byte for byte: they are redacted with it."""
    return len(_alike(s, photo)) - 1


def _replace(
    s: Session, covered: Covered, became: dict[str, str], var: Path, *, by: Actor, at: datetime
) -> dict[str, str]:
    found = s.scalars(select(Photo).where(Photo.id.in_(became))).all()
    wanted = {photo.case_id for photo in found if photo.case_id is not None}
    held = {case.id: case for case in s.scalars(select(Case).where(Case.id.in_(wanted)))}
    locks.lock(s, *held.values())
    mine = select(Photo).where(Photo.id.in_(became)).order_by(Photo.id).with_for_update()
    # One that was given to a case in this very moment is not of those that we hold, and stays.
    found = [
        photo
        for photo in s.scalars(mine, execution_options={"populate_existing": True})
        if photo.case_id is None or photo.case_id in held
    ]
    if covered.photo_id not in [photo.id for photo in found]:
        raise Refused("photo_gone")
    boxes = tuple(astuple(box) for box in covered.boxes)
    for photo in found:
        old, was = photo.id, photo.sizes
        # Before the commit: one begun is carried out again after a restore, and never one forgotten.
        erasures.append(var, Redacted(old, became[old], boxes, at.isoformat()))
        put = photos.replace(s, var, photo, covered.new, photo_id=became[old])
        if put.case_id is not None:
            case = held[put.case_id]
            events.record(
                s, cases.subject(case), "redact", by=by, at=at, photos=[put.sha256],
                facts={"was": was["full"], "boxes": boxes},
            )  # fmt: skip
            cases.touched(s, case)
    s.add(Erasure(at=at, seqs=[], photos=sorted(set(was.values()))))
    return {photo.id: became[photo.id] for photo in found}


def _alike(s: Session, photo: Photo) -> list[Photo]:
    return list(s.scalars(select(Photo).where(Photo.sha256 == photo.sha256).order_by(Photo.id)))

"""Photos that an operation has: declared with it, wanted until they are here, given to where they belong.

At any time each of them is here, wanted, or in review.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, or_, select, update
from sqlalchemy.orm import Session, aliased

from city.audit.events import Actor
from city.cases import locks, transitions
from city.db.models import Case, Device, ExpectedPhoto, Photo
from city.lifecycle import EVIDENCE_HOURS, Refused
from city.people.accounts import THE_SYSTEM
from city.photos import processing
from sync.protocol import Declared

MOST_WANTED = 100  # photos named in one answer; the rest in the next
LATE = "late"
# A phone gets another name when somebody else was signed in on it meanwhile, and still has the photos of what
# was taken under the old one: so its person's other names count too.
_this = aliased(Device)
_PERSON = select(_this.person_id).where(_this.id == bindparam("device")).scalar_subquery()
_NAMES = select(Device.id).where(or_(Device.id == bindparam("device"), Device.person_id == _PERSON))
_WANTED = (
    select(ExpectedPhoto.id)
    .where(ExpectedPhoto.device_id.in_(_NAMES), ExpectedPhoto.photo_id.is_(None))
    .where(or_(ExpectedPhoto.fault.is_(None), ExpectedPhoto.fault == LATE))
    .order_by(
        ExpectedPhoto.device_id != bindparam("device"), ExpectedPhoto.declared_at, ExpectedPhoto.position
    )
    .limit(MOST_WANTED)
)
_EXPECTED = select(ExpectedPhoto).where(
    ExpectedPhoto.device_id.in_(_NAMES),
    ExpectedPhoto.id == bindparam("photo"),
    ExpectedPhoto.photo_id.is_(None),
)


def declare(
    s: Session, operation_id: str, device_id: str, told: Sequence[Declared], at: datetime
) -> list[ExpectedPhoto]:
    """The rows of an operation's photos, in its order; what was sent before is here already."""
    rows = []
    for position, photo in enumerate(told):
        row = ExpectedPhoto(
            operation_id=operation_id, id=photo.id, device_id=device_id, sha256=photo.sha256,
            bytes=photo.bytes, position=position, declared_at=at,
            fault="too_large" if photo.bytes > processing.MAX_UPLOAD else None,
        )  # fmt: skip
        here = sent(s, device_id, photo.id)
        if here and here.upload_sha256 == photo.sha256:
            row.photo_id = here.id
        rows.append(row)
    s.add_all(rows)
    return rows


def of(s: Session, operation_id: str) -> list[ExpectedPhoto]:
    """An operation's photos in its order; each is here by now, or comes after our transaction."""
    asked = select(ExpectedPhoto).where(ExpectedPhoto.operation_id == operation_id)
    return list(s.scalars(asked.order_by(ExpectedPhoto.position).with_for_update()))


def drop(s: Session, operation_id: str) -> None:
    """Nobody waits for the operation's photos any more."""
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.operation_id == operation_id))


def reassign_device(s: Session, operation_id: str, device_id: str) -> None:
    """The operation's missing photos are that phone's to send from now on."""
    rows = update(ExpectedPhoto).where(ExpectedPhoto.operation_id == operation_id)
    s.execute(rows.where(ExpectedPhoto.photo_id.is_(None)).values(device_id=device_id))


def is_of_work(s: Session, photo: Photo) -> bool:
    """Whether it came with an operation that is here, whatever became of that."""
    return s.scalar(select(ExpectedPhoto.id).where(ExpectedPhoto.photo_id == photo.id).limit(1)) is not None


def arrived(s: Session, rows: Sequence[ExpectedPhoto]) -> list[Photo]:
    """Those of them that are here."""
    return [s.get_one(Photo, row.photo_id) for row in rows if row.photo_id]


def wanted(s: Session, device_id: str) -> list[str]:
    """What the city misses of this device, the oldest first; then of its person's other ones."""
    # Two operations may have the same photo.
    return list(dict.fromkeys(s.scalars(_WANTED, {"device": device_id})))


def expected(s: Session, device_id: str, photo_id: str) -> list[ExpectedPhoto]:
    """The rows that wait for this photo."""
    return list(s.scalars(_EXPECTED, {"device": device_id, "photo": photo_id}))


def is_awaited(s: Session, photo_id: str) -> bool:
    """Whether anybody waits for a photo of that name, whichever phone declared it."""
    asked = select(ExpectedPhoto.id).where(ExpectedPhoto.photo_id.is_(None), ExpectedPhoto.id == photo_id)
    return s.scalar(asked.limit(1)) is not None


def photo_arrived(
    s: Session, device_id: str, photo_id: str, photo: Photo, *, by: Actor, at: datetime
) -> None:
    """Gives a photo to whatever waited for it. What its operation does not belong to yet, it waits with."""
    for row in expected(s, device_id, photo_id):
        if row.sha256 != photo.upload_sha256 or not _hold(s, row):
            continue
        try:
            if row.case_id:
                transitions.photo_came(
                    s, photo, case_id=row.case_id, cycle=row.cycle, closure_id=row.closure_id,
                    report_id=row.report_id, position=row.position, by=by, at=at,
                )  # fmt: skip
            row.photo_id, row.fault = photo.id, None
        except Refused as refused:
            failed(s, row, refused.code, by=by, at=at)


def failed(s: Session, row: ExpectedPhoto, why: str, *, by: Actor, at: datetime) -> None:
    """A photo that will never be here: a person hears of it, once."""
    if not _hold(s, row) or row.fault == why:
        return
    row.fault = why
    if row.case_id:
        transitions.photo_failed(s, s.get_one(Case, row.case_id), why, by=by, at=at)


def _hold(s: Session, row: ExpectedPhoto) -> bool:
    """Brings the row up to date, so that nobody else changes it before our transaction ends.

    False where its photo has come meanwhile, as from the person's other phone, or nobody waits for it.
    The case is locked first, as by everybody who carries an operation out.
    """
    mine = select(ExpectedPhoto).where(
        ExpectedPhoto.operation_id == row.operation_id, ExpectedPhoto.id == row.id
    )
    mine = mine.with_for_update().execution_options(populate_existing=True)
    case_id, now = row.case_id, None
    while True:
        if case_id:
            locks.lock(s, s.get_one(Case, case_id))
        attempt = s.begin_nested()
        now = s.scalars(mine).first()
        if now is None or now.case_id in (None, case_id):
            attempt.commit()
            return now is not None and now.photo_id is None
        case_id = now.case_id  # it was carried out while we waited
        attempt.rollback()


def attach_to(
    rows: Sequence[ExpectedPhoto],
    *,
    case_id: int,
    cycle: int | None = None,
    closure_id: int | None = None,
    report_id: int | None = None,
) -> None:
    """Says what an operation's photos belong to, for those that are still on their way."""
    for row in rows:
        row.case_id, row.cycle, row.closure_id, row.report_id = case_id, cycle, closure_id, report_id


def flag_missing(s: Session, at: datetime) -> int:
    """Says of photos that are not here after three days that they are late; they stay wanted.

    A case whose closing has none is marked by cases.doubt(), any other here. Returns how many were marked;
    the worker calls this.
    """
    late = select(ExpectedPhoto).where(
        ExpectedPhoto.photo_id.is_(None), ExpectedPhoto.fault.is_(None), ExpectedPhoto.case_id.is_not(None),
        ExpectedPhoto.declared_at <= at - timedelta(hours=EVIDENCE_HOURS),
    )  # fmt: skip
    marked = 0
    for row in s.scalars(late.order_by(ExpectedPhoto.case_id)).all():
        if not _hold(s, row) or row.fault is not None:  # it has come, or failed, since we looked
            continue
        row.fault = LATE
        marked += 1
        if row.closure_id is None:
            transitions.photo_failed(s, s.get_one(Case, row.case_id), LATE, by=THE_SYSTEM, at=at)
    return marked


def sent(s: Session, device_id: str, photo_id: str) -> Photo | None:
    """The photo that this device sent under that name, or with the form of the report that declares it."""
    own = s.scalars(select(Photo).where(Photo.staged_for == owner(device_id, photo_id))).first()
    if own:
        return own
    asked = select(Photo).join(ExpectedPhoto, ExpectedPhoto.photo_id == Photo.id)
    return s.scalars(asked.where(ExpectedPhoto.device_id == device_id, ExpectedPhoto.id == photo_id)).first()


def owner(device_id: str, photo_id: str) -> str:
    """A photo is known by its phone and the name that gave: no other is ever told "have it"."""
    return f"device:{device_id}:{photo_id}"

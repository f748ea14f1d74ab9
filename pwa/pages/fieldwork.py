"""What phones sent and was not done: held, deposited, recorded or set aside, for somebody to look at."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, url_for
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from city import cases, photos
from city.lifecycle import CANCELLED, OPEN, Refused
from city.schema import Case, DeclaredPhoto, Operation, Person
from pwa import access, errors
from pwa.fragments import go, render
from sync import protocol, review
from sync.merge import Rules
from sync.protocol import DEPOSITED, RECORDED

bp = Blueprint("fieldwork", __name__, url_prefix="/dispatch/field-work")

MOST = 100  # rows of one page; the rest is counted


@dataclass(frozen=True)
class Sent:
    """One operation as the list shows it. `said` holds its choices, `root` what its case is now."""

    row: Operation
    person: Person | None
    case: Case | None
    root: Case | None
    words: str = ""
    said: dict[str, Any] = field(default_factory=dict)
    here: int = 0  # photos
    missing: int = 0

    @property
    def may_count(self) -> bool:
        """Whether it is a closing that could still close its case."""
        recorded = self.row.code == RECORDED and self.row.t == "close"
        return recorded and self.root is not None and self.root.state in (*OPEN, CANCELLED)

    @property
    def may_release(self) -> bool:
        return self.row.code == DEPOSITED


@bp.get("")
def board() -> Response:
    """Everything that somebody must look at, the oldest first."""
    return _page()


@bp.post("/<operation_id>/release")
def release(operation_id: str) -> Response:
    """Lets deposited work be done."""
    settings = access.here().settings
    rules = Rules(settings.crew_reassigned == "done", settings.crew_cancelled == "done")
    return _do(operation_id, partial(review.release, rules=rules))


@bp.post("/<operation_id>/done")
def count_as_done(operation_id: str) -> Response:
    """Closes the case as the crew said."""
    return _do(operation_id, review.count_as_done)


@bp.post("/<operation_id>/dismissal")
def dismiss(operation_id: str) -> Response:
    """Somebody has looked, and nothing more is done."""
    return _do(operation_id, review.dismiss)


def _do(operation_id: str, verb: Callable[..., object]) -> Response:
    here, at = access.here(), access.now()
    try:
        with access.writing() as s:
            row = access.or_404(s.get(Operation, operation_id, with_for_update=True))
            waiting = verb(s, row, by=g.actor, at=at)
    except Refused as refused:
        return _page(refused)
    if isinstance(waiting, list) and waiting:
        photos.settle_all(here.engine, here.store, here.settings.var, at, only=waiting)
    return go(url_for("fieldwork.board", said="done"))


def _page(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        rows = _listed(s, review.waiting(s, MOST))
        return render(
            "dispatch/fieldwork.html", rows=rows, total=review.count(s),
            error=errors.words(refused) if refused else "", fault_id="main", status=422 if refused else 200,
        )  # fmt: skip


def _listed(s: Session, rows: Sequence[Operation]) -> list[Sent]:
    """The rows with all that belongs to them, which is read for all of them at once."""
    known = _cases(s, rows)
    people = s.scalars(select(Person).where(Person.id.in_({row.person_id for row in rows} - {None})))
    names = {person.id: person for person in people}
    photos_of: dict[str, list[DeclaredPhoto]] = defaultdict(list)
    for photo in s.scalars(select(DeclaredPhoto).where(DeclaredPhoto.operation_id.in_(r.id for r in rows))):
        photos_of[photo.operation_id].append(photo)
    return [
        _sent(
            s, row, names.get(row.person_id or 0), known.get(row.case_id or row.case_ref), photos_of[row.id]
        )
        for row in rows
    ]


def _cases(s: Session, rows: Sequence[Operation]) -> dict[int | str, Case]:
    """The rows' cases by id and by number, those too that they were merged into."""
    ids, numbers = {row.case_id for row in rows} - {None}, {row.case_ref for row in rows}
    asked = select(Case).where(or_(Case.id.in_(ids), Case.number.in_(numbers)))
    found: dict[int | str, Case] = {}
    while level := list(s.scalars(asked)):
        for case in level:
            found[case.id] = found[case.number] = case
        asked = select(Case).where(Case.id.in_({case.merged_into_id for case in level} - {None, *found}))
    return found


def _sent(
    s: Session, row: Operation, person: Person | None, case: Case | None, told: Sequence[DeclaredPhoto]
) -> Sent:
    root = cases.root_of(s, case) if case else None
    op = protocol.reread(row.raw or "")
    here = sum(photo.photo_id is not None for photo in told)
    if isinstance(op, protocol.Malformed):
        return Sent(row, person, case, root, here=here, missing=len(told) - here)
    words = op.data.get("words")
    # What was refused may hold anything there, and must not hide the rest of the list.
    said = {name: said for name in ("outcome", "reason") if isinstance(said := op.data.get(name), str)}
    return Sent(
        row, person, case, root, words if isinstance(words, str) else "", said, here, len(told) - here
    )

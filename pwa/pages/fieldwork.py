"""What phones sent and was not done: held, deposited, recorded or set aside, for somebody to look at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flask import Blueprint, Response, g, url_for
from sqlalchemy.orm import Session

from city import cases, photos, queries
from city.lifecycle import CANCELLED, OPEN, Refused
from city.schema import Case, Operation, Person
from pwa import access, errors
from pwa.fragments import go, render
from sync import declared, protocol, review
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
        rows = [_sent(s, row) for row in review.waiting(s, MOST)]
        return render(
            "dispatch/fieldwork.html", rows=rows, total=review.count(s),
            error=errors.words(refused) if refused else "", fault_id="main", status=422 if refused else 200,
        )  # fmt: skip


def _sent(s: Session, row: Operation) -> Sent:
    case = s.get(Case, row.case_id) if row.case_id else queries.by_number(s, row.case_ref)
    root = cases.root_of(s, case) if case else None
    person = s.get(Person, row.person_id) if row.person_id else None
    op = protocol.reread(row.raw or "")
    told = declared.of(s, row.id)
    here = sum(photo.photo_id is not None for photo in told)
    if isinstance(op, protocol.Malformed):
        return Sent(row, person, case, root, here=here, missing=len(told) - here)
    words = op.data.get("words")
    # What was refused may hold anything there, and must not hide the rest of the list.
    said = {name: said for name in ("outcome", "reason") if isinstance(said := op.data.get(name), str)}
    return Sent(
        row, person, case, root, words if isinstance(words, str) else "", said, here, len(told) - here
    )

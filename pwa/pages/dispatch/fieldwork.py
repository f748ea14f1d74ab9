"""What phones sent and was not done: held, deposited, recorded or set aside, for somebody to look at."""

from collections.abc import Callable
from functools import partial

from flask import Blueprint, Response, g, url_for

from city.lifecycle import Refused
from city.photos import photos
from pwa.web import access, errors
from pwa.web.fragments import go, render
from sync import operations, review
from sync.merge import rules_of

bp = Blueprint("fieldwork", __name__, url_prefix="/dispatch/field-work")

MOST = 100  # rows of one page; the rest is counted


@bp.get("")
def board() -> Response:
    """Everything that somebody must look at, the oldest first."""
    return _page()


@bp.post("/<operation_id>/release")
def release(operation_id: str) -> Response:
    """Lets deposited work be done."""
    return _do(operation_id, partial(review.release, rules=rules_of(access.current_city().settings)))


@bp.post("/<operation_id>/done")
def count_as_done(operation_id: str) -> Response:
    """Closes the case as the crew said."""
    return _do(operation_id, review.count_as_done)


@bp.post("/<operation_id>/dismissal")
def dismiss(operation_id: str) -> Response:
    """Somebody has looked, and nothing more is done."""
    return _do(operation_id, partial(review.dismiss, rules=rules_of(access.current_city().settings)))


def _do(operation_id: str, verb: Callable[..., object]) -> Response:
    here, at = access.current_city(), access.now()
    try:
        with access.writing() as s:
            row = access.or_404(operations.locked(s, operation_id))
            waiting = verb(s, row, by=g.actor, at=at)
    except Refused as refused:
        return _page(refused)
    if isinstance(waiting, list) and waiting:
        photos.move_staged_to_storage(here.engine, here.store, here.settings.var, at, only=waiting)
    return go(url_for("fieldwork.board", said="done"))


def _page(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        rows = review.to_look_at(s, MOST)
        return render(
            "dispatch/fieldwork.html", rows=rows, total=review.count(s),
            error=errors.words(refused) if refused else "", fault_id="main", status=422 if refused else 200,
        )  # fmt: skip

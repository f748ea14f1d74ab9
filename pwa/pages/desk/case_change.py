"""What a call-taker corrects about a case while somebody is on the line: its type, or its place; and Undo."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, abort, g, request
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.board import queries as board_queries
from city.cases import batches, locks, queries, transitions
from city.cases.corrections import CORRECTIONS
from city.db.models import Batch, Case
from city.lifecycle import DISPATCHER, OPEN, Refused
from pwa.board import batch_summary, change_form
from pwa.web import access, errors
from pwa.web.fragments import render

TYPE, PLACE = "type", "place"

bp = Blueprint("case_change", __name__, url_prefix="/desk/cases")


@bp.get("/<number>/type")
def ask_type(number: str) -> Response:
    """The types that the case may be of instead."""
    return _shown(number, TYPE)


@bp.post("/<number>/type")
def reclassify(number: str) -> Response:
    """The case is of another type."""
    code = request.form.get("service", "")
    return _changed(
        number, TYPE, "reclassify", {"service": code}, lambda s, case: change_form.to_type(s, case, code)
    )


@bp.get("/<number>/place")
def ask_place(number: str) -> Response:
    """Where the case lies instead."""
    return _shown(number, PLACE)


@bp.post("/<number>/place")
def relocate(number: str) -> Response:
    """The case lies elsewhere."""
    return _changed(
        number, PLACE, "relocate", {}, lambda s, case: change_form.to_place(s, case, request.form)
    )


@bp.post("/<number>/undo/<natural:batch_id>")
def undo(number: str, batch_id: int) -> Response:
    """Takes a correction of the case back."""
    try:
        with access.writing() as s:
            batch = access.or_404(s.get(Batch, batch_id))
            if (
                batch.act not in CORRECTIONS
                or batch.done != 1
                or batches.number_of(s, batch) != _case(s, number).number
            ):
                abort(404)
            batches.undo(s, batch_id, by=g.actor, at=access.now())
            said = next((why for why, _which in batch_summary.left(batch)), batch_summary.undone(s, batch))
            act = batch.act
    except Refused as fault:
        return _shown(number, "", fault=fault)
    return _shown(number, TYPE if act == "reclassify" else PLACE, said=said)


def _changed(
    number: str, what: str, act: str, told: dict[str, Any], verb: Callable[[Session, Case], bool]
) -> Response:
    """Corrects the case and says so with its Undo; or the form again with all that was typed, and why not."""
    try:
        with access.writing() as s:
            case = _case(s, number)
            locks.lock(s, case)
            is_overtaken = request.form.get("seen", "") not in ("", str(case.version))
            was = batches.snapshot(case, act)
            if verb(s, case):
                if is_overtaken:  # a form sent twice changes nothing, and is not refused
                    raise Refused("overtaken")
                batches.keep_single(s, case, act, told, was, by=g.actor, at=access.now())
    except Refused as fault:
        return _shown(number, what, fault=fault)
    return _shown(number, what, is_done=True)


def _shown(
    number: str, what: str, *, said: str = "", fault: Refused | None = None, is_done: bool = False
) -> Response:
    """The form, with what was done to the case just now; after a correction that alone."""
    with access.reading() as s:
        case = _case(s, number)
        batch = batches.last(s, g.actor, access.now(), case)
        undoable = batch if batch and batch.act in CORRECTIONS else None
        locked = _locked(case)
        return render(
            "desk/change.html", "desk/_change.html", status=422 if fault else 200,
            case=case, what=what, said=said, fault=errors.words(fault) if fault else "", locked=locked,
            places=fault.facts.get("places", []) if fault else [], is_done=is_done,
            done=batch_summary.told(s, undoable) if undoable else _("No changes made") if is_done else "",
            undo=undoable.id if undoable else None, entered=request.form,
            types=_types(s, case) if what == TYPE and not (locked or is_done) else [],
            near_it=change_form.near(s, case) if what == PLACE and not (locked or is_done) else [],
        )  # fmt: skip


def _case(s: Session, number: str) -> Case:
    case = access.or_404(queries.by_number(s, number))
    if case.service_code in g.get("sealed", ()):
        abort(404)
    return case


def _locked(case: Case) -> str:
    """Why nothing can be changed here, in words; empty where it can."""
    if case.state not in OPEN:
        return errors.words(Refused("wrong_state", move="reclassify", state=case.state))
    if DISPATCHER not in g.actor.roles and transitions.live(case):
        return errors.words(Refused("crew_has_it"))
    return ""


def _types(s: Session, case: Case) -> list[change_form.TypeChoice]:
    known = {each.code for each in access.current_city().city.services}
    offered = [each for each in board_queries.services(s) if each.code in known]
    return change_form.types(s, case, offered, access.now())

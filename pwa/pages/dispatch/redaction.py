"""Covering parts of a photo for good: the page beside the board where staff say which."""

import math
from typing import Any

from flask import Blueprint, Response, flash, g, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.cases import queries
from city.db.models import Case, Photo
from city.lifecycle import Refused
from city.photos.processing import BadPhoto, Box
from city.photos.storage import StoreDown
from city.privacy import redaction
from pwa.web import access, errors
from pwa.web.fragments import go, render

MOST_LETTERS = 16  # of a percentage
ROWS = 3  # empty ones that the form offers at least, so that it works without JavaScript
EDGES = ("left", "top", "width", "height")

bp = Blueprint("redaction", __name__, url_prefix="/dispatch")


@bp.get("/cases/<number>/photos/<photo_id>/redaction")
def ask(number: str, photo_id: str) -> Response:
    """The photo, and a form for the parts to be covered."""
    return _form(number, photo_id, [])


@bp.post("/cases/<number>/photos/<photo_id>/redaction")
def redact(number: str, photo_id: str) -> Response:
    """Shows where the parts lie or, with `do=cover`, covers them for good."""
    here, at = access.current_city(), access.now()
    rows = _rows()
    if not _is_here(photo_id):
        return _gone(number)
    try:
        boxes = _boxes(rows)
        redaction.validate(boxes)
        if request.form.get("do") != "cover":
            return _form(number, photo_id, rows)
        with access.reading() as s:
            _case, photo = _both(s, number, photo_id)
        covered = redaction.redact_copy(photo, boxes, here.store, here.settings.var)
        redaction.redact(here.engine, here.store, here.settings.var, covered, by=g.actor, at=at)
    except Refused as refused:
        if refused.code == "photo_gone":
            return _gone(number)
        return _form(number, photo_id, rows, refused)
    except BadPhoto as bad:
        return _form(number, photo_id, rows, bad)
    except KeyError:
        return _gone(number)
    except StoreDown:
        if _is_here(photo_id):
            return _form(number, photo_id, rows, Refused("store_down"))
        flash(_("Covered. We'll delete the original as soon as photo storage is available."))
    else:
        flash(_("Covered permanently. The original photo is gone."))
    return go(url_for("dispatch.case", number=number))


def _form(
    number: str, photo_id: str, rows: list[list[str]], fault: Refused | BadPhoto | None = None
) -> Response:
    with access.reading() as s:
        case, photo = _both(s, number, photo_id)
        others = redaction.photos_sharing_bytes(s, photo)
    spare = max(1, ROWS - len(rows)) if len(rows) < redaction.MOST_BOXES else 0
    return render(
        "dispatch/redaction.html", status=422 if fault else 200, case=case, photo=photo, others=others,
        rows=[*rows, *[[""] * 4] * spare], edges=list(zip(EDGES, _edges(), strict=True)),
        drawn=[row for row in rows if all(row)], fault=errors.words(fault) if fault else "",
        most=redaction.MOST_BOXES,
    )  # fmt: skip


def _edges() -> list[str]:
    return [_("Left"), _("Top"), _("Width"), _("Height")]


def _rows() -> list[list[str]]:
    """What was typed, a row a part; those that are wholly empty are passed over."""
    columns = [request.form.getlist(edge)[: redaction.MOST_BOXES + 1] for edge in EDGES]
    rows = [[value.strip()[:MOST_LETTERS] for value in row] for row in zip(*columns, strict=False)]
    return [row for row in rows if any(row)]


def _boxes(rows: list[list[str]]) -> list[Box]:
    return [Box(*(_number(value, nth) for value in row)) for nth, row in enumerate(rows, 1)]


def _number(value: str, nth: int) -> float:
    """A percentage, with a comma where people write one. Raises Refused `bad_box`."""
    try:
        number = float(value.replace(",", "."))
    except ValueError:
        raise Refused("bad_box", nth=nth) from None
    if not math.isfinite(number) or len(value) == MOST_LETTERS:  # the rest of it may have been cut off
        raise Refused("bad_box", nth=nth)
    return round(number, 2)


def _gone(number: str) -> Response:
    """Somebody else covered it a moment before: the case shows the photo as it is now."""
    with access.reading() as s:
        access.or_404(queries.load_full(s, number))
    flash(errors.words(Refused("photo_gone")))
    return go(url_for("dispatch.case", number=number))


def _is_here(photo_id: str) -> bool:
    with access.reading() as s:
        return s.get(Photo, photo_id) is not None


def _both(s: Session, number: str, photo_id: str) -> tuple[Case, Photo]:
    """The case with that number, and its photo; anything else does not exist."""
    case: Any = access.or_404(queries.load_full(s, number))
    photo = access.or_404(s.get(Photo, photo_id))
    return case, access.or_404(photo if photo.case_id == case.id else None)

"""What has changed on a board that stands open: asked every few seconds, and answered in few bytes."""

from typing import Any

from flask import Blueprint, Response, g, jsonify, render_template, request
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.board import changes, presence
from city.board import rows as queue_rows
from city.board.changes import Changed
from city.cases import queries
from city.db.models import Event
from pwa.board import row_context
from pwa.board.view_url import log_seen, view_asked
from pwa.web import access, formatting, localization
from sync import server_epoch

bp = Blueprint("live", __name__, url_prefix="/dispatch")


@bp.get("/changes")
def news() -> Response:
    """What changed in the view since the revision `since`, which the page or the last answer named.

    `rows` has the cases that changed within the view, each as its row; `fresh` the numbers of those that
    came into it, `gone` those that are outside of it now, with the reason in words. `reset` says that this
    revision leads nowhere: the list must be read anew. Who has a case `open` is noted as looking at it, and
    told who `else` is; where anything changed also the last line of its story now, `n`. That somebody
    looks is all that is written here: it is kept for moments, and no case knows of it.
    """
    number, at, me = request.args.get("open", "")[:20], access.now(), g.person.id
    with access.reading() as s:
        known = server_epoch.read(s, at)
        seq = log_seen(s, known, request.args.get("since", ""))
        told: dict[str, Any] = {"rev": f"{known.log}-{known.epoch}", "at": localization.clock(at)}
        if seq is None or seq < known.log - changes.STALE:
            return jsonify(told | {"reset": True})
        found = presence.viewers(s, number, at=at) if number else []
        if others := [name for person, name, _seen in found if person != me]:
            told["else"] = others
        if seq < known.log:
            told |= _as_json(s, changes.in_view(s, view_asked(), seq, now=at))
            told |= {"n": changes.last_line(s, number)} if number else {}
    if number and presence.is_due(found, me, at=at):
        with access.writing() as s:
            presence.record_viewer(s, number, me, at=at)
    return jsonify(told)


def _as_json(s: Session, changed: Changed) -> dict[str, Any]:
    if changed.many:
        return {"many": True}
    if not (changed.here or changed.fresh or changed.gone):
        return {}
    actors = {line.actor for _number, line in changed.gone if line}
    names, crews = queries.names(s, actors), queries.crew_names(s)
    rows = queue_rows.of_numbers(s, changed.here, sealed=view_asked().sealed)
    return {
        "rows": render_template(
            "dispatch/_rows.html", rows=rows, **row_context.of_rows(s, view_asked(), rows)
        ),
        "fresh": changed.fresh,
        "gone": {number: _why(line, names, crews) for number, line in changed.gone},
    }


def _why(line: Event | None, names: dict[str, str], crews: dict[int, str]) -> str:
    """Why a case left the list, in words."""
    if line is None:
        return _("no longer in this list")
    facts, who = line.facts, names.get(line.actor, "")
    if line.kind in ("assign", "take on") and facts.get("crew") in crews:
        return _("assigned to %(crew)s", crew=crews[facts["crew"]])
    if line.kind == "close" and who:
        return _("closed by %(name)s", name=who)
    if line.kind == "merge" and facts.get("into"):
        return _("merged into %(number)s", number=facts["into"])
    return f"{formatting.step(line.kind)} · {who}" if who else formatting.step(line.kind)

"""One thing of the city's for everybody: what stands there and what was reported about it."""

from flask import Blueprint, Response, jsonify, request

from city.cases import queries, transitions
from city.geo import Point
from city.lifecycle import OPEN
from city.places import nearby_assets
from pwa.web import access, formatting, forms
from pwa.web.fragments import render

bp = Blueprint("asset", __name__, url_prefix="/assets")

ROWS = 25
MOST_AROUND = 60  # things on a map: of more nobody could tap one


@bp.get("/<kind>/<path:number>")  # a register may number "7/12"
def page(kind: str, number: str) -> Response:
    """What stands there and its cases, open and closed; 404 where the register has no such thing."""
    here = access.current_city()
    with access.reading() as s:
        found = access.or_404(nearby_assets.named(s, number, kind))
        mine = {transitions.root_of(s, each.case).number for each in access.own_reports(s, access.MOST_LINKS)}
        rows = queries.public_about(s, found, now=access.now(), publish=here.publish, limit=ROWS)
        return render(
            "resident/asset.html", thing=found, point=Point(found.lat, found.lon),
            mine=mine, open_rows=[each for each in rows if each.state in OPEN],
            closed_rows=sorted(
                (each for each in rows if each.state not in OPEN),
                key=lambda each: each.closed_at or each.opened_at, reverse=True,
            ), full=len(rows) == ROWS, most=ROWS,
            reportable=any(each.asset_kind == kind for each in here.city.for_residents),
        )  # fmt: skip


@bp.get("/around")
def around() -> Response:
    """What stands around ?lat&lon: {things}, rows of kind, number, lat, lon and name; the nearest first."""
    fix = forms.fix(request.args)
    if fix is None:
        return jsonify(things=[])
    with access.reading() as s:
        near = nearby_assets.around(s, fix.point, nearby_assets.REACH_METRES, limit=MOST_AROUND)
        told = [
            [each.kind, each.number, each.lat, each.lon, formatting.asset_for_residents(each)]
            for each in near
        ]
    return jsonify(things=told)

"""The map picker of the report form: what the place under its pin is called, and what stands around it."""

from typing import Any

from flask import Blueprint, Response, g, jsonify, request
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.config.city_file import Service
from city.geo import Point
from city.lifecycle import OPEN
from city.places import nearby_assets
from city.places.resolve import resolve
from pwa.web import access, errors, formatting, forms, localization
from pwa.web.forms import ReportForm
from pwa.web.fragments import render

bp = Blueprint("picker", __name__)

AROUND_METRES = 150.0  # what a phone's screen shows, and a little more
MOST_CASES, MOST_THINGS = 40, 60
BESIDE_METRES = 100.0  # further off a report is no likely duplicate
LOOKED_AT = 5  # of the nearest; some may be where strangers know no exact place
LANDMARK = "pole"  # what bears a number at every corner, for a problem that is about no thing of the city's


@bp.get("/report/picker")
def picker() -> Response:
    """The picker itself, still empty: a dialog that the form puts beside itself."""
    return render(
        "resident/_picker.html", map_words=formatting.map_words(), tiles=access.current_city().settings.tiles
    )


@bp.get("/report/spot")
def spot() -> Response:
    """What the place is called that the form's fields tell, and the nearest open report.

    ?case is the number of the one that was chosen.
    """
    g.personal = True
    form = forms.report(request.args, access.current_city().city)
    with access.reading() as s:
        found = resolve(s, form.whereabouts, geocoder=access.geocoder(), propose=False)
        at = found.around or found.place
        inside = at is not None and not (found.fault and found.fault.code == "outside_city")
        chosen = request.args.get("case", "")
        return render(
            "resident/_spot.html", form=form, spot=found, at=at, inside=inside,
            thing=_thing(s, form, at.point) if at else None,
            near=_nearest(s, form, at.point, chosen) if at and inside and not at.vague else None,
            chosen=chosen,
            fault=errors.words(found.fault) if found.fault else "",
        )  # fmt: skip


@bp.get("/report/around")
def around() -> Response:
    """What is drawn around ?lat&lon: {cases, things}, the nearest first; nothing where no place is named.

    A case is number, lat, lon, standing, title, as in /cases/points; a thing is number, lat, lon, label.
    The things are those that ?group and its service are about.
    """
    g.personal = True
    form = forms.report(request.args, access.current_city().city)
    if form.fix is None:
        return jsonify(cases=[], things=[])
    with access.reading() as s:
        cases = [
            [each.number, *each.point, each.standing, localization.said(each.service.names)]
            for each in _cases(s, form, form.fix.point, AROUND_METRES, MOST_CASES) if each.point
        ]  # fmt: skip
        found = nearby_assets.nearest(s, _kind(form.service), form.fix.point)[:MOST_THINGS]
        things = [
            [each.asset.number, each.asset.lat, each.asset.lon, formatting.asset(each.asset)]
            for each in found
        ]
    return jsonify(cases=cases, things=things)


def _kind(service: Service | None) -> str:
    return (service.asset_kind if service else None) or LANDMARK


def _thing(s: Session, form: ReportForm, near: Point) -> Any:
    """The thing that was chosen by its number."""
    return nearby_assets.named(s, form.asset, _kind(form.service), near) if form.asset else None


def _nearest(s: Session, form: ReportForm, near: Point, chosen: str) -> PublicCase | None:
    """The report that was chosen, where it lies there; else the nearest."""
    found = _cases(s, form, near, BESIDE_METRES, LOOKED_AT)
    return next((each for each in found if each.number == chosen), found[0] if found else None)


def _cases(s: Session, form: ReportForm, near: Point, metres: float, limit: int) -> list[PublicCase]:
    """Open cases of the form's group whose exact place strangers know, the nearest first; of all without one.

    Of no others can anybody say whether they are their own.
    """
    found = queries.public(
        s, now=access.now(), publish=access.current_city().publish, states=OPEN, group=form.group,
        near=near, metres=metres, limit=limit,
    )  # fmt: skip
    return [each for each in found if each.point and not each.service.precision_m]

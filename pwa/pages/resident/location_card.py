"""The location card of a report as it is filled in: where that is, and what may be meant while one types."""

from flask import Blueprint, Response, abort, g, jsonify, request

from city.db.models import Asset
from city.lifecycle import Refused
from city.places import lookup, nearby_assets
from city.places.lookup import Place
from city.places.resolve import resolve
from pwa.resident import map_scene
from pwa.web import access, errors, formatting, forms
from pwa.web.fragments import render

bp = Blueprint("place", __name__)

SUGGESTED = 6
# Letters. One names half the city. Each key that is pressed asks anew, and long words cost the most: what is
# longer is looked for only by "Find", up to places.MOST_LETTERS.
SHORTEST, LONGEST = 2, 80
REMEMBERED = 60  # seconds: a word that is taken back and typed again


@bp.get("/report/place")
def card() -> Response:
    """The card for ?lat&lon&accuracy or the words in ?place (or ?q), with poles or trees that stand there."""
    g.personal = True
    values = request.args.copy()
    values["place"] = values.get("place") or values.get("q", "")
    form = forms.report(values, access.current_city().city)
    with access.reading() as s:
        spot = resolve(s, form.whereabouts, geocoder=access.geocoder(), propose=True)
        faults = {"place": errors.words(spot.fault)} if spot.fault and _is_told(spot.fault) else {}
        return render("resident/_place.html", form=form, spot=spot, faults=faults)


@bp.get("/basemap/<at>/<natural:zoom>.svg")
def map_picture(at: str, zoom: int) -> Response:
    """The map around a place (`lat,lon` with five decimals), as map_scene.address() names it."""
    drawn = map_scene.picture(at, zoom)
    if drawn is None:
        abort(404)
    response = Response(drawn, mimetype="image/svg+xml")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'"
    response.cache_control.public = True
    response.cache_control.max_age = 86400
    return response


@bp.get("/report/suggest")
def suggest() -> Response:
    """Up to six places for what was typed in ?q, near ?lat&lon first: {places: [{words, place, pick, vague}]}

    `words` is read, `place` goes into the box and `pick` beside it, so that it is this one; a vague one is a
    street to go on from. Only the browser remembers the answer, for a minute.
    """
    typed, fix = forms.text(request.args, "q"), forms.fix(request.args)
    near = fix.point if fix else access.current_city().city.centre
    asked = SHORTEST <= len(typed) <= LONGEST
    with access.reading() as s:
        found = lookup.suggest(s, typed, near=near, limit=SUGGESTED) if asked else []
        things = nearby_assets.by_ids(s, [place.asset_id for place in found if place.asset_id is not None])
        told = [_as_json(place, things.get(place.asset_id or 0)) for place in found]
    response = jsonify(places=told)
    response.cache_control.private = True
    response.cache_control.max_age = REMEMBERED
    return response


def _as_json(place: Place, thing: Asset | None) -> dict[str, str | bool]:
    if thing is None:
        words = formatting.place(place.label)
        return {"words": words, "place": place.label, "pick": place.key, "vague": place.vague}
    words = formatting.asset(thing)
    told = f"{words}, {formatting.place(thing.address)}" if thing.address else words
    return {"words": told, "place": thing.number, "pick": place.key, "vague": False}


def _is_told(fault: Refused) -> bool:
    """An empty card asks for a place anyway, and what is vague has a question of its own."""
    return fault.code not in ("place_missing", "place_unsure")

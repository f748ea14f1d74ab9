"""One pole, tree or basket, and one address, for staff: what stands there, and its cases over the years."""

from collections.abc import Sequence
from typing import Any

from babel.numbers import format_decimal
from flask import Blueprint, Response, g, request, url_for
from sqlalchemy.orm import Session

from city.board import place_history
from city.board import rows as queue_rows
from city.board.place_history import Entry
from city.cases import queries
from city.db.models import Asset
from city.geo import Point
from city.lifecycle import OPEN
from city.places import assets, collection_days, lookup, reverse_geocoder
from city.places.lookup import Place
from pwa.board.view_url import is_id
from pwa.web import access, formatting, forms, localization
from pwa.web.fragments import render

ROWS = 50  # cases on a page
THINGS = 12  # that stand at an address
LONGEST_NUMBER = 24  # letters of a case's number

bp = Blueprint("place_history", __name__, url_prefix="/dispatch")


@bp.get("/asset/<path:number>")  # a register may number "7/12"
def asset(number: str) -> Response:
    """What bears this number. Where several do, ?of, an id, says which; without it one chooses.

    404, with numbers that may be meant, where nothing ever bore it.
    """
    here, at = access.current_city(), access.now()
    with access.reading() as s:
        found = assets.numbered(s, number)
        thing = _chosen(found)
        if thing is None:
            like = [] if found else lookup.numbers_like(s, number)
            return render(
                "dispatch/which_asset.html", number=number, found=found, like=like, **_came_from(s),
                status=200 if found else 404,
            )  # fmt: skip
        entries, zone = place_history.about(s, thing, sealed=g.sealed), here.city.time_zone
        around = place_history.neighborhood(s, thing, now=at, zone=zone)
        others = [each for each in found if each.id != thing.id]
        return render(
            "dispatch/asset.html", thing=thing, point=Point(thing.lat, thing.lon), others=others,
            around=around, beside=around.beside(thing), usual=_decimal(around.usual),
            figures=place_history.figures(entries, now=at, zone=zone),
            again=(place_history.AGAIN_TIMES, place_history.AGAIN.days // 365),
            photo=place_history.last_photo(s, [each.id for each in entries[:ROWS]]),
            new_case=_new_case(thing, others), **_came_from(s), **_page(s, entries),
        )  # fmt: skip


@bp.get("/address")
def address() -> Response:
    """All that was reported at the address in ?q, slips forgiven; ?pick is one of several.

    404 where the city has no such place and no case names it.
    """
    here, at = access.current_city(), access.now()
    words = " ".join(forms.text(request.args, "q").split())[: lookup.MOST_LETTERS]
    with access.reading() as s:
        sought = _plain(words)
        told = lookup.find(s, sought, geocoder=access.geocoder()) if sought else []
        found = [each for each in told if not each.vague]
        place = _picked(found) or Place(0, 0, "unknown", sought)
        known = bool(_picked(found))
        asked = sought and (known or not found)
        entries = place_history.at(s, place, known=known, sealed=g.sealed) if asked else []
        zone = collection_days.zone_at(s, here.city.collection, place.point) if known else None
        holidays, today = here.city.collection.calendar, localization.local(at).date()
        things = place_history.things_at(s, place, limit=THINGS) if known else []
        return render(
            "dispatch/address.html", words=words, sought=sought, place=place if known or entries else None,
            point=place.point if known else None, choices=found if not known else [],
            streets=[each for each in told if each.vague] if not found else [],
            figures=place_history.figures(entries, now=at, zone=here.city.time_zone), things=things,
            streams=collection_days.next_of(zone, holidays, today) if zone else [], zone=zone,
            stream=formatting.stream, day=localization.short_day, metres=place_history.SPOT_METRES,
            status=200 if told or entries or not words else 404,
            **_came_from(s), **_page(s, entries),
        )  # fmt: skip


def _chosen(found: Sequence[Asset]) -> Asset | None:
    """The one that ?of names, else the only one, or the only one that still stands."""
    of = request.args.get("of", "")
    if named := next((each for each in found if str(each.id) == of), None):
        return named
    standing = [each for each in found if each.retired_at is None] or found
    return standing[0] if len(standing) == 1 else None


def _plain(words: str) -> str:
    """The address that a case's place names: "12 Elm St" of "near 12 Elm St", and a corner of two streets."""
    told = reverse_geocoder.read(words)
    return f"{told.name} & {told.other}" if told.other else told.name


def _picked(found: Sequence[Place]) -> Place | None:
    """The one, or the one of several that ?pick names by its place in their list."""
    if len(found) == 1:
        return found[0]
    pick = request.args.get("pick", "")
    return found[int(pick)] if is_id(pick) and int(pick) < len(found) else None


def _page(s: Session, entries: Sequence[Entry]) -> dict[str, Any]:
    """A page of the cases, the newest first: ?page counts from 1, and beyond the last is the last."""
    asked = request.args.get("page", "")
    pages = max(1, -(-len(entries) // ROWS))
    page = min(max(int(asked), 1), pages) if is_id(asked) else 1
    ids = [each.id for each in entries[(page - 1) * ROWS : page * ROWS]]
    return {
        "rows": queue_rows.of_ids(s, ids),
        "endings": place_history.endings(s, ids),
        "open_states": OPEN,
        "total": len(entries),
        "at_most": place_history.MOST,
        "first": (page - 1) * ROWS + 1,
        "older": _here(page + 1) if page < pages else "",
        "newer": _here(page - 1) if page > 1 else "",
    }


def _here(page: int) -> str:
    """The address of another page of the same place."""
    kept = {name: request.args[name] for name in ("q", "pick", "of", "from") if name in request.args}
    told: dict[str, Any] = {**(request.view_args or {}), **kept, "page": page}
    return url_for(str(request.endpoint), **told)


def _came_from(s: Session) -> dict[str, Any]:
    """The case from which somebody came, for the way back."""
    told = request.args.get("from", "")[:LONGEST_NUMBER]
    return {"came_from": queries.by_number(s, told) if told else None}


def _new_case(thing: Asset, others: Sequence[Asset]) -> str:
    """The form for a new case about it, the desk's or residents'; "" where there is none, or it is gone."""
    if thing.retired_at:
        return ""
    if access.may_open("desk.desk"):
        return url_for("desk.desk", place=thing.number)
    twins = [each for each in others if each.kind == thing.kind and each.retired_at is None]
    kinds = {each.asset_kind for each in access.current_city().city.for_residents}
    if twins or thing.kind not in kinds:
        return ""
    return url_for("resident.at_asset", kind=thing.kind, number=thing.number)


def _decimal(n: float | None) -> str:
    """ "0.4", as the reader's language writes it; "" for None."""
    return "" if n is None else str(format_decimal(round(n, 1), "0.#", localization.current_locale()))

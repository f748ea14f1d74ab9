"""The public list of cases: by place, by words, on its map. One case is in case.py."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.geo import Point
from city.lifecycle import CLOSED, OPEN
from city.opendata import case_summaries, public_search
from city.reports import service_matcher
from pwa.web import access, atom, errors, formatting, localization
from pwa.web.atom import Feed
from pwa.web.fragments import go, render

bp = Blueprint("cases", __name__)

ROWS = 25
PINS = 1000
FOUND = 50  # at most, of words or near a place
NEAR_METRES = 800.0
MOST_LETTERS = 100  # of what is looked for
ENTRIES = 50  # of a feed: some days of a city, and what every reader takes
MAX_ID = 2**31 - 1
MOST_OF_A_CODE = 50  # letters of what we do not know are said again


@dataclass(frozen=True)
class Asked:
    """What the address asks for. What it says and we do not know counts as not said; `unknown` is the kind of
    problem among that. `near` brings the nearest first; `words` those that fit them.
    """

    closed: bool
    group: str
    before: int | None
    unknown: str = ""
    words: str = ""
    near: Point | None = None

    @property
    def states(self) -> tuple[str, ...]:
        return (CLOSED,) if self.closed else OPEN

    def args(self, **changes: Any) -> dict[str, Any]:
        """The same question as an address carries it, with these changes and from its first page."""
        wanted = {
            "state": "closed" if self.closed else None, "group": self.group or None,
            "q": self.words or None, "near": at(self.near),
        } | changes  # fmt: skip
        return {name: value for name, value in wanted.items() if value is not None}


@bp.get("/cases")
def listed() -> Response:
    """Open or closed cases, the newest first, of one group or of all; how many there are is always said.

    With `q` those that fit its words: a number leads to its case. With `near`, a place,
    the nearest first.
    """
    here, asked = access.current_city(), _asked(request.args)
    with access.reading() as s:
        if asked.words and (known := _numbered(s, asked.words)):
            return go(url_for("case.page", number=known))
        if asked.words or asked.near:
            return _found(s, asked)
        counts = queries.public_counts(s, states=asked.states, before=asked.before)
        rows = queries.public(
            s, now=access.now(), publish=here.publish, states=asked.states, group=asked.group,
            before=asked.before, limit=ROWS,
        )  # fmt: skip
        chosen = [counts.get(asked.group, (0, 0))] if asked.group else list(counts.values())
        total, earlier = sum(count for count, _ in chosen), sum(passed for _, passed in chosen)
        more = asked.args(before=rows[-1].id) if earlier + len(rows) < total and rows else None
        return render(
            "resident/cases.html", status=422 if asked.unknown else 200, asked=asked, rows=rows, total=total,
            earlier=earlier, more=more, counts={group: count for group, (count, _) in counts.items()},
            pins=PINS, map_words=formatting.map_words(), tiles=here.settings.tiles,
            canonical=here.settings.base_url + url_for(".listed", **asked.args()),
            indexed=asked.before is None,
        )  # fmt: skip


def _found(s: Session, asked: Asked) -> Response:
    """What fits the words or lies near: so few that they stand on one page."""
    here = access.current_city()
    if asked.words:
        rows = _matching(s, asked)
    else:
        rows = queries.public(
            s, now=access.now(), publish=here.publish, states=asked.states, near=asked.near,
            metres=NEAR_METRES, group=asked.group, limit=FOUND,
        )  # fmt: skip
    return render(
        "resident/cases.html", asked=asked, rows=rows, total=len(rows), earlier=0, more=None, counts={},
        status=422 if asked.unknown else 200, pins=PINS, map_words=formatting.map_words(),
        tiles=here.settings.tiles, full=len(rows) == FOUND,
        canonical=here.settings.base_url + url_for(".listed"), indexed=False,
    )  # fmt: skip


def _matching(s: Session, asked: Asked) -> list[PublicCase]:
    """The newest that fit the words."""
    services, rest = _split(s, asked.words)
    return public_search.find(
        s, services, rest, now=access.now(), states=asked.states, group=asked.group,
        publish=access.current_city().publish, limit=FOUND,
    )  # fmt: skip


def _numbered(s: Session, words: str) -> str | None:
    """The number of the case that the words are the number of, where strangers may know of it."""
    found = queries.by_number(s, words.strip().upper()) if any(sign.isdigit() for sign in words) else None
    return found.number if found and not found.service.private else None


def _split(s: Session, words: str) -> tuple[list[str], str]:
    """The services that the words name, together or one by one, and the words that name none.

    Words that are a street's name are that: "wier walk" is Weir Walk and no wire.
    """
    if public_search.names_street(s, words):
        return [], words
    kinds = service_matcher.for_residents(access.current_city().city)
    if whole := service_matcher.match_services(kinds, words):
        return whole, ""
    named = {word: service_matcher.match_services(kinds, word) for word in words.split()}
    services = [code for codes in named.values() for code in codes]
    return list(dict.fromkeys(services)), " ".join(word for word, codes in named.items() if not codes)


@bp.get("/cases/<path:number>")
def one(number: str) -> Response:
    """Leads whoever guesses a case's address from the list's to its page."""
    return go(url_for("case.page", number=number))


@bp.get("/cases/points")
def points() -> Response:
    """What the map draws of the same list: rows of number, lat, lon, standing and title.

    422 for a kind of problem that there is not, as everywhere: else it would draw all others.
    """
    asked = _asked(request.args)
    if asked.unknown:
        return make_response(jsonify(error=unknown_kind(asked.unknown)), 422)
    with access.reading() as s:
        if asked.words:
            told = [
                [row.number, *row.point, row.standing, localization.said(row.service.names)]
                for row in _matching(s, asked) if row.point
            ]  # fmt: skip
        else:
            pins = queries.public_pins(
                s, now=access.now(), states=asked.states, group=asked.group, limit=PINS
            )
            told = [
                [pin.number, pin.lat, pin.lon, pin.standing, localization.said(pin.names)] for pin in pins
            ]
    return jsonify(points=told)


@bp.get("/cases.atom")
def feed() -> Response:
    """The same list as a feed: what was reported last, or closed last. 304 where the reader has it.

    422 for a kind of problem that there is not: its reader would be told of all others without a word.
    """
    here, asked = access.current_city(), _asked(request.args)
    if asked.unknown:
        return errors.page(422, _("We don't have that type of problem"), unknown_kind(asked.unknown))
    with access.reading() as s:
        found = case_summaries.latest(
            s,
            case_summaries.kinds(s),
            closed=asked.closed,
            group=asked.group,
            publish=here.publish,
            limit=ENTRIES,
        )
    base = here.settings.base_url
    told = Feed(
        _titled(asked), base + url_for(".listed", **asked.args()), base + url_for(".feed", **asked.args())
    )
    # Without Last-Modified: words that are hidden again change the feed, and no date in it.
    response = Response(atom.written(told, found), mimetype=atom.MIMETYPE)
    response.cache_control.public = response.cache_control.no_cache = True
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.add_etag()
    response.make_conditional(request)
    return response


@bp.app_template_filter()
def at(point: Point | None) -> str | None:
    """A place as the list's address takes it."""
    return f"{point.lat:.5f},{point.lon:.5f}" if point else None


@bp.app_template_filter()
def unknown_kind(code: str) -> str:
    """What to do about an address that asks for a kind of problem that there is not."""
    return _("We don't have a type of problem called “%(code)s.” See all reports for every type.", code=code)


def _titled(asked: Asked) -> str:
    """ "Open in Larkhaven: Streetlight"."""
    city = access.current_city().city
    which = (
        _("Closed reports in %(city)s", city=city.name)
        if asked.closed
        else _("Open reports in %(city)s", city=city.name)
    )
    names = next((group.names for group in city.groups if group.code == asked.group), None)
    return f"{which}: {localization.said(names)}" if names else which


def _asked(args: Mapping[str, str]) -> Asked:
    known = {group.code for group in access.current_city().city.groups_for_residents}
    group, before = args.get("group", "").strip(), args.get("before", "")
    words = " ".join(args.get("q", "").split())[:MOST_LETTERS]
    return Asked(
        closed=args.get("state") == "closed",
        group=group if group in known else "",
        before=int(before) if before.isdecimal() and len(before) < 11 and int(before) <= MAX_ID else None,
        unknown="" if group in known else group[:MOST_OF_A_CODE],
        words=words,
        near=None if words else _near(args.get("near", "")),
    )


def _near(told: str) -> Point | None:
    """The place that the address names as `lat,lon`; None for anything else."""
    match = re.fullmatch(r"(-?[0-9]{1,2}(?:\.[0-9]{1,7})?),(-?[0-9]{1,3}(?:\.[0-9]{1,7})?)", told)
    return Point(float(match[1]), float(match[2])) if match else None

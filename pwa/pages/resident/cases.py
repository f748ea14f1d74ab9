"""The public list of cases and its map. One case and the report are in resident.py."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, request, url_for
from flask_babel import gettext as _

from city.cases import queries
from city.lifecycle import CLOSED, OPEN
from city.opendata import case_summaries
from pwa.web import access, atom, errors, formatting, localization
from pwa.web.atom import Feed
from pwa.web.fragments import go, render

bp = Blueprint("cases", __name__)

ROWS = 25
PINS = 1000
ENTRIES = 50  # of a feed: some days of a city, and what every reader takes
MAX_ID = 2**31 - 1
MOST_OF_A_CODE = 50  # letters of what we do not know are said again


@dataclass(frozen=True)
class Asked:
    """What the address asks for. What it says and we do not know counts as not said; `unknown` is the kind of
    problem among that.
    """

    closed: bool
    group: str
    before: int | None
    unknown: str = ""

    @property
    def states(self) -> tuple[str, ...]:
        return (CLOSED,) if self.closed else OPEN

    def args(self, **changes: Any) -> dict[str, Any]:
        """The same question as an address carries it, with these changes and from its first page."""
        wanted = {"state": "closed" if self.closed else None, "group": self.group or None} | changes
        return {name: value for name, value in wanted.items() if value is not None}


@bp.get("/cases")
def listed() -> Response:
    """Open or closed cases, the newest first, of one group or of all; how many there are is always said."""
    here, asked = access.current_city(), _asked(request.args)
    with access.reading() as s:
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


@bp.get("/cases/<path:number>")
def one(number: str) -> Response:
    """Leads whoever guesses a case's address from the list's to its page."""
    return go(url_for("resident.case", number=number))


@bp.get("/cases/points")
def points() -> Response:
    """What the map draws of the same list: rows of number, lat, lon, standing and title.

    422 for a kind of problem that there is not, as everywhere: else it would draw all others.
    """
    asked = _asked(request.args)
    if asked.unknown:
        return make_response(jsonify(error=unknown_kind(asked.unknown)), 422)
    with access.reading() as s:
        pins = queries.public_pins(s, now=access.now(), states=asked.states, group=asked.group, limit=PINS)
    return jsonify(points=[[p.number, p.lat, p.lon, p.standing, localization.said(p.names)] for p in pins])


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
    return Asked(
        closed=args.get("state") == "closed",
        group=group if group in known else "",
        before=int(before) if before.isdecimal() and len(before) < 11 and int(before) <= MAX_ID else None,
        unknown="" if group in known else group[:MOST_OF_A_CODE],
    )

"""What stands on the board around a case: a page of the queue, the saved views, and what its forms need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any

from flask import g, request
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.board import queries as board_queries
from city.board import saved_views
from city.board.queries import SORTS, STANDINGS, Tally, Total, View
from city.board.rows import Row
from city.cases import batches
from city.config import canned_replies, routing
from city.config.canned_replies import Reply
from city.db.models import Asset, Case, Crew, Service
from city.lifecycle import (
    CANCEL_REASONS,
    CLOSED,
    MERGED,
    MOVES,
    NEW,
    NEW_DATE_REASONS,
    NO_PHOTO,
    OPEN,
    STATES,
    SUPERVISOR,
    WAITING,
    outcomes,
    wait_reasons,
)
from city.places import assets, lookup
from city.places.geocoder import thing_number
from city.text import normalize
from pwa.board import batch_summary, change_form, hold_form, on_duty, row_context
from pwa.board.view_url import CHANNELS, args_of, is_id, new_key, revision, strayed, view_of
from pwa.web import access, formatting, localization, states
from pwa.web.fragments import is_fragment
from sync import review

TO_LOOK_AT = {name: View(review=name) for name in ("reply", "hold", "yes")}
MOST_MEANT = 4
AGES = (1, 3, 7, 14, 30, 60, 90)  # days that the filter offers


@dataclass(frozen=True)
class Saved:
    """A saved view: its words, how many open cases it holds, and its address as `args`.

    `id` is that of a view somebody saved, `shared` where it is everybody's, `mine` where it may be changed.
    A supervisor may remove what others share.
    """

    words: str
    args: dict[str, Any]
    count: Total | None = None
    standing: str = ""
    icon: str = ""
    id: int = 0
    shared: bool = False
    mine: bool = False


@dataclass(frozen=True)
class Ground:
    """What a city has that views name: its services, crews and areas."""

    services: Sequence[Service]
    crews: Sequence[Crew]
    areas: dict[str, str]
    tags: Sequence[str] = ()


def whole(s: Session, view: View, drawer: Any = None) -> dict[str, Any]:
    """What the whole board shows."""
    log = revision(s)  # before the rows: what comes between them is told again and not missed
    services, crews = board_queries.services(s), board_queries.crews(s)
    ground = Ground(services, crews, *board_queries.areas_and_tags(s, sealed=view.sealed))
    known = _known(view, ground)
    page = board_queries.queue(s, known, now=access.now())
    around = _around(s, known, ground, page.rows)
    return {
        **batch_summary.offered(s),
        **around,
        "rows": page.rows,
        "page": page,
        "first": (first := _first(page)),
        "shown": _shown(page, first, around["total"]),
        # The same, with $ for the last and # for how many there are.
        "shown_of": _("%(first)s–%(last)s of %(num)s", first=localization.figure(first), last="$", num="#"),
        "streets": [] if page.rows else _streets(s, view.words),
        "next": args_of(replace(known, after=page.next)) if page.next else None,
        "previous": args_of(replace(known, after=page.previous)) if page.previous else None,
        "left_out": strayed() or known != view or page.strayed,
        "drawer": drawer,
        "duty": on_duty.on_board(s),
        "revision": log,
        # A row that was put behind others leads back to the page on which they all are.
        **({"args": args_of(known.whole)} if is_fragment() else {}),
    }


def sides(s: Session, view: View, rows: Sequence[Row] = ()) -> dict[str, Any]:
    """What stands around the queue whatever it shows, and what these rows and the forms need to know."""
    ground = Ground(
        board_queries.services(s),
        board_queries.crews(s),
        board_queries.areas_and_tags(s)[0] if view.area else {},
    )
    return _around(s, _known(view, ground), ground, rows)


def _around(s: Session, view: View, ground: Ground, rows: Sequence[Row]) -> dict[str, Any]:
    kept = board_queries.tally(s, ground.services)
    theirs = saved_views.of(s, g.person.id)
    # Of words the map itself says how many have no place: it counts all of them anyway.
    lost = View() if view.words or view.place else replace(view.whole, place="none")
    views = [view.whole, lost, *TO_LOOK_AT.values(), *(view_of(each.args) for each in theirs)]
    here, nowhere, *counts = board_queries.counts(s, views, kept, now=access.now())
    marked = dict(zip(TO_LOOK_AT, counts, strict=False))
    counts = counts[len(TO_LOOK_AT) :]
    own = [
        Saved(
            each.name, each.args, count, icon="users" if each.shared else "user",
            id=each.id, shared=each.shared, mine=each.person_id == g.person.id,
        )
        for each, count in zip(theirs, counts, strict=True)
    ]  # fmt: skip
    return {
        "view": view,
        "whole": args_of(view.whole),
        "title": _title(view, ground),
        "bulk_replies": _bulk_replies(view),
        "bulk_acts": batches.acts_of(g.actor),
        "bulk_key": new_key(),
        "bulk_most": batches.MOST,
        "bulk_most_merged": batches.MOST_MERGED,
        "total": here,
        "saved": _saved(kept, marked, ground, own),
        "crews": ground.crews,
        "saved_here": next((one for one in own if one.args == args_of(view.whole) and one.mine), None),
        "shared_here": _shared_here(own, args_of(view.whole)),
        "meant": _meant(view.words, ground),
        "things_meant": _things(s, view.words),
        **_choices(ground),
        "sorts": _sorts(view),
        "filtered": len(args_of(replace(view, words="", sort="", after=""))),
        "unlocated": nowhere.n if lost.place else 0,
        "without_place": formatting.without_place,
        "field_work": review.count(s),
        "in_order": routing.in_order,
        "usual_crew": routing.usual,
        "standings": STANDINGS,
        "entered": request.form,
        "outcomes": outcomes,
        "no_photo": NO_PHOTO,
        "wait_reasons": wait_reasons,
        "new_date_reasons": NEW_DATE_REASONS,
        "type_choices": partial(change_form.types, s, services=_offered(ground.services), now=access.now()),
        "bulk_types": change_form.bulk_types(_offered(ground.services), office=bool(view.work)),
        "date_choices": partial(change_form.dates, now=access.now()),
        "ask_days": hold_form.ask_days,
        "hold_choices": partial(hold_form.choices, now=access.now()),
        "hold_days": hold_form.days(access.now()),
        "cancel_reasons": CANCEL_REASONS,
        "reason": formatting.reason,
        "outcome_words": lambda office: partial(formatting.outcome, office=office),
        "ready_replies": lambda service: canned_replies.offered(access.current_city().city, service),
        "promised": _promised,
        "may_unmerge": bool(g.actor.roles.intersection(MOVES["unmerge"].roles)),
        "tiles": access.current_city().settings.tiles,
        "map_words": formatting.map_words(),
        "heads": _heads(view),
        **row_context.of_rows(s, view, rows, ground.services, ground.crews),
    }


def _offered(services: Sequence[Service]) -> list[Service]:
    """Those that the city file still has: what left it is no choice any more."""
    known = {each.code for each in access.current_city().city.services}
    return [each for each in services if each.code in known]


def _bulk_replies(view: View) -> list[Reply]:
    """The ready replies for many cases of the view at once: an office's have none of the field's."""
    city = access.current_city().city
    return canned_replies.of_any(city, [each for each in city.services if each.office == bool(view.work)])


def _known(view: View, ground: Ground) -> View:
    """The view without services, crews and areas that there are not."""
    crews = ("", "none", *(str(crew.id) for crew in ground.crews))
    return replace(
        view,
        service=view.service if view.service in {service.code for service in ground.services} else "",
        department=view.department
        if view.department in {each.department_code for each in ground.services}
        else "",
        crew=view.crew if view.crew in crews else "",
        area=view.area if view.area in ground.areas else "",
    )


def _choices(ground: Ground) -> dict[str, list[tuple[str, str]]]:
    """What the filter offers, each with its words."""
    return {
        "standing_choices": [(name, formatting.standing(name)) for name in STANDINGS],
        "state_choices": [(name, states.label(name)) for name in STATES],
        "service_choices": [(service.code, localization.said(service.names)) for service in ground.services],
        "crew_choices": [("none", _("None")), *((str(crew.id), crew.name) for crew in ground.crews)],
        "area_choices": list(ground.areas.items()),
        "department_choices": list(
            {
                each.department_code: localization.said(each.department.names) for each in ground.services
            }.items()
        ),
        "channel_choices": [(name, formatting.channel(name)) for name in CHANNELS],
        "tag_choices": [(word, word) for word in ground.tags],
        "age_choices": [(str(n), ngettext("%(num)d day", "%(num)d days", n)) for n in AGES],
    }


def _meant(words: str, ground: Ground) -> list[tuple[str, str]]:
    """The services that the words may name. A search does not find by them: few residents write the kind."""
    sought = list(normalize(words))
    if not sought or any(len(word) < 3 for word in sought):
        return []

    def names_it(said: str) -> bool:
        name = list(normalize(said))
        return all(any(part.startswith(word) for part in name) for word in sought)

    named = [(service.code, localization.said(service.names)) for service in ground.services]
    return [(code, said) for code, said in named if names_it(said)][:MOST_MEANT]


def _things(s: Session, words: str) -> list[Asset]:
    """The poles, trees and baskets whose number the words are, retired ones too."""
    number = thing_number(words[: lookup.MOST_LETTERS])
    return assets.numbered(s, number)[:MOST_MEANT] if any(c.isdigit() for c in number) else []


def _streets(s: Session, words: str) -> list[str]:
    """The streets that somebody may have meant, where no case has the words as they were typed."""
    if not words.strip() or len(words) > lookup.MOST_LETTERS:
        return []
    match = lookup.gazetteer(s).atlas.directory.find(words)
    return [
        street.label for street in match.streets[:MOST_MEANT] if street.label.casefold() != words.casefold()
    ]


def _first(page: board_queries.Page) -> int:
    """The place of the first row that is shown; with htmx the page comes behind rows that are there."""
    told = request.args.get("from", "")
    return min(int(told), page.first) if is_fragment() and is_id(told) and int(told) else page.first


def _shown(page: board_queries.Page, first: int, total: Total) -> str:
    """Which of how many cases are shown."""
    last = page.first + len(page.rows) - 1
    facts = {"first": localization.figure(first), "last": localization.figure(last)}
    if not page.rows:
        return _("0 cases")
    num = localization.figure(max(total.n, last))
    if total.more and page.next:  # on the last page they have been counted
        return _("%(first)s–%(last)s of over %(num)s", num=num, **facts)
    return _("%(first)s–%(last)s of %(num)s", num=num, **facts)


def _sorts(view: View) -> list[tuple[str, str]]:
    """The orders that are offered, each with its words; the first is the view's own."""
    words = {
        "pressing": _("Most urgent first"),
        "newest": _("Newest first"),
        "oldest": _("Oldest first"),
        "number": _("By case number"),
        "street": _("By street"),
        "kind": _("By type"),
    }
    if view.live is False:
        own = _("Recently closed first") if view.state == CLOSED else _("Newest first")
        return [("", own), *((name, words[name]) for name in SORTS if name != "pressing")]
    return [("" if name == "pressing" else name, words[name]) for name in SORTS]


def _heads(view: View) -> dict[str, tuple[str, dict[str, Any]]]:
    """What each column's head says of the order (aria-sort, "" for none) and the view that it leads to.

    The newest come first by the first press, the oldest by the second; danger stays on top of each.
    """

    def leads(sort: str) -> dict[str, Any]:
        return args_of(replace(view, sort=sort, after=""))

    age = {"newest": "descending", "oldest": "ascending"}.get(view.sort, "")
    return {
        "kind": ("ascending" if view.sort == "kind" else "", leads("kind")),
        "street": ("ascending" if view.sort == "street" else "", leads("street")),
        "age": (age, leads("oldest" if view.sort == "newest" else "newest")),
        "due": ("ascending" if not view.sort else "", leads("")),
    }


def _saved(
    kept: Tally, marked: Mapping[str, Total], ground: Ground, own: list[Saved]
) -> list[tuple[str, list[Saved]]]:
    """The saved views under their headings, those that people saved first."""

    def counted(words: str, icon: str = "", **args: str) -> Saved:
        n = kept.of(view_of(args)) or 0
        return Saved(words, dict(args), Total(n), standing=args.get("standing", ""), icon=icon)

    by_promise = [counted(formatting.standing(name), standing=name) for name in STANDINGS]
    groups = [
        counted(localization.said(group.names), group.icon, group=group.code)
        for group in access.current_city().city.groups_for_residents
    ]
    has_offices = any(service.office for service in ground.services)
    follow_ups = [counted(_("Office work"), "phone-call", work="office")] if has_offices else []
    inbox = [
        counted(_("New"), "inbox", state=NEW),
        Saved(_("Replies"), {"review": "reply"}, marked["reply"], icon="message-square"),
        Saved(_("Hold is over"), {"review": "hold"}, marked["hold"], icon="clock"),
        Saved(_("Needs review"), {"review": "yes"}, marked["yes"], icon="eye"),
    ]
    in_city = [
        counted(_("All open"), "layers"),
        counted(_("Unassigned"), "users", crew="none"),
        *groups,
        counted(_("No location"), "map-pin", place="none"),
        *follow_ups,
    ]
    by_crew = [counted(crew.name, "users", crew=str(crew.id)) for crew in ground.crews]
    ended = [
        Saved(_("Closed"), {"state": CLOSED}, icon="check"),
        Saved(_("Merged"), {"state": MERGED}, icon="merge"),
    ]
    return [
        (_("This shift's inbox"), inbox), *([(_("Saved"), own)] if own else []),
        (_("By due date"), by_promise), (_("City"), in_city), (_("Crews"), by_crew), (_("Finished"), ended),
    ]  # fmt: skip


def _shared_here(own: list[Saved], args: dict[str, Any]) -> Saved | None:
    """What somebody else shares of this view, where whoever looks may remove it."""
    if SUPERVISOR not in g.actor.roles:
        return None
    return next((one for one in own if one.args == args and one.shared and not one.mine), None)


def _title(view: View, ground: Ground) -> str:
    """What a view is called: the names of its parts."""
    groups = {group.code: localization.said(group.names) for group in access.current_city().city.groups}
    names = {str(crew.id): crew.name for crew in ground.crews} | {"none": _("Unassigned")}
    services = {service.code: localization.said(service.names) for service in ground.services}
    departments = {each.department_code: localization.said(each.department.names) for each in ground.services}
    days = int(view.age or 0)
    parts = [
        {"yes": _("Needs review"), "hold": _("Hold is over"), "reply": _("Replies")}.get(view.review, ""),
        formatting.standing(view.standing),
        states.label(view.state),
        groups.get(view.group, ""),
        services.get(view.service, ""),
        names.get(view.crew, ""),
        ground.areas.get(view.area, ""),
        _("No location") if view.place else "",
        _("Office work") if view.work else "",
        departments.get(view.department, ""),
        formatting.channel(view.channel) if view.channel else "",
        _opened(view),
        _("tagged “%(word)s”", word=view.tag) if view.tag else "",
        ngettext("Open %(num)d day or more", "Open %(num)d days or more", days) if days else "",
        _("“%(words)s”", words=view.words) if view.words else "",
    ]
    return " · ".join(part for part in parts if part) or _("All open")


def _opened(view: View) -> str:
    """The days on which its cases were opened, in words; empty where it asks for none."""
    first, last = (
        localization.short_day(date.fromisoformat(day)) if day else "" for day in (view.since, view.until)
    )
    if first and last:
        return _("Opened %(first)s to %(last)s", first=first, last=last)
    if first:
        return _("Opened since %(day)s", day=first)
    return _("Opened up to %(day)s", day=last) if last else ""


def _promised(case: Case) -> str:
    """The promise with its hour, as the drawer says it."""
    facts = {"day": localization.day(case.due_at), "time": localization.clock(case.due_at)}
    if case.state == WAITING and case.standing == "late":
        return _("%(late)s, was due %(day)s at %(time)s", late=formatting.time_left(case), **facts)
    if case.state == WAITING:
        return _("On hold: %(reason)s", reason=formatting.time_left(case))
    if case.state == CLOSED:
        return formatting.promise(case)
    if case.state not in OPEN:
        return states.label(case.state)
    if case.due_at < access.now():
        return _("%(late)s, was due %(day)s at %(time)s", late=formatting.time_left(case), **facts)
    return _("Due %(day)s at %(time)s", **facts)

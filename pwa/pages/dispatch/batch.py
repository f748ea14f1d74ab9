"""Acting on many cases at once: choosing them, doing it, what became of it, and taking it back."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flask import Blueprint, Response, g, jsonify, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from city.board import area_selection, changes
from city.board import queries as board_queries
from city.board import rows as queue_rows
from city.board.queries import View
from city.cases import batches, corrections, usual_crews
from city.cases.corrections import CORRECTIONS
from city.config import canned_replies
from city.db.models import Batch, Case, Crew
from city.geo import Box, Point
from city.lifecycle import MAX_WORDS, Refused
from city.places.lookup import Place
from city.reports import proposals
from pwa.board import batch_summary, bulk_form, change_form, row_context
from pwa.board import page as around
from pwa.board.bulk_form import Refilled
from pwa.board.view_url import args_of, is_id, log_seen, new_key, view_asked
from pwa.web import access, errors, formatting, forms, localization
from pwa.web.fragments import go, is_fragment, render
from sync import server_epoch

SHOWN = 500  # rows that an answer brings up to date; the others are on no page
ASKED_FIRST = ("close", "merge", *corrections.ACTS)  # asked once: residents are told of it
MOST_LETTERS = 100_000  # of numbers in one field: MOST of them, and some

bp = Blueprint("batch", __name__, url_prefix="/dispatch")


@dataclass(frozen=True)
class Order:
    """What a form asks for. `whole` is how many the view held when all of it was chosen, else None."""

    key: str
    act: str
    what: dict[str, Any]
    numbers: list[str]
    whole: int | None
    mode: str
    sure: str
    since: str  # the revision of the page, as it last heard of changes; "" asks nothing

    @property
    def asked(self) -> str:
        """The act as a form names it."""
        if self.act == "reclassify" or (self.act == "relocate" and self.what["pick"]):
            return f"{self.act} {self.what.get('service') or self.what.get('pick', '')}"
        return "merge oldest" if self.act == "merge" and not self.what["into"] else self.act

    def digest(self, view: View) -> str:
        """What tells this sending from another, however often it is sent."""
        chosen = (
            self.numbers
            if self.whole is None
            else [f"{name}={value}" for name, value in args_of(view).items()]
        )
        return batches.digest(self.key, g.actor, self.act, self.what | {"mode": self.mode}, chosen)


@bp.get("/choose")
def choose() -> Response:
    """The numbers of the view's open cases in a shape, batches.MOST at most, and how many there are in all.

    `polygon` is "lat,lon;lat,lon;…", `box` "south,west,north,east", `near` a case's number with `metres`,
    `beside` the number of a case whose neighborhood is meant; without any of them the whole view.
    """
    try:
        with access.reading() as s:
            numbers, total = _chosen(s, view_asked(), request.args)
    except Refused as fault:
        answer = jsonify(error=errors.words(fault))
        answer.status_code = 422
        return answer
    return jsonify(numbers=numbers, total=total)


@bp.post("/batch")
def do() -> Response:
    """Does one thing to many cases. What residents hear of is asked once."""
    view = view_asked()
    order = _order(request.form)
    sent = order.digest(view)
    what = order.what
    try:
        with access.reading() as s:
            known = batches.of_digest(s, sent)
            if known is None:
                numbers, total = order.numbers, len(order.numbers)
                if order.whole is not None:
                    numbers, total = area_selection.all_of_view(s, view, now=access.now())
                batches.not_too_many(order.act, total)
                what = _meant(s, order)
                batches.validate(s, order.act, what)
                changed = order.whole is not None and order.whole != total
                if total and (changed or order.act in ASKED_FIRST) and order.sure != str(total):
                    return _ask(s, order, what, numbers, changed)
        if known is None:
            with access.writing() as s:
                known = batches.act(
                    s, numbers, order.act, what, by=g.actor, at=access.now(), sent=sent,
                    mode=order.mode, reply=_reply(order), overtaken=_overtaken(s, order.since),
                    usual=_usual(s), rules=access.current_city().city.routing,
                )  # fmt: skip
                if order.act in CORRECTIONS:
                    proposals.take_many(s, known)
    except Refused as fault:
        return _given_back(order, fault)
    if not known.done and (why := bulk_form.alike(known.refused)):
        return _given_back(order, why)
    if not known.done and known.refused and not is_fragment():
        return _refilled(order, told=[_("No changes made")], refused=batch_summary.refused(known.refused))
    return _answer(known.id)


@bp.get("/batch")
def leave() -> Response:
    """Where a form that came back is read in another language, or anew: the board without it."""
    return go(url_for("dispatch.board", **args_of(view_asked())))


@bp.get("/batch/<natural:batch_id>")
def become(batch_id: int) -> Response:
    """What became of a batch: which cases went, which not, and why."""
    with access.reading() as s:
        batch = access.or_404(s.get(Batch, batch_id))
        return render(
            "dispatch/batch.html", **_context(s, batch), args=args_of(view_asked()), all_numbers=True
        )


@bp.post("/batch/<natural:batch_id>/undo")
def undo(batch_id: int) -> Response:
    """Puts the batch's cases back as they were."""
    try:
        with access.writing() as s:
            batches.undo(s, batch_id, by=g.actor, at=access.now())
    except Refused as fault:
        return _refused(fault)
    return _answer(batch_id)


def _order(form: MultiDict[str, str]) -> Order:
    """The form as it came. An act may name its argument: "wait weather"."""
    act, _space, argument = form.get("act", "assign" if "crew" in form else "").partition(" ")
    what: dict[str, Any] = {}
    if act == "assign":
        crew = form.get("crew", "")
        what = {"crew": crew if crew == batches.USUAL else int(crew) if is_id(crew) else None}
    elif act == "wait":
        what = {"reason": argument or form.get("reason", ""), "until": form.get("until", "")[:10]}
    elif act == "close":
        what = {name: form.get(name, "") for name in ("outcome", "no_photo", "reply")}
        meant = {reply.code: reply.outcome for reply in access.current_city().city.replies}
        what["outcome"] = what["outcome"] or meant.get(what["reply"], "")
        what["words"] = forms.text(form, "words")
    elif act in ("tag", "untag"):
        what = {"tag": forms.text(form, "tag")[:200]}
    elif act == "reclassify":
        what = {"service": (argument or form.get("service", ""))[:40], "why": forms.text(form, "why")}
    elif act == "relocate":
        what = {"place": form.get("place", "").strip()[: change_form.LONGEST], "pick": argument[:400]}
        what["why"] = forms.text(form, "why")
    elif act == "reschedule":
        what = {"reason": argument or form.get("reason", ""), "day": form.get("day", "")[:10]}
    elif act == "merge":
        what = {"into": "" if argument == "oldest" else forms.text(form, "into").upper()[:40] or "?"}
    numbers = [*form.getlist("case"), *" ".join(form.getlist("cases"))[:MOST_LETTERS].split()]
    whole = form.get("all", "")
    return Order(
        key=form.get("key", "")[:64],
        act=act,
        what=what,
        numbers=list(dict.fromkeys(number[:40] for number in numbers)),
        whole=int(whole) if is_id(whole) else None,
        mode="all" if form.get("mode") == "all" else "rest",
        sure=form.get("sure", ""),
        since=form.get("since", "")[:60],
    )


def _meant(s: Session, order: Order) -> dict[str, Any]:
    """What the act asks for as batches.act() has it.

    Raises Refused where a form names no type, or no place, or gives too long a reason.
    """
    if order.act == "reschedule":
        return {"reason": order.what["reason"], "until": order.what["day"]}
    if order.act not in CORRECTIONS:
        return order.what
    if len(order.what["why"]) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    words = {"words": order.what["why"]}
    if order.act == "relocate":
        found = change_form.place(s, order.what, geocoder=access.geocoder())
        return words | {"place": asdict(found)}
    code = order.what["service"]
    if code not in {each.code for each in access.current_city().city.services}:
        raise Refused("unknown_service")
    return words | {"service": code}


def _overtaken(s: Session, since: str) -> Callable[[Collection[Case]], Collection[int]] | None:
    """Which of these cases changed after that revision; all, where it is too old or of another past."""
    if not since:
        return None

    def changed(cases: Collection[Case]) -> Collection[int]:
        known = server_epoch.read(s, access.now())
        seq = log_seen(s, known, since)
        if seq is None or seq < known.log - changes.STALE:
            return {case.id for case in cases}
        return changes.overtaken(s, cases, seq, g.actor)

    return changed


def _usual(s: Session) -> Callable[[Collection[Case]], dict[int, Crew]]:
    """To which crew each case would go anyway."""
    rules = access.current_city().city.routing
    return lambda cases: usual_crews.of(s, rules, board_queries.services(s), board_queries.crews(s), cases)


def _reply(order: Order) -> Callable[[Case], dict[str, Any]] | None:
    """What residents read of a closing, by the reply that was chosen; it must fit each case's service."""
    here, code = access.current_city(), order.what.get("reply")
    if not code:
        return None
    return lambda case: canned_replies.as_stored(
        canned_replies.chosen(here.city, case.service, order.what["outcome"], code), here.version
    )


def _chosen(s: Session, view: View, args: MultiDict[str, str]) -> tuple[list[str], int]:
    now = access.now()
    if "polygon" in args:
        corners = [Point(*_numbers(pair, 2)) for pair in args["polygon"].strip(";").split(";")[:1000]]
        return area_selection.inside(s, view, corners, now=now)
    if "box" in args:
        return area_selection.within(s, view, Box(*_numbers(args["box"], 4)), now=now)
    if "near" in args:
        (metres,) = _numbers(args.get("metres", str(area_selection.NEAR_METRES)), 1)
        return area_selection.near(s, view, args["near"], metres, now=now)
    if "beside" in args:
        return area_selection.same_area(s, view, args["beside"], now=now)
    return area_selection.all_of_view(s, view, now=now)


def _numbers(text: str, count: int) -> list[float]:
    """So many finite numbers with commas between them. Raises Refused `bad_shape`."""
    try:
        found = [float(each) for each in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or not all(math.isfinite(each) for each in found):
        raise Refused("bad_shape")
    return found


def _ask(s: Session, order: Order, what: dict[str, Any], numbers: list[str], changed: bool) -> Response:
    """Asks whether it is meant: how many of which service; `changed`: the view had held another number."""
    known = access.current_city().city.services
    names = {service.code: localization.said(service.names) for service in known}
    services = area_selection.services(s, numbers)
    context: dict[str, Any] = {
        "order": order, "count": len(numbers), "changed": changed, "args": args_of(view_asked()),
        "services": [(names.get(code, code), many) for code, many in services.most_common()],
        "outcome": formatting.outcome(
            order.what.get("outcome"),
            office=services.keys() <= {service.code for service in known if service.office},
        ),
    }  # fmt: skip
    if order.act == "merge":
        named = order.what.get("into", "")
        family = [*numbers, named] if named else numbers
        context |= {
            "into": named or area_selection.oldest(s, numbers),
            "apart": area_selection.apart(s, family),
        }
    if order.act in CORRECTIONS:
        context |= _follows(s, order.act, what, numbers, services)
    return render("dispatch/batch.html", "dispatch/_batch_ask.html", asking=True, **context)


def _follows(
    s: Session, act: str, what: dict[str, Any], numbers: list[str], services: Counter[str]
) -> dict[str, Any]:
    """What a correction would bring: which type or place, who loses a crew, what is hidden or shown."""
    rules, most = access.current_city().city.routing, {"most_words": MAX_WORDS}
    if act == "relocate":
        place = Place(**what["place"])
        lost = corrections.losing(s, numbers, place=place, rules=rules)
        return most | {"losing": lost, "to": formatting.place(place.label)}
    known = {service.code: service for service in board_queries.services(s)}
    service = known[what["service"]]
    fitting = {code: many for code, many in services.items() if known[code].office == service.office}
    turned = sum(many for code, many in fitting.items() if known[code].private != service.private)
    return most | {
        "losing": corrections.losing(s, numbers, service=service, rules=rules),
        "to": localization.said(service.names),
        "hidden": turned if service.private else 0,
        "opened": 0 if service.private else turned,
        "misfits": services.total() - sum(fitting.values()),
    }


def _answer(batch_id: int) -> Response:
    """What became of it: for htmx with the rows that are on the page, otherwise on a page of its own."""
    view = view_asked()
    if not is_fragment():
        return go(url_for("batch.become", batch_id=batch_id, **args_of(view)))
    shown = request.form.get("shown", "")[:MOST_LETTERS].split()[:SHOWN]
    with access.reading() as s:
        batch = access.or_404(s.get(Batch, batch_id))
        there = queue_rows.of_numbers(s, batches.among(s, batch, shown))
        return render(
            "dispatch/batch.html", "dispatch/_batch_done.html",
            **_context(s, batch), rows=there, key=new_key(),
            **row_context.of_rows(s, view, there),
        )  # fmt: skip


def _given_back(order: Order, fault: Refused) -> Response:
    """Nothing was done: the form as it was filled in, and what is wrong beside the field that it is about.

    With htmx the form still stands there, and only what is wrong is answered.
    """
    field = bulk_form.field_of(order.act, fault)
    if is_fragment():
        return _refused(fault, field, order)
    if field:
        return _refilled(order, field=field, fault=errors.words(fault), places=_places(fault))
    return _refilled(order, told=[errors.words(fault)], refused=_left_out(fault))


def _refilled(
    order: Order,
    *,
    field: str = "",
    fault: str = "",
    told: Sequence[str] = (),
    refused: Sequence[tuple[str, list[str]]] = (),
    places: Sequence[tuple[str, str]] = (),
) -> Response:
    """The board with the form as it was filled in."""
    bulk = Refilled(
        order.asked, request.form.get("crew", ""), order.numbers, order.whole is not None, order.mode,
        order.since, field, fault, places,
    )  # fmt: skip
    with access.reading() as s:
        parts = around.whole(s, view_asked())
        shown = {row.number for row in parts["rows"]}
        elsewhere = bulk.elsewhere(shown)
        # The rows are shown as they are now; of what has no row nothing newer was seen than before.
        since = order.since if elsewhere or bulk.whole else parts["revision"]
        return render(
            "dispatch/board.html", status=422,
            **parts | {
                "bulk": bulk, "elsewhere": elsewhere, "bulk_since": since, "told": told, "failed": True,
                "refused": refused, "undo": None, "just_done": "",
            },
        )  # fmt: skip


def _refused(fault: Refused, field: str = "", order: Order | None = None) -> Response:
    """Nothing was done, and why; where some may not move and all were asked for, which.

    The form of an `order` keeps why it was meant, and gets the places of which one is to be chosen.
    """
    context: dict[str, Any] = {
        "told": [errors.words(fault)], "failed": True, "args": args_of(view_asked()),
        "refused": _left_out(fault), "field": field,
    }  # fmt: skip
    if order and order.act in CORRECTIONS:
        context |= {"why": order.what["why"], "places": _places(fault)}
    return render("dispatch/batch.html", "dispatch/_batch_refused.html", status=422, **context)


def _places(fault: Refused) -> list[tuple[str, str]]:
    found = fault.facts.get("places", [])
    return found if isinstance(found, list) else []


def _left_out(fault: Refused) -> list[tuple[str, list[str]]]:
    rows = fault.facts.get("refused", [])
    return batch_summary.refused(rows) if isinstance(rows, list) else []


def _context(s: Session, batch: Batch) -> dict[str, Any]:
    context: dict[str, Any] = {"batch_id": batch.id}
    if batch.undone_at:
        return context | {"told": [batch_summary.undone(s, batch)], "refused": batch_summary.left(batch)}
    lines = [batch_summary.told(s, batch), batch_summary.same(batch)]
    return (
        context
        | {
            "told": [line for line in lines if line] or [_("No changes made")],
            "refused": batch_summary.refused(batch.refused),
        }
        | batch_summary.undoing(batch)
    )

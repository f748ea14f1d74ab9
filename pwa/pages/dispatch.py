"""The dispatcher's board: queue, map and drawer, and the verbs that stand in it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from flask import Blueprint, Response, flash, g, jsonify, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city import cases, developing, duplicates, photos, promises, queries, reports, routing, twins
from city.developing import BadPhoto
from city.duplicates import Candidate
from city.geo import Point
from city.lifecycle import (
    ACTS,
    CANCEL_REASONS,
    CLOSED,
    DISPATCHER,
    MERGED,
    MOVES,
    NO_PHOTO,
    OPEN,
    OUTCOMES,
    STATES,
    SUPERVISOR,
    WAIT_REASONS,
    WAITING,
    Refused,
    possible,
)
from city.queries import View
from city.routing import Route
from city.schema import Case, Crew, Event, Photo, Report
from pwa import access, errors, filters, forms
from pwa.fragments import go, is_fragment, render
from sync import review

STANDINGS = ("late", "risk", "ok", "wait")
ROWS = 500  # a page of the queue; the rest is counted and one link away
FORMS = ("assign", "wait", "close", "reopen", "merge", "cancel", "note")

bp = Blueprint("dispatch", __name__, url_prefix="/dispatch")

Verb = Callable[[Session, Case], object]


@dataclass(frozen=True)
class Saved:
    """A saved view: its words, how many open cases it holds, and its address as `args`."""

    words: str
    args: dict[str, Any]
    count: int | None = None
    standing: str = ""
    icon: str = ""


@dataclass(frozen=True)
class Drawer:
    """One case with all that staff see of it and may do to it."""

    case: Case
    standing: str
    moves: list[str]
    acts: list[str]
    near: list[tuple[Case, Candidate]]  # what may be the same, likeliest first
    apart: list[Case]  # what looks the same, and somebody said that it is not
    merged: list[Case]
    root: Case  # at the end of its merges; itself where it was not merged
    story: list[tuple[Event, dict[str, Any]]]
    names: dict[str, str]  # of the actors in the story
    proof: dict[int, list[str]]  # photo ids by cycle
    public: dict[int, bool]  # by report id
    old_number: str  # in the system that it was imported from
    route: Route  # the department and crew it would go to
    doing: str = ""  # the form that stands open
    said: str = ""
    fault: str = ""
    merging: str = ""  # the case whose merge waits for an answer: which of these crews goes on
    crews_at_work: list[int] = field(default_factory=list)


@bp.get("")
def board() -> Response:
    """Queue and map of a view. Whatever number names a case opens it from the search box."""
    view = _view()
    with access.reading() as s:
        if named := queries.named(s, view.words):
            return go(url_for("dispatch.case", number=named.number))
        return render("dispatch/board.html", **_board(s, view))


@bp.get("/points")
def points() -> Response:
    """What the map draws: every case of the view whose place is known, and how many have none."""
    view, now = _view(), access.now()
    with access.reading() as s:
        pins = queries.points(s, view, now=now)
        unlocated = queries.count(s, View(**{**asdict(view), "place": "none"}), now=now)
    rows = [[p.number, p.lat, p.lon, p.standing, filters.said(p.names)] for p in pins]
    return jsonify(points=rows, unlocated=unlocated)


@bp.get("/cases/<number>")
def case(number: str) -> Response:
    """The drawer of one case; without htmx beside the queue."""
    return _opened(number, doing=request.args.get("do", ""))


@bp.post("/cases/<number>/acceptance")
def accept(number: str) -> Response:
    """A person at the city has read it."""
    return _do(number, lambda s, c: cases.accept(s, c, by=g.actor, at=access.now()), _("Accepted."))


@bp.post("/cases/<number>/assignment")
def assign(number: str) -> Response:
    """Gives the case to a crew."""
    crew = _crew(request.form.get("crew", ""))

    def verb(s: Session, c: Case) -> None:
        if crew is None:
            raise Refused("unknown_value")
        cases.assign(s, c, crew, by=g.actor, at=access.now())

    return _do(number, verb, _("%(crew)s has it.", crew=crew.name if crew else ""), doing="assign")


@bp.post("/assignment")
def assign_several() -> Response:
    """Gives the selected cases to a crew, each in its own transaction, and says how many went."""
    crew = _crew(request.form.get("crew", ""))
    given, refused = [], []
    for number in dict.fromkeys(request.form.getlist("case")):
        try:
            if crew is None:
                raise Refused("unknown_value")
            with access.writing() as s:
                chosen = access.or_404(queries.by_number(s, number))
                cases.assign(s, chosen, crew, by=g.actor, at=access.now())
            given.append(number)
        except Refused as fault:
            refused.append(f"{number}: {errors.words(fault)}")
    said = ngettext(
        "%(crew)s has %(num)d more case.", "%(crew)s has %(num)d more cases.", len(given),
        crew=crew.name if crew else "",
    )  # fmt: skip
    told = [said] if given else []
    if not given and not refused:
        told = [_("Select cases first.")]
    if not is_fragment():
        for line in told + refused:
            flash(line)
        return go(url_for("dispatch.board", **_args(_view())))
    with access.reading() as s:
        rows = queries.whole_many(s, given)
        return render("dispatch/_given.html", told=told, refused=refused, rows=rows, **_sides(s, _view()))


@bp.post("/cases/<number>/assignment/end")
def unassign(number: str) -> Response:
    """Takes the case back from its crew."""
    said = _("Taken back. Nobody has it now.")
    return _do(number, lambda s, c: cases.unassign(s, c, by=g.actor, at=access.now()), said)


@bp.post("/cases/<number>/wait")
def wait(number: str) -> Response:
    """The case waits for somebody else."""
    reason = request.form.get("reason", "")
    said = _("Waiting. The promise clock stands still.")
    return _do(number, lambda s, c: cases.wait(s, c, reason, by=g.actor, at=access.now()), said, doing="wait")


@bp.post("/cases/<number>/resume")
def resume(number: str) -> Response:
    """The wait is over."""
    said = _("The wait is over. The promise clock runs.")
    return _do(number, lambda s, c: cases.resume(s, c, by=g.actor, at=access.now()), said)


@bp.post("/cases/<number>/closure")
def close(number: str) -> Response:
    """Ends the case with an outcome and its evidence."""
    here, at = access.here(), access.now()
    taken: list[Photo] = []
    no_photo = request.form.get("no_photo") or None

    def verb(s: Session, c: Case) -> None:
        staged_for = f"person:{g.actor.person_id}:{c.number}:{c.cycle}"
        for picture in pictures:
            photo = photos.stage(s, here.settings.var, picture, staged_for=staged_for, at=at)
            taken.append(photo)
        cases.close(
            s, c, by=g.actor, at=at, outcome=request.form.get("outcome", ""), photos_taken=taken,
            no_photo=no_photo, words=forms.text(request.form, "words"),
        )  # fmt: skip

    try:
        # Unpacking takes long, so it is done before anything is locked.
        pictures = [developing.develop(f.stream) for f in _uploads()]
    except BadPhoto as fault:
        return _opened(number, doing="close", fault=fault)
    answer = _do(number, verb, _("Closed. Whoever asked for news will hear."), doing="close")
    if taken and answer.status_code < 400:
        photos.settle_all(here.engine, here.store, here.settings.var, at, only=[p.id for p in taken])
    return answer


@bp.post("/cases/<number>/reopening")
def reopen(number: str) -> Response:
    """A closed case lives again."""
    words = forms.text(request.form, "words")
    said = _("Open again. The promise clock runs.")
    return _do(
        number,
        lambda s, c: cases.reopen(s, c, by=g.actor, at=access.now(), words=words),
        said,
        doing="reopen",
    )


@bp.post("/cases/<number>/merge")
def merge(number: str) -> Response:
    """Makes the case a duplicate of another. Two crews at work: asks which one goes on."""
    into = request.form.get("into", "").strip().upper()
    keep = request.form.get("keep_crew", "")

    def verb(s: Session, c: Case) -> None:
        other = queries.by_number(s, into)
        if other is None:
            raise Refused("unknown_number")
        keep_crew = int(keep) if keep.isdecimal() else None
        cases.merge(s, c, other, by=g.actor, at=access.now(), keep_crew=keep_crew)

    said = _("%(number)s is merged into this case.", number=number)
    return _do(number, verb, said, doing="merge", shown=into, also=[into])


@bp.post("/cases/<number>/unmerge")
def unmerge(number: str) -> Response:
    """Separates a merged case again."""
    said = _("%(number)s is a case of its own again.", number=number)
    return _do(number, lambda s, c: cases.unmerge(s, c, by=g.actor, at=access.now()), said)


@bp.post("/cases/<number>/apart")
def tell_apart(number: str) -> Response:
    """The case and the one in `other` look alike and are two problems."""
    said = _("They are two cases now, whatever they look like.")
    return _pair(number, twins.tell_apart, said)


@bp.post("/cases/<number>/one-again")
def one_again(number: str) -> Response:
    """The case and the one in `other` may be one problem after all."""
    return _pair(number, twins.one_again, _("They may be one problem again."))


@bp.post("/cases/<number>/cancellation")
def cancel(number: str) -> Response:
    """Ends a case that should not be one."""
    reason = request.form.get("reason", "")
    return _do(
        number,
        lambda s, c: cases.cancel(s, c, reason, by=g.actor, at=access.now()),
        _("Cancelled."),
        doing="cancel",
    )


@bp.post("/cases/<number>/review/end")
def end_review(number: str) -> Response:
    """Somebody has looked at what the case was marked for."""
    said = _("Looked at. The mark is gone.")
    return _do(number, lambda s, c: cases.reviewed(s, c, by=g.actor, at=access.now()), said)


@bp.post("/cases/<number>/note")
def note(number: str) -> Response:
    """Keeps a note that only staff read."""
    words = forms.text(request.form, "note")
    return _do(
        number,
        lambda s, c: cases.note(s, c, words, by=g.actor, at=access.now()),
        _("Note kept. Only staff read it."),
        doing="note",
    )


@bp.post("/cases/<number>/shown")
def show(number: str) -> Response:
    """Makes words and photos of all the case's reports public, or hides them again."""
    wanted = request.form.get("shown") == "yes"

    def verb(s: Session, c: Case) -> None:
        for report in list(c.reports):
            (reports.show if wanted else reports.hide)(s, report, by=g.actor, at=access.now())

    public, hidden = (
        _("Public now: anyone sees the words and photos."),
        _("Hidden again: only staff and the reporter see the words and photos."),
    )
    return _do(number, verb, public if wanted else hidden)


@bp.get("/cases/<number>/erasure")
def ask_erasure(number: str) -> Response:
    """Says what would go, before anything goes."""
    with access.reading() as s:
        found = access.or_404(queries.whole(s, number))
        report = access.or_404(_report(found, request.args.get("report", "")))
        return render("dispatch/erasure.html", case=found, report=report, args=_args(_view()))


@bp.post("/cases/<number>/erasure")
def erase(number: str) -> Response:
    """Removes everything personal of one report."""
    here, wanted = access.here(), request.form.get("report", "")

    def verb(s: Session, c: Case) -> None:
        report = access.or_404(_report(c, wanted))
        reports.erase(s, report, here.store, here.settings.var, by=g.actor, at=access.now())

    return _do(number, verb, _("Report %(number)s is erased.", number=wanted))


def _pair(number: str, verb: Callable[..., bool], said: str) -> Response:
    """Runs a verb about the case and the one in `other`. Refused `unknown_number` where there is none."""
    other = request.form.get("other", "").strip().upper()

    def both(s: Session, c: Case) -> None:
        found = queries.by_number(s, other)
        if found is None:
            raise Refused("unknown_number")
        verb(s, c, found, by=g.actor, at=access.now())

    return _do(number, both, said, also=[other])


def _do(
    number: str, verb: Verb, said: str, *, doing: str = "", shown: str = "", also: Sequence[str] = ()
) -> Response:
    """Runs one verb in its transaction and shows the case: `shown` afterwards, `open` where refused."""
    opened = request.form.get("open", number)
    try:
        with access.writing() as s:
            verb(s, access.or_404(queries.by_number(s, number)))
    except (Refused, BadPhoto) as fault:
        return _opened(opened, doing=doing, fault=fault, merging=number)
    shown = shown or opened
    if not is_fragment():
        flash(said)
        return go(url_for("dispatch.case", number=shown, **_args(_view())))
    return _opened(shown, said=said, touched=[number, *also])


def _opened(
    number: str,
    *,
    doing: str = "",
    said: str = "",
    fault: Refused | BadPhoto | None = None,
    merging: str = "",
    touched: Sequence[str] = (),
) -> Response:
    """The case in its drawer; after a verb also the rows and counts that it changed."""
    view = _view()
    with access.reading() as s:
        found = access.or_404(queries.by_number(s, number))
        drawer = _drawer(s, found.number, doing=doing, said=said, fault=fault, merging=merging)
        status = 422 if fault else 200
        if not is_fragment():
            return render("dispatch/board.html", status=status, **_board(s, view, drawer))
        rows = queries.whole_many(s, [found.number, *touched]) if touched else []
        return render(
            "dispatch/board.html", "dispatch/_changed.html", status=status, drawer=drawer, rows=rows,
            **_sides(s, view),
        )  # fmt: skip


def _board(s: Session, view: View, drawer: Drawer | None = None) -> dict[str, Any]:
    """What the whole board shows."""
    asked = request.args.get("rows", "")
    limit = int(asked) if asked.isdecimal() and len(asked) < 7 else ROWS
    found, total = queries.queue(s, view, now=access.now(), limit=limit)
    more = {**_args(view), "rows": str(limit + ROWS)} if total > len(found) else None
    return {
        "rows": found,
        "total": total,
        "more": more,
        "unlocated": sum(c.lat is None for c in found),
        "drawer": drawer,
        **_sides(s, view),
    }


def _sides(s: Session, view: View) -> dict[str, Any]:
    """What stands around the queue whatever it shows, and what rows and forms need to know."""
    crews = queries.crews(s)
    return {
        "view": view,
        "args": _args(view),
        "title": _title(view, crews),
        "saved": _saved(queries.tally(s, now=access.now()), crews),
        "crews": [crew for crew, _count in crews],
        "field_work": review.count(s),
        "in_order": routing.in_order,
        "is_usual": routing.is_usual,
        "standings": STANDINGS,
        "standing": lambda c: promises.standing(c, access.now()),
        "live": cases.live,
        "may_assign": bool(g.actor.roles & {DISPATCHER, SUPERVISOR}),
        "entered": request.form,
        "outcomes": OUTCOMES,
        "no_photo": NO_PHOTO,
        "wait_reasons": WAIT_REASONS,
        "cancel_reasons": CANCEL_REASONS,
        "reason": filters.reason,
        "outcome_words": filters.outcome,
        "promised": _promised,
        "may_unmerge": bool(g.actor.roles.intersection(MOVES["unmerge"].roles)),
        "tiles": access.here().settings.tiles,
        "map_words": filters.map_words(),
        "open_states": OPEN,
    }


def _drawer(
    s: Session, number: str, *, doing: str, said: str, fault: Refused | BadPhoto | None, merging: str
) -> Drawer:
    found = access.or_404(queries.whole(s, number))
    story = queries.story(s, found)
    publish = access.here().publish
    place = Point(found.lat, found.lon) if found.lat is not None and found.lon is not None else None
    apart = queries.numbers(s, duplicates.told_apart(s, found))
    maybe = {one.number: one for one in duplicates.like(s, found, apart=apart)}
    merged, root = queries.duplicates_of(s, found), cases.root_of(s, found)
    others = [twin.number for twin in (*merged, root) if twin is not found]
    whole = queries.whole_many(s, [*others, *maybe, *apart.values()])  # what their cards show
    crews = fault.facts.get("crews", []) if isinstance(fault, Refused) and fault.code == "choose_crew" else []
    return Drawer(
        case=found,
        standing=promises.standing(found, access.now()),
        moves=possible(found.state, g.actor.roles),
        acts=[act for act, roles in ACTS.items() if g.actor.roles.intersection(roles)],
        near=[(twin, maybe[twin.number]) for twin in whole if twin.number in maybe],
        apart=[twin for twin in whole if twin.id in apart],
        merged=merged,
        root=root,
        story=story[::-1],
        names=queries.names(s, {event.actor for event, _words in story}),
        proof={done.cycle: queries.evidence(s, found, done.cycle) for done in found.closures},
        public={report.id: queries.is_public(report, found, publish) for report in found.reports},
        doing=doing if doing in FORMS else "",
        said=said,
        fault=_fault(fault),
        merging=merging if crews else "",
        crews_at_work=[int(str(crew)) for crew in crews] if isinstance(crews, list) else [],
        old_number=queries.old_number(s, found.id) if found.origin == "import" else "",
        route=_route(s, found, place),
    )


def _route(s: Session, found: Case, place: Point | None) -> Route:
    """Where the city file sends this case; without a rule to the department of its service."""
    rules, service = access.here().city.routing, found.service
    asked = routing.areas_asked(rules, service.code, service.group) if place else set()
    areas = queries.areas_at(s, place, asked) if place and asked else []
    usual = Route(service.department_code, None)
    return routing.match(rules, service.code, service.group, areas) or usual


def _fault(fault: Refused | BadPhoto | None) -> str:
    if fault is None:
        return ""
    if fault.code == "unknown_number":
        return _("There is no case with that number.")
    return errors.words(fault)


def _report(found: Case, number: str) -> Report | None:
    return next((r for r in found.reports if r.number == number), None)


def _crew(crew_id: str) -> Crew | None:
    if not _is_id(crew_id):
        return None
    with access.reading() as s:
        return queries.crew(s, int(crew_id))


def _uploads() -> list[Any]:
    return [f for f in request.files.getlist("photos")[: photos.MAX_PHOTOS] if f.filename]


def _view() -> View:
    """The view in the address; what it does not know it leaves out."""
    groups = [group.code for group in access.here().city.groups]
    crew = request.args.get("crew", "")
    return View(
        state=_known("state", STATES),
        standing=_known("standing", STANDINGS),
        group=_known("group", groups),
        crew=crew if crew == "none" or _is_id(crew) else "",
        place=_known("place", ("none",)),
        review=_known("review", ("yes",)),
        words=request.args.get("words", "").strip()[:200],
    )


def _known(name: str, choices: Sequence[str]) -> str:
    value = request.args.get(name, "")
    return value if value in choices else ""


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _args(view: View) -> dict[str, Any]:
    """The view as the address carries it."""
    return {name: value for name, value in asdict(view).items() if value}


def _saved(tally: queries.Tally, crews: Sequence[tuple[Crew, int]]) -> list[tuple[str, list[Saved]]]:
    """The saved views under their headings."""
    stands = tally.standings
    by_promise = [
        Saved(filters.standing(name), {"standing": name}, stands[name], standing=name) for name in STANDINGS
    ]
    groups = [
        Saved(
            filters.said(group.names), {"group": group.code}, tally.groups.get(group.code, 0), icon=group.icon
        )
        for group in access.here().city.groups
    ]
    in_city = [
        Saved(_("All open"), {}, tally.open, icon="layers"),
        Saved(_("To look at"), {"review": "yes"}, tally.marked, icon="eye"),
        Saved(_("Unassigned"), {"crew": "none"}, tally.unassigned, icon="inbox"),
        *groups,
        Saved(_("No known place"), {"place": "none"}, tally.unlocated, icon="map-pin"),
    ]
    by_crew = [Saved(crew.name, {"crew": str(crew.id)}, count, icon="users") for crew, count in crews]
    ended = [
        Saved(_("Closed"), {"state": CLOSED}, icon="check"),
        Saved(_("Merged"), {"state": MERGED}, icon="merge"),
    ]
    return [
        (_("By promise"), by_promise), (_("City"), in_city), (_("Crews"), by_crew), (_("Ended"), ended),
    ]  # fmt: skip


def _title(view: View, crews: Sequence[tuple[Crew, int]]) -> str:
    """What a view is called: the names of its parts."""
    groups = {group.code: filters.said(group.names) for group in access.here().city.groups}
    names = {str(crew.id): crew.name for crew, _count in crews} | {"none": _("Unassigned")}
    parts = [
        _("To look at") if view.review else "",
        filters.standing(view.standing),
        filters.state(view.state),
        groups.get(view.group, ""),
        names.get(view.crew, ""),
        _("No known place") if view.place else "",
        _("“%(words)s”", words=view.words) if view.words else "",
    ]
    return " · ".join(part for part in parts if part) or _("All open")


def _promised(case: Case) -> str:
    """The promise with its hour, as the drawer says it."""
    if case.state == WAITING:
        why = promises.waits_for(case)
        return _("Waiting: %(reason)s", reason=filters.reason(why)) if why else _("Waiting")
    if case.state == CLOSED:
        return filters.promise(case)
    if case.state not in OPEN:
        return filters.state(case.state)
    facts = {"day": filters.day(case.due_at), "time": filters.clock(case.due_at)}
    if case.due_at < access.now():
        return _("%(late)s, was due %(day)s, %(time)s", late=filters.left(case), **facts)
    return _("Due %(day)s, %(time)s", **facts)

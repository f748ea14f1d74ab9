"""The dispatcher's board: queue, map and drawer, and what can be done there. Its views: saved_views.py."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, flash, g, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.board import changes, place_history
from city.board import rows as queue_rows
from city.cases import (
    batches,
    corrections,
    duplicates,
    legal_holds,
    locks,
    not_duplicates,
    queries,
    sla,
    transitions,
    waits,
)
from city.cases.duplicates import Candidate
from city.cases.transitions import Closing
from city.config import canned_replies, routing
from city.config.routing import Route
from city.db.models import Case, CaseMessage, Crew, Endpoint, Event, Handover, Photo, RemoteRequest, Report
from city.forwarding import forwards
from city.geo import Point
from city.lifecycle import ACTS, MERGED, OPEN, Refused, possible
from city.partners import handovers
from city.people import callers
from city.photos import photos, processing
from city.photos.processing import BadPhoto
from city.places.nearby_assets import Near
from city.reports import closing_feedback, conversation, intake, proposals
from city.reports.proposals import Proposal
from pwa.board import batch_summary, change_form, conflicts, on_duty
from pwa.board import page as around
from pwa.board.conflicts import Conflict
from pwa.board.view_url import args_of, is_id, view_asked
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import go, is_fragment, render
from sync import refused_requests

# The forms of the drawer, each with the move or act that it is for.
FORMS = {name: name for name in ("assign", "wait", "close", "reopen", "merge", "cancel", "note", "hold")} | {
    "type": "reclassify",
    "place": "relocate",
    "date": "reschedule",
    "split": "split",
    "ask": "ask",
    "update": "update",
    "forward": "forward",
    "partner": "assign",
}
# The menu of corrections, which opens for whoever may make one of them.
CHANGES = ("reclassify", "relocate", "reschedule", "split")

MOST_LETTERS = 100_000  # of the numbers of a page's rows

bp = Blueprint("dispatch", __name__, url_prefix="/dispatch")

Verb = Callable[[Session, Case], object]


@dataclass(frozen=True)
class Wish:
    """How somebody wants to hear of a case, in words; `unreached` where nobody confirmed the address."""

    icon: str
    words: str
    unreached: bool = False


@dataclass(frozen=True)
class Reach:
    """A report, and the channels by which its reporter would read a question: conversation.ways()."""

    report: Report
    ways: list[str]


@dataclass(frozen=True)
class Partnered:
    """How it goes with the partner that has a case; the last four of what it calls done."""

    name: str
    row: Handover
    outcome: str = ""
    no_photo: str | None = None
    words: str = ""
    photos: list[str] = field(default_factory=list)  # their ids


@dataclass(frozen=True)
class Drawer:
    """One case with all that staff see of it and may do to it."""

    case: Case
    standing: str
    moves: list[str]
    changes: list[str]  # those of them that correct it
    acts: list[str]
    near: list[tuple[Case, Candidate]]  # what may be the same, likeliest first
    apart: list[Case]  # what looks the same, and somebody said that it is not
    merged: list[Case]
    root: Case  # at the end of its merges; itself where it was not merged
    story: list[tuple[Event, dict[str, Any]]]
    names: dict[str, str]  # of the actors in the story
    proof: dict[int, list[str]]  # photo ids by cycle
    public: dict[int, bool]  # by report id
    wishes: dict[str, Wish]  # by a report's number, those of merged cases too
    old_number: str  # in the system that it was imported from
    follows: str  # the number of the case whose closing was said to be none, long after
    route: Route  # the department and crew it would go to
    is_sealed: bool  # whoever looks may not read it: see people/departments.py
    seen: int  # the last line of its story, by which its forms say what was known when they were filled in
    times: int = 0  # how many cases its pole, tree or basket had in the two years up to this one
    doing: str = ""  # the form that stands open
    said: str = ""
    fault: str = ""
    merging: str = ""  # the case whose merge waits for an answer: which of these crews goes on
    conflict: Conflict | None = None
    crews_at_work: list[int] = field(default_factory=list)
    places: list[tuple[str, str]] = field(default_factory=list)  # to choose from, where one was not clear
    near_it: list[Near] = field(default_factory=list)  # things to which it may belong instead
    thread: list[CaseMessage] = field(default_factory=list)
    reach: list[Reach] = field(default_factory=list)  # who told of it, and how a question would get there
    form_key: str = ""
    endpoints: list[Endpoint] = field(default_factory=list)  # of other owners who take such a case
    remote: list[RemoteRequest] = field(default_factory=list)  # what went there, and what it came in by
    partner: Partnered | None = None  # a partner has it
    proposals: list[Proposal] = field(default_factory=list)  # what crews say is wrong, and nobody decided

    @property
    def may_forward(self) -> bool:
        """Whether some other owner takes it, and none has it yet."""
        under_way = any(row.is_ours and row.state in forwards.UNDER_WAY for row in self.remote)
        return bool(self.endpoints) and self.case.state in OPEN and not under_way

    @property
    def on_hold(self) -> bool:
        """Whether nothing may be removed of it: it is held, or merged into a case that is."""
        return bool(self.case.hold or self.root.hold)


@bp.get("")
def board() -> Response:
    """Queue and map of a view. Whatever number names a case opens it from the search box."""
    view = view_asked()
    if not all(request.args.values()) and not is_fragment():  # a form says of every field that it is empty
        asked = urlencode({name: value for name, value in request.args.items() if value})
        # Not as arguments of url_for(), which takes some names for its own.
        return go(url_for("dispatch.board") + (f"?{asked}" if asked else ""))
    with access.reading() as s:
        if view.words and (named := queries.by_reference(s, view.words)):
            return go(url_for("dispatch.case", number=named.number))
        return render("dispatch/board.html", "dispatch/_page.html", **around.whole(s, view))


@bp.get("/views")
def saved_views() -> Response:
    """The saved views and how many cases they hold now, for a board that stands open."""
    view = view_asked()
    with access.reading() as s:
        return render("dispatch/_sides.html", **around.sides(s, view), duty=on_duty.on_board(s))


@bp.get("/cases/<number>")
def case(number: str) -> Response:
    """The drawer of one case; without htmx beside the queue."""
    return _opened(number, doing=request.args.get("do", ""))


@bp.post("/cases/<number>/acceptance")
def accept(number: str) -> Response:
    """A person at the city has read it."""
    return _do(
        number, lambda s, c: transitions.accept(s, c, by=g.actor, at=access.now()), _("Accepted."),
        act="accept",
    )  # fmt: skip


@bp.post("/cases/<number>/assignment")
def assign(number: str) -> Response:
    """Gives the case to a crew."""
    crew = _crew(request.form.get("crew", ""))

    def verb(s: Session, c: Case) -> bool:
        if crew is None:
            raise Refused("unknown_value")
        return transitions.assign(s, c, s.get_one(Crew, crew.id), by=g.actor, at=access.now())

    return _do(
        number, verb, _("Assigned to %(crew)s.", crew=crew.name if crew else ""), doing="assign",
        act="assign", what={"crew": crew.id if crew else None},
    )  # fmt: skip


@bp.post("/cases/<number>/assignment/end")
def unassign(number: str) -> Response:
    """Takes the case back from its crew."""
    said = _("Unassigned. No crew has this case now.")
    return _do(
        number, lambda s, c: transitions.unassign(s, c, by=g.actor, at=access.now()), said, act="unassign"
    )


@bp.post("/cases/<number>/wait")
def wait(number: str) -> Response:
    """The case waits for somebody else."""
    reason = request.form.get("reason", "")
    day = request.form.get("day", "") or request.form.get("until", "")

    def verb(s: Session, c: Case) -> bool:
        until = waits.on_day(c, day)
        return transitions.wait(s, c, reason, until=until, by=g.actor, at=access.now())

    said = _("On hold. It comes back by itself.")
    return _do(number, verb, said, doing="wait", act="wait", what={"reason": reason, "until": day})


@bp.post("/cases/<number>/resume")
def resume(number: str) -> Response:
    """The wait is over."""
    said = _("No longer on hold.")
    return _do(number, lambda s, c: transitions.resume(s, c, by=g.actor, at=access.now()), said, act="resume")


@bp.post("/cases/<number>/type")
def reclassify(number: str) -> Response:
    """The case is of another type."""
    code = request.form.get("service", "")

    def verb(s: Session, c: Case) -> bool:
        return change_form.to_type(s, c, code)

    said = _("Type of problem changed.")
    return _do(number, verb, said, doing="type", act="reclassify", what={"service": code})


@bp.post("/cases/<number>/place")
def relocate(number: str) -> Response:
    """The case lies elsewhere."""

    def verb(s: Session, c: Case) -> bool:
        return change_form.to_place(s, c, request.form)

    return _do(number, verb, _("Location changed."), doing="place", act="relocate")


@bp.post("/cases/<number>/date")
def reschedule(number: str) -> Response:
    """Residents are told a new date."""
    reason, day = request.form.get("reason", ""), request.form.get("day", "")

    def verb(s: Session, c: Case) -> bool:
        until = waits.on_day(c, day, sla.END_OF_DAY)
        return corrections.reschedule(s, c, reason, until, by=g.actor, at=access.now())

    said = _("New date given. Everyone who asked for updates will hear about it.")
    return _do(number, verb, said, doing="date", act="reschedule", what={"reason": reason, "until": day})


@bp.post("/cases/<number>/split")
def split(number: str) -> Response:
    """A report tells of something else and becomes its own case, which is shown."""
    wanted = request.form.get("report", "")

    def verb(s: Session, c: Case) -> Case:
        report = _report(c, wanted)
        if report is None:
            raise Refused("unknown_report")
        return corrections.split(s, c, report, by=g.actor, at=access.now())

    said = _("Report %(number)s has its own case now.", number=wanted)
    return _do(number, verb, said, doing="split", act="split", what={"report": wanted})


@bp.post("/cases/<number>/closure")
def close(number: str) -> Response:
    """Ends the case with an outcome and its evidence."""
    here, at = access.current_city(), access.now()
    taken: list[Photo] = []
    outcome, code = request.form.get("outcome", ""), request.form.get("reply", "")
    no_photo = request.form.get("no_photo") or None
    outcome = outcome or {reply.code: reply.outcome for reply in here.city.replies}.get(code, "")

    def verb(s: Session, c: Case) -> bool:
        reply = canned_replies.chosen(here.city, c.service, outcome, code) if code else None
        staged_for = f"person:{g.actor.person_id}:{c.number}:{c.cycle}"
        for picture in pictures:
            photo = photos.stage(s, here.settings.var, picture, staged_for=staged_for, at=at)
            taken.append(photo)
        return transitions.close(
            s,
            c,
            Closing(
                outcome,
                photos=taken,
                no_photo=no_photo,
                words=forms.text(request.form, "words"),
                reply=canned_replies.as_stored(reply, here.version) if reply else None,
            ),
            by=g.actor,
            at=at,
        )

    try:
        # Unpacking takes long, so it is done before anything is locked.
        pictures = [processing.process(f.stream) for f in _uploads()]
    except BadPhoto as fault:
        refused_requests.photo(fault.code)
        return _opened(number, doing="close", fault=fault)
    answer = _do(
        number, verb, _("Case closed. We'll let everyone who asked for updates know."), doing="close",
        act="close", what={"outcome": outcome, "no_photo": no_photo},
    )  # fmt: skip
    if taken and answer.status_code < 400:
        photos.move_staged_to_storage(
            here.engine, here.store, here.settings.var, at, only=[p.id for p in taken]
        )
    return answer


@bp.post("/cases/<number>/reopening")
def reopen(number: str) -> Response:
    """A closed case lives again."""
    words = forms.text(request.form, "words")
    said = _("Reopened. The clock is running again.")
    return _do(
        number,
        lambda s, c: transitions.reopen(s, c, by=g.actor, at=access.now(), words=words),
        said,
        doing="reopen",
        act="reopen",
    )


@bp.post("/cases/<number>/merge")
def merge(number: str) -> Response:
    """Makes the case a duplicate of another. Two crews at work: asks which one goes on."""
    into = request.form.get("into", "").strip().upper()
    keep = request.form.get("keep_crew", "")

    def verb(s: Session, c: Case) -> bool:
        other = queries.by_number(s, into)
        if other is None:
            raise Refused("unknown_number")
        keep_crew = int(keep) if is_id(keep) else None
        return transitions.merge(s, c, other, by=g.actor, at=access.now(), keep_crew=keep_crew)

    said = _("Merged %(number)s into this case.", number=number)
    return _do(number, verb, said, doing="merge", shown=into, also=[into], act="merge", into=into)


@bp.post("/cases/<number>/unmerge")
def unmerge(number: str) -> Response:
    """Separates a merged case again."""
    said = _("%(number)s is a separate case again.", number=number)
    return _do(
        number, lambda s, c: transitions.unmerge(s, c, by=g.actor, at=access.now()), said,
        act="unmerge", into=number,
    )  # fmt: skip


@bp.post("/cases/<number>/apart")
def tell_apart(number: str) -> Response:
    """The case and the one in `other` look alike and are two problems."""
    said = _("Marked as not duplicates.")
    return _pair(number, not_duplicates.mark_not_duplicate, said)


@bp.post("/cases/<number>/one-again")
def one_again(number: str) -> Response:
    """The case and the one in `other` may be one problem after all."""
    return _pair(number, not_duplicates.unmark_not_duplicate, _("These may be duplicates again."))


@bp.post("/cases/<number>/cancellation")
def cancel(number: str) -> Response:
    """Ends a case that should not be one."""
    reason = request.form.get("reason", "")
    return _do(
        number,
        lambda s, c: transitions.cancel(s, c, reason, by=g.actor, at=access.now()),
        _("Case canceled."),
        doing="cancel",
        act="cancel",
        what={"reason": reason},
    )


@bp.post("/cases/<number>/review/end")
def end_review(number: str) -> Response:
    """Somebody has looked at what the case was marked for."""
    said = _("Marked as reviewed.")
    return _do(number, lambda s, c: proposals.reviewed(s, c, by=g.actor, at=access.now()), said)


@bp.post("/cases/<number>/note")
def note(number: str) -> Response:
    """Keeps a note that only staff read."""
    words = forms.text(request.form, "note")
    return _do(
        number,
        lambda s, c: transitions.note(s, c, words, by=g.actor, at=access.now()),
        _("Note saved. Only staff can see it."),
        doing="note",
    )


@bp.post("/cases/<number>/question")
def ask(number: str) -> Response:
    """Asks whoever told one of its reports, or several of them."""
    wanted = request.form.getlist("report")
    key = request.form.get("key", "")

    def verb(s: Session, c: Case) -> None:
        family = {report.number: report for report in queries.report_count(s, c)}
        chosen = [family[each] for each in dict.fromkeys(wanted) if each in family]
        if not chosen:
            raise Refused("nobody_asked")
        for report in chosen:
            conversation.ask(
                s, report, forms.text(request.form, "question"), request.form.get("choices", "").split(","),
                by=g.actor, at=access.now(), key=f"{report.id}:{key}" if forms.is_key(key) else None,
            )  # fmt: skip

    return _do(number, verb, _("Question sent."), doing="ask")


@bp.post("/cases/<number>/forward")
def forward(number: str) -> Response:
    """Passes the case on to another owner's endpoint; the worker sends it."""
    chosen, settings = request.form.get("endpoint", ""), access.current_city().settings

    def verb(s: Session, c: Case) -> None:
        endpoint = s.get(Endpoint, int(chosen)) if is_id(chosen) else None
        if endpoint is None:
            raise Refused("no_endpoint")
        forwards.forward(
            s, c, endpoint, forms.text(request.form, "words"), here=settings.base_url,
            secret=settings.secret_key, by=g.actor, at=access.now(),
        )  # fmt: skip

    return _do(number, verb, _("It will be passed on within a minute."), doing="forward")


@bp.post("/cases/<number>/forward/<natural:row>")
def settle_forward(number: str, row: int) -> Response:
    """What somebody found out over there, or decided: it is there, it is to be sent again, it is ours."""
    act = request.form.get("act")

    def verb(s: Session, c: Case) -> bool:
        found = access.or_404(next((each for each in forwards.of_case(s, c.id) if each.id == row), None))
        if act == "arrived":
            return forwards.arrived(s, found, request.form.get("theirs", ""), by=g.actor, at=access.now())
        if act == "again":
            return forwards.send_again(s, found, by=g.actor, at=access.now())
        return forwards.take_back(s, found, by=g.actor, at=access.now())

    return _do(number, verb, _("Saved."))


@bp.post("/cases/<number>/partner")
def settle_handover(number: str) -> Response:
    """Staff answer the partner that has the case: they take its work, write to it, or see to its link."""
    act, words = request.form.get("act"), forms.text(request.form, "words")
    closed: dict[str, Any] = {}  # as the partner said

    def verb(s: Session, c: Case) -> bool:
        by, at = g.actor, access.now()
        if act == "accept":
            is_new = handovers.take_as_done(s, c, by=by, at=at)
            closed["outcome"] = c.closures[-1].outcome
            return is_new
        if act in ("back", "tell"):
            return (handovers.send_back if act == "back" else handovers.tell)(s, c, words, by=by, at=at)
        return (handovers.send_again if act == "again" else handovers.revoke)(s, c, by=by, at=at)

    said = {
        "accept": _("Accepted. The case is closed."),
        "back": _("Sent back."),
        "again": _("A new link is on its way."),
        "revoke": _("Revoked. Their link to this case no longer works."),
    }.get(act or "", _("Saved."))
    return _do(number, verb, said, doing="partner", act="close" if act == "accept" else "", what=closed)


@bp.post("/cases/<number>/update")
def update(number: str) -> Response:
    """Lets those who reported it know how it goes on."""
    here, at, key = access.current_city(), access.now(), request.form.get("key", "")
    taken: list[Photo] = []

    def verb(s: Session, c: Case) -> None:
        for picture in pictures:
            staged_for = f"person:{g.actor.person_id}:{c.number}:{key[:32]}"
            taken.append(photos.stage(s, here.settings.var, picture, staged_for=staged_for, at=at))
        conversation.update(
            s, c, forms.text(request.form, "words"), taken=taken, public=bool(request.form.get("public")),
            by=g.actor, at=at, lang=localization.lang(),
            key=f"case:{c.id}:{key}" if forms.is_key(key) else None,
        )  # fmt: skip

    try:
        pictures = [processing.process(f.stream) for f in _uploads()]
    except BadPhoto as fault:
        refused_requests.photo(fault.code)
        return _opened(number, doing="update", fault=fault)
    answer = _do(number, verb, _("Update sent."), doing="update")
    if taken and answer.status_code < 400:
        photos.move_staged_to_storage(
            here.engine, here.store, here.settings.var, at, only=[p.id for p in taken]
        )
    return answer


@bp.post("/cases/<number>/hold")
def hold(number: str) -> Response:
    """Nothing of the case may be removed from now on."""
    reason = forms.text(request.form, "hold")
    return _do(
        number,
        lambda s, c: legal_holds.place(
            s, c, reason, access.current_city().settings.var, by=g.actor, at=access.now()
        ),
        _("Legal hold placed. Nothing will be removed from this case until you lift it."),
        doing="hold",
    )


@bp.post("/cases/<number>/hold/end")
def lift_hold(number: str) -> Response:
    """The retention rule counts again."""
    said = _("Legal hold lifted. Anything past its retention date will be removed within a day.")
    return _do(
        number,
        lambda s, c: legal_holds.lift(s, c, access.current_city().settings.var, by=g.actor, at=access.now()),
        said,
    )


@bp.post("/cases/<number>/shown")
def show(number: str) -> Response:
    """Makes words and photos of all the case's reports public, or hides them again."""
    wanted = request.form.get("shown") == "yes"

    def verb(s: Session, c: Case) -> None:
        for report in list(c.reports):
            (intake.show if wanted else intake.hide)(s, report, by=g.actor, at=access.now())

    public, hidden = (
        _("Public now. Anyone can see the description and photos."),
        _("Hidden. Only staff and the person who reported it can see the description and photos."),
    )
    return _do(number, verb, public if wanted else hidden)


@bp.get("/cases/<number>/erasure")
def ask_erasure(number: str) -> Response:
    """Says what would go, before anything goes."""
    with access.reading() as s:
        found = access.or_404(queries.load_full(s, number))
        report = access.or_404(_report(found, request.args.get("report", "")))
        return render("dispatch/erasure.html", case=found, report=report, args=args_of(view_asked()))


@bp.post("/cases/<number>/erasure")
def erase(number: str) -> Response:
    """Removes everything personal of one report."""
    here, wanted = access.current_city(), request.form.get("report", "")

    def verb(s: Session, c: Case) -> None:
        report = access.or_404(_report(c, wanted))
        intake.erase(s, report, here.store, here.settings.var, by=g.actor, at=access.now())

    return _do(number, verb, _("Report %(number)s was erased.", number=wanted))


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
    number: str,
    verb: Verb,
    said: str,
    *,
    doing: str = "",
    shown: str = "",
    also: Sequence[str] = (),
    act: str = "",
    what: dict[str, Any] | None = None,
    into: str = "",
) -> Response:
    """Runs one verb in its transaction and shows the case: `shown` afterwards, `open` where refused.

    With `act`, one of batches.SINGLE, and `what` was asked, it can be undone for a while. `into` is the case
    whose root the act changes too. A verb that returns another case has made it, and that is shown.
    """
    opened = request.form.get("open", number)
    try:
        with access.writing() as s:
            found = access.or_404(queries.by_number(s, number))
            other = None
            if into and (named := queries.by_number(s, into)):
                other = batches.snapshot_with_root(s, found, act, named)
            elif act:  # so that it is held as it was before the verb
                locks.lock(s, found)
            was, version = batches.snapshot(found, act) if act else {}, found.version
            done = conflicts.unless_overtaken(s, verb, found, opened)
            if act and found.version != version:
                if isinstance(done, Case):
                    other, shown = (done, {"own": True}), done.number
                batches.keep_single(s, found, act, what or {}, was, by=g.actor, at=access.now(), other=other)
    except (Refused, BadPhoto) as fault:
        return _opened(opened, doing=doing, fault=fault, merging=number)
    shown = shown or opened
    if not is_fragment():
        flash(said)
        return go(url_for("dispatch.case", number=shown, **args_of(view_asked())))
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
    view = view_asked()
    with access.reading() as s:
        found = access.or_404(queries.by_number(s, number))
        number = found.number
        s.expire(found)  # read again after the line that the drawer's forms will name
        drawer = _drawer(s, number, doing=doing, said=said, fault=fault, merging=merging)
        status = 409 if drawer.conflict else 422 if fault else 200
        if not is_fragment():
            return render("dispatch/board.html", status=status, **around.whole(s, view, drawer))
        listed = _listed([number, *touched])
        changed = queue_rows.of_numbers(s, listed, sealed=view.sealed) if touched else []
        return render(
            "dispatch/board.html", "dispatch/_changed.html", status=status, drawer=drawer, rows=changed,
            is_done=bool(touched),
            **around.sides(s, view, changed), **(batch_summary.offered(s) if touched else {}),
        )  # fmt: skip


def _listed(numbers: Sequence[str]) -> list[str]:
    """Those of these cases that have a row on the page; all where it doesn't say which it has."""
    if "listed" not in request.form:
        return list(numbers)
    listed = set(request.form["listed"][:MOST_LETTERS].split())
    return [number for number in numbers if number in listed]


def _drawer(
    s: Session, number: str, *, doing: str, said: str, fault: Refused | BadPhoto | None, merging: str
) -> Drawer:
    seen = changes.last_line(s, number)  # before the case: what comes between them is asked about, not missed
    found = access.or_404(queries.load_full(s, number))
    story = queries.case_events(s, found)
    publish = access.current_city().publish
    place = Point(found.lat, found.lon) if found.lat is not None and found.lon is not None else None
    apart = queries.numbers(s, duplicates.is_not_duplicate(s, found))
    sealed = g.get("sealed", ())
    maybe = {one.number: one for one in duplicates.candidates_for_case(s, found, apart=apart)}
    root = transitions.root_of(s, found)
    merged = [twin for twin in queries.duplicates_of(s, found) if twin.service_code not in sealed]
    family = queries.report_count(s, found) if merged else found.reports
    others = [twin.number for twin in (*merged, root) if twin is not found]
    whole = queries.load_many(s, [*others, *maybe, *apart.values()])  # what their cards show
    whole = [twin for twin in whole if twin.service_code not in sealed]
    crews = fault.facts.get("crews", []) if isinstance(fault, Refused) and fault.code == "choose_crew" else []
    moves = [
        move
        for move in possible(
            found.state,
            g.actor.roles,
            office=found.service.office,
            danger=sla.in_danger(found),
        )
        if (move, found.state) != ("merge", MERGED)
    ]
    changes_of = [move for move in CHANGES if move in moves and (move != "split" or len(found.reports) > 1)]
    acts = [act for act, roles in ACTS.items() if g.actor.roles.intersection(roles)]
    return Drawer(
        case=found,
        standing=sla.sla_status(found, access.now()),
        moves=moves,
        acts=acts,
        near=[(twin, maybe[twin.number]) for twin in whole if twin.number in maybe],
        apart=[twin for twin in whole if twin.id in apart],
        merged=merged,
        is_sealed=found.service_code in sealed,
        root=root,
        story=story[::-1],
        names=queries.names(s, {event.actor for event, _words in story}),
        proof={done.cycle: queries.evidence(s, found, done.cycle) for done in found.closures},
        public={report.id: queries.is_public(report, found, publish) for report in found.reports},
        wishes=_wishes(s, family),
        doing=doing if FORMS.get(doing, "") in (*moves, *acts) or (doing == "change" and changes_of) else "",
        changes=changes_of,
        said=said,
        fault=_fault(fault),
        merging=merging if crews else "",
        places=fault.facts.get("places", []) if isinstance(fault, Refused) else [],  # type: ignore[arg-type]
        near_it=change_form.near(s, found) if "relocate" in moves else [],
        proposals=proposals.newest(proposals.pending(found, story)) if found.review else [],
        thread=conversation.thread(s, {found.id, *(each.case_id for each in family)}),
        reach=[Reach(each, conversation.ways(each)) for each in family if not each.erased_at],
        endpoints=forwards.for_case(s, found),
        remote=forwards.of_case(s, found.id),
        partner=_partnered(s, found),
        form_key=uuid.uuid4().hex,
        crews_at_work=[int(str(crew)) for crew in crews] if isinstance(crews, list) else [],
        old_number=queries.old_number(s, found.id) if found.origin == "import" else "",
        follows=s.get_one(Case, found.linked_to_id).number if found.linked_to_id else "",
        route=_route(s, found, place),
        seen=seen,
        times=place_history.times_so_far(s, found),
        conflict=conflicts.conflict(s, found, [event for event, _words in story], seen, fault, doing),
    )


def _partnered(s: Session, case: Case) -> Partnered | None:
    held = transitions.live(case)
    row = handovers.of_case(s, case)
    if held is None or row is None:
        return None
    told = handovers.said(s, case, handovers.DONE) if row.done_at else []
    if not told:
        return Partnered(held.crew.name, row)
    event, words = told[-1]
    shown = [photo.id for photo in handovers.photos_of(s, case, event.photos)]
    facts = event.facts
    return Partnered(held.crew.name, row, facts["outcome"], facts["no_photo"], words.get("words", ""), shown)


def _wishes(s: Session, family: Sequence[Report]) -> dict[str, Wish]:
    """Who wants to hear of it and how, for those who speak with callers."""
    if not access.may_open("desk.desk"):
        return {}
    first = [(report, closing_feedback.first_told(s, report)) for report in family]
    told = {one.key for _, one in first if one.channel != "web" and not one.erased_at}
    ways = callers.contact_preferences(s, told) if told else {}
    return {report.number: _wish(report, *ways[one.key]) for report, one in first if one.key in ways}


def _wish(report: Report, how: str, phone: str) -> Wish:
    number = callers.format_number(phone, access.current_city().city.region) if phone else ""
    if how == "email":
        confirmed = any(each.hears for each in report.subscriptions)
        return Wish("send", _("Email") if confirmed else _("Email, not confirmed yet"), not confirmed)
    if how == "again":
        said = _("They'll call back (%(number)s)", number=number) if number else _("They'll call back")
        return Wish("phone", said)
    if how == "sms":
        return Wish("phone", _("Wants a text: %(number)s", number=number))
    return Wish("phone", _("Wants a call: %(number)s", number=number))


def _route(s: Session, found: Case, place: Point | None) -> Route:
    """Where the city file sends this case; without a rule to the department of its service."""
    rules, service = () if found.service.office else access.current_city().city.routing, found.service
    asked = routing.areas_asked(rules, service.code, service.group) if place else set()
    areas = queries.areas_at(s, place, asked) if place and asked else []
    usual = Route(service.department_code, None)
    return routing.match(rules, service.code, service.group, areas) or usual


def _fault(fault: Refused | BadPhoto | None) -> str:
    return errors.words(fault) if fault else ""


def _report(found: Case, number: str) -> Report | None:
    return next((r for r in found.reports if r.number == number), None)


def _crew(crew_id: str) -> Crew | None:
    if not is_id(crew_id):
        return None
    with access.reading() as s:
        return queries.crew(s, int(crew_id))


def _uploads() -> list[Any]:
    return [f for f in request.files.getlist("photos")[: photos.MAX_PHOTOS] if f.filename]

"""One case, as its reporter and as strangers see it: join it, share it, take it back."""

import hashlib
import hmac
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, Response, abort, g, request, session, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.cases import queries, transitions
from city.cases.queries import PublicCase, TimelineEntry
from city.db.models import Case, Report
from city.forwarding import forwards
from city.lifecycle import NEW, OPEN, Refused
from city.notifications import webpush
from city.people import accounts
from city.photos import photos
from city.reports import closing_feedback, conversation, intake
from pwa.resident import form_photos, own_report
from pwa.resident.form_photos import Fault
from pwa.web import access, errors, formatting, forms, localization, qr_code
from pwa.web.fragments import go, render

bp = Blueprint("case", __name__)

LATE = timedelta(minutes=5)  # a closing that takes so long to the city was made without signal


@dataclass(frozen=True)
class Stop:
    """One line of "What happened"; `photo` is the id of the one that was taken then."""

    title: str
    at: datetime
    more: str = ""
    photo: str = ""


@bp.get("/s/<token>")
def secret(token: str) -> Response:
    """Opens a secret link: the browser keeps the token, and the address forgets it."""
    return own_report.open_secret_link(token, "case.page")


@bp.get("/case/<path:number>")  # an old system may have written "2024/00123"
def page(number: str) -> Response:
    """One case: the reporter's own view after the secret link, otherwise what is public, otherwise 404."""
    return _page(number)


@bp.post("/case/<number>/join")
def join(number: str) -> Response:
    """ "I have this too": one report more, without words, which this browser then holds the link of."""
    here = access.current_city()
    # The same browser and case have the same key, so that a second tap finds the first report.
    told = f"{session.get('csrf_token', '')}:{number}"
    ours = here.settings.secret_key
    key = hmac.new(ours.encode(), b"join:" + told.encode(), hashlib.sha256).hexdigest()[:32]
    token = intake.token_for(ours, key)
    try:
        with access.writing() as s:
            found = access.or_404(queries.by_number(s, number))
            if access.own_report(s, found):
                return go(url_for(".page", number=found.number))
            joined = intake.join(s, found, key=key, token=token, lang=localization.lang(), at=access.now())
            own = joined.number
    except Refused as refused:
        if refused.code == "unknown_case":
            abort(404)
        return _page(number, [("main", errors.words(refused))])
    return access.remember_link(go(url_for("resident.sent", number=own)), own, token)


@bp.get("/case/<number>/share")
def share(number: str) -> Response:
    """The case's public address, to copy and as a code to scan: without the reporter's own link."""
    with access.reading() as s:
        found = access.or_404(queries.by_number(s, number))
        sight = access.or_404(_sight(s, found, None))
        if number != found.number:
            return go(url_for(".share", number=found.number))
        link = public_address(found.number)
        return render("resident/share.html", sight=sight, link=link, code=qr_code.drawn(link))


@bp.post("/case/<number>/reply")
def write(number: str) -> Response:
    """The reporter answers a question, or adds words and photos. What was refused stays in its field."""
    here, at = access.current_city(), access.now()
    typed = {name: request.form.get(name, "") for name in ("key", "to", "choice")}
    typed["words"] = forms.text(request.form, "words")
    field = f"answer-{typed['to']}" if typed["to"] else "more"
    if not forms.is_key(typed["key"]):
        abort(400)
    if faults := form_photos.stage(request.files.getlist("photo"), typed["key"]):
        return _page(number, [(field, words) for _at, words in faults], typed)
    to = int(typed["to"]) if typed["to"].isdecimal() and len(typed["to"]) < 19 else None
    try:
        with access.writing() as s:
            mine = own_report.named(s, number)
            taken = form_photos.staged(s, typed["key"])
            conversation.reply(
                s, mine, typed["words"], to=to, choice=typed["choice"], taken=taken,
                by=accounts.reporter(mine.id), at=at, key=f"{mine.id}:{typed['key']}",
            )  # fmt: skip
            ids, shown = [photo.id for photo in taken], mine.case.number
    except Refused as refused:
        return _page(number, [(field, errors.words(refused))], typed)
    if ids:
        photos.move_staged_to_storage(here.engine, here.store, here.settings.var, at, only=ids)
    return go(url_for(".page", number=shown, said="written"))


@bp.post("/case/<number>/withdraw")
def withdraw(number: str) -> Response:
    """The reporter takes it back while nobody has acted on it."""
    with access.writing() as s:
        mine = own_report.named(s, number)
        transitions.cancel(s, mine.case, "withdrawn", by=accounts.reporter(mine.id), at=access.now())
    return go(url_for(".page", number=number))


def public_address(number: str) -> str:
    """The whole address of a case's page for everybody, in the visitor's language."""
    return access.current_city().settings.base_url + url_for(".page", number=number)


def _page(number: str, faults: list[Fault] | None = None, written: dict[str, str] | None = None) -> Response:
    here = access.current_city()
    with access.reading() as s:
        ours = queries.by_number(s, number)
        found = access.or_404(ours or queries.by_old_number(s, number))
        mine = access.own_report(s, found)
        sight = access.or_404(_sight(s, found, mine))
        if not (ours or sight.old_number):  # what the page does not tell leads nowhere either
            abort(404)
        if number != found.number and not faults:  # what was refused is shown where it was sent
            return go(url_for(".page", number=found.number))
        if mine:
            g.way = "resident.mine"
        root = transitions.root_of(s, mine.case) if mine else found
        # The page that shows a question hands it over: the clock stands from then on.
        unread = mine.id if mine and conversation.is_unread(s, mine.id) else 0
        department = sight.service.department
        lines = conversation.thread(s, [root.id], mine) if mine else conversation.public_updates(s, found)
        shown = render(
            "resident/case.html", status=422 if faults else 200, sight=sight, mine=mine, faults=faults or [],
            story=_story(sight, mine, name_crews=here.city.name_crews),
            department=department.names if department and here.city.name_crews else None,
            closing=closing_feedback.closing_of(root) if mine else "",
            until=own_report.expires(s, sight, mine),
            confirmed=mine is not None and closing_feedback.confirmed(s, mine, root),
            answered=closing_feedback.answered(s, mine, root) if mine else "",
            rating=own_report.rating(s, mine) if mine else None,
            said=own_report.flash_text(request.args.get("said", ""), office=sight.service.office),
            share_url=public_address(found.number),
            may_join=mine is None and sight.state in OPEN and sight.point is not None
            and not sight.service.office and not sight.service.precision_m,
            may_withdraw=mine is not None and sight.state == NEW and sight.reports == 1,
            thread=lines, questions=conversation.unanswered(lines) if root.state in OPEN else [],
            may_write=mine is not None and conversation.may_write(mine, root, access.now()),
            until_written=conversation.last_day(root), written=written or {}, key=uuid.uuid4().hex,
            forwarded=forwards.shown(s, root),
            push_key=webpush.public_key(here.settings) if mine else "",
        )  # fmt: skip
    if unread:
        with access.writing() as s:
            conversation.seen(s, unread, at=access.now())
        return _page(number, faults, written)
    return shown


def _sight(s: Session, case: Case, mine: Report | None) -> PublicCase | None:
    publish = access.current_city().publish
    if mine:
        return queries.reporter_view(s, mine, now=access.now(), publish=publish)
    return next(iter(queries.public(s, now=access.now(), publish=publish, number=case.number)), None)


def _story(sight: PublicCase, mine: Report | None, *, name_crews: bool) -> list[Stop]:
    """What happened, newest first; neighbors who joined stand together, at the telling they joined."""
    number = mine.number if mine else ""
    stops: list[Stop] = []
    joined, assigned, crew = 0, False, 0
    last = next((step for step in reversed(sight.steps) if step.kind == "close"), None)
    for step in sight.steps:
        if step.kind == "clear":  # the page itself says so
            continue
        told_by_me = bool(number) and step.facts.get("report") == number
        if step.kind == "join" and not told_by_me:
            joined += 1
            continue
        title = _title(step.kind, step.facts, told_by_me, office=sight.service.office, mine=sight.mine)
        if step.kind == "assign" and assigned:
            title = _("Another crew assigned")
        assigned = step.kind == "assign" or (assigned and step.kind not in ("reopen", "make safe"))
        more = _of_closing(step) if step.kind == "close" else ""
        if name_crews and step.kind in ("assign", "start"):
            more = sight.crews.get(step.facts.get("crew", crew), "")
        crew = step.facts.get("crew", crew)
        if step.kind == "reschedule":
            more = localization.long_day(datetime.fromisoformat(step.facts["date"]))
        photo = next(iter(sight.proof.photos), "") if step is last and sight.proof else ""
        stops.append(Stop(title, step.at, more, photo))
    if stops:
        first = stops[0]
        mine_first = (
            mine is not None and mine.case_id == sight.id and queries.opened_with(sight.number, number)
        )
        if sight.service.office:
            title = _("You asked") if mine_first else first.title
        else:
            title = _("You reported it") if mine_first else first.title
        joined = min(joined, sight.reports - 1)  # who got a case of their own is here no more
        told = ngettext("1 neighbor joined", "%(num)d neighbors joined", joined) if joined > 0 else ""
        stops[0] = Stop(title, first.at, told, sight.thumb or "")
    return stops[::-1]


def _title(kind: str, facts: dict[str, Any], told_by_me: bool, *, office: bool, mine: bool) -> str:
    if kind == "close":
        return formatting.outcome(facts.get("outcome"), office=office)
    if kind == "join":
        return _("You joined this report")
    if kind == "not fixed" and told_by_me:
        return _("You said it isn't answered") if office else _("You said it isn't fixed")
    if kind == "fixed confirmed" and told_by_me:
        return _("You said it's answered") if office else _("You said it's fixed")
    if kind == "wait":
        return formatting.waits_for(
            facts.get("reason"), facts.get("owner", ""), mine=mine, passed_to=facts.get("passed_to", "")
        )
    return formatting.public_step(kind, office=office)


def _of_closing(step: TimelineEntry) -> str:
    """When the crew was done, where the city heard of it later."""
    facts = step.facts
    done = datetime.fromisoformat(facts["done_at"]) if "done_at" in facts else step.at
    if step.at - done > LATE and not facts.get("bounded"):
        return _("Crew finished: %(moment)s", moment=localization.moment(done))
    return ""

"""The desk's inbox: what came by mail, text, voicemail or form, one by one, beside the desk's form."""

from io import BytesIO

from flask import Blueprint, Response, abort, g, request, send_file, url_for

from city.db.models import InboxEntry
from city.inbox import entries
from pwa.desk import call_page, inbox_frame
from pwa.web import access
from pwa.web.fragments import go, render

bp = Blueprint("inbox", __name__, url_prefix="/desk/inbox")


@bp.get("")
def inbox() -> Response:
    """Leads to the oldest entry that nobody else has open; of one ?channel, and not to ?after where that can
    be. Says so where nothing waits."""
    channel, saved = request.args.get("channel", ""), request.args.get("saved", "")
    after, at = request.args.get("after", 0, int), access.now()
    with access.reading() as s:
        first = entries.next_for(s, g.actor.person_id or 0, at=at, channel=channel, after=after)
        rest = entries.waiting(s, channel) if first is None else []
        if entry := first or next(iter(rest), None):
            return go(url_for(".entry", number=entry.id, channel=channel or None, saved=saved or None))
        return render("desk/inbox_empty.html", saved=saved, waiting=inbox_frame.waiting(s, at))


@bp.get("/<natural:number>")
def entry(number: int) -> Response:
    """The entry beside a form that it fills in as far as it goes."""
    with access.reading() as s:
        found = access.or_404(s.get(InboxEntry, number))
        if found.settled_at:
            return go(url_for(".inbox", saved="settled"))
        form = inbox_frame.draft(found, access.now())
    return call_page.page(form, saved=request.args.get("saved", ""), number=number)


@bp.post("/<natural:number>")
def end(number: int) -> Response:
    """Ends it as a call ends, and goes on to the next; or asks whoever wrote."""
    return call_page.posted(number)


@bp.post("/<natural:number>/hold")
def hold(number: int) -> Response:
    """This page is open: others are offered another entry. Answers with what waits."""
    with access.writing() as s:
        entries.hold(s, access.or_404(s.get(InboxEntry, number)), by=g.actor, at=access.now())
    return waiting()


@bp.get("/waiting")
def waiting() -> Response:
    """How many wait, and whether one waits too long."""
    with access.reading() as s:
        return render("desk/_waiting.html", waiting=inbox_frame.waiting(s, access.now()))


@bp.get("/<natural:number>/recording")
def recording(number: int) -> Response:
    """What was said to the machine."""
    with access.reading() as s:
        found = access.or_404(entries.recording(s, number))
        if not found.kind.startswith("audio/"):
            abort(404)
        response: Response = send_file(BytesIO(found.sound), mimetype=found.kind, conditional=True)
    return response

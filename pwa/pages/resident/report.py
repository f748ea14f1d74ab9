"""What residents see: home, the report, what was sent, a case. Staff pages are elsewhere."""

import hashlib
import hmac
import logging
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from io import SEEK_END
from typing import Any, BinaryIO, cast

from babel.dates import format_timedelta
from flask import Blueprint, Response, abort, current_app, g, jsonify, request, session, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import get_locale
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.orm import Session

from city.cases import duplicates, queries
from city.cases.queries import PublicCase
from city.channels import EMAIL, SMS
from city.config.city_file import CityFile, Service
from city.db.models import Photo, Report
from city.geo import Point, distance
from city.lifecycle import MAX_WORDS, Refused
from city.notifications import webpush
from city.people import callers, rate_limits
from city.photos import photos, processing
from city.photos.processing import BadPhoto
from city.places import lookup, nearby_assets
from city.places.lookup import Place
from city.places.resolve import Resolved, resolve
from city.reports import closing_feedback, intake
from pwa.resident import form_photos, own_report, problem_kinds
from pwa.resident.form_photos import Fault
from pwa.web import access, errors, forms, localization, pwa_shell
from pwa.web.forms import ReportForm
from pwa.web.fragments import go, is_fragment, render
from sync import refused_requests

bp = Blueprint("resident", __name__)
log = logging.getLogger("cityline")

NEAR_HOME_METRES = 1500.0
ROWS_AT_HOME = 4  # two by two on a phone
ROWS_OF_MINE = 50
LOOKED_AT_HOME = 12  # of the newest reports, and of the own ones
ANOTHER_METRES = 50.0  # a form that comes again from further away than phones err tells of something else
SENT = "form sent"  # noted with what the sender is known again by


@bp.record_once
def _mind_own_token(setup: BlueprintSetupState) -> None:
    """send() answers a stale token itself: the form keeps what was typed. share() can have none."""
    for view in ("send", "share"):
        setup.app.extensions["csrf"].exempt(f"{__name__}.{view}")


@bp.get("/")
def home() -> Response:
    """The camera, and what is reported already; with ?lat&lon the nearest, as page or as fragment."""
    if pwa_shell.to_keep():
        return pwa_shell.of_release(
            render("resident/home.html", key="", rows=[], near=None, indexed=True, unanswered=[])
        )
    here, fix = access.current_city(), forms.fix(request.args)
    with access.reading() as s:
        near = fix.point if fix else None
        rows = queries.public(
            s, now=access.now(), publish=here.publish, near=near, metres=NEAR_HOME_METRES,
            limit=ROWS_AT_HOME if near else LOOKED_AT_HOME,
        )  # fmt: skip
        if near is None:  # all are as far: those first that show something
            rows = sorted(rows, key=lambda sight: sight.thumb is None)[:ROWS_AT_HOME]
        return render(
            "resident/home.html", "resident/_rows.html" if fix else None,
            rows=rows, near=near, key=_new_key(), indexed=True, unanswered=_unanswered(s),
        )  # fmt: skip


@bp.get("/report")
def report() -> Response:
    """The empty form; with ?service of that kind, as an answer leads to it; with ?place at that place."""
    if pwa_shell.to_keep():
        return pwa_shell.of_release(_form(ReportForm(""), indexed=True))
    place = forms.text(request.args, "place")[: lookup.MOST_LETTERS]
    response = _form(_about(request.args.get("service", ""), place), indexed=not place)
    response.headers["Cache-Control"] = "no-store"  # Back must bring a new key, not the one that was sent
    return response


@bp.get("/a/<kind>/<path:number>")
def at_asset(kind: str, number: str) -> Response:
    """What a sticker leads to: the report with the kind and place of the thing that bears this number."""
    with access.reading() as s:
        place = access.or_404(nearby_assets.named(s, number, kind)).number
    services = [each for each in access.current_city().city.for_residents if each.asset_kind == kind]
    usual = next((each for each in services if each.is_default), services[0] if services else None)
    return go(url_for("resident.report", service=usual.code if usual else None, place=place))


@bp.post("/report")
def send() -> Response:
    """Takes the report, or shows the form again with everything kept. Marked as ours: a hotel's page is not.

    Without JavaScript the buttons inside the form post here too: `do` says which. Only "send" sends.
    """
    return pwa_shell.of_release(_sent_form())


def _sent_form() -> Response:
    form = forms.report(request.form, access.current_city().city)
    if not form.key or not _fresh_token():
        told = _("This page was open for a while. Check it, then press Send again.")
        return _form(
            replace(form, key=form.key or _new_key()),
            [("send", told), *form_photos.gone(form.staged, form.key)],
        )
    do, _space, photo_id = request.form.get("do", "send").partition(" ")
    faults = form_photos.gone(form.staged, form.key, but=photo_id) + form_photos.stage(
        request.files.getlist("photo"), form.key
    )
    if do == "remove":
        form_photos.unstage(photo_id, form.key)
    if do == "kind":
        return _form(_of_kind(form, photo_id), faults)
    if do == "find":
        return _form(form, faults, find=True)
    if do != "send":
        return _form(form, faults)
    if form.service and form.service.urgent and not (form.danger or form.warned):
        return _form(replace(form, warned=True), faults, warn=True)
    return _answer(form, faults)


@bp.post("/share")
def share() -> Response:
    """What another app shared, where no service worker took it: a form of its own with its photos and words.

    No token of ours can come along, so only what the browser vouches for is taken. A page elsewhere is told
    403; an old browser, which says nothing, finds the empty form.
    """
    if not access.by_browser():
        return go(url_for("resident.report"))
    form = ReportForm(_new_key(), words=forms.shared(request.form))
    return pwa_shell.of_release(_form(form, form_photos.stage(request.files.getlist("photo"), form.key)))


@bp.get("/share")
def shared() -> Response:
    """Where somebody goes who opens that address again: nothing is shared now."""
    return go(url_for("resident.report"))


@bp.get("/mine")
def mine() -> Response:
    """The visitor's own reports, as far as this browser holds their links; and what waits on the phone."""
    if pwa_shell.to_keep():
        return pwa_shell.of_release(render("resident/mine.html", rows=[]))
    with access.reading() as s:
        held = access.own_reports(s, ROWS_OF_MINE)
        rows = queries.reporter_views(s, held, now=access.now(), publish=access.current_city().publish)
        return render("resident/mine.html", rows=rows)


@bp.post("/report/photos")
def add_photo() -> tuple[Response, int]:
    """Stages one photo while the resident goes on: JSON {id, url, words}, or {fault} with 422."""
    key = request.form.get("key", "")
    if not forms.is_key(key) or "photo" not in request.files:
        abort(422)
    upload = cast(BinaryIO, request.files["photo"].stream)
    try:
        new = processing.process(upload)
        with access.writing() as s:
            photo = photos.stage(
                s,
                access.current_city().settings.var,
                new,
                staged_for=form_photos.staged_for(key),
                at=access.now(),
            )
    except BadPhoto as bad:
        refused_requests.photo(bad.code)
        return jsonify(fault=errors.words(bad)), 422
    url = url_for("resident.staged_photo", photo_id=photo.id, form=of_form(key))
    size = uploaded(upload.seek(0, SEEK_END))
    words = (
        _("%(size)s. Part of the photo was damaged, so we left that part out.", size=size)
        if new.cut
        else size
    )
    return jsonify(id=photo.id, url=url, words=words), 200


@bp.get("/report/photos/<photo_id>.jpg")
def staged_photo(photo_id: str) -> Response:
    """The thumbnail of a photo that is not sent yet, for whoever has what of_form() gave.

    Once it is sent, only for whoever holds the report's link: the address may stand in a log.
    """
    g.personal = True
    here = access.current_city()
    with access.reading() as s:
        photo = s.get(Photo, photo_id)
        form = of_form(photo.staged_for.removeprefix("form:")) if photo else ""
        if not hmac.compare_digest(form.encode(), request.args.get("form", "").encode()):
            photo = None
        if photo and photo.case_id is not None and not (photo.report and _holds_link(s, photo.report)):
            photo = None
        try:
            data = photos.read(here.store, here.settings.var, access.or_404(photo), "thumb")
        except KeyError:
            abort(404)
    return Response(data, mimetype="image/jpeg")


@bp.post("/report/photos/<photo_id>/remove")
def remove_photo(photo_id: str) -> tuple[str, int]:
    """Takes a photo off the form. One that is gone, or was never there, is no fault."""
    form_photos.unstage(photo_id, request.form.get("key", ""))
    return "", 204


@bp.get("/report/kinds")
def kinds() -> Response:
    """The kinds of problem that ?q may mean; without it those that are likely, near ?lat&lon where told."""
    g.personal = True
    city, fix = access.current_city().city, forms.fix(request.args)
    sought = forms.text(request.args, "q")[: forms.MOST_OF_A_LINE]
    with access.reading() as s:
        return render("resident/_kind_lines.html", **_kinds(s, city, sought, fix.point if fix else None))


@bp.get("/report/near")
def near() -> Response:
    """Cases that may be the same problem, for ?lat&lon&accuracy&service; ?asset is a pole's id."""
    g.personal = True
    fix = forms.fix(request.args)
    code = request.args.get("service", "")
    service = next((x for x in access.current_city().city.for_residents if x.code == code), None)
    asset = request.args.get("asset", "")
    with access.reading() as s:
        thing = nearby_assets.by_ids(s, [int(asset)]) if re.fullmatch(r"[0-9]{1,15}", asset) else {}
        place = Place(*fix.point, "gps", accuracy_m=fix.metres) if fix else None
        if place and thing:
            place = replace(place, source="asset", asset_id=int(asset))
        found = _near(s, service, place) if place and service else []
        return render("resident/_found.html", found=found)


@bp.get("/sent/<number>")
def sent(number: str) -> Response:
    """The receipt: only for the browser that holds the report's secret link."""
    return _sent(number, {}, None)


@bp.post("/sent/<number>/news")
def ask_news(number: str) -> Response:
    """Keeps an address or a number for news; a letter or a text asks for its confirmation."""
    channel = SMS if "phone" in request.form and access.current_city().settings.sms_url else EMAIL
    typed = forms.text(request.form, "phone" if channel == SMS else "email")
    try:
        address = callers.normal(typed, access.current_city().city.region) if channel == SMS else typed
        with access.writing() as s:
            intake.subscribe(
                s,
                own_report.sent(s, number),
                address,
                channel=channel,
                lang=localization.lang(),
                at=access.now(),
            )
    except Refused as refused:
        return _sent(number, {channel: typed}, refused)
    return go(url_for("resident.sent", number=number, asked=channel))


@bp.app_template_filter()
def of_form(key: str) -> str:
    """What opens the photos of a form and nothing else of it: addresses stand in logs, the key must not."""
    secret = access.current_city().settings.secret_key.encode()
    return hmac.new(secret, b"photos:" + key.encode(), hashlib.sha256).hexdigest()[:32]


@bp.app_template_filter()
def uploaded(size: int) -> str:
    """ "Uploaded, 212 KB"."""
    return _("Uploaded, %(size)s KB", size=max(1, round(size / 1000)))


@bp.app_template_filter()
def ago(at: datetime) -> str:
    """ "2 days ago"."""
    return str(format_timedelta(at - access.now(), add_direction=True, locale=get_locale()))


@bp.app_template_filter()
def group_icon(code: str) -> str:
    """The icon of a tile; a group that left the city file has the last one's."""
    groups = access.current_city().city.groups
    return next((group.icon for group in groups if group.code == code), groups[-1].icon)


@bp.app_template_filter()
def group_name(code: str) -> str:
    """What a tile is called."""
    return localization.said(
        next(group.names for group in access.current_city().city.groups if group.code == code)
    )


def _unanswered(s: Session) -> list[PublicCase]:
    """The newest closing of the visitor's own reports that waits for their yes or no."""
    held = access.own_reports(s, LOOKED_AT_HOME)
    waiting = closing_feedback.unanswered(s, held, at=access.now())
    g.personal = bool(waiting)  # for everybody else the page is the same
    publish = access.current_city().publish
    return queries.reporter_views(s, waiting[:1], now=access.now(), publish=publish)


def _new_key() -> str:
    return uuid.uuid4().hex


def _fresh_token() -> bool:
    try:
        current_app.extensions["csrf"].protect()
    except CSRFError:
        return False
    return True


def _answer(form: ReportForm, faults: list[Fault]) -> Response:
    """Sends: a fault or an open question gives a page again, otherwise the receipt."""
    here = access.current_city()
    token = intake.token_for(here.settings.secret_key, form.key)
    with access.reading() as s:
        known = intake.by_token(s, token)
        spot = resolve(s, form.whereabouts, geocoder=access.geocoder(), propose=False)
        if known is None:
            faults = faults + _faults(form, spot)
            if not faults and _unasked(form) and spot.place and form.service:
                found = _near(s, form.service, spot.place)
                if found:
                    kept = _kept() + [("staged", photo.id) for photo in form_photos.staged(s, form.key)]
                    return render("resident/same.html", found=found, kept=kept, key=form.key)
        else:
            is_another = _is_another(s, form, spot, known) or not _sent_here(s, form.key, known)
    if known is not None:
        return _begin_another(form, known.number) if is_another else _to_receipt(known.number, token)
    if faults:
        return _form(form, faults)
    try:
        with access.writing() as s:
            taken = intake.submit(
                s, _telling(form, spot), at=access.now(), token=token,
                taken=form_photos.staged(s, form.key),
            )  # fmt: skip
            number, is_another = taken.number, _is_another(s, form, spot, taken)
            rate_limits.count_one(s, SENT, _sender(form.key), access.now())
    except Refused as refused:
        return _form(form, [_fault(form, refused)])
    # Another tab sent the same form with other words in this very moment: those were stored, not ours.
    return _begin_another(form, number) if is_another else _to_receipt(number, token)


def _to_receipt(number: str, token: str) -> Response:
    return access.remember_link(go(url_for("resident.sent", number=number)), number, token)


def _sent_here(s: Session, key: str, known: Report) -> bool:
    """Whether this browser sent that form: it holds the link, or its session sent it within the hour.

    The first answer may have been lost, or a second tap may overtake it. Whoever has only come to know the
    key, as from a log, gets no link.
    """
    return _holds_link(s, known) or rate_limits.counted(s, SENT, _sender(key), access.now()) > 0


def _holds_link(s: Session, report: Report) -> bool:
    """Whether this browser was given the report's secret link."""
    held = access.token_of(report.number)
    mine = intake.by_token(s, held) if held else None
    return mine is not None and mine.id == report.id


def _sender(key: str) -> str:
    """This browser's session with a form's key, as it is kept for an hour."""
    told = f"{session.get('csrf_token', '')}:{key}"
    return hmac.new(
        access.current_city().settings.secret_key.encode(), told.encode(), hashlib.sha256
    ).hexdigest()


def _is_another(s: Session, form: ReportForm, spot: Resolved, known: Report) -> bool:
    """Whether a form that was sent already now tells of something else: a browser's Back brings it again."""
    service = form.service.code if form.service else known.service_code
    answers_alike = intake.answers_alike(known, _telling(form, spot))
    told = known.service_code, known.words
    if (service, form.words) != told or not answers_alike or form_photos.staged(s, form.key):
        return True
    if spot.place is None or known.lat is None or known.lon is None:
        return False
    return distance(spot.place.point, Point(known.lat, known.lon)) > ANOTHER_METRES


def _begin_another(form: ReportForm, number: str) -> Response:
    """The same form under a new key, its new photos with it: a second report is neither lost nor a copy."""
    another = replace(form, key=_new_key(), seen=None)
    with access.writing() as s:
        for photo in form_photos.staged(s, form.key):
            photo.staged_for = form_photos.staged_for(another.key)
    told = _("Your first report was sent: %(number)s. Press Send to send this one too.", number=number)
    return _form(another, [("send", told)])


def _unasked(form: ReportForm) -> bool:
    """Whether nobody has seen yet what is near.

    Whoever called 911 just now is not held up by it, nor whoever sends before the quick form has shown it:
    the board says what that report is probably one with. Without script the page in between is the only
    place to ask.
    """
    return form.seen is None and form.join is None and not form.danger and not is_fragment()


def _telling(form: ReportForm, spot: Resolved) -> intake.NewReport:
    return intake.NewReport(
        key=form.key, service_code=form.service.code if form.service else "", channel="web",
        lang=localization.lang(), words=form.words, place=spot.place, answers=dict(form.answers),
        danger=form.danger, join=form.join,
    )  # fmt: skip


def _faults(form: ReportForm, spot: Resolved) -> list[Fault]:
    refused = [] if form.service else [Refused("unknown_service")]
    if spot.fault:
        refused.append(spot.fault)
    if len(form.words) > MAX_WORDS:
        refused.append(Refused("words_too_long", most=MAX_WORDS))
    return [_fault(form, one) for one in refused]


def _fault(form: ReportForm, refused: Refused) -> Fault:
    """Where on the page a refusal is mended."""
    ids = {"unknown_service": "kind", "words_too_long": "words", "place_unsure": "sure"}
    if refused.code.startswith("answer_") and form.service:
        return f"answer-{form.service.code}-{refused.facts['question']}", errors.words(refused)
    return ids.get(refused.code, "place"), errors.words(refused)


def _near(s: Session, service: Service, place: Place) -> list[tuple[PublicCase, float, bool]]:
    """Public cases that may be the same, likeliest first, each with its metres.

    The first one is probably the same where the board would say so of a case that is told here now.
    """
    found = duplicates.candidates_near(s, service.code, place, at=access.now())
    if not found:
        return []
    seen = queries.public(
        s,
        now=access.now(),
        publish=access.current_city().publish,
        ids=[c.case_id for c in found],
        limit=len(found),
    )
    sights = {sight.id: sight for sight in seen}
    return [(sights[c.case_id], c.metres, c.marked and c is found[0]) for c in found if c.case_id in sights]


def _kept() -> list[tuple[str, str]]:
    """Everything that was filled in, for a page in between to hand on."""
    ours = ("csrf_token", "do", "join", "seen", "staged")
    return [(name, value) for name, value in request.form.items(multi=True) if name not in ours]


def _about(code: str, place: str) -> ReportForm:
    """A new form with the tile and chip of a service, where there is one, and a place that was named."""
    service = next((each for each in access.current_city().city.for_residents if each.code == code), None)
    if service is None:
        return ReportForm(_new_key(), place=place)
    return ReportForm(_new_key(), service.group, service, {service.group: service.code}, place=place)


def _of_kind(form: ReportForm, code: str) -> ReportForm:
    """The form with this kind of problem chosen; without one where there is none of that name."""
    service = next((each for each in access.current_city().city.for_residents if each.code == code), None)
    if service is None:
        return replace(form, group="", service=None)
    return replace(form, group=service.group, service=service, chosen={service.group: code}, sought="")


def _choice(s: Session, form: ReportForm, spot: Resolved) -> dict[str, Any]:
    """How the kind is chosen: by tiles, or where these would be too many by search and groups."""
    city = access.current_city().city
    if not city.has_many_kinds:
        return {}
    place = spot.place.point if spot.place and spot.known else None
    return {
        "examples": partial(problem_kinds.examples, city),
        **_kinds(s, city, form.sought, place),
    }  # fmt: skip


def _kinds(s: Session, city: CityFile, sought: str, spot: Point | None) -> dict[str, Any]:
    """What the lines under the box show: what was looked for, or what is likely."""
    found = problem_kinds.find(city, sought) if sought else None
    return {
        "sought": sought,
        "kinds_found": found,
        "suggestion": None if found else problem_kinds.suggest(s, city, spot),
    }


def _form(
    form: ReportForm,
    faults: Sequence[Fault] = (),
    *,
    warn: bool = False,
    indexed: bool = False,
    find: bool = False,
) -> Response:
    """The form as far as it is filled in; with faults, 422 and a summary that takes the focus.

    `find` is the button beside the place: what is wrong with the place alone is told then.
    """
    g.personal = not indexed
    with access.reading() as s:
        spot = (
            resolve(s, form.whereabouts, geocoder=access.geocoder(), propose=True)
            if form.place or form.fix or find
            else Resolved()
        )
        if find and spot.fault:
            faults = [*faults, _fault(form, spot.fault)]
        found = _near(s, form.service, spot.place) if form.service and spot.place and spot.known else []
        response = render(
            "resident/report.html", form=form, spot=spot, found=found, warn=warn, indexed=indexed,
            photos=form_photos.staged(s, form.key), summary=list(faults), faults=dict(faults),
            most=photos.MAX_PHOTOS, **_choice(s, form, spot),
        )  # fmt: skip
    response.status_code = 422 if faults else 200
    return response


def _sent(number: str, typed: dict[str, str], refused: Refused | None) -> Response:
    here = access.current_city()
    with access.reading() as s:
        mine = own_report.sent(s, number)
        sight = queries.reporter_view(s, mine, now=access.now(), publish=here.publish)
        response = render(
            "resident/sent.html", sight=sight, mine=mine, joined=mine.id != mine.case.reports[0].id,
            link=here.settings.base_url + url_for("case.secret", token=access.token_of(mine.number)),
            typed=typed, fault=errors.words(refused) if refused else "", asked=request.args.get("asked", ""),
            push_key=webpush.public_key(here.settings), texts=bool(here.settings.sms_url),
        )  # fmt: skip
    response.status_code = 422 if refused else 200
    return response

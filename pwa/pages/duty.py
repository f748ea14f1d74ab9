"""Being on duty: beginning and ending it, and how one is rung then."""

from flask import Blueprint, Response, abort, flash, g, jsonify, request, url_for
from flask_babel import gettext as _

from city.channels import PUSH
from city.db.models import Person
from city.lifecycle import Refused
from city.notifications import danger_alarm, subscriptions, webpush
from city.people import duty
from city.reports import intake
from pwa.board import on_duty
from pwa.board.view_url import args_of, view_asked
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import go, render

bp = Blueprint("duty", __name__, url_prefix="/me/duty")


@bp.post("")
def begin() -> Response:
    """On duty until the time in `until`; from the board until the one it proposes."""
    at, zone = access.now(), access.current_city().city.time_zone
    words = forms.text(request.form, "until")
    try:
        until = duty.read_until(words, at, zone) if "until" in request.form else duty.proposed(at, zone)
        with access.writing() as s:
            duty.begin(s, s.get_one(Person, g.person.id), until, by=g.actor, at=at)
    except Refused as fault:
        return _faulty("until", fault, {"until": words})
    return _done(_("You're on duty until %(time)s.", time=localization.clock(until)))


@bp.post("/end")
def end() -> Response:
    """On duty no more."""
    with access.writing() as s:
        duty.end(s, s.get_one(Person, g.person.id), by=g.actor, at=access.now())
    return _done(_("You're off duty."))


@bp.post("/phone")
def set_phone() -> Response:
    """Keeps a number instead of the one before it; a text asks whether it wants this."""
    here, words = access.current_city(), forms.text(request.form, "phone")
    try:
        if not here.settings.sms_url:
            raise Refused("unknown_value")
        with access.writing() as s:
            row = danger_alarm.set_number(
                s, g.person.id, words, here.city.region, lang=localization.lang(), at=access.now()
            )
            others = [each.id for each in danger_alarm.numbers_of(s, g.person.id) if each.id != row.id]
            intake.forget_wishes(s, others)
    except Refused as fault:
        return _faulty("phone", fault, {"phone": words})
    return go(url_for("account.me"))


@bp.post("/phone/removed")
def remove_phone() -> Response:
    """Forgets the number."""
    with access.writing() as s:
        intake.forget_wishes(s, [each.id for each in danger_alarm.numbers_of(s, g.person.id)])
    return go(url_for("account.me"))


@bp.post("/<natural:person>/notifications")
def notify(person: int) -> tuple[Response, int]:
    """This browser is to ring: JSON as PushSubscription.toJSON() gives it.

    {} with 200, or {fault} with 422.
    """
    _own(person)
    try:
        endpoint, keys = webpush.checked(access.told_by_script(), access.current_city().settings)
        with access.writing() as s:
            subscriptions.subscribe(
                s, danger_alarm.target(person), endpoint, channel=PUSH, keys=keys, lang=localization.lang(),
                at=access.now(),
            )  # fmt: skip
    except Refused as refused:
        return jsonify(fault=errors.words(refused)), 422
    return jsonify(), 200


@bp.post("/<natural:person>/notifications/stopped")
def stop_notifying(person: int) -> tuple[Response, int]:
    """This browser rings no more: JSON {endpoint}. One that never did is no fault."""
    _own(person)
    told = access.told_by_script()
    endpoint = told.get("endpoint") if isinstance(told, dict) else None
    with access.writing() as s:
        row = (
            subscriptions.wish(s, danger_alarm.target(person), endpoint)
            if isinstance(endpoint, str)
            else None
        )
        if row:
            intake.stop(s, row, at=access.now())
    return jsonify(), 200


def _own(person: int) -> None:
    """The address names whose it is, since a browser remembers it, and several people may use one."""
    if person != g.person.id:
        abort(404)


def _done(said: str) -> Response:
    """Back to where it was asked: the board's view, or the own page."""
    flash(said)
    if request.args.get("from") == "board":
        return go(url_for("dispatch.board", **args_of(view_asked())))
    return go(url_for("account.me"))


def _faulty(name: str, fault: Refused, typed: dict[str, str]) -> Response:
    with access.reading() as s:
        told = on_duty.own_page(s, typed=typed, fault=(name, errors.words(fault)))
    return render("account/me.html", status=422, **told)

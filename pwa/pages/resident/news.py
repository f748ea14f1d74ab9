"""News to residents: confirming and stopping them, and notifications in the reporter's browser."""

import hmac

from flask import Blueprint, Response, abort, g, jsonify, request, url_for
from flask.blueprints import BlueprintSetupState
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.channels import PUSH
from city.db.models import Subscription
from city.lifecycle import Refused
from city.notifications import subscriptions, webpush
from city.reports import intake
from pwa.resident import own_report
from pwa.web import access, errors, localization
from pwa.web.fragments import go, render

bp = Blueprint("news", __name__)


@bp.record_once
def _mind_own_proof(setup: BlueprintSetupState) -> None:
    """The code in the address is its own proof: a mail program has no token."""
    setup.app.extensions["csrf"].exempt(f"{__name__}.decide_news")


@bp.get("/news/<natural:subscription>/<code>")
def news(subscription: int, code: str) -> Response:
    """A page with one button: mail scanners open every link, so opening it changes nothing."""
    with access.reading() as s:
        row = _subscription(s, subscription, code)
        case = row.report.case if row.report else row.case
        stopping = row.confirmed_at is not None and row.stopped_at is None
        return render(
            "resident/news.html", row=row, number=case.number if case else "", code=code,
            all=_all(row),
            stopping=stopping or "stop" in request.args, done=request.args.get("done", ""),
        )  # fmt: skip


@bp.post("/news/<natural:subscription>/<code>")
def decide_news(subscription: int, code: str) -> Response:
    """Confirms or stops the news. Mail programs may post here by themselves to stop them (RFC 8058).

    These get no redirect: they would not follow one.
    """
    by_itself = "List-Unsubscribe" in request.form
    stop = by_itself or request.form.get("do") == "stop"
    with access.writing() as s:
        row = _subscription(s, subscription, code)
        (intake.stop if stop else intake.confirm)(s, row, at=access.now())
    if by_itself:
        return Response(_("Updates stopped."), mimetype="text/plain")
    done = "stop" if stop else "confirm"
    return go(url_for("news.news", subscription=subscription, code=code, done=done))


@bp.post("/sent/<number>/notifications")
def notify(number: str) -> tuple[Response, int]:
    """This browser wants notifications about its report: JSON as PushSubscription.toJSON() gives it.

    {} with 200, or {fault} with 422. It asks for no confirmation: only the browser itself can have made it.
    """
    try:
        endpoint, keys = webpush.checked(access.told_by_script(), access.current_city().settings)
        with access.writing() as s:
            intake.notify(
                s, own_report.sent(s, number), endpoint, keys, lang=localization.lang(), at=access.now()
            )
    except Refused as refused:
        return jsonify(fault=errors.words(refused)), 422
    return jsonify(), 200


@bp.post("/sent/<number>/notifications/stopped")
def stop_notifying(number: str) -> tuple[Response, int]:
    """This browser wants no more of them: JSON {endpoint}. One that never wanted any is no fault."""
    told = access.told_by_script()
    endpoint = told.get("endpoint") if isinstance(told, dict) else None
    with access.writing() as s:
        for wish in own_report.sent(s, number).subscriptions:
            if wish.channel == PUSH and wish.address == endpoint:
                intake.stop(s, wish, at=access.now())
    return jsonify(), 200


def _all(row: Subscription) -> str:
    code = subscriptions.code(access.current_city().settings.secret_key, row)
    return url_for("follow.mine", subscription=row.id, code=code)


def _subscription(s: Session, subscription: int, code: str) -> Subscription:
    g.personal = True
    row = access.or_404(s.get(Subscription, subscription))
    expected = intake.news_code(access.current_city().settings.secret_key, row)
    return row if hmac.compare_digest(expected.encode(), code.encode()) else abort(404)

"""Following a case, an area or a street without a report of one's own, and ending it again."""

import hmac

from flask import Blueprint, Response, abort, g, jsonify, request, url_for
from sqlalchemy.orm import Session

from city.cases import queries
from city.channels import EMAIL, PUSH, SMS
from city.db.models import Subscription
from city.lifecycle import Refused
from city.notifications import subscriptions, webpush
from city.notifications.subscriptions import Target
from city.people import callers
from city.reports import intake
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import go, render

bp = Blueprint("follow", __name__)

_ABOUT = "<kind>/<path:name>"


@bp.get("/follow")
def choose() -> Response:
    """Asks for an area or a street; what is typed leads to its page, or back here with what to do.

    Of a house's address its street is offered.
    """
    typed = request.args.get("place", "").strip()
    with access.reading() as s:
        known = subscriptions.area_names(s)
        found = _place(s, typed, known) if typed else None
        of_house = subscriptions.streets_of(s, typed) if typed and not found else []
        like = of_house or (subscriptions.search_streets(s, typed) if not found else [])
    if found:
        return go(url_for("follow.about", kind=found.kind, name=found.name))
    fault = errors.words(Refused("unknown_place_to_follow")) if typed and not of_house else ""
    status = 422 if fault else 200
    return render("follow/choose.html", status=status, areas=known, typed=typed, fault=fault, like=like)


@bp.get(f"/follow/{_ABOUT}")
def about(kind: str, name: str) -> Response:
    """How one may hear of it: by letter, by text where the city sends any, by notification."""
    return _about(kind, name)


@bp.post(f"/follow/{_ABOUT}")
def ask(kind: str, name: str) -> Response:
    """Keeps an address or a number; a letter or a text asks whether it wants the news."""
    here = access.current_city()
    email, phone = forms.text(request.form, "email"), forms.text(request.form, "phone")
    # Enter presses the first button, whichever field it was pressed in.
    by_text = request.form.get("by") == "sms" or (bool(phone) and not email)
    channel = SMS if by_text and here.settings.sms_url else EMAIL
    weekly = request.form.get("often") == "week"
    try:
        address = callers.normal(phone, here.city.region) if channel == SMS else email
        with access.writing() as s:
            what = access.or_404(_named(s, kind, name))
            subscriptions.subscribe(
                s, what, address, channel=channel, lang=localization.lang(), weekly=weekly, at=access.now()
            )
    except Refused as refused:
        typed = {"email": email, "phone": phone, "often": "week" if weekly else ""}
        return _about(kind, name, typed, refused, channel)
    return go(url_for("follow.about", kind=kind, name=name, asked=channel))


@bp.post(f"/follow/{_ABOUT}/notifications")
def notify(kind: str, name: str) -> tuple[Response, int]:
    """This browser wants notifications about it: JSON as PushSubscription.toJSON() gives it.

    {} with 200, or {fault} with 422. `often` beside them may be "week": of a place on Mondays only.
    """
    told = access.told_by_script()
    try:
        endpoint, keys = webpush.checked(told, access.current_city().settings)
        weekly = isinstance(told, dict) and told.get("often") == "week"
        with access.writing() as s:
            subscriptions.subscribe(
                s, access.or_404(_named(s, kind, name)), endpoint, channel=PUSH, keys=keys,
                lang=localization.lang(), weekly=weekly, at=access.now(),
            )  # fmt: skip
    except Refused as refused:
        return jsonify(fault=errors.words(refused)), 422
    return jsonify(), 200


@bp.post(f"/follow/{_ABOUT}/notifications/stopped")
def stop_notifying(kind: str, name: str) -> tuple[Response, int]:
    """This browser wants no more of them: JSON {endpoint}. One that never wanted any is no fault."""
    told = access.told_by_script()
    endpoint = told.get("endpoint") if isinstance(told, dict) else None
    with access.writing() as s:
        what = access.or_404(_named(s, kind, name))
        wish = subscriptions.wish(s, what, endpoint) if isinstance(endpoint, str) else None
        if wish and wish.channel == PUSH:
            intake.stop(s, wish, at=access.now())
    return jsonify(), 200


@bp.get("/follows/<natural:subscription>/<code>")
def mine(subscription: int, code: str) -> Response:
    """All that is written to one address, for its reader: the code stands in messages to it only."""
    with access.reading() as s:
        row = _own(s, subscription, code)
        rows = subscriptions.of_address(s, row)
        return render(
            "follow/mine.html", row=row, rows=rows, code=code, ended=request.args.get("ended") == "1"
        )


@bp.post("/follows/<natural:subscription>/<code>")
def end(subscription: int, code: str) -> Response:
    """Ends one of them, or `all`. What was ended already stays so."""
    which = request.form.get("end", "")
    with access.writing() as s:
        row = _own(s, subscription, code)
        for wish in subscriptions.of_address(s, row):
            if which in ("all", str(wish.id)):
                intake.stop(s, wish, at=access.now())
    return go(url_for("follow.mine", subscription=subscription, code=code, ended=1))


def _place(s: Session, typed: str, known: list[str]) -> Target | None:
    """The area, or else the street, that somebody typed the name of."""
    area = next((name for name in known if name.casefold() == typed.casefold()), "")
    return subscriptions.area(s, area) or subscriptions.street(s, typed)


def _named(s: Session, kind: str, name: str) -> Target | None:
    finds = {"case": subscriptions.case, "area": subscriptions.area, "street": subscriptions.street}
    return finds[kind](s, name) if kind in finds else None


def _about(
    kind: str,
    name: str,
    typed: dict[str, str] | None = None,
    refused: Refused | None = None,
    channel: str = "",
) -> Response:
    here = access.current_city()
    with access.reading() as s:
        what = access.or_404(_named(s, kind, name))
        seen = [what.case_id] if what.case_id else []
        sights = queries.public(s, now=access.now(), publish=here.publish, ids=seen, limit=1) if seen else []
        return render(
            "follow/about.html", status=422 if refused else 200, about=what, typed=typed or {},
            faulty=channel, fault=errors.words(refused) if refused else "",
            sight=sights[0] if sights else None, others=subscriptions.streets_near(s, what) if sights else [],
            asked=request.args.get("asked", ""), push_key=webpush.public_key(here.settings),
            texts=bool(here.settings.sms_url),
        )  # fmt: skip


def _own(s: Session, subscription: int, code: str) -> Subscription:
    g.personal = True
    row = access.or_404(s.get(Subscription, subscription))
    expected = subscriptions.code(access.current_city().settings.secret_key, row)
    return row if hmac.compare_digest(expected.encode(), code.encode()) else abort(404)

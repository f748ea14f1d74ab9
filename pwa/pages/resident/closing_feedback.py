"""What a reporter says of a closing: fixed or not, and how satisfied they are.

Messages lead here, and only a button says it: mail scanners press every link.
"""

import uuid
from collections.abc import Sequence

from flask import Blueprint, Response, abort, request, url_for

from city.cases import queries, transitions
from city.lifecycle import Refused
from city.metrics.satisfaction import SCORES
from city.notifications import satisfaction
from city.people import accounts
from city.photos import photos
from city.reports import closing_feedback, intake
from pwa.resident import form_photos, own_report
from pwa.resident.form_photos import Fault
from pwa.web import access, errors, forms
from pwa.web.fragments import go, render

bp = Blueprint("verdict", __name__)


@bp.get("/s/<token>/fixed")
def ask_fixed(token: str) -> Response:
    """Opens a message's link "Yes, it is fixed" as secret() opens its own."""
    return own_report.open_secret_link(token, "verdict.fixed")


@bp.get("/s/<token>/not-fixed")
def ask_not_fixed(token: str) -> Response:
    """Opens a message's link "No, it is not fixed"."""
    return own_report.open_secret_link(token, "verdict.not_fixed")


@bp.get("/s/<token>/rate/<natural:score>")
def ask_rating(token: str, score: int) -> Response:
    """Opens a message's question of satisfaction; `score` is what was pressed there, and is only shown."""
    return own_report.open_secret_link(token, "verdict.rating", score=score if score in SCORES else None)


@bp.get("/case/<number>/fixed")
def fixed(number: str) -> Response:
    """Asks the reporter whether it is mended. Only the button says so: mail scanners press every link."""
    return _verdict(number, mended=True)


@bp.post("/case/<number>/fixed")
def confirm_fixed(number: str) -> Response:
    """The reporter confirms the closing that the page showed."""
    closing = request.form.get("closing", "")
    try:
        with access.writing() as s:
            mine = own_report.named(s, number)
            by = accounts.reporter(mine.id)
            closing_feedback.fixed(s, mine, closing, by=by, at=access.now())
    except Refused as refused:
        return _verdict(number, mended=True, faults=[("verdict", errors.words(refused))])
    return go(url_for("verdict.fixed", number=number))


@bp.get("/case/<number>/not-fixed")
def ask_again(number: str) -> Response:
    """Asks the reporter whether it is not mended, and what is wrong. Only the button sends it back."""
    return _verdict(number, mended=False)


@bp.post("/case/<number>/not-fixed")
def not_fixed(number: str) -> Response:
    """The reporter says that the closing which the page showed did not mend it; what that led to is shown."""
    here, words, closing = (
        access.current_city(),
        forms.text(request.form, "words"),
        request.form.get("closing", ""),
    )
    form_key = request.form.get("key", "")
    do, _space, photo_id = request.form.get("do", "").partition(" ")
    if do == "remove":
        form_photos.unstage(photo_id, form_key)
        return _verdict(number, mended=False, words=words, key=form_key)
    if (
        faults := form_photos.stage(request.files.getlist("photo"), form_key)
        if forms.is_key(form_key)
        else []
    ):
        return _verdict(number, mended=False, faults=faults, words=words, key=form_key)
    try:
        with access.writing() as s:
            mine = own_report.named(s, number)
            # The same word about the same closing has the same key, so that a second tap finds the first.
            key = intake.token_for(here.settings.secret_key, f"again:{mine.number}:{closing[:60]}")
            token = intake.token_for(here.settings.secret_key, key)
            led_to = closing_feedback.not_fixed(
                s, mine, closing, by=accounts.reporter(mine.id), at=access.now(), words=words,
                taken=form_photos.staged(s, form_key), key=key, token=token,
            )  # fmt: skip
            again = intake.by_token(s, token)
            goes_on, new = (again.case.number, again.number) if again else (mine.case.number, "")
    except Refused as refused:
        faults = [("words" if words else "verdict", errors.words(refused))]
        return _verdict(number, mended=False, faults=faults, words=words, key=form_key)
    response = go(url_for("case.page", number=goes_on, said=led_to.replace(" ", "-")))
    return access.remember_link(response, new, token) if again else response


@bp.get("/case/<number>/rate")
def rating(number: str) -> Response:
    """Asks the reporter how satisfied they are, or shows what they said; stores nothing."""
    return _rating(number)


@bp.post("/case/<number>/rate")
def rate(number: str) -> Response:
    """The reporter rates the closing that the page showed, or changes what they said."""
    cycle, score = (_number(request.form.get(name, "")) for name in ("cycle", "score"))
    try:
        with access.writing() as s:
            satisfaction.answer(s, own_report.named(s, number), cycle, score, at=access.now())
    except Refused as refused:
        return _rating(number, [("score", errors.words(refused))])
    return go(url_for("verdict.rating", number=number, said="rated"))


def _number(typed: str) -> int:
    return int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 10 else 0


def _rating(number: str, faults: Sequence[Fault] = ()) -> Response:
    with access.reading() as s:
        found = access.or_404(queries.by_number(s, number))
        mine = own_report.report(s, found, number)
        if mine is None:
            if faults or found.service.private:
                abort(404)
            return go(url_for("case.page", number=found.number))
        sight = queries.reporter_view(s, mine, now=access.now(), publish=access.current_city().publish)
        asked = own_report.rating(s, mine)
        response = render(
            "resident/rating.html", sight=sight, mine=mine, rating=asked, faults=list(faults),
            chosen=_number(request.args.get("score", "")), rated=request.args.get("said") == "rated",
        )  # fmt: skip
    response.status_code = 422 if faults else 200
    return response


def _verdict(
    number: str, *, mended: bool, faults: Sequence[Fault] = (), words: str = "", key: str = ""
) -> Response:
    """The page where a reporter says whether it is mended; with `faults` its words and photos are kept.

    Without the report's link there is nobody to ask: then the case's own page says what strangers may know,
    and of a private one not even that there is such a number.
    """
    key = key if forms.is_key(key) else uuid.uuid4().hex
    with access.reading() as s:
        found = access.or_404(queries.by_number(s, number))
        mine = own_report.report(s, found, number)
        if mine is None:
            if faults or found.service.private:
                abort(404)
            return go(url_for("case.page", number=found.number))
        root = transitions.root_of(s, mine.case)
        sight = queries.reporter_view(s, mine, now=access.now(), publish=access.current_city().publish)
        response = render(
            "resident/verdict.html", sight=sight, mine=mine, mended=mended,
            closing=closing_feedback.closing_of(root), until=own_report.expires(s, sight, mine),
            confirmed=closing_feedback.confirmed(s, mine, root),
            may_say=closing_feedback.can_be_not_fixed(mine, root),
            answered=own_report.flash_text(
                closing_feedback.answered(s, mine, root).replace(" ", "-"), office=root.service.office
            ),
            faults=list(faults), words=words, key=key, photos=form_photos.staged(s, key),
            most=photos.MAX_PHOTOS, rating=own_report.rating(s, mine),
        )  # fmt: skip
    response.status_code = 422 if faults else 200
    return response

"""What a visitor reads when something is not there, not allowed, or broken; and refusals in words."""

import logging
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from flask_babel import format_decimal
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException

from city.developing import BadPhoto, Busy
from city.lifecycle import Refused
from pwa.filters import call_outcome, metres, outcome, state
from pwa.open311 import answering
from pwa.open311.parse import Fault

BUSY_SECONDS = 60
log = logging.getLogger("cityline")


def init(app: Flask) -> None:
    """One page for every error, and 422 for a refused verb that a page did not handle itself."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _stale)
    app.register_error_handler(Refused, _refused)
    for fault in (OperationalError, NoConnection, Busy):
        app.register_error_handler(fault, _busy)
    app.register_error_handler(Exception, _broken)


def words(refused: Refused | BadPhoto) -> str:
    """What went wrong and what to do, in the visitor's language."""
    facts: dict[str, Any] = getattr(refused, "facts", {})
    told = {
        "not_allowed": _("You are not allowed to do this."),
        "wrong_state": _(
            "This case is %(state)s now, so that cannot be done.", state=_lower(facts.get("state"))
        ),
        "not_your_job": _("This job is not with your crew any more."),
        "unknown_reply": _("The city file has no such ready reply any more. Choose another, or write it."),
        "reply_misfits": _("That ready reply is for another outcome or service. Choose one that fits."),
        "not_that_closing": _("Something happened to this case meanwhile. Look at how it is now."),
        "evidence_missing": _("Add a photo, or say why there is none."),
        "choose_crew": _("Two crews are at work. Choose the one that goes on."),
        "merge_cycle": _("These two are the same case already."),
        "merge_private": _("The other case is private: whoever reported this one would read it."),
        "merge_office": _("One of the two is office work, the other work in the field."),
        "merge_caller": _(
            "Office work is merged only where one caller asked the same kind of question twice."
        ),
        "no_crew": _("This is office work: no crew goes there."),
        "outcome_misfits": _("A case of this kind cannot end so. Choose another outcome."),
        "told_missing": _("Say what was told: choose a ready reply, or write it."),
        "way_back_missing": _(
            "Ask how to reach them: type their number, or choose “E-mail” or “Calls again”."
        ),
        "others_joined": _("Others have joined this report, so it cannot be withdrawn."),
        "empty_note": _("Write the note first."),
        "view_unnamed": _("Give the view a name first."),
        "view_name_long": _(
            "That name is too long. Keep it under %(most)s letters.", most=facts.get("most", 0)
        ),
        "too_many_views": _(
            "You have saved %(most)s views already. Remove one first.", most=facts.get("most", 0)
        ),
        "too_many_shared": _(
            "%(most)s views are shared already. A supervisor can remove one.", most=facts.get("most", 0)
        ),
        "unknown_value": _("Choose one of the answers on the page."),
        "unknown_number": _("There is no case with that number."),
        "nothing_chosen": _("Select cases first."),
        "too_many_cases": _(
            "That is %(asked)s cases. %(most)s can be changed at once: choose fewer by a view or on the map.",
            asked=_many(facts.get("asked")),
            most=_many(facts.get("most")),
        ),
        "too_many_to_merge": _(
            "That is %(asked)s cases. %(most)s can be merged at once: choose fewer by a view or on the map.",
            asked=_many(facts.get("asked")),
            most=_many(facts.get("most")),
        ),
        "batch_refused": _("Nothing was done, because these cannot be changed so:"),
        "unknown_batch": _("That is forgotten by now: it was done more than a day ago."),
        "undone_already": _("That was undone already. Nothing has changed."),
        "too_late_to_undo": _("That can be undone for half an hour. It was longer ago."),
        "bad_shape": _("That is no shape on the map. Draw it again, around the cases."),
        "no_place": _("Nobody knows where that case is, so nothing is near it."),
        "no_area": _("That case lies in no neighborhood that the city has a map of."),
        "bad_tag": _("A tag has 1 to %(most)s letters.", most=facts.get("most", 40)),
        "too_many_tags": _("This case has %(most)s tags already.", most=facts.get("most", 20)),
        "unknown_service": _("Choose what it is."),
        "unknown_case": _("That case cannot be joined any more. Send yours as a new one."),
        "erased": _("This report was erased, so it is not taken again."),
        "on_hold": _("This case is on hold, so nothing of it may be removed or covered."),
        "hold_unnamed": _("Say who wants it kept, and why."),
        "hold_too_long": _("That is too long. Keep it under %(most)s letters.", most=facts.get("most", 500)),
        "words_too_long": _(
            "That is too long. Keep it under %(most)s letters.", most=facts.get("most", 4000)
        ),
        "outside_city": _(
            "This place lies outside the city, so we cannot send a crew. Ask the town it belongs to."
        ),
        "answer_missing": _("Answer the question marked below."),
        "answer_unknown": _("Choose one of the answers on the page."),
        "place_missing": _("Say where it is: an address, a cross-street or the number on a pole."),
        "place_unknown": _(
            "We do not know that place. Try the street and number, two streets, or a pole number."
        ),
        "place_unclear": _("There is more than one. Choose the right one."),
        "place_vague": _("That is a whole street or neighborhood. Type a house number or a corner."),
        "fix_unsure": _(
            "Your phone may be %(distance)s off, and the day may be another one there. Type your address.",
            distance=metres(facts.get("metres", 0)),
        ),
        "fix_unsaid": _("Your phone does not say how sure it is. Type your address."),
        "house_unsure": _(
            "This house is not on our map. It may be %(distance)s from where we looked, and the day may be "
            "another one there. Type a corner near it.",
            distance=metres(facts.get("metres", 0)),
        ),
        "place_unsure": _(
            "We are not sure where that is. Say that it is here, or type a house number or a corner."
        ),
        "bad_phone": _("That is no phone number. Leave it empty where nobody knows it."),
        "kept_already": _(
            "The first time it was kept already: %(outcome)s. Save again to keep this as a call of its own.",
            outcome=call_outcome(facts.get("outcome")),
        ),
        "phone_missing": _("Type the caller's number, or choose another way to hear of it."),
        "unknown_office": _("Choose one of the answers on the page."),
        "bad_email": _("That is not an e-mail address. It looks like name@example.com."),
        "too_many_addresses": _("Three addresses are enough for one report."),
        "too_many_browsers": _(
            "Three phones hear of this report already. Stop the news on one of them first."
        ),
        "asked_too_often": _(
            "That address was asked several times just now. Look in its mailbox, or come back later."
        ),
        "too_many_follows": _(
            "That address follows %(most)s things already. End one of them first.", most=facts.get("most", 30)
        ),
        "unknown_place_to_follow": _("We know no such area or street. Type its whole name, like Elm Street."),
        "bad_push": _("This browser gave no address for notifications. Leave an e-mail address instead."),
        "wrong_code": _("That code does not fit. Ask for a new one if it is older than ten minutes."),
        "nothing_to_count": _("This was no closing, so there is nothing to count as done."),
        "not_crew": _("A phone needs somebody who belongs to a crew."),
        "wrong_link": _("This link was used already, or is older than a day. Ask for a new one."),
        "known_email": _("Somebody with this address is on the list already."),
        "unknown_role": _("Choose one of the answers on the page."),
        "unknown_person": _("Nobody with that address is on the list."),
        "long_name": _("That name is too long. Keep it under 100 letters."),
        "bad_slug": _("The address takes small letters, figures and single hyphens: pay-property-tax."),
        "known_slug": _("There is an answer at that address already. Choose another."),
        "unknown_department": _("Choose the department that keeps this true."),
        "unknown_topic": _("Choose a topic."),
        "empty_text": _("Title, text and words to read aloud are needed in each language you write."),
        "markup": _(
            "This is no plain Markdown: %(found)s. Take it out; HTML and scripts are not shown.",
            found=facts.get("found", ""),
        ),
        "bad_day": _("Say on which day it must be looked at again."),
        "no_scope": _("Say what the key may do."),
        "bad_hourly": _("A number from 1 to %(most)s, please.", most=_many(facts.get("most"))),
        "changed_meanwhile": _(
            "Somebody else changed this meanwhile. Look at what it is now, and save again."
        ),
        "overtaken": _("Nothing was done: this case changed while you had it open."),
        "shut_out": _("Let this person in again first."),
        "empty_name": _("Write a name first."),
        "known_crew": _("There is a crew of that name already."),
        "last_administrator": _("Somebody must be able to let others in. Name another administrator first."),
        "too_many_codes": _("Too many codes were asked for. Try again in an hour."),
        "not_a_photo": _(
            "That file is not a photo we can read. Choose a JPEG, HEIC, AVIF, PNG or WebP picture."
        ),
        "broken": _(
            "That photo is damaged and cannot be read. Take it again, or choose another; all else is kept."
        ),
        "too_large": _("That photo is larger than 20 MB. Choose a smaller one."),
        "too_many_pixels": _("That picture is too large to open safely. Choose a smaller one."),
        "photo_attached": _("That photo belongs to a report already."),
        "no_boxes": _("Say which part of the photo is to be covered."),
        "bad_box": _(
            "Part %(nth)s does not lie within the picture. It needs four numbers from 0 to 100. Left and "
            "width make 100 at most, top and height too.",
            nth=facts.get("nth", 1),
        ),
        "too_many_boxes": _("That is too many parts. Cover %(most)s at once.", most=facts.get("most", 20)),
        "store_down": _(
            "Photos cannot be reached right now. Nothing was covered. Try again in a few minutes."
        ),
        "photo_gone": _("That photo is no longer here: somebody covered parts of it or erased it meanwhile."),
        "too_many": _("Five photos are enough. Remove one first."),
        "no_room": _("We cannot take more photos right now. Send the report without, or try in an hour."),
    }
    return str(told.get(refused.code, _("That cannot be done now.")))


def page(status: int, title: str, text: str) -> Response:
    """The error page; other programs get its title in their own form."""
    if answering.is_asked():
        return answering.faults([Fault(title, status)])
    g.personal = True
    return make_response(render_template("error.html", title=title, text=text, status=status), status)


def _http(fault: HTTPException) -> Response:
    if request.path.startswith(("/sync/", "/healthz", "/readyz")):
        response = make_response({"error": fault.name, "status": fault.code}, fault.code or 500)
        return _with_headers(response, fault)
    told = {
        401: (_("You are logged out"), _("Log in again, then repeat what you did.")),
        403: (_("Not for this account"), _("Your account may not see this page.")),
        404: (_("There is no such page"), _("The address may be mistyped, or the case is not public.")),
        405: (_("That does not work here"), _("Go back and use the buttons on the page.")),
        429: (
            _("That was often in a short time"),
            _("Nothing is lost. Wait a few minutes, go back and send it again. In a hurry, call 311."),
        ),
        413: (_("That is too large to send"), _("Send fewer or smaller photos.")),
    }
    title, text = told.get(fault.code or 500, (_("Something is wrong"), _("Go back and try again.")))
    return _with_headers(page(fault.code or 500, title, text), fault)


def _with_headers(response: Response, fault: HTTPException) -> Response:
    """What works here instead, and when to come again."""
    for name, value in fault.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _stale(_fault: CSRFError) -> Response:
    return page(
        400, _("This page was open for too long"), _("Go back, load the page again and repeat what you did.")
    )


def _refused(refused: Refused) -> Response:
    return page(422, _("That cannot be done now"), words(refused))


def _busy(fault: SQLAlchemyError | Busy) -> Response:
    """The database let nobody write, cannot be reached, or all our connections to it are in use for long.

    Or as many photos wait to be unpacked as may.
    """
    log.warning("busy: %s", fault or "photos wait to be unpacked")
    if request.path.startswith("/sync/"):
        response = make_response({"error": "later"}, 503)
    else:
        response = page(
            503, _("That takes too long just now"),
            _("Nothing was written. Wait a minute, go back and send it again. In a hurry, call 311."),
        )  # fmt: skip
    g.retry_after = BUSY_SECONDS
    return response


def _broken(fault: Exception) -> Response:
    log.exception("unhandled", exc_info=fault)
    if request.path.startswith("/sync/"):
        return make_response({"error": "broken"}, 500)
    return page(
        500, _("Something broke on our side"), _("Nothing was lost. Try again in a minute, or call 311.")
    )


def _many(number: object) -> str:
    return format_decimal(number) if isinstance(number, int) else ""


def _lower(code: str | None) -> str:
    return state(code or "").lower() if code else outcome(None).lower()

"""What a visitor reads when something is not there, not allowed, or broken; and refusals in words."""

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException, RequestTimeout

from city import files
from city.lifecycle import Refused
from city.photos.processing import BadPhoto, Busy
from pwa.web import access, questions, security, states
from pwa.web.formatting import call_outcome, outcome
from pwa.web.localization import distance
from sync import refused_requests

BUSY_SECONDS = 60
log = logging.getLogger("cityline")

_FORMATS: dict[str, Callable[[int, str], Response]] = {}


def init(app: Flask) -> None:
    """One page for every error, and 422 for a refused verb that a page did not handle itself."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(CSRFError, _stale)
    app.register_error_handler(Refused, _refused)
    # InternalError: the database takes nothing just now, as one that another has taken over from.
    for fault in (OperationalError, InternalError, NoConnection, Busy):
        app.register_error_handler(fault, _busy)
    app.register_error_handler(OSError, _unwritten)
    app.register_error_handler(Exception, _broken)


def answer_below(prefix: str, answer: Callable[[int, str], Response]) -> None:
    """Lets `answer`, of a status and a title, tell every error below that path, also where no page is."""
    _FORMATS[prefix] = answer


def words(refused: Refused | BadPhoto) -> str:
    """What went wrong and what to do, in the visitor's language."""
    facts: dict[str, Any] = getattr(refused, "facts", {})
    told = {
        "not_allowed": _("You don't have permission to do this."),
        "wrong_state": _(
            "This case is %(state)s now, so you can't do that.", state=_lower(facts.get("state"))
        ),
        "danger_waits": _("Someone could get hurt here. Only a supervisor can put this case on hold."),
        "danger_waits_long": ngettext(
            "Someone could get hurt here, so this case can be on hold for %(num)s hour at most.",
            "Someone could get hurt here, so this case can be on hold for %(num)s hours at most.",
            facts.get("most", 0),
        ),
        "wait_past": _("Choose a day after today for the end of the hold."),
        "wait_too_long": ngettext(
            "For this reason a case can be on hold for %(num)s day at most. Choose an earlier day.",
            "For this reason a case can be on hold for %(num)s days at most. Choose an earlier day.",
            facts.get("most", 0),
        ),
        "date_past": _("Choose a day from today on for the new date."),
        "date_too_far": ngettext(
            "A new date can be %(num)s day ahead at most. Choose an earlier day.",
            "A new date can be %(num)s days ahead at most. Choose an earlier day.",
            facts.get("most", 0),
        ),
        "only_report": _("This is the only report of the case, so it already has its own case."),
        "public_duplicates": _(
            "Public cases are merged into this one. Separate them before you make it private."
        ),
        "no_report": _("This case has no report anymore, so there's nothing to separate."),
        "unknown_report": _("This report isn't part of this case anymore."),
        "wait_day": _("We couldn't read that day. Choose it from the calendar."),
        "not_your_job": _("This job is no longer with your crew."),
        "unknown_reply": _("That saved reply no longer exists. Choose another one or write your own."),
        "reply_misfits": _("That saved reply is for a different outcome or service. Choose another one."),
        "not_that_closing": _("This case changed while you were working. Check the latest version first."),
        "evidence_missing": _("Add a photo or choose why there isn't one."),
        "choose_crew": _("Two crews are working on this. Choose which one continues."),
        "merge_cycle": _("These are already the same case."),
        "merge_private": _(
            "The other case is private. If you merge them, the person who reported this one could read it."
        ),
        "merge_danger": _(
            "Someone could get hurt here, and the other case is closed. Reopen that case first, or keep this "
            "one open."
        ),
        "merge_office": _("One of these is office work and the other is field work."),
        "merge_caller": _(
            "You can merge office work only when the same caller asked the same question twice."
        ),
        "no_crew": _("This is office work, so there's no crew."),
        "crew_has_it": _("A crew already has this case. Ask a dispatcher to change it."),
        "office_misfits": _("Office work can't become field work, or the other way around."),
        "outcome_misfits": _("This type of case can't be closed that way. Choose another outcome."),
        "told_missing": _("Add an answer: choose a saved reply or write one."),
        "way_back_missing": _(
            "Ask how to reach them. Enter their number, or choose “Email” or “They'll call back.”"
        ),
        "others_joined": _("Other people have joined this report, so you can't cancel it."),
        "empty_note": _("Write a note first."),
        "empty_question": _("Write a question first."),
        "question_long": _(
            "That question is too long. Keep it under %(most)s characters.", most=facts.get("most", 0)
        ),
        "too_many_choices": _(
            "Offer up to %(most)s answers of %(letters)s characters each.",
            most=facts.get("most", 0),
            letters=facts.get("letters", 0),
        ),
        "nobody_asked": _("Choose who to ask."),
        "unreachable": _("There's no email, text, or page that would reach them."),
        "empty_update": _("Write what's new first."),
        "private_update": _("This case is private, so an update can't be public."),
        "empty_answer": _("Write a few words, choose an answer, or add a photo."),
        "unknown_question": _("That question isn't here anymore. Reload the page."),
        "unknown_choice": _("That answer isn't offered anymore. Reload the page."),
        "too_late_to_write": _("This report has been closed for a while. Send us a new report instead."),
        "unknown_score": _("Choose a number from 1 to 5."),
        "too_late_to_rate": _("This report was closed too long ago to rate it."),
        "too_many_messages": _(
            "You've sent %(most)s messages today. Call us if it can't wait.", most=facts.get("most", 0)
        ),
        "view_unnamed": _("Name this view first."),
        "view_name_long": _(
            "That name is too long. Keep it under %(most)s characters.", most=facts.get("most", 0)
        ),
        "too_many_views": _(
            "You've already saved %(most)s views, the limit. Remove one first.", most=facts.get("most", 0)
        ),
        "too_many_shared": _(
            "You've reached the limit of %(most)s shared views. Ask a supervisor to remove one.",
            most=facts.get("most", 0),
        ),
        "unknown_value": _("Choose one of the options on the page."),
        "unknown_number": _("There's no case with that number."),
        "nothing_chosen": _("Select at least one case first."),
        "too_many_cases": _(
            "You selected %(asked)s cases. You can change up to %(most)s at a time. Narrow it with a view "
            "or the map.",
            asked=facts.get("asked", 0),
            most=facts.get("most", 0),
        ),
        "too_many_to_merge": _(
            "You selected %(asked)s cases. You can merge up to %(most)s at a time. Narrow it with a view "
            "or the map.",
            asked=facts.get("asked", 0),
            most=facts.get("most", 0),
        ),
        "batch_refused": _("No changes made, because these cases can't be changed that way:"),
        "unknown_batch": _("It's too late to see or undo this. It was done more than a day ago."),
        "undone_already": _("This was already undone. Nothing changed."),
        "too_late_to_undo": _("It's too late to undo this. You have half an hour."),
        "bad_shape": _("That isn't a shape we can use. Draw around the cases again."),
        "no_place": _("That case has no location, so we can't find anything nearby."),
        "no_area": _("That case isn't in a neighborhood on the city's map."),
        "bad_tag": _("Tags can have 1 to %(most)s characters.", most=facts.get("most", 40)),
        "too_many_tags": _("This case already has %(most)s tags, the limit.", most=facts.get("most", 20)),
        "unknown_service": _("Choose the type of problem."),
        "unknown_case": _("You can't join that report anymore. Send yours as a new one."),
        "erased": _("This report was erased, so we can't accept it again."),
        "on_hold": _("This case is under a legal hold, so nothing in it can be removed or covered."),
        "hold_unnamed": _("Enter who asked for the legal hold and why."),
        "hold_too_long": _(
            "That's too long. Keep it under %(most)s characters.", most=facts.get("most", 500)
        ),
        "words_too_long": _(
            "That's too long. Keep it under %(most)s characters.", most=facts.get("most", 4000)
        ),
        "outside_city": _(
            "This place is outside the city, so we can't send a crew. Contact the town it's in."
        ),
        "answer_missing": _("Answer the question marked below."),
        "answer_unknown": _("Choose one of the options on the page."),
        "answer_wrong": questions.wrong(str(facts.get("datatype"))),
        "place_missing": _("Enter where it is: an address, a cross street, or the number on a pole."),
        "place_unknown": _(
            "We couldn't find that place. Try a street address, two cross streets, or a pole number."
        ),
        "place_unclear": _("We found more than one. Choose the right one."),
        "place_vague": _("That's a whole street or neighborhood. Enter a house number or a corner."),
        "fix_unsure": _(
            "Your location may be off by %(distance)s, where the pickup day can be different. Enter your "
            "address.",
            distance=distance(facts.get("metres", 0)),
        ),
        "fix_unsaid": _("We can't tell how exact your location is. Enter your address."),
        "house_unsure": _(
            "This house isn't on our map. Our point may be off by %(distance)s, where the pickup day can "
            "be different. Enter a corner near you.",
            distance=distance(facts.get("metres", 0)),
        ),
        "place_unsure": _(
            "We're not sure where this is. Confirm the spot, or enter a house number or corner."
        ),
        "bad_phone": _("That isn't a valid phone number. Leave it empty if you don't know it."),
        "kept_already": _(
            "This call was already saved as: %(outcome)s. Save again to log it as a separate call.",
            outcome=call_outcome(facts.get("outcome")),
        ),
        "phone_missing": _("Enter the caller's phone number, or choose another way to send updates."),
        "unknown_office": _("Choose one of the options on the page."),
        "bad_email": _("Enter an email address like name@example.com."),
        "too_many_addresses": _("You can add up to three addresses to a report."),
        "too_many_browsers": _(
            "Three devices already get updates on this report. Turn them off on one of them first."
        ),
        "asked_too_often": _(
            "We've already sent several messages to that address. Check your inbox, or try again later."
        ),
        "too_many_follows": _(
            "That address already follows %(most)s things, the limit. Stop following one first.",
            most=facts.get("most", 30),
        ),
        "unknown_place_to_follow": _(
            "We couldn't find that neighborhood or street. Enter the full name, like Elm Street."
        ),
        "too_many_followers": _(
            "Too many devices already get notifications about this. Leave your email address instead."
        ),
        "bad_push": _("Notifications don't work in this browser. Leave your email address instead."),
        "bad_duty_time": _("Enter a time like 6:00 pm, within the next 24 hours."),
        "wrong_code": _("That code isn't right. If it's more than 10 minutes old, get a new one."),
        "codes_closed": _(
            "Too many wrong codes were entered for this address. For up to a day, log in only in a browser "
            "where you've logged in before, or ask an administrator for a link."
        ),
        "nothing_to_count": _("This update didn't close a case, so there's nothing to count as done."),
        "not_crew": _("Choose someone who's on a crew."),
        "not_your_link": _(
            "This link was made for another email address. Enter yours, or ask for a link of your own."
        ),
        "wrong_link": _("This link has been used, or it's more than a day old. Ask for a new one."),
        "known_email": _("Someone with this email is already on the list."),
        "unknown_role": _("Choose one of the options on the page."),
        "unknown_person": _("No one on the list has that email address."),
        "long_name": _("That name is too long. Keep it under 100 characters."),
        "bad_slug": _("Use lowercase letters, numbers, and single hyphens: pay-property-tax."),
        "known_slug": _("There's already an answer at that address. Choose another."),
        "unknown_department": _("Choose the department that keeps this answer up to date."),
        "unknown_topic": _("Choose a topic."),
        "empty_text": _("Each language needs a title, text, and a script to read aloud."),
        "markup": _(
            "This isn't plain Markdown: %(found)s. Remove it. HTML and scripts aren't shown.",
            found=facts.get("found", ""),
        ),
        "bad_day": _("Choose a date for the next review."),
        "no_scope": _("Choose what this key can do."),
        "bad_hourly": _("Enter a number from 1 to %(most)s.", most=facts.get("most", 0)),
        "changed_meanwhile": _(
            "Someone else changed this while you were working. Check the new version, then save again."
        ),
        "no_usual_crew": _("No rule says which crew usually does this. Choose one."),
        "changed_since_chosen": _("Changed after you selected it. Check it, then try again."),
        "overtaken": _("No changes made. This case changed while you had it open."),
        "shut_out": _("Restore this person's access first."),
        "empty_name": _("Enter a name first."),
        "known_endpoint": _("There's already an owner with that name."),
        "not_public": _("Enter a public address that starts with https://."),
        "private_forward": _("Private cases and office work can't be passed on."),
        "partner_off": _("%(name)s gets no jobs right now.", name=facts.get("name", "")),
        "partner_private": _("Private cases stay with the city's own crews."),
        "partner_service": _("%(name)s doesn't take this type of problem.", name=facts.get("name", "")),
        "partner_area": _("%(name)s doesn't work in this neighborhood.", name=facts.get("name", "")),
        "partner_people": _("This crew has people, so it can't be a partner."),
        "why_refused": _("Say why."),
        "handover_moved": _("This job has moved on. Load the page again."),
        "forward_unknown": _("%(name)s doesn't take this type of problem.", name=facts.get("name", "")),
        "forward_placeless": _("Give the case a location first."),
        "forwarded": _("This case is being passed on already."),
        "forward_loop": _("This case came from %(name)s, so it can't go back.", name=facts.get("name", "")),
        "forward_under_way": _("It's being sent right now. Try again in a minute."),
        "forward_number": _("Enter their number as they write it."),
        "forward_moved": _("That has changed meanwhile. Look again."),
        "no_endpoint": _("Choose who it should go to."),
        "known_crew": _("There's already a crew with that name."),
        "last_administrator": _(
            "At least one person has to be an administrator. Add another administrator first."
        ),
        "too_many_codes": _("You've asked for too many codes. Try again in an hour."),
        "not_a_photo": _(
            "We can't read that file as a photo. Choose a JPEG, HEIC, AVIF, PNG, or WebP image."
        ),
        "broken": _("That photo is damaged. Take it again or choose another one. Everything else is saved."),
        "too_large": _("That photo is larger than 20 MB. Choose a smaller one."),
        "too_many_pixels": _("That image is too large to open safely. Choose a smaller one."),
        "photo_attached": _("That photo is already part of another report."),
        "no_boxes": _("Choose which part of the photo to cover."),
        "bad_box": _(
            "Area %(nth)s doesn't fit in the photo. Enter four numbers from 0 to 100. Left plus width "
            "can't be more than 100, and neither can top plus height.",
            nth=facts.get("nth", 1),
        ),
        "too_many_boxes": _(
            "That's too many areas. You can cover up to %(most)s at a time.", most=facts.get("most", 20)
        ),
        "store_down": _(
            "We can't reach the photos right now. Nothing was covered. Try again in a few minutes."
        ),
        "photo_gone": _(
            "That photo is gone. Someone erased it or covered part of it while you were working."
        ),
        "too_many": _("You can add up to five photos. Remove one first."),
        "no_room": _(
            "We can't take more photos right now. Send your report without them, or try again in an hour."
        ),
    }
    if getattr(g, "person", None) is None:
        told |= _for_residents(facts)
    return str(told.get(refused.code, _("That can't be done right now.")))


def _for_residents(facts: dict[str, Any]) -> dict[str, str]:
    """What reads otherwise where nobody of the staff is logged in: to residents a case is a report."""
    return {
        "wrong_state": _(
            "This report is %(state)s now, so you can't do that.", state=_lower(facts.get("state"))
        ),
        "not_that_closing": _("This report changed in the meantime. Check the latest first."),
        "unknown_number": _("There's no report with that number."),
    }


def page(status: int, title: str, text: str) -> Response:
    """The error page; other programs get its title in their own form."""
    for prefix, answer in _FORMATS.items():
        if request.path.startswith(prefix):
            return answer(status, title)
    g.personal = True
    return make_response(render_template("error.html", title=title, text=text, status=status), status)


def refused(status: int) -> Response:
    """503 for what is not even begun, as there is too much to do; 408 for a form that comes too slowly."""
    return _http(RequestTimeout()) if status == 408 else _later()


def _http(fault: HTTPException) -> Response:
    if request.path.startswith(("/sync/", "/healthz", "/readyz")):
        response = make_response({"error": fault.name, "status": fault.code}, fault.code or 500)
        return _with_headers(response, fault)
    told = {
        400: (_("Part of that can't be read"), _("Go back, type it again, and send it.")),
        401: (_("You've been logged out"), _("Log in again, then try once more.")),
        403: (
            _("You don't have access"),
            _("Your account can't see this page. Ask an administrator for access."),
        ),
        404: (_("Page not found"), _("The address may be mistyped, or the report may not be public.")),
        405: (_("That doesn't work here"), _("Go back and use the buttons on the page.")),
        429: (
            _("Too many tries in a short time"),
            _(
                "Nothing is lost. Wait a few minutes, go back, and send it again. If it's urgent, call "
                "%(number)s.",
                number=access.current_city().city.phone,
            ),
        ),
        413: (_("That's too large to send"), _("Send fewer or smaller photos.")),
        414: (_("That link is too long"), _("Go back and use the buttons on the page.")),
    }
    if request.method in ("GET", "HEAD"):
        told[429] = (
            _("Too many requests in a short time"),
            _(
                "Wait a minute, then load this page again. If it's urgent, call %(number)s.",
                number=access.current_city().city.phone,
            ),
        )
    title, text = told.get(fault.code or 500, (_("Something went wrong"), _("Go back and try again.")))
    return _with_headers(page(fault.code or 500, title, text), fault)


def _with_headers(response: Response, fault: HTTPException) -> Response:
    """What works here instead, and when to come again."""
    for name, value in fault.get_headers():
        if name.lower() in ("allow", "retry-after"):
            response.headers[name] = value
    return response


def _stale(_fault: CSRFError) -> Response:
    refused_requests.refused(refused_requests.FORGED, "token")
    return page(400, _("This page was open too long"), _("Go back, reload the page, and try again."))


def _refused(refused: Refused) -> Response:
    return page(422, _("That can't be done right now"), words(refused))


def _busy(fault: SQLAlchemyError | OSError | Busy) -> Response:
    """The database let nobody write, cannot be reached, or all our connections to it are in use for long.

    Or a disk is full, or too many photos wait to be unpacked.
    """
    log.warning("busy: %s", fault or "too many photos to process at once")
    g.retry_after = BUSY_SECONDS
    return _later()


def _later() -> Response:
    if request.path.startswith("/sync/"):
        return make_response({"error": "later"}, 503)
    return page(
        503, _("This is taking too long"),
        _(
            "Nothing was saved. Wait a minute, go back, and send it again. If it's urgent, call "
            "%(number)s.",
            number=access.current_city().city.phone,
        ),
    )  # fmt: skip


def _unwritten(fault: OSError) -> Response:
    """A disk that is full is no fault of ours, and somebody makes room."""
    return _busy(fault) if files.is_full(fault) else _broken(fault)


def _broken(fault: Exception) -> Response:
    log.exception("unhandled, request %s", security.request_id(), exc_info=fault)
    if request.path.startswith("/sync/"):
        return make_response({"error": "broken"}, 500)
    return page(
        500,
        _("Something went wrong on our end"),
        _(
            "Nothing is lost. Try again in a minute, or call %(number)s.",
            number=access.current_city().city.phone,
        ),
    )


def _lower(code: str | None) -> str:
    return states.label(code or "").lower() if code else outcome(None).lower()

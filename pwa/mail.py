"""What Cityline's messages say, as its channel takes it, in the reader's language. Sends nothing."""

import hashlib
from collections.abc import Callable
from datetime import date
from email.message import EmailMessage
from typing import Final
from urllib.parse import urlsplit

from flask import Flask, render_template, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city import notices, queries, reports
from city.delivery import Render
from city.mornings import Late
from city.queries import Sight
from city.schema import Message, Person, Report, Subscription
from city.texts import Text
from city.webpush import Note
from pwa import access, bulletins, envelopes, filters, localization


def render(app: Flask) -> Render:
    """What turns a row of the outbox into what its channel takes; into None where nobody wants it now."""

    def written(s: Session, message: Message) -> EmailMessage | Note | Text | None:
        row = message.subscription
        if not _is_wanted(message) or not notices.holds(s, message):
            return None
        # A request of our own making: with it every link knows the city's address and the reader's language.
        settings, languages = app.extensions["cityline"].settings, app.extensions["cityline"].city.languages
        prefix = "" if row.lang == languages[0] else f"/{row.lang}"
        language = {"cityline.lang": row.lang}
        with app.test_request_context(base_url=settings.base_url + prefix, environ_overrides=language):
            return (_WRITERS if row.report_id else bulletins.WRITERS)[row.channel](s, message)

    return written


def morning(app: Flask, person: Person, late: Late, day: date) -> EmailMessage:
    """The letter of one working morning, in the language of whom it goes to."""
    held = app.extensions["cityline"]
    settings, languages = held.settings, held.city.languages
    prefix = f"/{person.lang}" if person.lang in languages[1:] else ""
    language = {"cityline.lang": person.lang if person.lang in languages else languages[0]}
    with app.test_request_context(base_url=settings.base_url + prefix, environ_overrides=language):
        letter = EmailMessage()
        letter["From"], letter["To"] = settings.mail_from, person.email
        letter["Subject"] = ngettext("%(num)d case is late", "%(num)d cases are late", late.total)
        name = hashlib.sha256(f"morning:{settings.secret_key}:{person.id}:{day}".encode()).hexdigest()[:32]
        letter["Message-ID"] = f"<{name}@{urlsplit(settings.base_url).hostname}>"
        letter["Auto-Submitted"] = "auto-generated"
        links = {"board": _link("dispatch.board", standing="late"), "me": _link("account.me")}
        letter.set_content(render_template("email/late.txt", late=late, links=links, link=_link))
    return letter


def _is_wanted(message: Message) -> bool:
    """Who stopped the news and asks for them again is asked again, too."""
    row = message.subscription
    if message.kind == "receipt":
        return row.stopped_at is None or row.stopped_at <= row.asked_at
    return row.stopped_at is None and row.confirmed_at is not None


def _letter(s: Session, message: Message) -> EmailMessage:
    row, kind = message.subscription, message.kind
    report = s.get_one(Report, row.report_id)
    sight = queries.own(s, report, now=access.now(), publish=access.here().publish)
    links = _links(report, row)
    words = render_template(f"email/{kind}.txt", sight=sight, report=report, links=links)
    return envelopes.letter(message, _subject(kind, sight), words, stop=links["stop"])


def _note(s: Session, message: Message) -> Note:
    """The link shows the case to the browser that holds its own link already, so none stands in the note."""
    row = message.subscription
    report = s.get_one(Report, row.report_id)
    sight = queries.own(s, report, now=access.now(), publish=access.here().publish)
    said = {
        "closed": _("Tap to see the result."),
        "reopened": _("This report is open again, and a crew will come back."),
    }[message.kind]
    body = f"{filters.place(sight.address)}\n{said}".strip()
    link = _link("resident.case", number=sight.number)
    return envelopes.note(message, _subject(message.kind, sight), body, link, urgent=report.danger)


def _text(s: Session, message: Message) -> Text:
    row = message.subscription
    report = s.get_one(Report, row.report_id)
    sight = queries.own(s, report, now=access.now(), publish=access.here().publish)
    links = _links(report, row)
    words = {
        "receipt": _("Want text updates? Confirm here: %(link)s", link=links["confirm"]),
        "closed": _("See it and tell us if it's fixed: %(link)s", link=links["case"]),
        "reopened": _("A crew will come back. Details: %(link)s", link=links["case"]),
    }[message.kind]
    return envelopes.text(message, f"{_subject(message.kind, sight)}. {words}", stop=links["stop"])


def _links(report: Report, row: Subscription) -> dict[str, str]:
    secret = access.here().settings.secret_key
    code, token = reports.news_code(secret, row), reports.token_for(secret, report.key)
    return {
        # It shows the own words and photos, so it goes to a confirmed address only: never into a receipt.
        "case": _link("resident.secret", token=token),
        "fixed": _link("verdict.ask_fixed", token=token),
        "not_fixed": _link("verdict.ask_not_fixed", token=token),
        "confirm": _link("news.news", subscription=row.id, code=code),
        "stop": _link("news.news", subscription=row.id, code=code, stop=1),
    }


def _link(endpoint: str, **values: object) -> str:
    return url_for(endpoint, _external=True, **values)  # type: ignore[arg-type]


def _subject(kind: str, sight: Sight) -> str:
    what = localization.said(sight.service.names)
    if kind == "receipt":
        return _("We got your report (%(number)s)", number=sight.number)
    if kind == "reopened":
        return _("%(what)s: reopened (%(number)s)", number=sight.number, what=what)
    ended = filters.outcome(sight.proof.outcome if sight.proof else None, office=sight.service.office)
    return _("%(what)s: %(outcome)s (%(number)s)", number=sight.number, outcome=ended, what=what)


_WRITERS: Final[dict[str, Callable[[Session, Message], EmailMessage | Note | Text]]] = {
    "email": _letter,
    "push": _note,
    "sms": _text,
}

"""What Cityline's letters say: one text a kind of message, in the reader's language. Sends nothing."""

from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import urlsplit

from flask import Flask, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city import notices, queries, reports
from city.delivery import Render
from city.queries import Sight
from city.schema import Message, Report, Subscription
from pwa import access, filters


def render(app: Flask) -> Render:
    """The function that turns a row of the outbox into a letter; None where it is not wanted any more."""

    def letter(s: Session, message: Message) -> EmailMessage | None:
        row = message.subscription
        wanted = row.stopped_at is None and (row.confirmed_at is not None or message.kind == "receipt")
        if not wanted or not notices.holds(s, message):
            return None
        # A request of our own making: with it every link knows the city's address and the reader's language.
        settings, languages = app.extensions["cityline"].settings, app.extensions["cityline"].city.languages
        prefix = "" if row.lang == languages[0] else f"/{row.lang}"
        language = {"cityline.lang": row.lang}
        with app.test_request_context(base_url=settings.base_url + prefix, environ_overrides=language):
            return _letter(s, message.kind, row)

    return letter


def _letter(s: Session, kind: str, row: Subscription) -> EmailMessage:
    settings = access.here().settings
    report = s.get_one(Report, row.report_id)
    sight = queries.own(s, report, now=access.now(), publish=access.here().publish)
    code = reports.news_code(settings.secret_key, row)
    token = reports.token_for(settings.secret_key, report.key)
    links = {
        # It shows the own words and photos, so it goes to a confirmed address only: never into a receipt.
        "case": _link("resident.secret", token=token),
        "fixed": _link("verdict.ask_fixed", token=token),
        "not_fixed": _link("verdict.ask_not_fixed", token=token),
        "confirm": _link("resident.news", subscription=row.id, code=code),
        "stop": _link("resident.news", subscription=row.id, code=code, stop=1),
    }
    letter = EmailMessage()
    letter["From"], letter["To"] = settings.mail_from, row.email
    letter["Subject"] = _subject(kind, sight)
    letter["Message-ID"] = make_msgid(domain=urlsplit(settings.base_url).hostname)
    letter["Auto-Submitted"] = "auto-generated"
    letter["List-Unsubscribe"] = f"<{links['stop']}>"
    letter["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    letter.set_content(render_template(f"email/{kind}.txt", sight=sight, report=report, links=links))
    letter["Content-Language"] = row.lang
    return letter


def _link(endpoint: str, **values: object) -> str:
    return url_for(endpoint, _external=True, **values)  # type: ignore[arg-type]


def _subject(kind: str, sight: Sight) -> str:
    what = filters.said(sight.service.names)
    if kind == "receipt":
        return _("%(number)s: we have your report", number=sight.number)
    if kind == "reopened":
        return _("%(number)s: open again, %(what)s", number=sight.number, what=what)
    ended = filters.outcome(sight.proof.outcome if sight.proof else None, office=sight.service.office)
    return _("%(number)s: %(outcome)s, %(what)s", number=sight.number, outcome=ended, what=what)

"""What Cityline's messages say, as its channel takes it, in the reader's language. Sends nothing."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date
from email.message import EmailMessage
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from flask import Flask
from flask.ctx import RequestContext
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.channels import CHANNELS, LETTER, NOTE, TEXT
from city.db.models import AccountLetter, CaseMessage, LoginCode, Message, Person, Report, Subscription
from city.metrics.satisfaction import SCORES
from city.notifications import account_email, daily_limit, danger_alarm, fan_out
from city.notifications.outbox import Render
from city.notifications.overdue_digest import Late
from city.notifications.sms import SmsMessage
from city.notifications.webpush import Note
from city.partners import telling
from city.people import account_letters, accounts, sessions
from city.reports import intake
from city.reports.conversation import ASK
from pwa.messages import (
    envelopes,
    follower_messages,
    inbox_messages,
    letters,
    partner_messages,
    sentences,
    staff_messages,
)
from pwa.web import access, formatting, localization, questions

MOST_OF_A_TEXT: Final = 300  # letters of what somebody at the city wrote

Writers = Mapping[str, Callable[[Session, Message], EmailMessage | Note | SmsMessage | None]]


def render(app: Flask) -> Render:
    """What turns a row of the outbox into what its channel takes; into None where nobody wants it now."""

    def written(s: Session, message: Message) -> EmailMessage | Note | SmsMessage | None:
        row = message.subscription
        silent = message.kind in app.extensions["cityline"].city.silent
        if silent or not _is_wanted(message) or not fan_out.is_still_valid(s, message):
            return None
        with _read_in(app, row.lang):
            return _writers(message)[CHANNELS[row.channel].takes](s, message)

    return written


def _writers(message: Message) -> Writers:
    if message.kind == danger_alarm.KIND:
        return staff_messages.WRITERS
    if message.kind == fan_out.REPLY:
        return inbox_messages.WRITERS
    return _WRITERS if message.subscription.report_id else follower_messages.WRITERS


def morning(app: Flask, person: Person, late: Late, day: date) -> EmailMessage:
    """The letter of one working morning, in the language of whom it goes to."""
    settings = app.extensions["cityline"].settings
    with _read_in(app, person.lang):
        subject = ngettext("%(num)d case is late", "%(num)d cases are late", late.total)
        letter = letters.begin(person.email, subject)
        name = hashlib.sha256(f"morning:{settings.secret_key}:{person.id}:{day}".encode()).hexdigest()[:32]
        letter["Message-ID"] = f"<{name}@{urlsplit(settings.base_url).hostname}>"
        links = {"board": letters.link("dispatch.board", standing="late"), "me": letters.link("account.me")}
        letters.write(letter, "late", late=late, links=links)
    return letter


def account(app: Flask) -> account_email.Write:
    """What writes a letter about somebody's own log-in, or to a partner; None where it is over by now."""

    def written(s: Session, letter: AccountLetter) -> EmailMessage | None:
        if letter.kind == telling.LETTER:
            with _read_in(app, letter.lang):
                return partner_messages.job(s, letter)
        person = accounts.by_email(s, letter.email)
        if person is None or person.disabled_at:
            return None
        with _read_in(app, letter.lang):
            return _ACCOUNT_WRITERS[letter.kind](s, letter)

    return written


def _code(s: Session, letter: AccountLetter) -> EmailMessage | None:
    row = s.get(LoginCode, letter.facts["code"])
    # Another may have its number by now, where SQLite gives that of a removed row again.
    if row is None or row.email != letter.email or not sessions.is_good(row, access.now()):
        return None
    # The code itself stands inside: subjects are read from locked screens, and by whatever sorts the mail.
    written = letters.begin(letter.email, _("Your login code"))
    letters.write(written, "code", code=sessions.code_of(row, access.current_city().settings.secret_key))
    return written


def _closed(s: Session, letter: AccountLetter) -> EmailMessage | None:
    person = s.get(Person, letter.facts["person"])
    if person is None:
        return None
    own = person.email == letter.email
    title = _("Someone is guessing your login code") if own else _("Someone is guessing a login code")
    written = letters.begin(letter.email, title)
    letters.write(written, "closed_codes", person=person, own=own, title=title)
    return written


def _link_made(s: Session, letter: AccountLetter) -> EmailMessage:
    by = letter.facts["by"]
    maker = accounts.named(s, [by]).get(by, "")  # "" for whoever keeps the city's machine
    title = _("Someone made a login link for you")
    written = letters.begin(letter.email, title)
    letters.write(written, "link_made", maker=maker, title=title)
    return written


def _read_in(app: Flask, lang: str) -> RequestContext:
    """A request of our own making: with it every link knows the city's address and the reader's language.

    Where the city has dropped that language, its first one.
    """
    held = app.extensions["cityline"]
    first, *others = held.city.languages
    prefix, spoken = (f"/{lang}", lang) if lang in others else ("", first)
    return app.test_request_context(
        base_url=held.settings.base_url + prefix, environ_overrides={"cityline.lang": spoken}
    )


def _is_wanted(message: Message) -> bool:
    """Whether its reader still wants it. Somebody who stopped updates and asked anew wants the receipt."""
    row = message.subscription
    if message.kind == "receipt":
        return row.stopped_at is None or row.stopped_at <= row.asked_at
    return row.hears


class _Bundle(NamedTuple):
    """What one message tells: which row of the outbox leads, all that was written, and what else is new."""

    lead: Message
    words: str
    also: list[str]


def _bundle(s: Session, message: Message, sight: PublicCase) -> _Bundle:
    """The message with all that waits for the same reader. Words of the city lead: no state tells those."""
    silent = access.current_city().city.silent
    waits = [
        each
        for each in daily_limit.together(s, message)
        if each.kind not in silent and fan_out.is_still_valid(s, each)
    ]
    every = sorted([message, *waits], key=lambda each: each.id)
    written = [each for each in every if each.case_message_id]
    ends = message.kind == "closed"
    lead = message if message.case_message_id or ends or not written else written[-1]
    words = [s.get_one(CaseMessage, each.case_message_id).words for each in written]
    kinds = dict.fromkeys(each.kind for each in every if each.kind in _STATES and each.kind != lead.kind)
    return _Bundle(lead, "\n\n".join(words), [_STATES[kind](sight) for kind in kinds])


def _letter(s: Session, message: Message) -> EmailMessage:
    row = message.subscription
    report = s.get_one(Report, row.report_id)
    sight = queries.reporter_view(s, report, now=access.now(), publish=access.current_city().publish)
    links = _links(report, row)
    bundle = _bundle(s, message, sight)
    kind = bundle.lead.kind
    facts: dict[str, Any] = {
        "sight": sight,
        "report": report,
        "links": links,
        "what": localization.said(sight.service.names),
        "where": formatting.place(sight.address) if sight.address else "",
        "number": sight.number,
        "owner": formatting.owner(sight),
        "stands": sentences.standing_sentence(sight),
    }
    if kind == "receipt":
        facts |= {"news": _received(sight)} | _as_strangers_see_it(s, sight, links)
    elif kind == "confirmed":
        photos = [photo for told in sight.tellings if told.mine for photo in told.photos]
        facts |= {
            "news": _("You're all set."),
            "answers": _answers(report),
            "photos": len(photos),
            "pictures": letters.of_report(s, sight),
        }
    elif kind == "closed":
        facts |= {
            "news": sentences.standing_sentence(sight),
            "question": sentences.question(sight),
            "excuse": sentences.no_photo(sight),
            "words": bundle.words,
            "pictures": letters.before_and_after(s, sight),
        }
    elif written := _written(s, bundle.lead):
        facts |= {
            "news": sentences.asks_you(sight) if written.kind == ASK else sentences.has_update(sight),
            "asks": written.kind == ASK,
            "words": bundle.words,
            "also": bundle.also,
            "choices": written.choices,
            "waits": "" if sight.service.urgent else _("The due date waits until you answer."),
            "by_mail": bool(access.current_city().settings.mail_address) and row.confirmed_at is not None,
        }
    else:
        facts |= {"news": _STATES[kind](sight), "also": bundle.also}
    template = _TEMPLATES.get(kind, "news")
    title = _subject(_called(s, bundle.lead), sight)
    return envelopes.letter(message, title, template, stop=links["stop"], **facts)


def _received(sight: PublicCase) -> str:
    return _("We got your question.") if sight.service.office else _("We got your report.")


def _as_strangers_see_it(s: Session, sight: PublicCase, links: dict[str, Any]) -> dict[str, Any]:
    """The place and the page of a case, for an address that may be a stranger's."""
    publish = access.current_city().publish
    seen = queries.public(s, now=access.now(), publish=publish, ids=[sight.id], limit=1)
    where = formatting.place(seen[0].address) if seen and seen[0].address else ""
    page = letters.link("case.page", number=sight.number) if seen else ""
    return {"where": where, "links": links | {"public": page}}


def _answers(report: Report) -> list[tuple[str, str]]:
    """What the reporter was asked and answered, in their own mailbox's language."""
    return [
        (localization.said(question.words), questions.answered(report.answers[question.code], question))
        for question in report.service.questions
        if question.code in report.answers
    ]


def _note(s: Session, message: Message) -> Note:
    """The link shows the case to the browser that holds its own link already, so none stands in the note."""
    row = message.subscription
    report = s.get_one(Report, row.report_id)
    sight = queries.reporter_view(s, report, now=access.now(), publish=access.current_city().publish)
    lead = _bundle(s, message, sight).lead
    said = {
        "question": _("We have a question. Tap to answer."),
        "update": _("Tap to read the update."),
        "closed": _("Tap to see the result."),
        "reopened": sentences.reopened(sight),
        "corrected": sentences.corrected(sight),
        "changed": sentences.changed(sight),
        fan_out.LATE: sentences.standing_sentence(sight),
    }[lead.kind]
    body = f"{formatting.place(sight.address)}\n{said}".strip()
    link = letters.link("case.page", number=sight.number)
    title = _subject(_called(s, lead), sight)
    return envelopes.push_note(message, title, body, link, urgent=report.danger)


def _text(s: Session, message: Message) -> SmsMessage:
    row = message.subscription
    report = s.get_one(Report, row.report_id)
    sight = queries.reporter_view(s, report, now=access.now(), publish=access.current_city().publish)
    links, office = _links(report, row), sight.service.office
    if message.kind == "receipt":  # without the kind of problem: one text has 160 characters
        words = _("Want text updates? Confirm here: %(link)s", link=links["confirm"])
        told = _("We got your question (%(number)s).") if office else _("We got your report (%(number)s).")
        return envelopes.text(message, f"{told % {'number': sight.number}} {words}", stop=links["stop"])
    bundle = _bundle(s, message, sight)
    if written := _written(s, bundle.lead):
        asks = written.kind == ASK
        way = _("Details: %(link)s", link=links["case"])
        if asks and access.current_city().settings.texts_in:
            way = _("Answer by text, or here: %(link)s", link=links["answer"])
        elif asks:
            way = _("Answer: %(link)s", link=links["answer"])
        told = f"{_subject(_called(s, bundle.lead), sight)}\n{_shortened(bundle.words)}\n{way}"
        return envelopes.text(message, told, stop=links["stop"])
    closed, again = (
        (_("Read the answer: %(link)s"), _("Someone will get back to you. Details: %(link)s"))
        if office
        else (
            _("See it and tell us if it's fixed: %(link)s"),
            _("A dispatcher will review it. Details: %(link)s"),
        )
    )
    words = {"closed": closed, "reopened": again}.get(message.kind, _("Details: %(link)s")) % {
        "link": links["case"]
    }
    return envelopes.text(message, f"{_subject(_called(s, message), sight)}. {words}", stop=links["stop"])


def _links(report: Report, row: Subscription) -> dict[str, Any]:
    secret = access.current_city().settings.secret_key
    code, token = intake.news_code(secret, row), intake.token_for(secret, report.key)
    return {
        # It shows the own words and photos, so it never goes into a receipt, which may reach a stranger.
        "case": letters.link("case.secret", token=token),
        "answer": letters.link("case.secret", token=token, _anchor="answer"),
        "fixed": letters.link("verdict.ask_fixed", token=token),
        "not_fixed": letters.link("verdict.ask_not_fixed", token=token),
        "rates": [letters.link("verdict.ask_rating", token=token, score=n) for n in SCORES],
        "confirm": letters.link("news.news", subscription=row.id, code=code),
        "stop": letters.link("news.news", subscription=row.id, code=code, stop=1),
    }


def _written(s: Session, message: Message) -> CaseMessage | None:
    return s.get_one(CaseMessage, message.case_message_id) if message.case_message_id else None


def _called(s: Session, message: Message) -> str:
    """The kind of message that stands above it: a question is asked anew as a reminder."""
    asked = s.get(CaseMessage, message.case_message_id) if message.case_message_id else None
    return "reminder" if asked and asked.reminded_at else message.kind


def _subject(kind: str, sight: PublicCase) -> str:
    what = localization.said(sight.service.names)
    if kind == "receipt" and sight.service.office:
        return _("%(what)s: We got your question (%(number)s)", number=sight.number, what=what)
    if kind == "receipt":
        return _("%(what)s: We got your report (%(number)s)", number=sight.number, what=what)
    if kind == "confirmed":
        return _("%(what)s: You'll get updates (%(number)s)", number=sight.number, what=what)
    if kind == "question":
        return _("%(what)s: A question for you (%(number)s)", number=sight.number, what=what)
    if kind == "reminder":
        return _("%(what)s: We still need your answer (%(number)s)", number=sight.number, what=what)
    if kind == "update":
        return _("%(what)s: An update (%(number)s)", number=sight.number, what=what)
    if kind == "reopened":
        return _("%(what)s: Reopened (%(number)s)", number=sight.number, what=what)
    if kind == "corrected" and formatting.new_date(sight):
        return _("%(what)s: New date (%(number)s)", number=sight.number, what=what)
    if kind == "corrected":
        return _("%(what)s: Your report was corrected (%(number)s)", number=sight.number, what=what)
    if kind == fan_out.LATE:
        return _("%(what)s: Running late (%(number)s)", number=sight.number, what=what)
    if kind == "changed":
        stands = sentences.headline(sight)
        return _("%(what)s: %(outcome)s (%(number)s)", number=sight.number, outcome=stands, what=what)
    ended = formatting.outcome(sight.proof.outcome if sight.proof else None, office=sight.service.office)
    return _("%(what)s: %(outcome)s (%(number)s)", number=sight.number, outcome=ended, what=what)


def _shortened(words: str) -> str:
    """As much of somebody's words as a few texts carry; the page has all of it."""
    return words if len(words) <= MOST_OF_A_TEXT else f"{words[: MOST_OF_A_TEXT - 1].rstrip()}…"


_STATES: Final[Mapping[str, Callable[[PublicCase], str]]] = {
    "reopened": sentences.reopened,
    "corrected": sentences.corrected,
    "changed": sentences.changed,
    fan_out.LATE: sentences.standing_sentence,
}
_TEMPLATES: Final = {
    "receipt": "receipt", "confirmed": "confirmed", "closed": "closed", "question": "written",
    "update": "written",
}  # fmt: skip
_WRITERS: Final[Writers] = {
    LETTER: _letter,
    NOTE: _note,
    TEXT: _text,
}
_ACCOUNT_WRITERS: Final[dict[str, Callable[[Session, AccountLetter], EmailMessage | None]]] = {
    account_letters.CODE: _code,
    account_letters.CLOSED: _closed,
    account_letters.LINK: _link_made,
}

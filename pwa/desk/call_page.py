"""The form of one conversation with all that stands around it: of a call, or of what came into the inbox."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from flask import Response, g, request, session, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.answers import articles
from city.answers.search import Found
from city.board import rows as queue_rows
from city.board.rows import Row
from city.cases import duplicates, queries, sla
from city.cases import search as case_search
from city.cases.queries import PublicCase
from city.config.city_file import Service
from city.db import models
from city.db.models import Caller, InboxEntry
from city.inbox import entries
from city.lifecycle import MAX_WORDS, OPEN, Refused
from city.people import callers, contacts
from city.people.callers import Earlier
from city.people.contacts import (
    ANSWERED,
    CASE,
    DROPPED,
    OUTCOMES,
    REPLIES_BY,
    SPOKEN,
    TRANSFERRED,
)
from city.places import nearby_assets
from city.places.resolve import Resolved, resolve
from city.questions import asked
from city.reports import calls
from city.reports.calls import Call
from city.reports.intake import NewReport
from pwa.desk import inbox_frame, offers, transfers
from pwa.desk.transfers import Transfer
from pwa.messages import sentences
from pwa.web import access, errors, formatting, forms, localization
from pwa.web.forms import CallForm, ReportForm
from pwa.web.fragments import go, is_fragment, render

NEAR = 3
ANYTHING = "other"  # the topic of a call that ended before anybody could say

SAVED = (*OUTCOMES, "asked", "settled")  # what is said of what was saved, where no case came of it

Fault = tuple[str, str]  # the field's id, and what to do in words


@dataclass(frozen=True)
class Known:
    """Whom the number belongs to. `earlier` are the last calls, open cases first, of `many`."""

    phone: str = ""
    caller: Caller | None = None
    earlier: Sequence[Earlier] = ()
    many: int = 0
    fault: str = ""


@dataclass(frozen=True)
class Said:
    """What the call-taker reads aloud, in the caller's language; `first` before anything else."""

    lines: list[str] = field(default_factory=list)
    first: str = ""
    title: str = ""


def posted(number: int = 0) -> Response:
    """Keeps the conversation and shows the next form; or this form again with all that was typed.

    `number` is the entry of the inbox that it is about, 0 for a call. Without JavaScript the buttons inside
    the form post here too: `do` says which. Only "save" keeps it, and "ask" writes back and lets it wait.
    """
    form = forms.call(request.form, access.current_city().city)
    do, _space, what = request.form.get("do", "save").partition(" ")
    if number:
        with access.reading() as s:
            entry = access.or_404(s.get(InboxEntry, number))
            told = replace(form.report, key=inbox_frame.key_of(entry))
            form = replace(form, report=told, channel=entry.channel)
    if do == "take":
        return page(_taken(form, what), number=number)
    if do == "find" or not form.report.key:
        told_late = _("This page was open for a while. Check it, then save again.")
        return page(_keyed(form), [] if do == "find" else [("save", told_late)], number=number)
    return _asked_back(form, number) if do == "ask" and number else _kept(form, number)


def _kept(form: CallForm, number: int) -> Response:
    here, at = access.current_city(), access.now()
    with access.reading() as s:
        known, spot = _known(s, form), _spot(s, form)
    if faults := _faults(form, known, spot):
        return page(form, faults, number=number)
    call = _call(form, known, spot, at)
    secret = here.settings.secret_key
    try:
        with access.writing() as s:
            if number:
                entry = access.or_404(s.get(InboxEntry, number))
                report = entries.end(s, entry, call, form.reply, by=g.actor, at=at, secret=secret)
            else:
                _contact, report = calls.finish_call(s, call, by=g.actor, at=at, secret=secret)
            saved = report.case.number if report else form.ends
    except Refused as refused:
        if number and refused.code in ("settled", "kept_already"):
            return go(url_for("inbox.inbox", saved="settled"))
        if refused.code == "kept_already":  # what was corrected after its answer was lost is another call
            form = replace(form, report=replace(form.report, key=uuid.uuid4().hex))
        return page(form, [_fault(form, refused)], number=number)
    if number:
        return go(url_for("inbox.inbox", saved=saved))
    if is_fragment():
        return page(fresh(), saved=saved)
    return go(url_for("desk.desk", saved=saved))


def _asked_back(form: CallForm, number: int) -> Response:
    """Asks whoever wrote; the entry waits for their answer."""
    try:
        with access.writing() as s:
            entry = access.or_404(s.get(InboxEntry, number))
            entries.write_back(s, entry, form.reply, asks=True, by=g.actor, at=access.now())
    except Refused as refused:
        if refused.code == "settled":
            return go(url_for("inbox.inbox", saved="settled"))
        return page(form, [("reply", errors.words(refused))], number=number)
    return go(url_for("inbox.inbox", saved="asked", after=number))


def page(form: CallForm, faults: Sequence[Fault] = (), *, saved: str = "", number: int = 0) -> Response:
    """The desk with the form; htmx gets the form alone, which takes the place of the one that it sent."""
    city = access.current_city().city
    with access.reading() as s:
        entry = access.or_404(s.get(InboxEntry, number)) if number else None
        kept = queries.by_number(s, saved) if saved and saved not in SAVED else None
        lang = _spoken(form, known := _known(s, form))
        shown = render(
            "desk/desk.html", "desk/_call.html", status=422 if faults else 200,
            **around(s, form, known, lang) | found_lines(s, form.sought, lang), by_button=True,
            summary=list(faults), faults=dict(faults), kept=kept, saved=saved if saved in SAVED else "",
            channels=SPOKEN, outcomes=OUTCOMES, offices=transfers.all_of(city), topics=city.topics,
            now=access.now(),
            inbox=_frame(s, entry) if entry else None, takes_messages=_takes_messages(),
        )  # fmt: skip
    _note_look_up(known)
    return shown


def _takes_messages() -> bool:
    settings = access.current_city().settings
    return bool(settings.mail_in or settings.texts_in)


def _frame(s: Session, entry: InboxEntry) -> inbox_frame.Frame:
    return inbox_frame.frame(s, entry, access.now(), request.args.get("channel", ""))


def parts(form: CallForm) -> Response:
    with access.reading() as s:
        known = _known(s, form)
        shown = render("desk/_parts.html", **around(s, form, known, _spoken(form, known)))
    _note_look_up(known)
    return shown


def _note_look_up(known: Known) -> None:
    """Writes into the log that earlier calls are shown, before they are: once an hour, not a letter."""
    if known.caller is None or not known.earlier:
        return
    looked, at = [known.caller.id, f"{access.now():%Y-%m-%dT%H}"], access.now()
    if session.get("looked") != looked:
        with access.writing() as s:
            callers.looked_up(s, known.caller, by=g.actor, at=at)
        session["looked"] = looked


def around(s: Session, form: CallForm, known: Known, lang: str) -> dict[str, Any]:
    """What stands around the form, whole or in parts."""
    spot = _spot(s, form)
    answer = _answer(s, form.answer, lang)
    return {
        "form": form, "known": known, "spoken_in": lang, "spot": spot,
        "spot_words": errors.words(spot.fault) if spot.fault else "", "open_states": OPEN,
        "near": _near(s, form, spot), "here_before": _here_before(s, spot), "thing_here": _thing(s, spot),
        "say": _said(s, form, spot, answer, lang), "answer": answer, "answers_until": _answers_until,
        "first_told": _first_told(s, form, lang), "transfers": _transfers(form),
        "replies_by": _replies_by(form.report.service), "reply_by": _reply_by(form, known),
        "languages": access.current_city().city.languages, "region": access.current_city().city.region,
        "spoken": callers.format_number,
    }  # fmt: skip


def _replies_by(service: Service | None) -> tuple[str, ...]:
    """How they may hear of it; from an office that answers they must."""
    office = service is not None and service.office
    return tuple(way for way in REPLIES_BY if way != ("none" if office else "again"))


def fresh(place: str = "") -> CallForm:
    report = ReportForm(uuid.uuid4().hex, place=place)
    return CallForm(report, channel=SPOKEN[0], reply_by=REPLIES_BY[0], began=access.now())


def _keyed(form: CallForm) -> CallForm:
    return form if form.report.key else replace(form, report=replace(form.report, key=uuid.uuid4().hex))


def _taken(form: CallForm, what: str) -> CallForm:
    """The form with a line of the list chosen: "service light-out", "answer pay-tax", "office water",
    "case 26-000311"."""
    kind, _space, name = what.partition(" ")
    city = access.current_city().city
    if kind == "office":
        known_by = next((each.code for each in city.topics if each.department_code == name), form.topic)
        told = replace(form.report, service=None, group="")
        return replace(form, report=told, ends=TRANSFERRED, to=name, topic=known_by)
    if kind == "case":
        with access.reading() as s:
            row = next(iter(queue_rows.of_numbers(s, [name])), None)
        if row is None:
            return form
        told = replace(form.report, join=row.number, place=row.address or form.report.place)
        form, kind, name = replace(form, report=told), "service", row.service_code
    if kind == "service":
        service = next((each for each in city.services if each.code == name), None)
        topic = city.topic_of(service) if service else None
        told = replace(form.report, service=service, group=service.group if service else "")
        return replace(form, report=told, ends=CASE, topic=topic.code if topic else "")
    with access.reading() as s:
        known = articles.by_slug(s, name)
    topic_code = known.topic_code if known else form.topic
    told = replace(form.report, service=None, group="")
    return replace(form, report=told, answer=name, ends=ANSWERED, topic=topic_code)


def lang_of(code: str) -> str:
    """One of the city's languages; its own for anything else."""
    languages = access.current_city().city.languages
    return code if code in languages else languages[0]


def _spoken(form: CallForm, known: Known) -> str:
    """The language of the call: as chosen, else as the caller spoke last."""
    return lang_of(form.lang or (known.caller.lang if known.caller else ""))


def _known(s: Session, form: CallForm) -> Known:
    city = access.current_city().city
    try:
        phone = callers.normal(form.phone, city.region, city.area_code)
    except Refused as refused:
        return Known(fault=errors.words(refused))
    caller = callers.known(s, phone) if phone else None
    if caller is None:
        return Known(phone)
    earlier, many = callers.earlier(s, caller)
    return Known(phone, caller, earlier, many)


def _spot(s: Session, form: CallForm) -> Resolved:
    """The place that was typed. An office asks for none: what stands there is kept with the words."""
    service = form.report.service
    if not form.report.place or (service and service.office and form.ends == CASE):
        return Resolved()
    return resolve(s, form.report.whereabouts, geocoder=access.geocoder(), propose=False)


def found_lines(s: Session, typed: str, lang: str) -> dict[str, Any]:
    """The lines under the box."""
    city = access.current_city().city
    return {
        "sought": typed,
        "offered": offers.find(s, typed, lang=lang),
        "departments": {department.code: department.names for department in city.departments},
        "answers_until": _answers_until,
        "open_states": OPEN,
    }


def _answers_until(office: Transfer) -> str:
    return transfers.answers(office, access.now())


def _answer(s: Session, slug: str, lang: str) -> Found | None:
    """The answer that was chosen, as it is read aloud in this language."""
    known = articles.by_slug(s, slug) if slug else None
    if known is None or known.state != articles.PUBLISHED:
        return None
    texts = articles.texts(s, known)
    spoken = lang if lang in texts else next(iter(texts))
    text = texts[spoken]
    return Found(
        known.id, known.slug, text.title, text.script, spoken, 0.0, known.department_code, known.review_on,
        known.topic_code, known.services,
    )  # fmt: skip


def _near(s: Session, form: CallForm, spot: Resolved) -> list[tuple[Row, float | None]]:
    """Open cases that this may be and can join, the likeliest first, each with its metres; one that was
    chosen by its line stands there too."""
    service = form.report.service
    if service is None:
        return []
    place, at = spot.place, access.now()
    maybe = duplicates.candidates_near(s, service.code, place, at=at, limit=NEAR) if place else []
    metres = {each.case_id: each.metres for each in maybe}
    shown = queue_rows.of_ids(s, list(metres))
    joined = [
        number for number in [form.report.join] if number and number not in {row.number for row in shown}
    ]
    chosen = [row for row in queue_rows.of_numbers(s, joined) if row.state in OPEN] if joined else []
    return [*((row, None) for row in chosen), *((row, metres[row.id]) for row in shown)]


def _first_told(s: Session, form: CallForm, lang: str) -> Found | None:
    """The answer that may spare a transfer; None where one was read, or none fits what was typed."""
    if form.ends != TRANSFERRED or form.answer:
        return None
    lines = offers.find(s, form.sought, lang=lang).offers
    return next((each.answer for each in lines if each.answer), None)


def _transfers(form: CallForm) -> list[Transfer]:
    """To whom the call may go: whoever knows of what it is about, then all others."""
    city = access.current_city().city
    service = form.report.service
    topic = next((each.department_code for each in city.topics if each.code == form.topic), "")
    first = [topic, service.department_code if service else ""]
    return transfers.in_order(transfers.all_of(city), [code for code in first if code])


def _thing(s: Session, spot: Resolved) -> models.Asset | None:
    """The pole, tree or basket that was typed, or chosen."""
    if spot.place is None or spot.place.asset_id is None:
        return None
    return nearby_assets.by_ids(s, [spot.place.asset_id]).get(spot.place.asset_id)


def _here_before(s: Session, spot: Resolved) -> list[Row]:
    """What was reported at this very address, the newest first."""
    if spot.place is None or not spot.place.label or spot.place.vague:
        return []
    return queue_rows.of_ids(s, case_search.at(s, spot.place.label, limit=NEAR))


def _said(s: Session, form: CallForm, spot: Resolved, answer: Found | None, lang: str) -> Said:
    if form.ends == TRANSFERRED and (to := _office(form.to)):
        with force_locale(localization.locale_of(lang)):
            return Said(transfers.told(to, access.now()))
    if answer is not None and form.ends != CASE:
        return Said([answer.script], title=answer.title)
    service = form.report.service
    if service is None:
        return Said()
    first = ""  # for the call-taker's own eyes, so in their language
    if service.urgent:
        first = _(
            "Keep the caller at a safe distance and transfer to %(number)s.",
            number=access.current_city().city.emergency,
        )
    with force_locale(localization.locale_of(lang)):
        return Said(_asked(s, service, spot, form), first, localization.said(service.names))


def _office(code: str) -> Transfer | None:
    return next((each for each in transfers.all_of(access.current_city().city) if each.code == code), None)


def _asked(s: Session, service: Service, spot: Resolved, form: CallForm) -> list[str]:
    """What is said of a problem: the place, what else must be known, the day that is promised; of a case that
    the caller joins how it stands: it has a day of its own, or waits."""
    leads_to = asked(service.questions, form.report.answers)
    questions = [localization.said(each.words) for each in leads_to]
    row = s.get(models.Service, service.code)
    due = sla.due_and_risk(sla.offered(row, urgent=service.urgent), access.now()).due if row else None
    if service.office:
        answered = (
            _("You'll have an answer by %(day)s. How can we reach you?", day=localization.long_day(due))
            if due
            else ""
        )
        return [*questions, answered]
    place = formatting.place(spot.place.label) if spot.place and spot.known else ""
    where = (
        _("Thank you. I have the location as %(place)s.", place=place)
        if place
        else _("Where is it? A street address, a corner, or the number on the pole works.")
    )
    promised = []
    if joined := _joined(s, form.report.join):
        promised = [
            _(
                "Someone already reported this. %(stands)s Would you like to know when it's done?",
                stands=sentences.standing_sentence(joined),
            )
        ]
    elif due is not None:
        promised = [
            _(
                "We'll take care of it by %(day)s. Would you like to know when it's done?",
                day=localization.long_day(due),
            )
        ]
    return [where, *questions, *promised]


def _joined(s: Session, number: str | None) -> PublicCase | None:
    """The case that the caller's report joins, as anyone may know it; None where none can be joined."""
    case = queries.by_number(s, number) if number else None
    if case is None:
        return None
    root = queries.root_of(s, case)
    publish = access.current_city().publish
    return next(iter(queries.public(s, now=access.now(), publish=publish, ids=[root.id], limit=1)), None)


def _faults(form: CallForm, known: Known, spot: Resolved) -> list[Fault]:
    """What must be mended before the call can be kept."""
    told: list[Fault] = [("phone", known.fault)] if known.fault else []
    if form.ends not in OUTCOMES:
        told.append(("ends", _("Choose how the call ended.")))
    if form.ends == CASE:
        if form.report.service is None:
            told.append(("sought", _("Choose a problem or answer from the list.")))
        elif form.report.service.office:
            if _reply_by(form, known) == REPLIES_BY[0]:
                told.append(("way-back", errors.words(Refused("way_back_missing"))))
        elif fault := _fault_of_place(spot):
            told.append(fault)
    if form.ends == TRANSFERRED and not form.to:
        told.append(("to", _("Choose where you transferred the call.")))
    if len(form.report.words) > MAX_WORDS:
        told.append(("note", errors.words(Refused("words_too_long", most=MAX_WORDS))))
    if len(form.reply) > MAX_WORDS:
        told.append(("reply", errors.words(Refused("words_too_long", most=MAX_WORDS))))
    if not _topic(form):
        told.append(("topic", _("Choose what the call was about.")))
    return told


def _reply_by(form: CallForm, known: Known) -> str:
    """How they hear of it, as chosen. Who asks an office is called back where we know the number."""
    service = form.report.service
    if service and service.office and form.reply_by in ("", REPLIES_BY[0]):
        return "call" if known.phone else REPLIES_BY[0]
    return form.reply_by or REPLIES_BY[0]


def _fault_of_place(spot: Resolved) -> Fault | None:
    if spot.fault is None:
        return None if spot.place else ("place", errors.words(Refused("place_missing")))
    return "place", errors.words(spot.fault)


def _fault(form: CallForm, refused: Refused) -> Fault:
    """Where on the page a refusal is mended."""
    ids = {
        "bad_email": "email", "phone_missing": "phone", "way_back_missing": "way-back",
        "unknown_topic": "topic", "outside_city": "place", "unknown_case": "near",
        "words_too_long": "note", "unreachable": "reply",
        "unknown_office": "to" if form.ends == TRANSFERRED else "instead",
    }  # fmt: skip
    if refused.code.startswith("answer_") and form.report.service:
        return f"answer-{form.report.service.code}-{refused.facts['question']}", errors.words(refused)
    return ids.get(refused.code, "save"), errors.words(refused)


def _topic(form: CallForm) -> str:
    """As chosen; else what the service is about; of a dropped call it may be anything."""
    city = access.current_city().city
    codes = {topic.code for topic in city.topics}
    if form.topic in codes:
        return form.topic
    if form.report.service and form.ends == CASE and (topic := city.topic_of(form.report.service)):
        return topic.code
    anything = city.topic_of(city.catch_all)
    other = ANYTHING if ANYTHING in codes else anything.code if anything else ""
    return other if form.ends == DROPPED else ""


def _call(form: CallForm, known: Known, spot: Resolved, at: datetime) -> Call:
    """The call as it is kept. The page counts from the first key on, by no clock of ours, so never further
    back than when we drew the form; without scripts from there."""
    drawn = max((at - form.began).total_seconds(), 0) if form.began else 0
    seconds = int(min(drawn if form.seconds is None else form.seconds, drawn, contacts.MAX_SECONDS))
    lang = _spoken(form, known)
    said = contacts.Conversation(
        key=form.report.key, channel=form.channel, began_at=at - timedelta(seconds=seconds), seconds=seconds,
        topic=_topic(form), outcome=form.ends, lang=lang,
        answer=form.answer or None, to=form.to if form.ends == TRANSFERRED else None,
        instead=None if form.ends == TRANSFERRED else form.instead or None,
        words="" if form.ends == CASE else form.report.words,
        reply_by=_reply_by(form, known) if form.ends == CASE else REPLIES_BY[0],
    )  # fmt: skip
    has_texts = bool(access.current_city().settings.sms_url)
    return Call(
        said, known.phone, _telling(form, spot, lang) if form.ends == CASE else None, form.email, has_texts
    )


def _telling(form: CallForm, spot: Resolved, lang: str) -> NewReport:
    told, service = form.report, form.report.service
    return NewReport(
        key=told.key, service_code=service.code if service else "", channel=form.channel, lang=lang,
        words=told.words, place=spot.place, answers=dict(told.answers), join=told.join,
        about_place=told.place if service and service.office else "",
    )  # fmt: skip

"""What residents tell: taking a report, the secret link to it, the news about it, and erasing it."""

import hashlib
import hmac
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session, joinedload

from city import geo, questions
from city.audit import erasure_ledger, events
from city.audit.erasure_ledger import Erased
from city.audit.events import Actor
from city.cases import legal_holds, locks, reporter_count, sla, transitions
from city.cases import search as case_search
from city.channels import EMAIL, PUSH
from city.db.models import (
    Asset,
    Case,
    Contact,
    Erasure,
    Event,
    EventDetail,
    ExpectedPhoto,
    IdempotencyKey,
    Message,
    Photo,
    PhotoDownload,
    Report,
    SecretLink,
    Service,
    Subscription,
    SyncOperation,
)
from city.lifecycle import (
    ACTS,
    MAX_WORDS,
    OPEN,
    Refused,
    may,
)
from city.notifications import satisfaction, subscriptions
from city.people import accounts, callers
from city.people.contacts import CHANNELS
from city.photos import photos, storage
from city.places import assets, lookup
from city.places.lookup import Place
from city.reports import conversation

MOST_ADDRESSES = 3  # for news about one report: a household, not a mailing list
JOIN_METRES = 250.0  # what is offered lies within 150 m (duplicates); two phones may be off by 50 m each
KEYS_AT_ONCE = 500  # in one statement


@dataclass(frozen=True)
class NewReport:
    """What one person tells, as a form, a phone or another system hands it over.

    `key` is chosen before anything is sent and makes a retry find its report. `join` is the number of a
    case that the person says is the same problem. `about_place` is what they said of the place and the city
    does not know: it is kept with their words, and takes none of the room that those have. Of whoever is
    `unasked` no answer is wanted: they only say that they have the same problem.
    """

    key: str
    service_code: str
    channel: str
    lang: str = "en"
    words: str = ""
    place: Place | None = None
    answers: dict[str, str] = field(default_factory=dict)
    danger: bool = False
    join: str | None = None
    at_device: datetime | None = None
    about_place: str = ""
    unasked: bool = False

    @property
    def said(self) -> str:
        """All their words, as the log keeps them."""
        return append_place(self.words, self.about_place)


def submit(
    s: Session,
    telling: NewReport,
    *,
    by: Actor = accounts.A_RESIDENT,
    at: datetime,
    token: str,
    taken: Sequence[Photo] = (),
    linked_to: Case | None = None,
    origin: str = "live",
) -> Report:
    """The one way in. The same key twice gives the same report.

    A case about a thing of another owner, whom the city file names, waits for that utility from the start,
    unless somebody is in danger.
    An office's case is opened by whoever speaks with people, as they do it: nobody brings one from the field,
    whatever their roles. It lies nowhere and is joined by nobody; an address stands with the words. A report
    of what is `linked_to` an earlier case is asked nothing anew.

    Raises Refused: `unknown_service`, `words_too_long`, `outside_city`, `unknown_case`; with its `question`
    `answer_missing`, `answer_unknown` or `answer_wrong`; `erased` for one that was erased
    before a restore lost it.
    """
    if not _claim(s, telling.key):
        return s.scalars(select(Report).where(Report.key == telling.key)).one()
    if _was_erased(s, erasure_ledger.hashed(telling.key)):
        raise Refused("erased")
    service, telling = _checked(s, telling), _measured(telling)
    # What is linked to another has the answers of the report before it, asked when that was told.
    if linked_to is None and not telling.unasked:
        telling = replace(telling, answers=answered(service, telling))
    if service.office:
        if linked_to is None and not _speaks(telling, by):
            raise Refused("unknown_service")
        telling = _placeless(telling)
    case = _case_to_join(s, telling.join, telling, service) if telling.join else None
    joined = case is not None
    if case is None:
        case = transitions.open_case(
            s, service, telling.place, by=by, at=at, urgent=telling.danger, linked_to=linked_to, origin=origin
        )
    report = _new_report(s, telling, service, case, at, origin)
    for position, photo in enumerate(taken[: photos.MAX_PHOTOS]):
        photos.attach(s, photo, case_id=case.id, report_id=report.id, position=position)
    s.add(SecretLink(token_hash=hashed(token), report_id=report.id, made_at=at))
    said = {"words": telling.said, "address": report.address, "answers": telling.answers}
    events.record(
        s,
        transitions.subject(case),
        "join" if joined else "report",
        by=by,
        at=at,
        at_device=telling.at_device,
        facts={"report": report.number, "channel": telling.channel, "danger": telling.danger},
        photos=[p.sha256 for p in taken],
        words=said if any(said.values()) else None,
        origin=origin,
    )
    if joined and telling.danger:
        transitions.endanger(s, case, at=at, origin=origin)
    if joined:
        reporter_count.reporter_added(s, case, at=at)
        transitions.bump_version(s, case)
    elif _is_anothers(s, case, telling):
        transitions.wait(s, case, "utility", by=accounts.THE_SYSTEM, at=at, origin=origin)
    return report


def join(
    s: Session, case: Case, *, key: str, token: str, lang: str, by: Actor = accounts.A_RESIDENT, at: datetime
) -> Report:
    """One more report of an open case, from somebody who says that they have the problem too: without words.

    Raises Refused `unknown_case` for a case that nobody joins so: a private one, and one whose exact place
    strangers do not know, since they cannot tell whether it is theirs. `wrong_state` for one that has ended.
    """
    root = transitions.root_of(s, case)
    service = root.service
    if service.private or service.office or service.precision_m or root.lat is None or root.lon is None:
        raise Refused("unknown_case", number=case.number)
    locks.lock(s, root)
    if root.state not in OPEN:
        raise Refused("wrong_state", move="join", state=root.state)
    place = Place(
        root.lat, root.lon, root.place_source, root.address, root.accuracy_m, root.asset_id
    )  # fmt: skip
    telling = NewReport(
        key, root.service_code, "web", lang, place=place, join=root.number, unasked=True
    )  # fmt: skip
    return submit(s, telling, by=by, at=at, token=token)


def want_picture(s: Session, report: Report, url: str, *, at: datetime) -> None:
    """Notes that a report names a picture by its address: the worker fetches it, see photo_urls.py."""
    s.add(PhotoDownload(report_id=report.id, url=url, next_try_at=at))


def append_place(words: str, where: str) -> str:
    """Somebody's words with what they said of a place that has no other room."""
    return f"{words.strip()}\n{where}".strip() if where else words


def kept_words(service: Service, telling: NewReport) -> str:
    """The words of a telling as its report keeps them; of an office's case the place is among them."""
    return (_placeless(telling) if service.office else telling).said.strip()


def answered(service: Service, telling: NewReport) -> dict[str, str]:
    """What a telling answers to the questions of its kind, as it is kept; see questions.read()."""
    return questions.read(service.questions, telling.answers, sla.zone_of(service))


def answers_alike(report: Report, telling: NewReport) -> bool:
    """Whether a telling answers what its report answered when it was sent first."""
    try:
        return answered(report.service, telling) == report.answers
    except Refused:
        return False


def token_for(secret: str, key: str) -> str:
    """The secret link's token: the same for a retry of the same form, and nobody else's to make."""
    return hmac.new(secret.encode(), b"link:" + key.encode(), hashlib.sha256).hexdigest()[:32]


def hashed(token: str) -> str:
    """What is kept of a secret link's token."""
    return hashlib.sha256(token.encode()).hexdigest()


def report_suffix(index: int) -> str:
    """What a case's reports are told apart by, counted from 0: A, B … Z, AA, AB …"""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters


def by_token(s: Session, token: str) -> Report | None:
    """The report behind a secret link, unless it was revoked."""
    row = s.get(SecretLink, hashed(token))
    return s.get(Report, row.report_id) if row and row.revoked_at is None else None


def by_tokens(s: Session, tokens: Sequence[str]) -> list[Report]:
    """The reports behind these secret links, with their cases, in the order of the links."""
    if not tokens:  # most visitors have none
        return []
    hashes = [hashed(token) for token in tokens]
    rows = s.execute(
        select(SecretLink.token_hash, Report)
        .join(Report, Report.id == SecretLink.report_id)
        .where(SecretLink.token_hash.in_(hashes), SecretLink.revoked_at.is_(None))
        .options(joinedload(Report.case))
    )
    found = {row.token_hash: row.Report for row in rows}
    return [found[token_hash] for token_hash in hashes if token_hash in found]


def reports_from_calls(s: Session, calls: Sequence[Contact]) -> list[Report]:
    """The reports that came of these calls, in the order of their cases."""
    found: list[Report] = []
    for start in range(0, len(calls), KEYS_AT_ONCE):
        keys = [call.key for call in calls[start : start + KEYS_AT_ONCE]]
        found += s.scalars(select(Report).where(Report.key.in_(keys)))
    return sorted(found, key=lambda report: (report.case_id, report.id))


def show(s: Session, report: Report, *, by: Actor, at: datetime, origin: str = "live") -> bool:
    """Makes a report's words and photos public."""
    may("show", by.roles)
    if report.shown_at or report.erased_at:
        return False
    locks.lock(s, report.case)
    report.shown_at = at
    facts = {"report": report.number}
    events.record(s, transitions.subject(report.case), "show", by=by, at=at, facts=facts, origin=origin)
    return True


def hide(s: Session, report: Report, *, by: Actor, at: datetime) -> bool:
    """Takes a report's words and photos back from the public."""
    may("show", by.roles)
    return _hide(s, report, by=by, at=at)


def hide_until_reviewed(s: Session, report: Report, *, at: datetime) -> bool:
    """Takes them back since something was added that nobody at the city has looked at."""
    return _hide(s, report, by=accounts.THE_SYSTEM, at=at)


def _hide(s: Session, report: Report, *, by: Actor, at: datetime) -> bool:
    if report.shown_at is None:
        return False
    locks.lock(s, report.case)
    report.shown_at = None
    events.record(s, transitions.subject(report.case), "hide", by=by, at=at, facts={"report": report.number})
    return True


def subscribe(
    s: Session, report: Report, address: str, *, channel: str = EMAIL, lang: str, at: datetime
) -> Subscription:
    """Keeps an address for news; the receipt asks for its confirmation. A number is callers.normal()'s.

    Raises Refused `bad_email`, `bad_phone`, or `too_many_addresses` from the fourth of the channel on.

    Asked again after a while, an unconfirmed or stopped address gets another receipt: letters get lost.
    """
    address = subscriptions.normal_address(channel, address)
    locks.lock(s, report.case)  # a second tap must see what the first has kept
    found = _wish(s, report, address)
    if found and (
        (found.confirmed_at and not found.stopped_at) or at - found.asked_at < subscriptions.ASK_AGAIN_AFTER
    ):
        return found
    if (
        not found
        and len([each for each in report.subscriptions if each.channel == channel]) >= MOST_ADDRESSES
    ):
        raise Refused("too_many_addresses")
    row = found or Subscription(report_id=report.id, channel=channel, address=address, lang=lang, asked_at=at)
    row.asked_at = at
    s.add(row)
    s.flush()
    case_search.mark_changed(s, report.case_id)
    _news(s, row, "subscribe", at)
    return row


def notify(
    s: Session, report: Report, endpoint: str, keys: dict[str, str], *, lang: str, at: datetime
) -> Subscription:
    """Keeps a browser for notifications, at once: only that very browser can have made its endpoint.

    Raises Refused `too_many_browsers` from the fourth on that wants them. Asked again, it has the newer keys.
    """
    locks.lock(s, report.case)  # a second tap must see what the first has kept
    found = _wish(s, report, endpoint)
    wanted = found is not None and found.stopped_at is None
    now_told = [each for each in report.subscriptions if each.channel == PUSH and each.stopped_at is None]
    if not wanted and len(now_told) >= MOST_ADDRESSES:
        raise Refused("too_many_browsers")
    row = found or Subscription(report_id=report.id, channel=PUSH, address=endpoint, asked_at=at)
    row.keys, row.lang, row.confirmed_at, row.stopped_at = dict(keys), lang, row.confirmed_at or at, None
    s.add(row)
    s.flush()
    if not wanted:
        _news(s, row, "subscribe", at)
    return row


def news_code(secret: str, subscription: Subscription) -> str:
    """What only a reader of that mailbox knows; confirms or stops its subscription."""
    told = f"news:{subscription.id}:{subscription.address}"
    return hmac.new(secret.encode(), told.encode(), hashlib.sha256).hexdigest()[:32]


def confirm(s: Session, subscription: Subscription, *, at: datetime) -> bool:
    """The reader of the mailbox wants the news, also after having stopped them once."""
    if subscription.confirmed_at and not subscription.stopped_at:
        return False
    subscription.confirmed_at, subscription.stopped_at = subscription.confirmed_at or at, None
    subscription.told_seq = subscriptions.newest(s) if subscription.place else 0
    _news(s, subscription, "confirm news", at)
    return True


def stop(s: Session, subscription: Subscription, *, at: datetime) -> bool:
    """The reader of the mailbox wants no more news; says so too where another system had said it before."""
    if subscription.stopped_at and stopped_here(s, subscription):
        return False
    subscription.stopped_at = at
    _news(s, subscription, "stop news", at)
    return True


def stopped_here(s: Session, subscription: Subscription) -> bool:
    """Whether the reader's own last word about it was to stop, whatever another system says of them."""
    report = s.get(Report, subscription.report_id) if subscription.report_id else None
    if report is None:  # no other system knows of it
        return True
    own = [
        line.kind
        for line, _words in events.of(s, transitions.subject(report.case))
        if line.kind in ("confirm news", "stop news")
        and line.origin != "import"
        and line.facts.get("subscription") == subscription.id
    ]
    return own[-1:] == ["stop news"]


def erase(s: Session, report: Report, store: storage.Store, var: Path, *, by: Actor, at: datetime) -> bool:
    """Removes everything personal of one report: words, answers, photos, addresses, its link.

    The log keeps its lines and commitments and still verifies. The list of erasures is what a restored
    backup will be told to forget again. False where it was erased already. Raises Refused `not_allowed`, or
    `on_hold` for a case that must be kept whole.
    """
    may("erase", by.roles)
    locks.lock_to_roots(s, [report.case])
    legal_holds.refuse(s, report.case)
    return _erase(s, report, store, var, by=by, at=at)


def erase_again(s: Session, erased: Erased, store: storage.Store, var: Path, *, at: datetime) -> bool:
    """Does once more what was decided before a restore; False where there is nothing to do.

    What came after the backup is not here, but may come again from its phone: submit() refuses it.
    """
    report = s.scalars(select(Report).where(Report.number == erased.report)).first()
    if report is None or not erased.names(report):
        if not _was_erased(s, erased.key):
            then = datetime.fromisoformat(erased.at)
            s.add(Erasure(key=erased.key, at=then, seqs=[], photos=[], gone_at=then))
        return False
    return _erase(s, report, store, var, by=accounts.THE_SYSTEM, at=at)


def _erase(s: Session, report: Report, store: storage.Store, var: Path, *, by: Actor, at: datetime) -> bool:
    if report.erased_at:
        return False
    locks.lock(s, report.case)
    erasure_ledger.append_report(var, report, at)
    report.words, report.answers, report.erased_at, report.shown_at = "", {}, at, None
    report.lat = report.lon = report.accuracy_m = None
    report.address = ""
    for link in s.scalars(select(SecretLink).where(SecretLink.report_id == report.id)):
        link.revoked_at = at
    forget_subscriptions(s, [report.id])
    satisfaction.untie(s, [report.id])
    s.expire(report, ["subscriptions"])
    callers.forget(s, report.key)
    seqs = _forget_details(s, report)
    case_search.forget(s, report.case_id)
    events.record(s, transitions.subject(report.case), "erase", by=by, at=at, facts={"report": report.number})
    transitions.bump_version(s, report.case)  # its words stand on the phones of a crew
    gone: list[str] = []
    # What is still on a phone is not asked for any more, and nobody takes it if it comes.
    s.execute(delete(ExpectedPhoto).where(ExpectedPhoto.report_id == report.id))
    s.execute(delete(PhotoDownload).where(PhotoDownload.report_id == report.id))
    # What a phone sent of it is kept as it came where a person has to look at it, and its photos with it.
    came = sent([report.key]) & SyncOperation.raw.is_not(None)
    theirs = ExpectedPhoto.operation_id.in_(select(SyncOperation.id).where(came))
    s.execute(delete(ExpectedPhoto).where(theirs, ExpectedPhoto.case_id.is_(None)))
    forgotten = update(SyncOperation).where(came).values(raw=None, review=None)
    s.execute(forgotten.execution_options(synchronize_session=False))
    for photo in (*report.photos, *conversation.forget(s, report)):
        gone += photos.erase(s, store, var, photo)
    s.add(Erasure(report_id=report.id, at=at, seqs=seqs, photos=gone, gone_at=at))
    return True


def sent(keys: Iterable[str]) -> ColumnElement[bool]:
    """Which operations brought the reports with these keys, or came under their ids and were set aside.

    Another body under an id that is taken lies under an id of its own, and its result names the one that it
    came by.
    """
    ids = operation_ids(keys)
    set_aside = and_(SyncOperation.review.is_not(None), SyncOperation.result["id"].as_string().in_(ids))
    return or_(SyncOperation.id.in_(ids), set_aside)


def operation_ids(keys: Iterable[str]) -> list[str]:
    """The ids of the operations that would bring the reports with these keys; a form's may be none."""
    ids = []
    for key in keys:
        with suppress(ValueError):
            ids.append(str(uuid.UUID(key)))
    return ids


def is_erased(s: Session, key: str) -> bool:
    """Whether the report with this key was erased, also where a restore has lost it.

    One that is not cannot be erased before the transaction ends.
    """
    asked = select(Report).where(Report.key == key).with_for_update(read=True)
    report = s.scalars(asked.execution_options(populate_existing=True)).first()
    return report.erased_at is not None if report else _was_erased(s, erasure_ledger.hashed(key))


def forget_subscriptions(s: Session, report_ids: Sequence[int], case_ids: Sequence[int] = ()) -> None:
    """Whoever asked for news of these reports, or of these cases without one, hears nothing more, and is not
    known any more."""
    # Held, so that the worker queues no letter that would name one of them when it is gone.
    theirs = Subscription.report_id.in_(report_ids) | Subscription.case_id.in_(case_ids)
    held = select(Subscription.id).where(theirs).order_by(Subscription.id).with_for_update()
    forget_wishes(s, list(s.scalars(held)))


def forget_wishes(s: Session, ids: Sequence[int]) -> int:
    """Removes wishes for news that the caller holds, with the messages sent for them; returns how many."""
    s.execute(delete(Message).where(Message.subscription_id.in_(ids)))
    gone = delete(Subscription).where(Subscription.id.in_(ids)).returning(Subscription.id)
    return len(s.scalars(gone).all())


def _news(s: Session, subscription: Subscription, kind: str, at: datetime) -> None:
    if subscription.report_id is None:
        subscriptions.record_event(s, subscription, kind, at=at)
        return
    report = s.get_one(Report, subscription.report_id)
    events.record(
        s, transitions.subject(report.case), kind, by=accounts.reporter(report.id), at=at,
        facts={"report": report.number, "subscription": subscription.id},
    )  # fmt: skip


def _wish(s: Session, report: Report, address: str) -> Subscription | None:
    return s.scalars(
        select(Subscription).where(Subscription.report_id == report.id, Subscription.address == address)
    ).first()


def _claim(s: Session, key: str) -> bool:
    make = postgresql_insert if s.get_bind().dialect.name == "postgresql" else sqlite_insert
    taken = s.execute(
        make(IdempotencyKey).values(key=key).on_conflict_do_nothing().returning(IdempotencyKey.key)
    ).scalar()
    return taken is not None


def _was_erased(s: Session, key: str) -> bool:
    """Whether the report of this hashed key was erased, and lost by a restore."""
    return s.scalar(select(Erasure.id).where(Erasure.key == key).limit(1)) is not None


def _checked(s: Session, telling: NewReport) -> Service:
    # Held, so that it does not become other work before its case is there: see versions.publish().
    held = {"read": True, "key_share": True}
    service = s.get(Service, telling.service_code, with_for_update=held)
    if service is None:
        raise Refused("unknown_service")
    if max(len(telling.words), len(telling.about_place)) > MAX_WORDS:
        raise Refused("words_too_long", most=MAX_WORDS)
    if telling.place and lookup.outside(s, telling.place.point):
        raise Refused("outside_city")
    return service


def _speaks(telling: NewReport, by: Actor) -> bool:
    """Whether it was told in a conversation, to somebody who may keep one."""
    return telling.channel in CHANNELS and bool(by.roles.intersection(ACTS["contact"]))


def _placeless(telling: NewReport) -> NewReport:
    where = telling.about_place or (telling.place.label if telling.place else "")
    return replace(telling, place=None, about_place=where, join=None)


def _measured(telling: NewReport) -> NewReport:
    """Some phones say -1 for an accuracy that they do not know: then nobody measured it."""
    place = telling.place
    if place is None or place.accuracy_m is None or place.accuracy_m >= 0:
        return telling
    return replace(telling, place=replace(place, accuracy_m=None))


def _is_anothers(s: Session, case: Case, telling: NewReport) -> bool:
    """Whether somebody else than the city mends it, so that the city's clock must not run.

    Danger waits for nobody, and a crew that stands before it decides itself.
    """
    if case.asset_id is None or case.urgent or telling.channel == "crew":
        return False
    return assets.owner_of(s, s.get_one(Asset, case.asset_id)) is not None


def _case_to_join(s: Session, number: str, telling: NewReport, service: Service) -> Case | None:
    """The open case that somebody's report joins; None where it ended meanwhile, so that a new one opens.

    Whoever joins hears what the first reporter hears. So a case is joined only by somebody who tells of
    the same kind of thing at the same spot; any other number is Refused `unknown_case`.
    """
    case = s.scalars(select(Case).where(Case.number == number)).first()
    root = transitions.root_of(s, case) if case else None
    if root is None or root.service.private or not _same_problem(root, telling, service):
        raise Refused("unknown_case", number=number)
    locks.lock(s, root)
    return root if root.state in OPEN else None


def _same_problem(case: Case, telling: NewReport, service: Service) -> bool:
    if case.service.group != service.group or telling.place is None or case.lat is None or case.lon is None:
        return False
    if service.private:  # its words would be shown with those of the case
        return False
    # Measured as strangers see both places: a yes or no about the exact one would tell where it is.
    coarse = case.service.precision_m
    here = geo.rounded(telling.place.point, coarse)
    there = geo.rounded(geo.Point(case.lat, case.lon), coarse)
    return geo.distance(here, there) <= JOIN_METRES


def _new_report(
    s: Session, telling: NewReport, service: Service, case: Case, at: datetime, origin: str
) -> Report:
    place = telling.place
    report = Report(
        number=_free_number(s, case), case=case, key=telling.key, service=service,
        channel=telling.channel, lang=telling.lang, words=telling.said.strip(),
        answers=dict(telling.answers),
        lat=place.lat if place else None, lon=place.lon if place else None,
        accuracy_m=place.accuracy_m if place else None, place_source=place.source if place else "unknown",
        address=place.label if place else "", danger=telling.danger, taken_at=at, at_device=telling.at_device,
        origin=origin,
    )  # fmt: skip
    s.add(report)
    s.flush()
    case_search.mark_changed(s, case.id)
    return report


def _free_number(s: Session, case: Case) -> str:
    """The next number of a report of the case; what was split from it keeps its own."""
    told = s.scalar(select(func.count()).select_from(Report).where(Report.case_id == case.id)) or 0
    while True:
        number = f"{case.number}-{report_suffix(told)}"
        if told == 0 or s.scalar(select(Report.id).where(Report.number == number)) is None:
            return number
        told += 1


def _first_case(s: Session, report: Report) -> Case:
    """The case that its number names, whose story has its words: its own, unless it was split from there."""
    named = report.number.rpartition("-")[0]
    first = (
        s.scalars(select(Case).where(Case.number == named)).first() if named != report.case.number else None
    )
    return first or report.case


def _forget_details(s: Session, report: Report) -> list[int]:
    """Deletes the words of this report's lines, also where they stand in the story of another case.

    What an office told is about whoever asked: with the last of its reports all words of its case go.
    """
    own_name = accounts.reporter(report.id).name
    cases = {report.case_id, _first_case(s, report).id, *conversation.cases_of(s, report)}
    told = s.scalars(
        select(Event).where(
            Event.detail.is_not(None),
            Event.subject.in_({events.of_case(each) for each in cases}) | (Event.actor == own_name),
        )
    )
    whole = report.case.service.office and all(each.erased_at for each in report.case.reports)
    if whole:
        for closing in report.case.closures:
            closing.words = ""
    seqs = [e.seq for e in told if whole or e.facts.get("report") == report.number or e.actor == own_name]
    s.execute(delete(EventDetail).where(EventDetail.seq.in_(seqs)))
    return seqs

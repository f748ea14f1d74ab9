"""A request that another program sends becomes a report: whose key, once only, its place, its photos."""

import hashlib
import hmac
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import BinaryIO, NamedTuple, cast

from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage, MultiDict

from city.audit import events
from city.audit.events import Actor
from city.cases import duplicates, locks, queries, transitions
from city.db.models import ApiKey, Case, Photo, Report
from city.forwarding import endpoints, forwards
from city.lifecycle import Refused
from city.opendata import case_summaries
from city.opendata.case_summaries import API
from city.people import accounts, rate_limits
from city.photos import photos, processing
from city.photos.processing import BadPhoto, ProcessedPhoto
from city.places import lookup
from city.places.lookup import Place
from city.places.resolve import Fix, Whereabouts, resolve_unasked
from city.reports import intake
from pwa.open311.parse import Fault, Malformed, Sent, Update
from pwa.web import access, errors, formatting, localization
from pwa.web.xml import clean
from sync import refused_requests

# Who got no answer sends again within minutes: the same words under the same key are the same report.
SAME_WITHIN = timedelta(minutes=10)
SAME_METRES = 30.0  # as far as two phones that stand at one thing may say they are apart
BEGUN = "api token"  # noted for each token, for an hour
WRITTEN = "api write"  # counted for each key, within the hour


class TooOften(Exception):
    """The key has written as often as it may within the hour; `wait` is in seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(wait)
        self.wait = wait


@dataclass(frozen=True)
class Taken:
    """What the sender is told: the report's number, and what there is to know."""

    number: str
    notice: str = ""


class Lost(NamedTuple):
    """A file that no picture could be made of: its name, and why."""

    name: str
    why: str


def key_for(s: Session, key: str, scope: str, now: datetime) -> ApiKey:
    """The live key that opens `scope`. Raises Malformed 403, TooOften."""
    row = accounts.by_key(s, key) if key else None
    if row is None:
        refused_requests.refused(refused_requests.KEY, "unknown" if key else "missing")
        raise Malformed(Fault(_("api_key is missing or isn't valid."), 403))
    if scope not in row.scopes:
        refused_requests.refused(refused_requests.KEY, "scope")
        raise Malformed(Fault(_("This api_key isn't allowed to do that."), 403))
    if rate_limits.counted(s, WRITTEN, accounts.of_key(row), now) >= row.hourly:
        raise TooOften(rate_limits.wait(s, WRITTEN, accounts.of_key(row), now))
    return row


def digest(values: MultiDict[str, str], files: Sequence[FileStorage]) -> str:
    """What makes two requests one: every argument and the bytes of every file, in whatever order."""
    told = sorted((str(name), value) for name, value in values.items(multi=True))
    pictures = []
    for file in files:
        pictures.append(hashlib.file_digest(cast(io.BytesIO, file.stream), "sha256").hexdigest())
        file.stream.seek(0)
    return hashlib.sha256(json.dumps([told, sorted(pictures)]).encode()).hexdigest()


def known(s: Session, keys: Sequence[str]) -> Taken | None:
    """What was answered to the same request before, whose answer may have been lost."""
    found = s.scalars(select(Report).where(Report.key.in_(keys)).order_by(Report.id.desc())).first()
    return _receipt(found) if found else None


def keys_of(row: ApiKey, sent: Sent, body: str, now: datetime) -> list[str]:
    """What the report is kept by, and what the same request may have been kept by some minutes ago.

    By its sender's token, where there is one; else by its sender and body, anew every ten minutes.
    """
    if sent.token:
        return [_key(_kept(sent.token))]
    spans = (int(at.timestamp() // SAME_WITHIN.total_seconds()) for at in (now, now - SAME_WITHIN))
    return [_key(_kept(f"{row.id}:{span}:{body}")) for span in spans]


def by_token(s: Session, token: str, now: datetime) -> Taken | None:
    """The report that was sent under this token; without a number while it is being taken. None: unknown."""
    number = s.scalar(select(Report.number).where(Report.key == _key(_kept(token))))
    if number:
        return Taken(number)
    return Taken("") if rate_limits.counted(s, BEGUN, _kept(token), now) else None


def begin(s: Session, token: str, now: datetime) -> None:
    """Notes that the request of this token has come and is good."""
    rate_limits.count_one(s, BEGUN, _kept(token), now)


def _kept(told: str) -> str:
    """What is kept of a token or a body: nobody who sees it knows what it was made of."""
    secret = access.current_city().settings.secret_key.encode()
    return hmac.new(secret, b"open311:" + told.encode(), hashlib.sha256).hexdigest()


def _key(kept: str) -> str:
    """A report's key; it looks like no receipt of a phone."""
    return f"api-{kept[:48]}"


def develop(files: Sequence[FileStorage], others: int) -> tuple[list[ProcessedPhoto], list[Lost]]:
    """The pictures that came along, and those that are none: a bad one holds up neither report nor good ones.

    With `others` to be fetched five at most. Raises Malformed.
    """
    if len(files) + others > photos.MAX_PHOTOS:
        raise Malformed(Fault(_("No more than %(most)s photos.", most=photos.MAX_PHOTOS)))
    good, lost = [], []
    for file in files:
        try:
            good.append(processing.process(cast(BinaryIO, file.stream)))
        except BadPhoto as bad:
            refused_requests.photo(bad.code)
            lost.append(Lost(clean(file.filename or "")[-60:], bad.code))
    return good, lost


def refuse_loop(sent: Sent) -> None:
    """Raises Malformed for what was here before: it would go round for ever."""
    own = endpoints.host(access.current_city().settings.base_url)
    if any(hop.partition("/")[0] == own for hop in sent.hops):
        raise Malformed(Fault(_("This request came from here.")))


def place_of(s: Session, sent: Sent) -> tuple[Place | None, str]:
    """Where it is, and what the sender said of that and the city does not know. Raises Malformed.

    Words that name no one place are kept for a person to read, and the report is taken: it is the city that
    does not know its own streets.
    """
    fix = Fix(sent.point, None, "pin") if sent.point else None
    said = Whereabouts(sent.address or sent.address_id, fix, kind=sent.service.asset_kind)
    place, about = resolve_unasked(s, said, geocoder=access.geocoder())
    if place is None and sent.address_id and not sent.address:
        raise Malformed(Fault(_("There is no address_id %(name)s.", name=sent.address_id)))
    if place and lookup.outside(s, place.point):
        raise Malformed(Fault(errors.words(Refused("outside_city"))))
    return place, about


def accept(
    s: Session,
    sent: Sent,
    place: Place | None,
    about: str,
    key: str,
    pictures: Sequence[ProcessedPhoto],
    lost: Sequence[Lost] = (),
) -> Taken:
    """Takes the report; a near duplicate joins its case. What was lost is told, and kept in the case's story.

    Raises Malformed.
    """
    here, now = access.current_city(), access.now()
    telling = intake.NewReport(
        key=key, service_code=sent.service.code, channel=API, lang=localization.lang(), words=sent.words,
        place=place, answers=dict(sent.answers), about_place=about, join=_twin(s, sent, place, now),
    )  # fmt: skip
    try:
        taken = [
            photos.stage(s, here.settings.var, each, staged_for=f"{photos.FORM}{key}", at=now)
            for each in pictures
        ]
        report = _taken(s, telling, taken, now)
        forwards.add_hops(s, report.case, sent.hops)
        if sent.email:
            intake.subscribe(s, report, sent.email, lang=localization.lang(), at=now)
    except (BadPhoto, Refused) as refused:
        raise Malformed(Fault(errors.words(refused))) from refused
    for url in sent.media:
        intake.want_picture(s, report, url, at=now)
    for each in lost:
        events.record(
            s, transitions.subject(report.case), "photo failed", by=accounts.THE_SYSTEM, at=now,
            facts={"why": each.why, "report": report.number}, words={"note": each.name},
        )  # fmt: skip
    return _receipt(report, lost)


def _twin(s: Session, sent: Sent, place: Place | None, now: datetime) -> str | None:
    """The number of the likeliest open case of the very kind at the very spot: nobody can be asked."""
    found = duplicates.candidates_near(s, sent.service.code, place, at=now) if place else []
    same = s.scalars(
        select(Case.id).where(
            Case.id.in_([each.case_id for each in found]), Case.service_code == sent.service.code
        )
    ).all()
    return next((c.number for c in found if c.case_id in same and c.metres <= SAME_METRES), None)


def _taken(s: Session, telling: intake.NewReport, taken: Sequence[Photo], now: datetime) -> Report:
    token = intake.token_for(access.current_city().settings.secret_key, telling.key)
    if telling.join:
        try:
            with events.savepoint(s):
                return intake.submit(s, telling, at=now, token=token, taken=taken)
        except Refused as refused:
            if refused.code != "unknown_case":
                raise
    return intake.submit(s, replace(telling, join=None), at=now, token=token, taken=taken)


def _receipt(report: Report, lost: Sequence[Lost] = ()) -> Taken:
    """The number to ask by; a notice where it joined a case, lost a photo, and where there may be danger."""
    case, city = report.case, access.current_city().city
    notices = []
    if case.reports[0].id != report.id:
        notices.append(
            _(
                "This problem was already reported. We added your report to %(number)s.",
                number=case.number,
            )
        )
    notices += [
        _(
            "We got this report without %(name)s. %(fault)s",
            name=each.name,
            fault=formatting.photo_fault(each.why),
        )
        for each in lost
    ]
    if report.service.urgent:
        notices.append(_("If anyone is in danger, call %(emergency)s now.", emergency=city.emergency))
    return Taken(report.number, " ".join(notices))


def add_update(s: Session, row: ApiKey, told: Update, now: datetime) -> str:
    """Keeps what another system says of a request with its case; the same update twice is kept once.

    A person decides what becomes of it here: another city's system closes no case of this one. Of a request
    that not everybody may know it says what it says of a number that never was. Raises Malformed.
    """
    number, publish = told.number.upper(), access.current_city().publish
    seen = case_summaries.named(s, [number], case_summaries.kinds(s), publish=publish)
    case = queries.by_number(s, number) if seen else None
    if case is None:
        raise Malformed(Fault(_("There is no service_request_id %(number)s.", number=told.number), 404))
    case = queries.root_of(s, case)
    locks.lock(s, case)
    subject, ours = (
        transitions.subject(case),
        hashlib.sha256(f"{row.id}:{told.update_id}".encode()).hexdigest()[:24],
    )
    if all(line.facts.get("update") != ours for line, _words in events.of(s, subject)):
        said = _("%(name)s update: %(status)s.", name=row.name, status=told.status)
        by = Actor(accounts.of_key(row), accounts.THE_SYSTEM.roles)
        events.record(
            s, subject, "note", by=by, at=now, at_device=told.at, facts={"update": ours},
            words={"note": f"{said} {told.words}".strip()},
        )  # fmt: skip
    return f"u-{ours}"

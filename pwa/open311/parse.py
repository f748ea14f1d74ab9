"""What other programs ask for or send, read from their arguments; every fault is named. No database.

Read leniently where clients of the standard are known to differ, as docs/reference/open311.md says; an
argument without a value counts as absent.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from flask_babel import gettext as _
from werkzeug.datastructures import MultiDict

from city import questions
from city.config.city_file import Service
from city.forwarding import client as forwarding
from city.geo import Point
from city.lifecycle import MAX_WORDS, STATES, Refused
from city.opendata.case_summaries import LISTED, Asked
from city.people import accounts
from city.questions import Question
from pwa.web import questions as web_questions
from pwa.web.xml import clean

LONGEST = timedelta(days=90)  # between the two ends of what one list may ask for
MOST = 1000  # requests in one answer
MOST_PAGES = 1_000_000
MOST_OF_A_LINE = 200  # letters
MOST_OF_A_URL = 2000
MOST_OF_A_VALUE = 4 * MAX_WORDS  # as far as any is read: what goes on is too long, and found to be so
NOT_PINPOINTED = "#NOTPINPOINTED#"  # FixMyStreet's address_id where nobody set a pin or named a place
STATUSES: Final = {
    status: tuple(name for name, state in STATES.items() if state.status == status)
    for status in ("open", "closed")
}
TOKEN = re.compile("[A-Za-z0-9_-]{16,64}")
ZONE = re.compile(r" (\d\d:?\d\d)$")
ATTRIBUTE = re.compile(r"attribute\[([^\]]+)\](?:\[\])?")


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request, as its sender reads it."""

    description: str
    status: int = 400


class Malformed(Exception):
    """A request that cannot be answered; the first fault's status is the answer's."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__(*faults)
        self.faults = faults


@dataclass(frozen=True)
class Wish:
    """What a list of requests is asked for. `numbers` override all the rest."""

    asked: Asked
    numbers: tuple[str, ...] = ()
    extended: bool = False


@dataclass(frozen=True)
class Sent:
    """A request that another program sends. `answers` are by the question's code; `media` are addresses.

    `token` is what its sender calls it, to ask by when the answer is lost. `hops` are the machines where it
    has been.
    """

    service: Service
    point: Point | None = None
    address: str = ""
    address_id: str = ""
    words: str = ""
    answers: Mapping[str, str] = field(default_factory=dict)
    email: str = ""
    media: tuple[str, ...] = ()
    token: str = ""
    hops: tuple[str, ...] = ()


@dataclass(frozen=True)
class Update:
    """What another program says has become of a request."""

    number: str
    update_id: str
    status: str
    at: datetime | None
    words: str


def check_jurisdiction(values: MultiDict[str, str], known: Collection[str]) -> None:
    """Nobody need name the city; whoever does must mean this one."""
    named = values.get("jurisdiction_id", "").strip()
    if named and named.casefold() not in known:
        raise Malformed(Fault(_("There is no jurisdiction %(name)s here.", name=named[:MOST_OF_A_LINE]), 404))


def wish(values: MultiDict[str, str], codes: Collection[str], now: datetime) -> Wish:
    """A list of requests. `codes` are those of all services. Raises Malformed."""
    extended = wants_extensions(values)
    if numbers := tuple(_several(values, "service_request_id")):
        if len(numbers) > MOST:
            raise Malformed(Fault(_("No more than %(most)s requests at a time.", most=MOST)))
        return Wish(Asked(), numbers, extended)
    faults: list[Fault] = []
    services = _several(values, "service_code")
    faults += [_unknown_service(code) for code in services if code not in codes]
    states = [state.lower() for state in _several(values, "status")]
    faults += [
        Fault(_("status must be open or closed, not %(status)s.", status=state[:MOST_OF_A_LINE]))
        for state in states
        if state not in STATUSES
    ]
    told = _window(values, "start_date", "end_date", faults)
    changed = _window(values, "updated_after", "updated_before", faults)
    page, size = _page(values, faults)
    if faults:
        raise Malformed(*faults)
    asked = Asked(
        services=services,
        states=[state for name in states for state in STATUSES[name]] or LISTED,
        offset=(page - 1) * size,
        limit=size,
    )
    if any(changed):
        since, until = _bounded(*changed, now)
        asked = replace(asked, changed_since=since, changed_until=until)
    if any(told) or not any(changed):  # who asks for changes alone asks for those of old cases too
        since, until = _bounded(*told, now)
        asked = replace(asked, since=since, until=until)
    return Wish(asked, extended=extended)


def wants_extensions(values: MultiDict[str, str]) -> bool:
    """Whether more than the standard's own members is wanted."""
    return _one(values, "extensions").lower() in ("true", "1")


def span(values: MultiDict[str, str], now: datetime) -> tuple[datetime, datetime]:
    """From when to when updates are asked for, at most 90 days: the last ones where nothing is said."""
    faults: list[Fault] = []
    told = _window(values, "start_date", "end_date", faults)
    if faults:
        raise Malformed(*faults)
    return _bounded(*told, now)


def page_of(values: MultiDict[str, str]) -> tuple[int, int]:
    """How many rows to pass over and how many to give. Raises Malformed."""
    faults: list[Fault] = []
    page, size = _page(values, faults)
    if faults:
        raise Malformed(*faults)
    return (page - 1) * size, size


def sent(values: MultiDict[str, str], services: Iterable[Service]) -> Sent:
    """A new request. Raises Malformed with a fault a field, missing answers first."""
    code = _one(values, "service_code")
    if not code:
        raise Malformed(Fault(_("service_code is required.")))
    service = next((each for each in services if each.code == code), None)
    if service is None:
        raise Malformed(_unknown_service(code))
    faults: list[Fault] = []
    answers = _answers(values, service, faults)
    point = _point(values, faults)
    address = _line(values, "address_string", faults)
    address_id = _line(values, "address_id", faults)
    unplaced = address_id == NOT_PINPOINTED
    address_id = "" if unplaced else address_id
    if not faults and point is None and not address and not address_id and not unplaced:
        faults.append(Fault(_("lat and long, address_string, or address_id is required.")))
    words = _words(values, "description", faults)
    email = _email(values, faults)
    media = tuple(_several(values, "media_url", commas=False))
    faults += [
        Fault(_("media_url must be a link to a photo that starts with http:// or https://."))
        for url in media
        if not _is_url(url)
    ]
    token = _one(values, "token")
    if token and not TOKEN.fullmatch(token):
        faults.append(Fault(_("token must have 16 to 64 letters, digits, - or _, and be hard to guess.")))
    if faults:
        raise Malformed(*faults)
    hops = forwarding.hops(",".join(_several(values, forwarding.FROM)))
    return Sent(service, point, address, address_id, words, answers, email, media, token, hops)


def update(values: MultiDict[str, str]) -> Update:
    """News of a request from whoever works on it elsewhere. Raises Malformed."""
    faults: list[Fault] = []
    number = _line(values, "service_request_id", faults)
    update_id = _line(values, "update_id", faults)
    status = _line(values, "status", faults).upper()
    for name, value in (("service_request_id", number), ("update_id", update_id), ("status", status)):
        if not value and not faults:
            faults.append(Fault(_("%(name)s is required.", name=name)))
    at = _moment(values, "updated_datetime", faults)
    words = _words(values, "description", faults)
    if faults:
        raise Malformed(*faults)
    return Update(number, update_id, status, at, words)


def _one(values: MultiDict[str, str], name: str) -> str:
    """The first value that is not empty."""
    return next((text for value in values.getlist(name) if (text := _read(value))), "")


def _several(values: MultiDict[str, str], name: str, *, commas: bool = True) -> list[str]:
    """All values of an argument that may be repeated, or joined by commas, each once."""
    given = (_read(value) for value in values.getlist(name))
    parts = (part.strip() for value in given for part in (value.split(",") if commas else [value]))
    return list(dict.fromkeys(part for part in parts if part))


def _read(value: str) -> str:
    """What is read of a value, before anything else looks at it."""
    return clean(value[:MOST_OF_A_VALUE]).strip()


def _line(values: MultiDict[str, str], name: str, faults: list[Fault]) -> str:
    text = " ".join(_one(values, name).split())
    if len(text) > MOST_OF_A_LINE:
        faults.append(_too_long(name, MOST_OF_A_LINE))
    return text


def _words(values: MultiDict[str, str], name: str, faults: list[Fault]) -> str:
    """Counted as everybody counts who sees them: a line's end is one letter."""
    text = _one(values, name).replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_WORDS:
        faults.append(_too_long(name, MAX_WORDS))
    return text


def _point(values: MultiDict[str, str], faults: list[Fault]) -> Point | None:
    lat, lon = _one(values, "lat"), _one(values, "long")
    if not lat and not lon:
        return None
    known = _degrees(lat, 90), _degrees(lon, 180)
    if known[0] is None or known[1] is None:
        faults.append(Fault(_("lat and long go together, in degrees: lat=39.6&long=-71.2.")))
        return None
    return Point(known[0], known[1])


def _degrees(text: str, most: int) -> float | None:
    number = _number(text)
    return number if number is not None and abs(number) <= most else None


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _email(values: MultiDict[str, str], faults: list[Fault]) -> str:
    email = _one(values, "email")
    if not email:
        return ""
    try:
        return accounts.address(email)
    except Refused:
        faults.append(Fault(_("email must be an email address like name@example.com.")))
        return ""


def _is_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and len(url) <= MOST_OF_A_URL
    except ValueError:
        return False


def _answers(values: MultiDict[str, str], service: Service, faults: list[Fault]) -> dict[str, str]:
    """By the question's code, as they are kept. A moment without a zone is in UTC."""
    given: dict[str, list[str]] = {}
    for name, value in values.items(multi=True):
        named = ATTRIBUTE.fullmatch(str(name)[:MOST_OF_A_LINE])
        if named and (text := _read(value)):
            given.setdefault(named[1], []).append(text)
    joined = {each.code: each.join(given.get(each.code, ())) for each in service.questions}
    kept = {}
    for question in questions.asked(service.questions, joined):
        code, answer = question.code, joined[question.code]
        if not answer:
            if question.required:
                faults.append(Fault(_("attribute[%(code)s] is required.", code=code)))
        elif not question.is_several and len(set(given[code])) > 1:
            faults.append(Fault(_("attribute[%(code)s] takes only one value.", code=code)))
        elif len(answer) > questions.MOST_OF_AN_ANSWER:
            faults.append(_too_long(f"attribute[{code}]", questions.MOST_OF_AN_ANSWER))
        else:
            try:
                kept[code] = question.read(answer, UTC)
            except Refused as refused:
                faults.append(_wrong_answer(question, refused))
    return kept


def _wrong_answer(question: Question, refused: Refused) -> Fault:
    code, keys = question.code, refused.facts.get("choices")
    if isinstance(keys, list):
        return Fault(_("attribute[%(code)s] must be one of: %(keys)s.", code=code, keys=", ".join(keys)))
    takes = web_questions.takes(question.datatype)
    return Fault(_("attribute[%(code)s] isn't valid. Expected: %(takes)s", code=code, takes=takes))


def _window(
    values: MultiDict[str, str], first: str, last: str, faults: list[Fault]
) -> tuple[datetime | None, datetime | None]:
    since, until = _moment(values, first, faults), _moment(values, last, faults)
    if since and until and since > until:
        faults.append(Fault(_("%(first)s must be before %(last)s.", first=first, last=last)))
    return since, until


def _bounded(since: datetime | None, until: datetime | None, now: datetime) -> tuple[datetime, datetime]:
    """At most 90 days, those before the end; which is now where nobody names one."""
    end = until or max(now, since or now)
    earliest = end - LONGEST if end - datetime.min.replace(tzinfo=UTC) > LONGEST else since or end
    return max(since, earliest) if since else earliest, end


def _moment(values: MultiDict[str, str], name: str, faults: list[Fault]) -> datetime | None:
    written = _one(values, name)
    if not written:
        return None
    moment = _instant(written)
    if moment is None:
        faults.append(Fault(_("%(name)s must be a date and time, like 2026-05-12T13:30:00Z.", name=name)))
    return moment


def _instant(written: str) -> datetime | None:
    """W3C's form, with or without fractions and zone; a plus that arrived as a blank is a plus."""
    try:
        moment = datetime.fromisoformat(ZONE.sub(r"+\1", written) if "T" in written else written)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _page(values: MultiDict[str, str], faults: list[Fault]) -> tuple[int, int]:
    """Which page, from 1, and how large each is."""
    return (
        _count(values, "page", 1, MOST_PAGES, faults),
        _count(values, "page_size", MOST, MOST, faults),
    )


def _count(values: MultiDict[str, str], name: str, default: int, most: int, faults: list[Fault]) -> int:
    """A whole number; 0 counts as the default, and more than the most as the most."""
    written = _one(values, name)
    if not written:
        return default
    if not re.fullmatch("[0-9]{1,9}", written):
        faults.append(Fault(_("%(name)s must be a whole number.", name=name)))
        return default
    return min(int(written), most) or default


def _unknown_service(code: str) -> Fault:
    return Fault(_("There is no service_code %(code)s.", code=code[:MOST_OF_A_LINE]), 404)


def _too_long(name: str, most: int) -> Fault:
    return Fault(_("%(name)s is too long. Keep it under %(most)s characters.", name=name, most=most))

"""A client of Open311 GeoReport v2. Nothing that the other end answers is believed: size, form, dates, words.

Knows no table. Every call is one request that follows no redirect, and either gives what was read or raises:
`NotSent` where nothing can have arrived, `Unclear` where it may have, `Turned` where they said no.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element, ParseError

import requests
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from urllib3.exceptions import HTTPError, NewConnectionError

from city import safe_http
from city.geo import Point
from city.safe_http import PrivateAddressError, Resting, SafeSession
from city.text import is_blank

SECONDS: Final = 15.0  # for one request and its answer
MOST_BYTES: Final = 2_000_000  # of an answer; a thousand requests have half of it
MOST_WORDS: Final = 1_000  # letters of what they say of a request
MOST_ROWS: Final = 1_000  # of one list
MOST_SERVICES: Final = 2_000
DEEPEST: Final = 12  # levels of XML; a list with extensions has five
LATEST: Final = timedelta(days=1)  # that a clock over there may go fast
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
# What a number of theirs may look like: it stands in addresses, in the log and on pages.
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:#-]{0,63}")
REPEATS: Final = "X-Open311-Token"  # our own servers' head of every answer: they take a token once only
FROM: Final = "forwarded_from"  # of what is sent and listed: where it has been before
HOP: Final = re.compile(r"[a-z0-9.:\[\]-]{1,100}/[A-Za-z0-9-]{1,40}")
MOST_HOPS: Final = 8


class NotSent(Exception):
    """Nothing has arrived over there: it may be sent again without another look."""


class Unclear(Exception):
    """It may have arrived."""


class Turned(Exception):
    """They answered, and did not take it. `words` are theirs, bounded; `passing` where that may change."""

    def __init__(self, status: int, words: str = "", *, passing: bool = False) -> None:
        super().__init__(status, words)
        self.status, self.words, self.passing = status, words, passing


@dataclass(frozen=True)
class Address:
    """Where an endpoint is, and how it is asked."""

    url: str
    jurisdiction: str = ""
    api_key: str = ""
    format: str = "json"


@dataclass(frozen=True)
class Sending:
    """A request as it goes out. Nobody's name, phone or mailbox has a place in it."""

    service_code: str
    token: str
    point: Point | None = None
    address: str = ""
    words: str = ""
    media: Sequence[str] = ()
    answers: Mapping[str, str] = field(default_factory=dict)
    hops: Sequence[str] = ()


@dataclass(frozen=True)
class Found:
    """A request as they list it, bounded."""

    id: str
    status: str
    notes: str = ""
    service_code: str = ""
    words: str = ""
    point: Point | None = None
    address: str = ""
    media: str = ""
    told_at: datetime | None = None
    updated_at: datetime | None = None
    outcome: str = ""  # how it ended, in our words: our own servers say so
    hops: tuple[str, ...] = ()


class Client:
    """Asks one endpoint after the other; hosts that give no answer rest, as safe_http.SafeSession says."""

    def __init__(self, *, loopback: bool, seconds: float = SECONDS) -> None:
        self._session = SafeSession(loopback=loopback)
        self._loopback, self._seconds = loopback, seconds

    def services(self, at: Address) -> tuple[list[tuple[str, str]], bool]:
        """Code and name of all that they take, and whether they take a token once only."""
        rows, head = self._list("GET", at, "services", {})
        found = [(_line(row.get("service_code"), 64), _line(row.get("service_name"), 100)) for row in rows]
        return [(code, name or code) for code, name in found if code][:MOST_SERVICES], REPEATS in head

    def post(self, at: Address, told: Sending) -> tuple[str, str]:
        """Their number, or the token by which they will tell it; one of the two is empty."""
        data: list[tuple[str, str]] = [("service_code", told.service_code), ("token", told.token)]
        data += [("api_key", at.api_key)] if at.api_key else []
        data += [("jurisdiction_id", at.jurisdiction)] if at.jurisdiction else []
        if told.point:
            data += [("lat", repr(told.point.lat)), ("long", repr(told.point.lon))]
        data += [(name, value) for name, value in (("address_string", told.address),) if value]
        data += [("description", told.words)] if told.words else []
        data += [("media_url", url) for url in told.media]
        data += [(f"attribute[{code}]", value) for code, value in told.answers.items()]
        data += [(FROM, ",".join(told.hops))] if told.hops else []
        rows, _head = self._list("POST", at, "requests", {}, data)
        given = rows[0] if rows else {}
        number, token = _id(given.get("service_request_id")), _id(given.get("token"))
        if not number and not token:
            raise Unclear("an answer without a number")
        return number, "" if number else token

    def asked(self, at: Address, code: str) -> dict[str, frozenset[str]]:
        """The codes of what they ask of a kind, each with the answers to choose from; none for free ones."""
        rows, _head = self._list("GET", at, f"services/{quote(code, safe='')}", {})
        attributes = rows[0].get("attributes") if rows else None
        found = {}
        for each in attributes[:200] if isinstance(attributes, list) else ():
            if isinstance(each, Mapping) and (name := _line(each.get("code"), 64)):
                values = each.get("values") or []
                keys = (value.get("key") for value in values if isinstance(value, Mapping))
                found[name] = frozenset(filter(None, (_line(key, 100) for key in keys)))
        return found

    def by_token(self, at: Address, token: str) -> str | None:
        """The number of what was sent under a token; "" while it is being taken, None where none is known."""
        try:
            rows, _head = self._list("GET", at, f"tokens/{quote(token, safe='')}", {})
        except Turned as no:
            if no.status in (404, 410):
                return None
            raise
        return _id(rows[0].get("service_request_id")) if rows else None

    def named(self, at: Address, numbers: Sequence[str]) -> list[Found]:
        """What they say of these requests of theirs; what is not known there is left out."""
        told = {"service_request_id": ",".join(numbers), "extensions": "true"}
        wanted = set(numbers)
        return [each for each in self._found(at, told) if each.id in wanted]

    def one(self, at: Address, number: str) -> Found | None:
        """What they say of one of them, where lists of numbers are not known; None for one they lack."""
        try:
            rows, _head = self._list("GET", at, f"requests/{quote(number, safe='')}", {})
        except Turned as no:
            if no.status in (404, 410):
                return None
            raise
        return next((found for row in rows if (found := read_request(row)) and found.id == number), None)

    def listed(
        self, at: Address, since: datetime, until: datetime, *, codes: Sequence[str] = (), page: int = 1
    ) -> list[Found]:
        """What was told there between the two, the newest first, so many a page as they please."""
        told = {
            "start_date": _written(since), "end_date": _written(until), "extensions": "true",
            "page": str(page), "page_size": "200",
        }  # fmt: skip
        return self._found(at, told | ({"service_code": ",".join(codes)} if codes else {}))

    def _found(self, at: Address, told: dict[str, str]) -> list[Found]:
        rows, _head = self._list("GET", at, "requests", told)
        return [found for row in rows if (found := read_request(row))]

    def _list(
        self,
        method: str,
        at: Address,
        path: str,
        query: dict[str, str],
        data: list[tuple[str, str]] | None = None,
    ) -> tuple[list[dict[str, Any]], Mapping[str, str]]:
        url = f"{at.url}/{path}.{at.format}"
        if at.jurisdiction and data is None:
            query = query | {"jurisdiction_id": at.jurisdiction}
        try:
            safe_http.validate_url(url, loopback=self._loopback)
            self._session.cookies.clear()
            answer = self._session.ask(
                method, url, seconds=self._seconds, reads=lambda _answer: MOST_BYTES + 1, params=query,
                data=data, headers={"Accept-Encoding": "identity", "User-Agent": "Cityline"},
            )  # fmt: skip
        except (PrivateAddressError, Resting, requests.exceptions.InvalidURL) as fault:
            raise NotSent(type(fault).__name__) from None
        except (requests.RequestException, HTTPError, OSError, ValueError) as fault:
            if _never_connected(fault):
                raise NotSent(type(fault).__name__) from fault
            raise Unclear(type(fault).__name__) from fault
        return _rows(answer, at.format), answer.headers


def read_request(row: Mapping[str, Any]) -> Found | None:
    """A row of a list; None where its number is none, or it has no state."""
    number, status = _id(row.get("service_request_id")), _line(row.get("status"), 40).lower()
    if not number or not status:
        return None
    more = row.get("extended_attributes")
    more = more if isinstance(more, Mapping) else {}
    lat, lon = _degrees(row.get("lat"), 90), _degrees(row.get("long"), 180)
    media = row.get("media_url")
    return Found(
        id=number,
        status=status,
        notes=words(row.get("status_notes"), MOST_WORDS),
        service_code=_line(row.get("service_code"), 64),
        words=words(row.get("description"), 4 * MOST_WORDS),
        point=Point(lat, lon) if lat is not None and lon is not None and (lat, lon) != (0, 0) else None,
        address=_line(row.get("address"), 200),
        media=media[:2000] if isinstance(media, str) and _is_link(media) else "",
        told_at=moment(row.get("requested_datetime")),
        updated_at=moment(row.get("updated_datetime")),
        outcome=_line(more.get("outcome"), 20),
        hops=hops(more.get(FROM)),
    )


def hops(told: object) -> tuple[str, ...]:
    """Where something has been, as a list or joined by commas; what is no such place is left out."""
    parts = told.split(",") if isinstance(told, str) else told if isinstance(told, list) else []
    found = [part.strip() for part in parts[: 4 * MOST_HOPS] if isinstance(part, str)]
    return tuple(dict.fromkeys(part for part in found if HOP.fullmatch(part)))[:MOST_HOPS]


def words(told: object, most: int) -> str:
    """Their words as a page may show them: lines kept, no control signs or tricks of direction, so many."""
    if not isinstance(told, str):
        return ""
    told = told[: 4 * most].replace("\r\n", "\n").replace("\r", "\n")
    plain = "".join(sign for sign in told if sign == "\n" or unicodedata.category(sign)[0] != "C")
    plain = re.sub(r"\n{3,}", "\n\n", plain).strip()
    if is_blank(plain):
        return ""
    return plain if len(plain) <= most else plain[: most - 1].rstrip() + "…"


def moment(told: object) -> datetime | None:
    """Their date in UTC; None for what is none, and for one that no request can have."""
    if not isinstance(told, str) or len(told) > 40:
        return None
    try:
        read = datetime.fromisoformat(told.strip())
        read = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if EARLIEST <= read <= datetime.now(UTC) + LATEST else None


def _rows(answer: requests.Response, form: str) -> list[dict[str, Any]]:
    status, body = answer.status_code, answer.content or b""
    if 300 <= status < 400:
        raise Turned(status)  # followed nowhere: an endpoint is named where it is
    if status == 429:
        raise Turned(status, passing=True)
    if status >= 500 or status == 408:
        raise Unclear(f"it answered {status}")
    if len(body) > MOST_BYTES:
        raise Unclear("its answer is too large")
    try:
        rows = _of_xml(body) if form == "xml" else _of_json(body)
    except (ValueError, RecursionError, ParseError, DefusedXmlException, LookupError):
        if status >= 400:
            raise Turned(status) from None
        raise Unclear("its answer can't be read") from None
    if status >= 400 or (rows and "code" in rows[0] and "service_request_id" not in rows[0]):
        said = "; ".join(filter(None, (_line(row.get("description"), 200) for row in rows[:5])))
        raise Turned(status, words(said, 500))
    return rows[:MOST_ROWS]


def _of_json(body: bytes) -> list[dict[str, Any]]:
    top = json.loads(body.decode("utf-8-sig"))
    if isinstance(top, dict):  # some servers wrap the list, and some send an only one without
        top = next((top[name] for name in ("service_requests", "services", "errors") if name in top), [top])
    if not isinstance(top, list):
        raise ValueError("no list")
    return [row for row in top if isinstance(row, dict)]


def _of_xml(body: bytes) -> list[dict[str, Any]]:
    top: Element = fromstring(body, forbid_dtd=True)
    return [
        {part.tag: _value(part) if len(part) else (part.text or "").strip() for part in each} for each in top
    ]


def _value(element: Element, level: int = 2) -> Any:
    """A part of a request that has parts itself: a list where they are named alike, else a mapping."""
    if level > DEEPEST:
        raise ValueError("nested too deep")
    if not len(element):
        return (element.text or "").strip()
    parts = [(part.tag, _value(part, level + 1)) for part in element]
    names = {name for name, _part in parts}
    lone = len(names) == 1 and (len(parts) > 1 or names <= {"hop", "photo", "value"})
    return [part for _name, part in parts] if lone else dict(parts)


def _never_connected(fault: BaseException) -> bool:
    """Whether not even a connection came about. Whatever else went wrong, the request may have arrived."""
    seen: set[int] = set()
    todo: list[object] = [fault]
    while todo:
        each = todo.pop()
        if id(each) in seen or not isinstance(each, BaseException):
            continue
        seen.add(id(each))
        if isinstance(each, NewConnectionError | requests.exceptions.ConnectTimeout | PrivateAddressError):
            return True
        todo += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    return False


def _id(told: object) -> str:
    """A number of theirs as text; "" for none. Servers send figures too, whatever the standard says."""
    if isinstance(told, int) and not isinstance(told, bool) and 0 < told < 10**18:
        told = str(told)
    return told.strip() if isinstance(told, str) and ID.fullmatch(told.strip()) else ""


def _line(told: object, most: int) -> str:
    if isinstance(told, int) and not isinstance(told, bool) and abs(told) < 10**18:
        told = str(told)
    return " ".join(words(told, most).split())


def _degrees(told: object, most: int) -> float | None:
    if isinstance(told, bool) or not isinstance(told, int | float | str):
        return None
    try:
        number = float(told[:40] if isinstance(told, str) else told)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= most else None


def _is_link(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _written(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

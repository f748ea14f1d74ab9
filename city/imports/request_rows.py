"""Requests as the table of another 311 system tells them: each row read by its mapping, and checked."""

import hashlib
import json
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from city.imports.mapping import ANYTHING, ISO
from city.imports.mapping import Mapping as How
from city.imports.readers import Outcome, Row, SideFile, Source, Told, TooManyRejected, Unusable, shown
from city.lifecycle import ACCEPTED, CANCELLED, CLOSED, MAX_WORDS

# All rows and their lines of the log are held until the end: about 2 GB for as many.
MOST_ROWS = 150_000
LONGEST_REF = 80
LONGEST_SERVICE, LONGEST_ADDRESS = 120, 200  # letters
FIRST_YEAR, YEARS_AHEAD = 1900, 50  # what lies beyond stands for "never" or "not known"
SAME_POINT = 0.00005  # degrees: half of the fourth digit


@dataclass(slots=True)
class Request:
    """One row, read and checked. Times are UTC, `promised` is in days; `due` is as the table has it."""

    ref: str
    line: int
    digest: str
    service: str
    department: str
    group: str
    private: bool
    opened: datetime
    state: str
    channel: str
    lat: float | None
    lon: float | None
    address: str
    words: str
    closure: str
    outcome: str
    crew: str
    crew_id: int | None  # ours, where there is one
    email: str
    consented: bool
    staff_notes: str
    accepted: datetime | None = None
    closed: datetime | None = None
    reopened: datetime | None = None  # where it is open since
    again: datetime | None = None  # when it was opened again last, whatever became of it
    cancelled: datetime | None = None
    due: datetime | None = None
    promised: float | None = None
    notes: list[str] = field(default_factory=list)  # ours about it
    row: Row | None = None  # as the file has it, where the case is here already

    @property
    def is_open(self) -> bool:
        """Whether anybody still has to do anything about it."""
        return self.state not in (CLOSED, CANCELLED)

    def key(self, source: str) -> str:
        """What its report is known by here, whatever becomes of the case."""
        return hashlib.sha256(f"{source}:{self.ref}".encode()).hexdigest()

    def service_code(self, source: str) -> str:
        """What its service is called here."""
        return code(source, self.service)


@cache
def code(source: str, name: str) -> str:
    """A code of at most 40 letters that says where it comes from; names that differ late get a hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    whole = f"{source}:{plain}"
    if len(whole) <= 40 and plain:
        return whole
    return f"{whole[:31]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


class Reading:
    """Reads all rows of a source once: `new` ones, and those that were `changed` since they came.

    `known` are the digests of what is here, by number; `crews` the ids of ours by their names; `erased` the
    hashed keys of reports that may not come back. The rest is counted in `outcome`; what is wrong with a row
    is written to `side`.
    """

    def __init__(
        self,
        how: How,
        source: Source,
        side: SideFile,
        outcome: Outcome,
        *,
        known: Mapping[str, str],
        crews: Mapping[str, int],
        erased: Collection[str] = (),
        zone: ZoneInfo,
        now: datetime,
        max_rejected: int | None = None,
    ) -> None:
        self.how, self.source, self.side, self.outcome = how, source, side, outcome
        self.known, self.crews, self.erased = known, crews, erased
        self.zone, self.now, self.max_rejected = zone, now, max_rejected
        self.new: list[Request] = []
        self.changed: list[Request] = []
        self._seen: dict[str, tuple[int, str]] = {}
        used = sorted({name for names in how.columns.values() for name in names})
        self._told = [*used, *(name for name in (how.group_by, how.outcome_from) if name)]

    def read(self, told: Told) -> None:
        """Reads the file to its end; raises Unusable or TooManyRejected."""
        for row in self.source.rows:
            self.outcome.read += 1
            if self.outcome.read > MOST_ROWS:
                raise Unusable(
                    self.source.path.name, f"has more than {MOST_ROWS} rows. Split it, for example by month"
                )
            try:
                self._take(row)
            except _Wrong as wrong:
                self.reject(row, str(wrong))
            if self.outcome.read % 1000 == 0:
                told(self.source.position(), self.source.size)

    def reject(self, row: Row, reason: str) -> None:
        """Writes a row down as one that cannot be taken."""
        self.outcome.rejected += 1
        self.side.write(row, reason)
        if self.max_rejected is not None and self.outcome.rejected > self.max_rejected:
            raise TooManyRejected(self.outcome)

    def _take(self, row: Row) -> None:
        if row.fault:
            raise _Wrong(row.fault)
        ref = self._first(row, "ref")
        if not ref or len(ref) > LONGEST_REF:
            raise _Wrong("has no number" if not ref else f"the number {shown(ref)} is too long")
        digest = self._digest(row)
        line, before = self._seen.get(ref, (0, self.known.get(ref)))
        if before == digest:
            self._seen[ref] = line or row.line, digest
            self.outcome.unchanged += 1
        elif line:
            place = f"on line {line}" if self.source.unit == "line" else f"in {self.source.unit} {line}"
            raise _Wrong(f"the number {shown(ref)} is already {place}, with different data")
        else:
            request = self._read(row, ref, digest)
            self._seen[ref] = row.line, digest
            if before is None:
                self.new.append(request)
            else:
                request.row = row
                self.changed.append(request)

    def _read(self, row: Row, ref: str, digest: str) -> Request:
        how = self.how
        service = self._first(row, "service")
        if not service:
            raise _Wrong("has no service")
        if len(service) > LONGEST_SERVICE:
            raise _Wrong(f"the service {shown(service)} has more than {LONGEST_SERVICE} characters")
        opened = self._time(row, "opened")
        if opened is None:
            raise _Wrong("has no opened date")
        if opened > self.now:
            raise _Wrong("was opened in the future")
        state = self._known(self._first(row, "state"), how.states, "states")
        lat, lon = self._point(row)
        group_value = row.values.get(how.group_by, "").strip()
        reason, crew = row.values.get(how.outcome_from, ""), self._first(row, "crew")
        request = Request(
            ref=ref, line=row.line, digest=digest, service=service,
            department=self._first(row, "department"),
            group=how.groups.get(group_value, how.other_group), private=group_value in how.private,
            opened=opened, state=state,
            channel=self._known(self._first(row, "channel"), how.channels, "channels"),
            lat=lat, lon=lon, address=self._first(row, "address")[:LONGEST_ADDRESS],
            words=self._all(row, "words"), closure=self._all(row, "closure"),
            outcome=next((o for part, o in how.contains if part in reason), how.outcome),
            crew=crew, crew_id=self.crews.get(crew), email=self._first(row, "email"),
            consented=self._first(row, "consent") in how.consent, staff_notes=self._all(row, "notes"),
        )  # fmt: skip
        if self.erased and hashlib.sha256(request.key(how.source).encode()).hexdigest() in self.erased:
            raise _Wrong("its report was erased here and can't be imported again")
        self._times(row, request)
        return request

    def _times(self, row: Row, request: Request) -> None:
        """Puts the moves into an order that can have been: opened, accepted, closed, reopened."""
        opened = request.opened
        request.due = self._time(row, "target")
        if request.due and request.due > opened:
            request.promised = (request.due - opened) / timedelta(days=1)
        closed = self._time(row, "closed", after=opened)
        accepted, reopened = (
            self._time(row, "accepted", after=opened),
            self._time(row, "reopened", after=opened),
        )
        request.again = reopened
        if closed and closed < opened:
            self._count("closed_before_opened")
            request.notes.append(
                f"The source says it was closed before it was opened: {self._first(row, 'closed')}"
            )
            closed = opened
        if request.state == CLOSED:
            if closed is None:
                raise _Wrong("is closed but has no closed date")
            request.closed = closed
        elif request.state == CANCELLED:
            request.cancelled = closed or opened
        elif closed and reopened and closed <= reopened:  # opened again, and open now
            request.closed, request.reopened = closed, reopened
        if accepted and accepted >= opened and accepted <= (request.closed or request.cancelled or accepted):
            request.accepted = accepted
        elif request.state == ACCEPTED and request.reopened is None:
            request.accepted = opened
        for moment in (request.closed, request.accepted, request.reopened, request.cancelled):
            if moment and moment > self.now:
                raise _Wrong("has a date in the future")

    def _point(self, row: Row) -> tuple[float, float] | tuple[None, None]:
        words = self._first(row, "lat"), self._first(row, "lon")
        if not all(words):
            return None, None
        try:
            lat, lon = float(words[0]), float(words[1])
        except ValueError:
            raise _Wrong(f"{shown(', '.join(words))} aren't coordinates") from None
        if not (math.isfinite(lat) and math.isfinite(lon) and abs(lat) <= 180 and abs(lon) <= 180):
            raise _Wrong(f"{shown(', '.join(words))} aren't degrees. Use WGS 84")
        if abs(lat) > 90:
            raise _Wrong(f"latitude {words[0]} is over 90. Are latitude and longitude swapped?")
        for here, there in self.how.default_points:
            if abs(lat - here) <= SAME_POINT and abs(lon - there) <= SAME_POINT:
                return None, None
        return lat, lon

    def _time(self, row: Row, name: str, *, after: datetime | None = None) -> datetime | None:
        words = self._first(row, name)
        if not words:
            return None
        try:
            found = instant(words, self.how.dates, self.zone, after=after)
        except (ValueError, OverflowError) as error:  # the year 9999, which stands for never, has no UTC
            raise _Wrong(f"{name}: {error}") from None
        if not FIRST_YEAR <= found.year <= self.now.year + YEARS_AHEAD:
            raise _Wrong(f"{name}: the year {found.year} can't be right")
        return found

    def _known(self, value: str, choices: dict[str, str], part: str) -> str:
        found = choices.get(value) or choices.get(ANYTHING)
        if found is None:
            raise _Wrong(f"{shown(value)} isn't in the mapping's {part}")
        return found

    def _first(self, row: Row, name: str) -> str:
        """The first of a list of columns that holds anything, on one line."""
        values = row.values
        for column in self.how.columns.get(name, ()):
            if (cell := values[column]) and (value := " ".join(cell.split())):
                return value
        return ""

    def _all(self, row: Row, name: str) -> str:
        """What a list of columns holds, one below the other; as long as words may be."""
        parts = (row.values[column].strip() for column in self.how.columns.get(name, ()))
        words = "\n".join(dict.fromkeys(part for part in parts if part)).replace("\r\n", "\n")
        if len(words) > MAX_WORDS:
            self._count("shortened")
            words = words[: MAX_WORDS - 1] + "…"
        return words

    def _digest(self, row: Row) -> str:
        told: list[str | int | None] = [row.values[name] for name in self._told]
        if "crew" in self.how.columns:  # a crew that is here only now changes what the row means
            told.append(self.crews.get(self._first(row, "crew")))
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    def _count(self, what: str) -> None:
        self.outcome.more[what] = self.outcome.more.get(what, 0) + 1


class _Wrong(Exception):
    """Why a row cannot be taken."""


def instant(words: str, formats: Sequence[str], zone: ZoneInfo, *, after: datetime | None = None) -> datetime:
    """The moment (UTC) that a time names; raises ValueError where no format fits.

    A time that names no zone is one of `zone`. An hour that the clocks go through twice is meant the first
    time, unless that lies before `after` and the second does not; an hour that they leave out is read as if
    they had not been set yet.
    """
    for form in formats:
        found = _read_time(words, form)
        if found is None:
            continue
        if found.tzinfo:
            return found.astimezone(UTC)
        at = found.replace(tzinfo=zone).astimezone(UTC)
        if after and at < after:
            again = found.replace(tzinfo=zone, fold=1).astimezone(UTC)
            return again if again >= after else at
        return at
    example = datetime(2026, 5, 31, 14, 30)  # noqa: DTZ001
    said = example.isoformat() if formats[0] == ISO else example.strftime(formats[0])
    raise ValueError(f"{shown(words)} isn't a time like {said!r}")


# What tables write times with; a pattern reads them ten times as fast as strptime does.
_CODES: Final = {
    "%Y": r"(?P<Y>\d{4})", "%m": r"(?P<m>\d\d?)", "%d": r"(?P<d>\d\d?)", "%H": r"(?P<H>\d\d?)",
    "%I": r"(?P<I>\d\d?)", "%M": r"(?P<M>\d\d?)", "%S": r"(?P<S>\d\d?)", "%p": r"(?P<p>[AP]M)",
}  # fmt: skip


def _read_time(words: str, form: str) -> datetime | None:
    """The time as `form` (strptime's, or ISO) reads it, mostly without a zone; None where it does not fit."""
    try:
        if form == ISO:
            return datetime.fromisoformat(words)
        pattern = _pattern(form)
        if pattern is None:
            return datetime.strptime(words, form)  # noqa: DTZ007 the caller adds the zone
        fit = pattern.fullmatch(words)
        if fit is None:
            return None
        part = fit.groupdict("0")
        hour = int(part.get("H", 0))
        if "I" in part:
            hour = int(part["I"])
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + 12 * (part.get("p", "AM").upper() == "PM")
        minute, second = int(part.get("M", 0)), int(part.get("S", 0))
        return datetime(int(part["Y"]), int(part["m"]), int(part["d"]), hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


@cache
def _pattern(form: str) -> re.Pattern[str] | None:
    """A pattern for a format of the common codes; None for any other, such as names of months."""
    parts = re.split(r"(%.)", form)
    codes = [part for part in parts if part.startswith("%")]
    if not {"%Y", "%m", "%d"} <= set(codes) <= set(_CODES) or len(codes) != len(set(codes)):
        return None
    return re.compile("".join(_CODES.get(part, re.escape(part)) for part in parts), re.IGNORECASE)

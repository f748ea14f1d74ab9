"""The append-only, hash-chained log: writing it, reading it, and finding out whether it was changed."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any

from sqlalchemy import Date, Select, func, insert, literal, select, tuple_
from sqlalchemy.orm import Session

from city.audit import counters
from city.db import bulk_insert
from city.db import engine as db
from city.db.in_list import is_in
from city.db.models import (
    Case,
    ChainTip,
    DailyRoot,
    DailyRootTip,
    Event,
    EventDetail,
    EventSequence,
    SyncFeedRow,
)

GENESIS = "0" * 64
# The columns of a line that its hash covers: every one but the hash itself.
CHAINED = (
    "prev", "seq", "subject", "n", "kind", "was", "now", "actor", "at", "at_device", "origin", "facts",
    "photos", "detail",
)  # fmt: skip

# Columns: a Head that was read before may be old.
_HEADS = select(ChainTip.subject, ChainTip.n, ChainTip.hash, ChainTip.seq).where(
    is_in(ChainTip.subject, "names")
)


@dataclass(frozen=True)
class Actor:
    """Who acts: a person with roles and crews, a resident known by a report, or the system itself."""

    name: str  # as the log writes it: "person:7", "report:12", "system"
    roles: frozenset[str]
    person_id: int | None = None
    crew_ids: frozenset[int] = frozenset()
    departments: frozenset[str] = frozenset()  # their codes: what a manager answers for


@dataclass(slots=True)
class _Line:
    subject: str
    kind: str
    actor: str
    at: datetime
    was: str | None
    now: str | None
    at_device: datetime | None
    origin: str
    facts: dict[str, Any]
    photos: list[str]
    words: str | None


@dataclass
class _Pending:
    lines: list[_Line] = field(default_factory=list)
    feed: dict[tuple[str, str, str], tuple[bool, str | None]] = field(default_factory=dict)


def record(
    s: Session,
    subject: str,
    kind: str,
    *,
    by: Actor,
    at: datetime,
    was: str | None = None,
    now: str | None = None,
    at_device: datetime | None = None,
    origin: str = "live",
    facts: dict[str, Any] | None = None,
    photos: Iterable[str] = (),
    words: dict[str, Any] | None = None,
) -> None:
    """Notes that something happened to `subject` ("case:12"); it is written as the transaction ends.

    `facts` is chained in clear and so must hold no personal data; `words` may, and stand apart, salted
    and deletable.
    """
    text = json.dumps(words, ensure_ascii=False, sort_keys=True) if words else None
    _pending(s).lines.append(
        _Line(subject, kind, by.name, at, was, now, at_device, origin, facts or {}, list(photos), text)
    )


def publish_to_sync_feed(
    s: Session, scope: str, kind: str, ref: str, *, present: bool, why: str | None = None
) -> None:
    """Notes that the phones of `scope` must hear about (kind, ref); stamped with the same clock."""
    _pending(s).feed[(scope, kind, ref)] = (present, why)


def count(s: Session) -> None:
    """Notes that something was stored of which neither log nor phones hear: the clock goes on all the same.

    By the clock a phone notices that a restore lost what it was told is stored.
    """
    _pending(s)


@contextmanager
def savepoint(s: Session) -> Iterator[None]:
    """A part of a transaction that may fail alone: its rows, lines of the log and counts go together."""
    pending: _Pending | None = s.info.get("pending")
    lines, feed = (len(pending.lines), dict(pending.feed)) if pending else (0, {})
    to_settle = len(s.info.get("to_settle", ()))
    try:
        with s.begin_nested():
            yield
    except BaseException:
        if pending := s.info.get("pending"):
            del pending.lines[lines:]
            pending.feed = feed
        if unsettled := s.info.get("to_settle"):
            del unsettled[to_settle:]
        raise


def since(s: Session, seq: int, limit: int = 500, *, live_until: int | None = None) -> list[Event]:
    """The next lines after `seq`, in commit order; with `live_until` only of what happened here, up to it."""
    asked = select(Event).where(Event.seq > seq).order_by(Event.seq).limit(limit)
    if live_until is not None:
        asked = asked.where(Event.seq <= live_until, Event.origin == "live")
    return list(s.scalars(asked))


def of_case(case_id: int) -> str:
    """A case's name in the log."""
    return f"case:{case_id}"


def of_contact(contact_id: int) -> str:
    """A contact's name in the log."""
    return f"contact:{contact_id}"


def of_entry(entry_id: int) -> str:
    """The subject of an entry of the inbox."""
    return f"inbox:{entry_id}"


def of_answer(answer_id: int) -> str:
    """An answer's name in the log."""
    return f"answer:{answer_id}"


def of_figure(month: str) -> str:
    """The name in the log of a month's figures."""
    return f"figure:{month}"


def of(s: Session, subject: str) -> list[tuple[Event, dict[str, Any]]]:
    """A subject's story, oldest first, each line with its words; {} where there are none any more."""
    rows = s.execute(
        select(Event, EventDetail.text)
        .outerjoin(EventDetail, EventDetail.seq == Event.seq)
        .where(Event.subject == subject)
        .order_by(Event.n)
    )
    return [(event, json.loads(text) if text else {}) for event, text in rows]


def of_so_far(s: Session, subject: str) -> list[tuple["Event | _Line", dict[str, Any]]]:
    """of() and after it what this transaction has noted already, which is written as it ends."""
    pending: _Pending | None = s.info.get("pending")
    noted = [line for line in (pending.lines if pending else ()) if line.subject == subject]
    return [*of(s, subject), *((line, json.loads(line.words) if line.words else {}) for line in noted)]


def seal_day(s: Session, day: date) -> DailyRoot | None:
    """Writes the root of `day` once: the last line of every subject that moved since the root before.

    The root is chained to the one before, so that a cut tail or a missing case shows against any root
    that somebody kept elsewhere. Returns None where nothing happened or the day has a root already.
    """
    if s.get(DailyRoot, day):
        return None
    last = s.scalars(select(DailyRoot).order_by(DailyRoot.day.desc()).limit(1)).first()
    since, newest = last.seq if last else 0, s.scalar(select(func.max(ChainTip.seq))) or 0
    if newest <= since:
        return None
    root = DailyRoot(day=day, seq=newest, prev=last.hash if last else GENESIS, hash="")
    s.add(root)
    s.flush()
    # A large import moves a million subjects in a day: the database copies them by itself. Read again they
    # are what was copied, whoever moves one meanwhile.
    moved = select(literal(day, Date), ChainTip.subject, ChainTip.n, ChainTip.hash)
    moved = moved.where(ChainTip.seq > since, ChainTip.seq <= newest)
    s.execute(insert(DailyRootTip).from_select(["day", "subject", "n", "hash"], moved))
    root.hash = _root_hash(root.prev, day, _head_rows(s.execute(_root_heads(day))))
    return root


def seal_day_if_due(s: Session, now: datetime) -> DailyRoot | None:
    """Yesterday's root, as soon as yesterday (UTC) is over and unless it was taken already."""
    yesterday = (now - timedelta(days=1)).date()
    last = s.scalar(select(func.max(DailyRoot.day)))
    return seal_day(s, yesterday) if last is None or last < yesterday else None


def daily_roots(s: Session, limit: int | None = None) -> list[DailyRoot]:
    """The daily roots, the newest first."""
    return list(s.scalars(select(DailyRoot).order_by(DailyRoot.day.desc()).limit(limit)))


def daily_root_file(s: Session) -> Iterator[str]:
    """JSON lines to keep somewhere else: the newest root, then every subject's (name, count, hash)."""
    root = s.scalars(select(DailyRoot).order_by(DailyRoot.day.desc()).limit(1)).first()
    yield json.dumps({"root": root.hash if root else GENESIS, "day": root.day.isoformat() if root else None})
    for head in s.scalars(select(ChainTip).order_by(ChainTip.subject)):
        yield json.dumps([head.subject, head.n, head.hash])


def verify(s: Session, kept: Sequence[str] = ()) -> list[str]:
    """Every fault found in the log, in plain words; [] where it is whole.

    `kept` are the lines of an earlier root_file(): the proof against somebody who recomputed every hash.
    Words that were erased are no fault.
    """
    return [
        *_broken_chains(s),
        *_cut_tails(s),
        *_broken_roots(s),
        *_cases_without_story(s),
        *_against(s, kept),
    ]


def verify_newest(s: Session, count: int) -> list[str]:
    """Faults in the chains of the `count` subjects that moved last: a quick look, without roots."""
    subjects = list(s.scalars(select(ChainTip.subject).order_by(ChainTip.seq.desc()).limit(count)))
    return [*_broken_chains(s, subjects), *_cut_tails(s, subjects)]


def erased(s: Session) -> int:
    """How many lines committed to words that are gone: erased, not broken."""
    return int(
        s.scalar(
            select(func.count())
            .select_from(Event)
            .outerjoin(EventDetail, EventDetail.seq == Event.seq)
            .where(Event.detail.is_not(None), EventDetail.seq.is_(None))
        )
        or 0
    )


def last_move(s: Session, subject: str) -> "Event | _Line | None":
    """The subject's last line that changed a state, one that this transaction is still to write included."""
    pending: _Pending | None = s.info.get("pending")
    for line in reversed(pending.lines if pending else []):
        if line.subject == subject and line.now:
            return line
    moves = select(Event).where(Event.subject == subject, Event.now.is_not(None))
    return s.scalars(moves.order_by(Event.n.desc()).limit(1)).first()


def put_in_order(s: Session) -> None:
    """Sorts by time what this transaction has noted: for a past that is told at once."""
    _pending(s).lines.sort(key=lambda line: line.at)


def _pending(s: Session) -> _Pending:
    if "pending" not in s.info:
        s.info["pending"] = _Pending()
        s.info["seal"] = _seal
    pending: _Pending = s.info["pending"]
    return pending


def _seal(s: Session) -> None:
    """At the end of a transaction: takes numbers from the clock, and leaves the lines and feed rows with them
    to be written."""
    pending: _Pending = s.info.pop("pending")
    first = db.next_sequence(s, max(1, len(pending.lines) + len(pending.feed)))
    heads = _heads_of(s, {line.subject for line in pending.lines})
    lines: list[dict[str, Any]] = []
    details: list[dict[str, Any]] = []
    for seq, line in enumerate(pending.lines, first):
        n, prev, _ = heads.get(line.subject, (0, GENESIS, 0))
        row: dict[str, Any] = {
            "seq": seq, "subject": line.subject, "n": n + 1, "kind": line.kind, "was": line.was,
            "now": line.now, "actor": line.actor, "at": line.at, "at_device": line.at_device,
            "origin": line.origin, "facts": line.facts, "photos": line.photos,
            "detail": None, "prev": prev,
        }  # fmt: skip
        if line.words:
            salt = os.urandom(32)
            row["detail"] = _commitment(salt, line.words)
            details.append({"seq": seq, "salt": salt, "text": line.words})
        row["hash"] = _hash(_in_row(row))
        heads[line.subject] = (n + 1, row["hash"], seq)
        lines.append(row)
    tops = [{"subject": name, "n": n, "hash": hash_, "seq": seq} for name, (n, hash_, seq) in heads.items()]
    told = enumerate(pending.feed.items(), first + len(lines))
    feed = [
        {"scope": scope, "kind": kind, "ref": ref, "seq": seq, "present": present, "why": why}
        for seq, ((scope, kind, ref), (present, why)) in told
    ]
    bulk_insert.put_last(s, Event, lines)
    bulk_insert.put_last(s, EventDetail, details)
    bulk_insert.put_last(s, ChainTip, tops, over=True)
    bulk_insert.put_last(s, SyncFeedRow, feed, over=True)
    counters.add(s, pending.lines)


def chained(event: Event) -> str:
    """The hash of a line over the one before it and every column but itself."""
    return _hash(_of_event(event))


_of_event, _in_row = attrgetter(*CHAINED), itemgetter(*CHAINED)


def _hash(told: tuple[Any, ...]) -> str:
    return hashlib.sha256(_TELL(told).encode()).hexdigest()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


_TELL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_instant).encode


def _commitment(salt: bytes, words: str) -> str:
    return hashlib.sha256(salt + words.encode()).hexdigest()


def _heads_of(s: Session, subjects: set[str]) -> dict[str, tuple[int, str, int]]:
    """Where each subject's chain ends: its count, hash and seq."""
    names = sorted(subjects)
    found: dict[str, tuple[int, str, int]] = {}
    for start in range(0, len(names), 500):
        for head in s.execute(_HEADS, {"names": names[start : start + 500]}):
            found[head.subject] = (head.n, head.hash, head.seq)
    return found


def _root_heads(day: date) -> Select[str, int, str]:
    return select(DailyRootTip.subject, DailyRootTip.n, DailyRootTip.hash).where(DailyRootTip.day == day)


def _head_rows(heads: Iterable[Any]) -> list[list[Any]]:
    return sorted([head.subject, head.n, head.hash] for head in heads)


def _root_hash(prev: str, day: date, heads: list[list[Any]]) -> str:
    return hashlib.sha256(json.dumps([prev, day.isoformat(), heads]).encode()).hexdigest()


def _broken_chains(s: Session, only: Sequence[str] | None = None) -> Iterator[str]:
    asked = (
        select(Event, EventDetail)
        .outerjoin(EventDetail, EventDetail.seq == Event.seq)
        .order_by(Event.subject, Event.n)
        .execution_options(yield_per=1000)
    )
    rows = s.execute(asked if only is None else asked.where(Event.subject.in_(only)))
    subject, n, prev = "", 0, GENESIS
    for event, detail in rows:
        if event.subject != subject:
            subject, n, prev = event.subject, 0, GENESIS
        if event.n != n + 1:
            yield f"{subject}: line {n + 1} is missing"
        elif event.prev != prev:
            yield f"{subject}: line {event.n} doesn't follow line {n}"
        if event.hash != chained(event):
            yield f"{subject}: line {event.n} was rewritten"
        if detail is not None and _commitment(detail.salt, detail.text) != event.detail:
            yield f"{subject}: the text of line {event.n} was rewritten"
        n, prev = event.n, event.hash


def _cut_tails(s: Session, only: Sequence[str] | None = None) -> Iterator[str]:
    """A line that a head or the clock knows of and the log does not."""
    grouped = select(Event.subject, func.max(Event.n).label("n")).group_by(Event.subject)
    tops = (grouped if only is None else grouped.where(Event.subject.in_(only))).subquery()
    asked = (
        select(ChainTip.subject, ChainTip.n, tops.c.n)
        .outerjoin(tops, tops.c.subject == ChainTip.subject)
        .where((tops.c.n.is_(None)) | (tops.c.n != ChainTip.n))
        .order_by(ChainTip.subject)
    )
    for subject, known, there in s.execute(
        asked if only is None else asked.where(ChainTip.subject.in_(only))
    ):
        yield f"{subject}: its last line should be {known}, but is {there or 'missing'}"
    last = s.scalar(select(func.max(Event.seq))) or 0
    clock = s.scalar(select(EventSequence.n)) or 0
    if last > clock:
        yield f"log: line {last} is past the clock ({clock})"


def _broken_roots(s: Session) -> Iterator[str]:
    prev = GENESIS
    for root in s.scalars(select(DailyRoot).order_by(DailyRoot.day)):
        heads = list(s.execute(_root_heads(root.day)))
        if root.prev != prev or root.hash != _root_hash(root.prev, root.day, _head_rows(heads)):
            yield f"root of {root.day}: was rewritten"
        prev = root.hash
        found = _hashes(s, [(h.subject, h.n) for h in heads])
        for head in heads:
            yield from _compared(f"root of {root.day}", found, head.subject, head.n, head.hash)


def _cases_without_story(s: Session) -> Iterator[str]:
    """A case's state is told twice, in its row and in its last move: cutting only one of them shows."""
    moves = (
        select(Event.subject, func.max(Event.n).label("n"))
        .where(Event.now.is_not(None))
        .group_by(Event.subject)
    ).subquery()
    last = s.execute(
        select(Event.subject, Event.now).join(
            moves, (moves.c.subject == Event.subject) & (moves.c.n == Event.n)
        )
    )
    told = {row.subject: row.now for row in last}
    seen = set()
    for case_id, number, state in s.execute(select(Case.id, Case.number, Case.state)):
        subject = f"case:{case_id}"
        seen.add(subject)
        if told.get(subject) != state:
            said = told.get(subject, "nothing")
            yield f"{subject} ({number}): is {state}, but the log's last move says {said}"
    for subject in sorted(set(told) - seen):
        if subject.startswith("case:"):
            yield f"{subject}: has a history but no case"


def _against(s: Session, kept: Sequence[str]) -> Iterator[str]:
    if not kept:
        return
    top, *heads = [json.loads(line) for line in kept]
    if top["day"]:
        root = s.get(DailyRoot, date.fromisoformat(top["day"]))
        if root is None or root.hash != top["root"]:
            yield f"root of {top['day']}: differs from the one you stored"
    for start in range(0, len(heads), 500):
        part = heads[start : start + 500]
        found = _hashes(s, [(subject, n) for subject, n, _ in part])
        for subject, n, kept_hash in part:
            yield from _compared("stored root", found, subject, n, kept_hash)


def _hashes(s: Session, lines: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for start in range(0, len(lines), 500):
        part = lines[start : start + 500]
        rows = s.execute(
            select(Event.subject, Event.n, Event.hash).where(tuple_(Event.subject, Event.n).in_(list(part)))
        )
        found |= {(row.subject, row.n): row.hash for row in rows}
    return found


def _compared(
    witness: str, found: dict[tuple[str, int], str], subject: str, n: int, expected: str
) -> Iterator[str]:
    have = found.get((subject, n))
    if have is None:
        yield f"{subject}: line {n} is missing, but it's in the {witness}"
    elif have != expected:
        yield f"{subject}: line {n} differs from the {witness}"

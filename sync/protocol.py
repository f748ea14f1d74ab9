"""The words of field sync: what a phone sends, what it hears back, and how both are read. Pure.

`docs/reference/sync.md` is the published form of this page. Names on the wire never change within a protocol
number; new ones may be added, and what is not known is ignored.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

PROTOCOL: Final = 1
MAX_OPERATIONS: Final = 50
MAX_BODY: Final = 256_000  # bytes, inflated
MAX_OPERATION: Final = 32_000  # bytes, as compact JSON
MAX_PHOTOS: Final = 20  # of one operation: a phone that was shut out may still send what it declares
COLUMN, ID = 2**31, 2**53  # what a number's column holds, and what JavaScript counts to
MAX_JOBS: Final = 500  # rows of the feed in one answer
JOBS: Final = 250  # where the phone names no limit

TYPES: Final = (
    "start", "pause", "resume", "close", "make_safe", "needs_parts", "wait", "note", "photo", "time",
    "propose", "report", "withdraw",
)  # fmt: skip
# The lowest version of each kind of operation that is still taken for new work.
LOWEST: Final = dict.fromkeys(TYPES, 1)

APPLIED, MERGED, RECORDED, HELD, DEPOSITED, QUARANTINED, RETRY = RESULTS = (
    "applied", "merged", "recorded", "held", "deposited", "quarantined", "retry",
)  # fmt: skip
# The phone keeps the operation and sends it again; any other is the last word about it.
NOT_YET: Final = (HELD, RETRY)


class Unreadable(Exception):
    """A request that is no exchange at all; nothing in it was looked at. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Declared:
    """A photo that an operation has, by what its bytes must hash to."""

    id: str
    sha256: str
    bytes: int
    type: str


@dataclass(frozen=True)
class Operation:
    """One intention of a crew, as the phone wrote it down.

    `base` is the version of the case it saw, `accuracy` how sure the phone was of its place, in metres.
    Both are read, so that a phone learns at once if it writes them wrongly, and nothing uses them yet:
    `cycle` and `assignment` decide. They are for the person who compares what the crew saw with what was.
    """

    id: str
    n: int
    t: str
    v: int
    case: str
    assignment: int | None
    cycle: int | None
    base: int | None
    prev: str | None
    device_time: datetime
    accuracy: float | None
    data: Mapping[str, Any]
    photos: tuple[Declared, ...]
    raw: str
    hash: str


@dataclass(frozen=True)
class Malformed:
    """Something sent as an operation that is none. It is kept as it came, for a person to read."""

    id: str  # as sent, "" where there was none
    n: int
    raw: str
    hash: str
    why: str
    prev: str | None = None
    case: str = ""  # where it says which, so that it is forgotten with that case


@dataclass(frozen=True)
class Point:
    """A point of the log, as somebody remembers it."""

    epoch: str
    upto: int
    mark: str = ""  # of its last line; "" where they do not know


@dataclass(frozen=True)
class Exchange:
    """One request of a phone. `release`, `waiting` (`ops`, `photos`, `oldest`) and `pack` (`at`, `jobs`,
    `photos`, `of`, `map`) go to the list of them.

    `heard` is where the log stood at the last answer to its work.
    """

    nonce: str
    epoch: str
    device: str
    release: str
    cursors: Mapping[str, int]
    limit: int
    waiting: Mapping[str, Any] = field(default_factory=dict)
    pack: Mapping[str, Any] = field(default_factory=dict)
    heard: Point | None = None
    ops: tuple[Operation | Malformed, ...] = ()


def parse(body: bytes) -> Exchange:
    """The request in `body` (JSON, inflated); raises Unreadable. A bad operation spoils no other."""
    if len(body) > MAX_BODY:
        raise Unreadable("too_large")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):  # the second: brackets without end
        raise Unreadable("not_json") from None
    if not isinstance(told, dict):
        raise Unreadable("not_json")
    if told.get("protocol") != PROTOCOL:
        raise Unreadable("protocol")
    nonce, ops = told.get("nonce"), told.get("ops", [])
    if not isinstance(nonce, str) or not 8 <= len(nonce) <= 64:
        raise Unreadable("nonce")
    if not isinstance(ops, list):
        raise Unreadable("ops")
    if len(ops) > MAX_OPERATIONS:
        raise Unreadable("too_many_operations")
    return Exchange(
        nonce=nonce,
        epoch=_text(told.get("epoch")),
        device=_text(told.get("device")),
        release=_text(told.get("release")),
        cursors=_cursors(told.get("cursors")),
        limit=min(max(_whole_number(told.get("limit")) or JOBS, 1), MAX_JOBS),
        waiting=told["waiting"] if isinstance(told.get("waiting"), dict) else {},
        pack=told["pack"] if isinstance(told.get("pack"), dict) else {},
        heard=_heard(told.get("heard")),
        ops=_operations(ops),
    )


def cases(ops: Sequence[Operation | Malformed]) -> set[str]:
    """The cases that these operations name."""
    return {op.case for op in ops if isinstance(op, Operation)}


def reread(raw: str) -> Operation | Malformed:
    """An operation as it was stored: `raw` of an earlier one."""
    try:
        return _operation(json.loads(raw))
    except (ValueError, RecursionError):
        return Malformed("", 0, raw, "", "malformed")


def answer(
    exchange: Exchange,
    *,
    epoch: str,
    server_time: datetime,
    auth: str,
    scopes: list[str] | None = None,
    results: list[dict[str, Any]] | None = None,
    changes: Mapping[str, Any] | None = None,
    reset: list[str] | None = None,
    want: list[str] | None = None,
    safe: int = 0,
    log: int | None = None,
    mark: str = "",
    back: int | None = None,
) -> dict[str, Any]:
    """The answer as it goes over the wire; the nonce proves to the phone that the city wrote it."""
    return {
        "protocol": PROTOCOL,
        "nonce": exchange.nonce,
        "epoch": epoch,
        "server_time": server_time.isoformat(timespec="milliseconds"),
        "auth": auth,
        "scopes": scopes or [],
        "results": results or [],
        "changes": changes or {},
        "reset": reset or [],
        "want": want or [],
        "safe": safe,
        "lowest": LOWEST["close"],
        **({} if log is None else {"log": log}),
        **({"mark": mark} if mark else {}),
        **({} if back is None else {"back": back}),
    }


def result(op_id: str, code: str, why: str | None = None, **more: Any) -> dict[str, Any]:
    """What became of one operation."""
    told = {"id": op_id, "result": code, "why": why, **more}
    return {name: value for name, value in told.items() if value is not None}


def is_id(text: object) -> bool:
    """Whether this is a random id in its canonical form: it becomes a row's key and a file's name."""
    try:
        return isinstance(text, str) and str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _operations(told: list[object]) -> tuple[Operation | Malformed, ...]:
    try:
        return tuple(_operation(op) for op in told)
    except RecursionError:
        raise Unreadable("not_json") from None


def _operation(told: object) -> Operation | Malformed:
    raw = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # surrogatepass: JSON may name half a character, which must not stop the others
    hashed = hashlib.sha256(raw.encode("utf-8", "surrogatepass")).hexdigest()
    if not isinstance(told, dict):
        return Malformed("", 0, raw, hashed, "malformed")
    op_id = told["id"] if is_id(told.get("id")) else ""
    n = _whole_number(told.get("n")) or 0
    try:
        raw.encode()
        return _checked(told, raw, hashed)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as fault:
        known = fault.args and fault.args[0] in ("too_large", "unknown_type", "too_old")
        why = str(fault.args[0]) if known else "malformed"
        prev = told["prev"] if is_id(told.get("prev")) else None
        ref = told.get("case")
        case = ref if isinstance(ref, str) and re.fullmatch(r"[0-9A-Za-z-]{1,40}", ref) else ""
        return Malformed(op_id, n, raw, hashed, why, prev, case)


def _checked(told: dict[str, Any], raw: str, hashed: str) -> Operation:
    if len(raw.encode()) > MAX_OPERATION:
        raise ValueError("too_large")
    if told["t"] not in TYPES:
        raise ValueError("unknown_type")
    if _whole_number(told["v"]) is None or told["v"] < LOWEST[told["t"]]:
        raise ValueError("too_old")
    n, data = told["n"], told.get("data") or {}
    case = told["id"] if told["t"] == "report" else told["case"]  # a report makes its case
    if not is_id(told["id"]) or _whole_number(n) is None or not isinstance(data, dict):
        raise ValueError("malformed")
    if told["id"] in (told.get("prev"), data.get("op"), case if told["t"] != "report" else None):
        raise ValueError("malformed")  # nothing follows on itself, or takes itself back
    if not isinstance(case, str) or not 1 <= len(case) <= 40:
        raise ValueError("malformed")
    photos = tuple(_declared(photo) for photo in told.get("photos") or [])
    if len({photo.id for photo in photos}) < len(photos) or len(photos) > MAX_PHOTOS:
        raise ValueError("malformed")
    if "\\u0000" in raw:  # PostgreSQL keeps no NUL
        raise ValueError("malformed")
    at = datetime.fromisoformat(told["device_time"].replace("Z", "+00:00"))
    if at.tzinfo is None:
        raise ValueError("malformed")
    at = at.astimezone(UTC)  # refuses what lies outside the calendar, before the log would have to
    return Operation(
        id=told["id"],
        n=n,
        t=told["t"],
        v=told["v"],
        case=case,
        assignment=_whole_or_none(told.get("assignment"), ID),
        cycle=_whole_or_none(told.get("cycle")),
        base=_whole_or_none(told.get("base")),
        prev=told["prev"] if is_id(told.get("prev")) else None,
        device_time=at,
        accuracy=float(told["accuracy"]) if told.get("accuracy") is not None else None,
        data=data,
        photos=photos,
        raw=raw,
        hash=hashed,
    )


def _declared(told: Mapping[str, Any]) -> Declared:
    sha, size, kind = told["sha256"], told["bytes"], told["type"]
    if not is_id(told["id"]) or not isinstance(sha, str) or not re.fullmatch(r"[0-9a-f]{64}", sha):
        raise ValueError("malformed")
    if not _whole_number(size) or not isinstance(kind, str):
        raise ValueError("malformed")
    return Declared(told["id"], sha, size, kind[:40])


def _cursors(told: object) -> dict[str, int]:
    if not isinstance(told, dict):
        return {}
    return {scope: _whole_number(seq, ID) or 0 for scope, seq in told.items() if _text(scope) == scope}


def _heard(told: object) -> Point | None:
    if not isinstance(told, dict):
        return None
    return Point(_text(told.get("epoch")), _whole_number(told.get("upto"), ID) or 0, _text(told.get("mark")))


def _whole_number(value: object, below: int = COLUMN) -> int | None:
    """A whole number that fits its column, or None."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < below
    return value if fits and isinstance(value, int) else None


def _whole_or_none(value: object, below: int = COLUMN) -> int | None:
    if value is None:
        return None
    if _whole_number(value, below) is None:
        raise ValueError("malformed")
    return _whole_number(value, below)


def _text(value: object) -> str:
    """A short name; "" where it is none, also where it holds half a character or a NUL."""
    if not isinstance(value, str) or not value.isprintable():
        return ""
    return value[:80]

"""The list of what was erased, covered, cleared, forgotten and shut out, beside the database: it outlives its
loss, so that none of it comes back. And of what was put on hold, so that none of that goes."""

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from city import files
from city.db.models import Report

NAME = "erasures.jsonl"
MOST_ID: Final = 2**63 - 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Erased:
    """One line. `key` is the SHA-256 of the report's key: numbers are given anew after a restore."""

    report: str
    key: str
    at: str

    def names(self, report: Report) -> bool:
        """Whether this very report was meant."""
        return report.number == self.report and hashed(report.key) == self.key


@dataclass(frozen=True)
class Redacted:
    """One line: which photo became which other one by boxes painted over: left, top, width, height, %."""

    photo: str
    became: str
    boxes: tuple[tuple[float, float, float, float], ...]
    at: str


@dataclass(frozen=True)
class Forgotten:
    """One line: a call whose caller asked to be forgotten, by the SHA-256 of its key."""

    contact: str
    at: str


@dataclass(frozen=True)
class Cleared:
    """One line: a case whose words went by the records schedule, by the SHA-256 of its first report's key."""

    case: str
    key: str
    places: str  # schedule.PLACES: what was left of its exact place
    at: str


@dataclass(frozen=True)
class Held:
    """One line: a case put on hold or, where not `placed`, its hold lifted; `key` is as of a cleared one.

    Who wants it kept is not told: no line goes when the hold does.
    """

    hold: str
    key: str
    placed: bool
    at: str


@dataclass(frozen=True)
class Left:
    """One line: an account whose name and address went, by its id and a slow hash of the address.

    Ids are given anew after a restore, and of an address alone a quick hash would tell whose it was.
    """

    person: int
    salt: str
    key: str
    at: str

    def names(self, person_id: int, email: str) -> bool:
        """Whether this very account was meant."""
        return self.person == person_id and slowly_hashed(email, self.salt) == self.key


@dataclass(frozen=True)
class Unfollowed:
    """One line: wishes for news that went with their address, by their ids and a slow hash of it.

    An address may follow a street, an area or a case and have told no report whose own line would say so.
    """

    wishes: tuple[int, ...]
    salt: str
    key: str
    at: str

    def names(self, address: str) -> bool:
        """Whether a wish at this address was meant, where the id is one of these."""
        return slowly_hashed(address, self.salt) == self.key


@dataclass(frozen=True)
class ShutOut:
    """One line: a phone that may do nothing any more. Its id is never given anew."""

    device: str
    at: str


Line = Erased | Redacted | Forgotten | Cleared | Held | Left | Unfollowed | ShutOut


def append_report(var: Path, report: Report, at: datetime) -> None:
    """Appends an erasure to the list in `var`; returns once the line would survive a power cut.

    It is written before the erasure is committed: one begun is carried out, and never one forgotten. Twice is
    no fault.
    """
    append(var, Erased(report.number, hashed(report.key), at.isoformat()))


def append(var: Path, *lines: Line) -> None:
    """Appends lines to the list in `var`; returns once they would survive a power cut."""
    with (var / NAME).open("ab+") as file:
        # A power cut left half a line: ours must not become its other half.
        if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
            file.write(b"\n")
        file.writelines(f"{json.dumps(asdict(line))}\n".encode() for line in lines)
        file.flush()
        os.fsync(file.fileno())


def append_missing(var: Path, lines: Iterable[Line]) -> None:
    """Appends what the list in `var` has not yet: lists from elsewhere count for the next restore too."""
    here = set(read([var / NAME]))
    append(var, *(line for line in lines if line not in here))


def hashed(key: str) -> str:
    """A report's key as the list names it."""
    return hashlib.sha256(key.encode()).hexdigest()


def first_key(s: Session, case_id: int) -> str:
    """The key of a case's first report as the list names it: numbers are given anew after a restore."""
    asked = select(Report.key).where(Report.case_id == case_id).order_by(Report.id).limit(1)
    return hashed(s.scalar(asked) or "")


def slowly_hashed(address: str, salt: str) -> str:
    """An address as the list names it; `salt` is 32 hexadecimal digits that nobody else has."""
    return hashlib.scrypt(address.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


def read(files: Iterable[Path]) -> list[Line]:
    """What stands in these lists, each once, oldest first. A list that is not there holds none.

    Half a line is passed over: it was cut off before its erasure was done, which was then begun anew. So is
    a whole one that says nothing we know, and the log says which. Of every line that is returned all can be
    carried out: a restore stops at none. Raises OSError.
    """
    found = {_name(line): line for file in files for line in _lines(file)}
    return sorted(found.values(), key=lambda line: line.at)


def write(file: Path, erased: Iterable[Line]) -> None:
    """Puts a list in the place of another, whole or not at all."""
    with files.atomic_write(file) as out:
        out.writelines(f"{json.dumps(asdict(one))}\n".encode() for one in erased)


def _name(line: Line) -> tuple[str, str]:
    if isinstance(line, Forgotten):
        return ("", line.contact)
    if isinstance(line, Cleared):
        return (f"case {line.case}", line.key)
    if isinstance(line, Held):
        return (f"hold {line.hold}", f"{line.key} {line.at}")  # all of them: the last one counts
    if isinstance(line, Left):
        return (f"person {line.person}", line.key)
    if isinstance(line, Unfollowed):
        return ("wishes", line.key)
    if isinstance(line, ShutOut):
        return ("device", line.device)
    return (line.report, line.key) if isinstance(line, Erased) else (line.photo, line.became)


def _lines(file: Path) -> Iterator[Line]:
    if not file.exists():
        return
    if not file.is_file():  # taken for an empty list, it would bring back what was erased
        raise OSError(f"{file} isn't a file")
    for nth, text in enumerate(file.read_text(errors="replace").splitlines(), 1):
        try:
            yield _line(json.loads(text))
        except json.JSONDecodeError:  # half a line
            continue
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
            log.warning("%s: line %d can't be read and was skipped", file, nth)


def _line(told: Any) -> Line:
    """Raises KeyError, TypeError, ValueError or OverflowError where not all of it can be carried out."""
    at = _moment(told["at"])
    if "photo" in told:
        boxes = tuple((_percent(x), _percent(y), _percent(w), _percent(h)) for x, y, w, h in told["boxes"])
        return Redacted(_text(told["photo"]), _text(told["became"]), boxes, at)
    if "contact" in told:
        return Forgotten(_digits(told["contact"], 64), at)
    if "person" in told:
        salt, key = _digits(told["salt"], 32), _digits(told["key"], 128)
        return Left(_id(told["person"]), salt, key, at)
    if "wishes" in told:
        salt, key = _digits(told["salt"], 32), _digits(told["key"], 128)
        return Unfollowed(tuple(_id(each) for each in told["wishes"]), salt, key, at)
    if "hold" in told:
        return Held(_text(told["hold"]), _digits(told["key"], 64), _truth(told["placed"]), at)
    if "device" in told:
        return ShutOut(_text(told["device"]), at)
    if "case" in told:
        return Cleared(_text(told["case"]), _digits(told["key"], 64), _text(told["places"]), at)
    return Erased(_text(told["report"]), _digits(told["key"], 64), at)


def _moment(told: Any) -> str:
    """In UTC, so that lines come in the order of what they tell."""
    at = datetime.fromisoformat(told)
    if at.tzinfo is None:
        raise ValueError("a moment without its zone")
    return at.astimezone(UTC).isoformat()


def _text(told: Any) -> str:
    """PostgreSQL would refuse a NUL or half a surrogate later on."""
    if not isinstance(told, str) or not (told.isascii() and told.isprintable()):
        raise ValueError("no name of ours")
    return told


def _digits(told: Any, count: int) -> str:
    if not re.fullmatch(rf"[0-9a-f]{{{count}}}", told):
        raise ValueError("no hash of ours")
    return str(told)


def _id(told: Any) -> int:
    if not isinstance(told, int) or isinstance(told, bool) or not 0 < told <= MOST_ID:
        raise ValueError("no id")
    return told


def _percent(told: Any) -> float:
    if not 0 <= told <= 100:
        raise ValueError("no share of an edge")
    return float(told)


def _truth(told: Any) -> bool:
    if not isinstance(told, bool):
        raise ValueError("neither true nor false")
    return told

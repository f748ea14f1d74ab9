"""The list of what was erased, covered, cleared and forgotten, beside the database: it outlives its loss, so
that none of it comes back. And of what was put on hold, so that none of that goes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from city import disk
from city.schema import Report

NAME = "erasures.jsonl"


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


Line = Erased | Redacted | Forgotten | Cleared | Held | Left


def note(var: Path, report: Report, at: datetime) -> None:
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


def hashed(key: str) -> str:
    """A report's key as the list names it."""
    return hashlib.sha256(key.encode()).hexdigest()


def first_key(s: Session, case_id: int) -> str:
    """The key of a case's first report as the list names it: numbers are given anew after a restore."""
    asked = select(Report.key).where(Report.case_id == case_id).order_by(Report.id).limit(1)
    return hashed(s.scalar(asked) or "")


def slowly_hashed(email: str, salt: str) -> str:
    """An address as the list names it; `salt` is 32 hexadecimal digits that nobody else has."""
    return hashlib.scrypt(email.encode(), salt=bytes.fromhex(salt), n=2**14, r=8, p=1).hex()


def read(files: Iterable[Path]) -> list[Line]:
    """What stands in these lists, each once, oldest first. A list that is not there holds none.

    Half a line is passed over: it was cut off before its erasure was done, which was then begun anew.
    Raises OSError.
    """
    found = {_name(line): line for file in files for line in _lines(file)}
    return sorted(found.values(), key=lambda line: line.at)


def write(file: Path, erased: Iterable[Line]) -> None:
    """Puts a list in the place of another, whole or not at all."""
    with disk.whole(file) as out:
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
    return (line.report, line.key) if isinstance(line, Erased) else (line.photo, line.became)


def _lines(file: Path) -> Iterator[Line]:
    if not file.exists():
        return
    if not file.is_file():  # taken for an empty list, it would bring back what was erased
        raise OSError(f"{file} is no file")
    for line in file.read_text(errors="replace").splitlines():
        with suppress(KeyError, TypeError, ValueError):
            told = json.loads(line)
            if "photo" in told:
                boxes = tuple((float(x), float(y), float(w), float(h)) for x, y, w, h in told["boxes"])
                yield Redacted(str(told["photo"]), str(told["became"]), boxes, str(told["at"]))
            elif "contact" in told:
                yield Forgotten(str(told["contact"]), str(told["at"]))
            elif "person" in told:
                yield Left(int(told["person"]), str(told["salt"]), str(told["key"]), str(told["at"]))
            elif "hold" in told:
                yield Held(str(told["hold"]), str(told["key"]), bool(told["placed"]), str(told["at"]))
            elif "case" in told:
                yield Cleared(str(told["case"]), str(told["key"]), str(told["places"]), str(told["at"]))
            else:
                yield Erased(str(told["report"]), str(told["key"]), str(told["at"]))

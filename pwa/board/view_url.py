"""A view of the board as its address carries it: read from the address, and written back into one."""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import date
from typing import Any
from uuid import uuid4

from flask import g, request
from sqlalchemy.orm import Session

from city.board.queries import SORTS, STANDINGS, View
from city.cases.tags import MOST_LETTERS
from city.lifecycle import STATES
from pwa.web import access
from sync import server_epoch
from sync.protocol import Point
from sync.server_epoch import Memory

MOST_DAYS = 3650  # "open for at least": ten years
LONGEST = 200  # letters to look for
FIRST_DAY, LAST_DAY = "1000-01-01", "9000-12-31"  # what every database and every zone can hold
# By which a report comes.
CHANNELS = ("web", "phone", "voicemail", "counter", "email", "sms", "form", "crew", "api")
_CODE = re.compile(r"[\w:.-]{1,40}", re.ASCII)
_PLACE = re.compile(r"[\w-]{1,400}", re.ASCII)
# What an address of the board may say beside the view.
_BESIDE = ("do", "report", "from")


def view_asked() -> View:
    """The view in the address; what it does not know it leaves out, and strayed() says that it did."""
    return _read(request.args)


def strayed() -> bool:
    """Whether the address says something that no view of the board has."""
    known = {field.name for field in fields(View)}
    kept = args_of(_read(request.args))
    return any(
        value.strip() and name not in _BESIDE and (name not in known or name not in kept)
        for name, value in request.args.items()
    )


def view_of(args: Mapping[str, Any]) -> View:
    """A view that was kept as args_of() gave it."""
    return _read({name: str(value) for name, value in args.items()})


def args_of(view: View) -> dict[str, Any]:
    """The view as the address carries it."""
    return dict(view.asked)


def revision(s: Session) -> str:
    """Up to where a page that is read from now on knows the log, as its address for news names it."""
    found = server_epoch.read(s, access.now())
    return f"{found.log}-{found.epoch}"


def log_seen(s: Session, known: Memory, revision: str) -> int | None:
    """The seq up to which a page with this revision knows the log, which is `known` by now.

    None where it is no revision, or one of a past that a restore took away.
    """
    seq, _dash, epoch = revision.partition("-")
    if not (seq.isascii() and seq.isdecimal() and len(seq) < 16 and len(epoch) <= 32):
        return None
    went_back = server_epoch.went_back(s, known.point, Point(epoch, int(seq)), {})
    return int(seq) if went_back is None and int(seq) <= known.log else None


def new_key() -> str:
    """What makes the sending of one form known again."""
    return uuid4().hex


def is_id(text: str) -> bool:
    """Whether these letters can be the id of a row, as we write it: "07" names none."""
    return text.isascii() and text.isdecimal() and len(text) < 10 and text == str(int(text))


def _read(args: Mapping[str, str]) -> View:
    groups = [group.code for group in access.current_city().city.groups]

    def known(name: str, choices: Collection[str]) -> str:
        value = args.get(name, "")
        return value if value in choices else ""

    def shaped(name: str, shape: re.Pattern[str]) -> str:
        value = args.get(name, "")
        return value if shape.fullmatch(value) else ""

    def day(name: str) -> str:
        value = args.get(name, "").strip()
        try:
            return value if FIRST_DAY <= date.fromisoformat(value).isoformat() == value <= LAST_DAY else ""
        except ValueError:
            return ""

    crew, area, age = (args.get(name, "") for name in ("crew", "area", "age"))
    return View(
        state=known("state", STATES),
        standing=known("standing", STANDINGS),
        group=known("group", groups),
        service=shaped("service", _CODE),
        crew=crew if crew == "none" or is_id(crew) else "",
        area=area if is_id(area) else "",
        place=known("place", ("none",)),
        work=known("work", ("office",)),
        review=known("review", ("yes", "hold", "reply")),
        age=str(int(age)) if is_id(age) and 0 < int(age) <= MOST_DAYS else "",
        since=day("since"),
        until=day("until"),
        department=shaped("department", _CODE),
        channel=known("channel", CHANNELS),
        tag=args.get("tag", "").strip()[:MOST_LETTERS],
        words=args.get("words", "").strip()[:LONGEST],
        sort=known("sort", SORTS),
        after=shaped("after", _PLACE),
        zone=access.current_city().city.time_zone.key,
        sealed=g.get("sealed", ()),
    )

"""The report form as it came in: every field read once, kept as typed, nothing believed. No database."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from werkzeug.datastructures import MultiDict

from city.config.city_file import CityFile, Service
from city.geo import Point
from city.places.lookup import MOST_LETTERS
from city.places.resolve import Fix, Whereabouts
from city.questions import MOST_OF_AN_ANSWER

MAX_NUMBER = 40
MOST_OF_A_LINE = 200  # letters
MOST_METRES = 100_000  # no phone that says more of itself has measured anything
PINNED = {"1": "pin", "photo": "photo"}  # the field `pinned` and what it says of a point's source


@dataclass(frozen=True)
class ReportForm:
    """What somebody filled in. `seen` holds the cases already shown as possible duplicates, None: not yet.

    `staged` names the photos that the form shows and the server had. `asset` is the number of the pole,
    tree or basket that was chosen, "" where it is none of those offered, None where nobody has answered yet.
    `pick` is the key of the one that was picked of several places; which these are changes with the service.
    `sought` stands in the box that looks for a kind of problem.
    """

    key: str
    group: str = ""
    service: Service | None = None
    chosen: Mapping[str, str] = field(default_factory=dict)  # group → service code, as the chips stand
    answers: Mapping[str, str] = field(default_factory=dict)
    words: str = ""
    sought: str = ""
    fix: Fix | None = None
    sure: bool = False
    place: str = ""
    pick: str | None = None
    asset: str | None = None
    danger: bool = False
    warned: bool = False
    join: str | None = None
    seen: tuple[str, ...] | None = None
    staged: tuple[str, ...] = ()

    @property
    def whereabouts(self) -> Whereabouts:
        """What it says of the place."""
        kind = self.service.asset_kind if self.service else None
        return Whereabouts(self.place, self.fix, self.asset, kind, self.pick, self.sure)


def report(values: MultiDict[str, str], city: CityFile) -> ReportForm:
    """Reads the form, or the part of it that a fragment sends. A key that we did not make reads as ""."""
    danger = values.get("danger") == "1"
    named = next((each for each in city.for_residents if each.code == values.get("kind")), None)
    group = named.group if named else values.get("group", "")
    if danger and not group:
        group = city.catch_all.group  # whoever called 911 just now is not asked what to call it
    chosen = {g.code: values.get(f"service-{g.code}", "") for g in city.groups_for_residents}
    service = named or _service(city, group, chosen.get(group, ""))
    key = values.get("key", "")
    return ReportForm(
        key=key if is_key(key) else "",
        group=group,
        service=service,
        chosen=chosen,
        answers=_answers(values, service),
        words=text(values, "words"),
        sought=text(values, "kind_words")[:MOST_OF_A_LINE],
        fix=fix(values),
        sure=values.get("sure") == "1",
        place=" ".join(text(values, "place").split())[:MOST_LETTERS],
        pick=text(values, "pick") or None,
        asset=text(values, "asset")[:MAX_NUMBER] if "asset" in values else None,
        danger=danger,
        warned=values.get("warned") == "1",
        join=text(values, "join") or None,
        seen=tuple(values["seen"].split()) if "seen" in values else None,
        staged=tuple(name for name in values.getlist("staged") if re.fullmatch("[0-9a-f-]{36}", name)),
    )


@dataclass(frozen=True)
class CallForm:
    """What a call-taker filled in. `report` is what it becomes if it ends as a case; its words are the note.

    `sought` stands in the box. `began` is when we drew the form, and `seconds` how long the call took by the
    page's own count, None where nobody counted. `answer` is the slug of what was read out. `reply` is what
    the desk writes back to whoever wrote to it.
    """

    report: ReportForm
    sought: str = ""
    phone: str = ""
    channel: str = ""
    lang: str = ""
    ends: str = ""
    topic: str = ""
    to: str = ""
    instead: str = ""
    answer: str = ""
    reply_by: str = ""
    email: str = ""
    reply: str = ""
    began: datetime | None = None
    seconds: float | None = None


def call(values: MultiDict[str, str], city: CityFile) -> CallForm:
    """Reads the form of a call, or the part of it that a fragment sends."""
    key, code = values.get("key", ""), values.get("service", "")
    service = next((each for each in city.services if each.code == code), None)
    told = ReportForm(
        key=key if is_key(key) else "",
        group=service.group if service else "",
        service=service,
        answers=_answers(values, service),
        words=text(values, "note"),
        sure=True,  # the caller was asked
        place=" ".join(text(values, "place").split())[:MOST_LETTERS],
        pick=text(values, "pick") or None,
        join=text(values, "join") or None,
    )
    lines = ("phone", "channel", "lang", "ends", "topic", "to", "instead", "answer", "reply_by", "email")
    said = {name: text(values, name)[:MOST_OF_A_LINE] for name in lines}
    seconds = _number(values.get("seconds"))
    return CallForm(
        told, sought=text(values, "sought")[:MOST_OF_A_LINE], reply=text(values, "reply"),
        began=_moment(values.get("began", "")),
        seconds=None if seconds is None else max(0.0, seconds), **said,
    )  # fmt: skip


def text(values: MultiDict[str, str], name: str) -> str:
    """What was typed, with the line ends of every other program."""
    return values.get(name, "").replace("\r\n", "\n").strip()


def shared(values: MultiDict[str, str]) -> str:
    """The words of what another app shared, each once: many name the address in their text again."""
    parts = [text(values, name) for name in ("title", "text", "url")]
    told: list[str] = []
    for part in sorted(parts, key=len, reverse=True):
        if part and not any(part in other for other in told):
            told.append(part)
    return "\n".join(sorted(told, key=parts.index))


def is_key(key: str) -> bool:
    """Whether it has the form of a key that this server makes."""
    return bool(re.fullmatch(r"[0-9a-f]{32}", key))


def fix(values: MultiDict[str, str]) -> Fix | None:
    """The point that a phone sent along; None where there is none, or nonsense."""
    lat, lon = _number(values.get("lat")), _number(values.get("lon"))
    if lat is None or lon is None or abs(lat) > 90 or abs(lon) > 180:
        return None
    source = PINNED.get(values.get("pinned", ""), "gps")
    metres = _number(values.get("accuracy"))
    said = metres is not None and 0 <= metres <= MOST_METRES and source != "pin"
    return Fix(Point(lat, lon), metres if said else None, source)


def _service(city: CityFile, group: str, code: str) -> Service | None:
    """The chip of the tile; the tile alone stands for its default. A chip of another tile counts as none."""
    offered = city.of_group(group)
    if not offered:
        return None
    if not code:
        return city.default_of(group)
    return next((service for service in offered if service.code == code), None)


def _answers(values: MultiDict[str, str], service: Service | None) -> dict[str, str]:
    if service is None:
        return {}
    given = {}
    for question in service.questions:
        name = f"answer-{service.code}-{question.code}"
        fields = values.getlist(name) if question.is_several else [text(values, name)]
        given[question.code] = question.join(fields)[:MOST_OF_AN_ANSWER]
    return {code: answer for code, answer in given.items() if answer}


def _moment(written: str) -> datetime | None:
    """A moment as we wrote it into a form; None for anything else."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None

"""What the offices of Larkhaven answer later: some of it waits, more was answered."""

import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from city.audit.events import Actor
from city.demo.by_verbs import Act
from city.imports.history_writer import CaseHistory, Move, ReportRow
from city.reports import intake


class _Asked(NamedTuple):
    """One question: how many days ago it was asked for, and how it goes on.

    `plot` is how it stands now, a state or an outcome; `took` are the days until that. `told` is what was
    said in the end, in the language of who asked, beside the ready `reply` of that code.
    """

    service: str
    ago: float
    plot: str
    lang: str
    words: str
    answers: dict[str, str]
    took: float = 0.0
    told: str = ""
    reply: str = ""


ASKED = (
    _Asked("tax-question", 0.1, "new", "en", "Her bill went up by a third and the house is the same.",
           {"when": "After five"}),
    _Asked("tax-question", 0.9, "accepted", "es", "Pagó en julio y le cobran otra vez.",
           {"when": "Por la mañana"}, 0.2),
    _Asked("tax-question", 6.0, "accepted", "en", "Wants to pay in parts; lost her job in May.",
           {"when": "Any time"}, 0.4),
    _Asked("tax-question", 3.0, "waiting", "en", "The name on the bill is the owner of before.",
           {"when": "Noon to two"}, 0.5),
    _Asked("birth-record", 0.3, "new", "es", "Para el pasaporte de su hijo.",
           {"whose": "Daniel Ruiz, 3 de mayo de 2019"}),
    _Asked("birth-record", 8.6, "accepted", "en", "For his pension. Has a copy of the old one.",
           {"whose": "Walter Hobbs, 11 June 1958"}, 1.0),
    _Asked("permit-status", 1.2, "new", "en", "Applied in spring for a porch and heard nothing.",
           {"number": "B-2231"}),
    _Asked("tax-question", 9.0, "answered", "en", "Why two bills this year?", {"when": "Evenings"}, 0.8,
           "Called back: the second is the supplement after the new valuation."),
    _Asked("tax-question", 16.0, "answered", "es", "No le llegó el recibo.", {"when": "Cuando sea"}, 1.1,
           "El recibo va otra vez por correo.", "tax-told"),
    _Asked("tax-question", 31.0, "answered", "en", "Is there relief for veterans?", {"when": "Mornings"}, 0.6,
           "Called back: yes, and how to apply by March."),
    _Asked("tax-question", 44.0, "no action", "en", "Asks about a late fee.", {"when": "Any time"}, 2.4,
           "", "not-reached"),
    _Asked("birth-record", 21.0, "answered", "en", "For school.", {"whose": "Ines Carver, 2 August 2020"},
           4.2, "", "record-sent"),
    _Asked("birth-record", 52.0, "not ours", "en", "Was born in the next county.",
           {"whose": "Otis Lane, 30 January 1971"}, 1.5, "That county's clerk has it; told where to write."),
    _Asked("permit-status", 27.0, "answered", "en", "Fence on a corner lot.", {"number": "B-1987"}, 1.9,
           "It is approved, and the letter is on its way.", "permit-told"),
)  # fmt: skip


def stories(
    services: Collection[str],
    desk: Actor,
    now: datetime,
    secret: str,
    seed: int,
    replies: Mapping[str, dict[str, Any]],
) -> list[CaseHistory]:
    """The questions to those services that the city has, as `desk` took and worked them until `now`.

    `replies` are the city's ready ones by code, as closings keep them.
    """
    chance = Random(f"office {seed}")
    return [_story(asked, desk, now, secret, chance, replies) for asked in ASKED if asked.service in services]


def _story(
    asked: _Asked,
    desk: Actor,
    now: datetime,
    secret: str,
    chance: Random,
    replies: Mapping[str, dict[str, Any]],
) -> CaseHistory:
    opened = (now - timedelta(days=asked.ago)).replace(microsecond=0)
    key = uuid.UUID(int=chance.getrandbits(128)).hex
    told = ReportRow(
        opened, key, "phone", asked.lang, asked.words, answers=asked.answers, by=desk,
        token=intake.token_for(secret, key),
    )  # fmt: skip
    return CaseHistory(asked.service, [told], _moves(asked, desk, opened, replies), "demo")


def _moves(asked: _Asked, desk: Actor, opened: datetime, replies: Mapping[str, dict[str, Any]]) -> list[Move]:
    if asked.plot == "new":
        return []
    end = opened + timedelta(days=asked.took)
    if asked.plot == "accepted":
        return [Move("accept", end, desk)]
    accepted = Move("accept", opened + timedelta(days=asked.took / 2), desk)
    if asked.plot == "waiting":
        return [accepted, Act("wait", end, desk, reason="resident")]
    if reply := replies.get(asked.reply):
        return [accepted, Act("close", end, desk, outcome=asked.plot, words=asked.told, reply=reply)]
    return [accepted, Move("close", end, desk, outcome=asked.plot, words=asked.told)]

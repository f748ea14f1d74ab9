"""The city that the product comes from, in figures: two years of its line, as domain.md tells of them.

A hundred thousand contacts and 200,000 dollars in the second year, 6,000 contacts and 5,000 questions about
taxes more than in the first; 10 to 11 of a hundred become a case.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from city.audit.events import Actor
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFile
from city.db import engine as db
from city.lifecycle import CALL_TAKER
from city.people import accounts, contacts
from city.people.contacts import Conversation
from city.settings import DEFAULT_CITY

FIRST, SECOND = 2024, 2025
# topic → contacts of the first and of the second year, at full size
TOPICS = {
    "taxes": (27_000, 32_000), "vital-records": (18_000, 18_400), "trash": (15_000, 15_200),
    "parking": (12_000, 12_100), "streets": (11_000, 11_200), "voting": (11_000, 11_100),
}  # fmt: skip
ENDINGS = ("answered", "answered", "answered", "transferred", "dropped")
CASES = (9_800, 10_500)
TAKER = Actor("person:1", frozenset({CALL_TAKER}))
COSTS = """
[costs]
currency = "USD"
minutes = 6
hourly = 30

[costs.years.{year}]
parts = [
  {{ names = {{ en = "Call-takers", es = "Operadores" }}, people = 3, hours = 1950, cost = {taker} }},
  {{ names = {{ en = "Supervisor", es = "Supervisor" }}, people = 1, hours = 1950, cost = {supervisor} }},
  {{ names = {{ en = "Part-timers", es = "Media jornada" }}, people = 2, hours = 975, cost = {part} }},
  {{ names = {{ en = "Software", es = "Programa" }}, cost = {software} }},
]
"""


def words(scale: int = 1) -> str:
    """Its city file: Larkhaven's, with its own costs divided by `scale`."""
    head, _, rest = DEFAULT_CITY.read_text("utf-8").partition("# What the line costs,")
    tail = "# Who gets a case" + rest.partition("# Who gets a case")[2]
    costs = COSTS.format(
        year=SECOND, taker=38_000 // scale, supervisor=46_000 // scale, part=12_000 // scale,
        software=16_000 // scale,
    )  # fmt: skip
    return head + costs + tail


def city(scale: int = 1) -> CityFile:
    return city_file.parse(words(scale), "source.toml")


def fill(engine: Engine, case: str, scale: int = 1) -> None:
    """Applies its city file and logs both years, one of `scale` of it; whatever became one became `case`."""
    now = datetime(SECOND + 1, 1, 2, tzinfo=UTC)
    with db.transaction(engine) as s:
        config_versions.publish(s, words(scale), "source.toml", by=accounts.THE_SYSTEM, at=now)
    for n, year in enumerate((FIRST, SECOND)):
        told = list(_year(year, n, case, scale))
        with db.transaction(engine) as s:
            contacts.bulk_log(s, [(each, TAKER) for each in told], origin="demo")


def _year(year: int, n: int, case: str, scale: int) -> Iterator[Conversation]:
    total = sum(counts[n] for counts in TOPICS.values()) // scale
    cases, begin = CASES[n] // scale, datetime(year, 1, 1, 6, tzinfo=UTC)
    at = 0
    for topic, counts in TOPICS.items():
        for _ in range(counts[n] // scale):
            # Spread evenly over the year; so are those that become a case.
            follows = at * cases // total != (at + 1) * cases // total
            outcome = "case" if follows else ENDINGS[at % 5]
            yield Conversation(
                f"{year}-{at}", "phone" if at % 9 else "counter", begin + timedelta(hours=8748 * at / total),
                60 + at % 240, topic, outcome, ("en", "en", "es")[at % 3],
                case=case if follows else None,
                to=("finance", "911", "police")[at % 3] if outcome == "transferred" else None,
                instead=("911", "police", None, None)[at % 4] if outcome == "answered" else None,
            )  # fmt: skip
            at += 1

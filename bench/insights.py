"""The pages of figures over HTTP, in a city of a million cases and three million contacts.

    bin/bench insights [--cases=N] [--contacts=N] [--db=sqlite]

One visitor over loopback, warm, after the worker has done what it does at its start. Every look asks for
another period: the last years, twelve months, a fiscal year, a month. `met` says whether a page meets its
target.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import islice
from random import Random
from urllib.parse import urlsplit

from sqlalchemy import func, select

from bench._databases import KINDS, Database
from bench._grown import YEARS, grown
from bench._site import Site, running, say
from bench._targets import Target, judge, printed
from city.audit.events import Actor
from city.db import engine as db
from city.db.models import Case, Contact
from city.demo.reference_rates import LANGUAGES, TOPICS
from city.lifecycle import CALL_TAKER, ELSEWHERE
from city.people import contacts
from city.people.contacts import CASE, TRANSFERRED, Conversation

CASES, CONTACTS = 1_000_000, 3_000_000
AT_ONCE = 50_000
LOOKS, WARM = 120, 10
PAGES = ("value", "performance")
TARGET: Target = ("p95_ms", "<=", 300)
ENDINGS = {"answered": 75, "case": 10, "transferred": 10, "dropped": 5}
CHANNELS = {"phone": 80, "voicemail": 14, "counter": 6}


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench insights")
    asked.add_argument("--cases", type=int, default=CASES)
    asked.add_argument("--contacts", type=int, default=CONTACTS)
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--quick", action="store_true", help="use a hundredth of both")
    options = asked.parse_args()
    cases, calls = (n // (100 if options.quick else 1) for n in (options.cases, options.contacts))
    for kind in (options.db,) if options.db else KINDS:
        with grown(kind, cases) as (var, base):
            _ask(base, calls)
            with running(var, **base.settings) as site:
                site.settle()
                for page in PAGES:
                    line = {"bench": "insights", "db": kind, "cases": cases, "contacts": calls, "page": page}
                    took = _looks(site, page)
                    line |= {
                        "p50_ms": statistics.median(took),
                        "p95_ms": statistics.quantiles(took, n=20)[-1],
                    }
                    judge(line, [TARGET])
                    print(printed(line), flush=True)
    return 0


def _ask(base: Database, count: int) -> None:
    """Lets so many ask the line in YEARS, unless they have: a city that was grown before is used again."""
    engine, began = db.connect(base.url), time.monotonic()
    with db.read_session(engine) as s:
        there = s.scalar(select(func.count()).select_from(Contact)) or 0
        number = s.scalars(select(Case.number).limit(1)).one()
    told = _conversations(there, count, number, datetime.now(UTC))
    taker = Actor("person:1", frozenset({CALL_TAKER}))
    while part := list(islice(told, AT_ONCE)):
        with db.gc_paused(), db.transaction(engine) as s:
            contacts.bulk_log(s, [(each, taker) for each in part], origin="demo")
    engine.dispose()
    say(f"{count} contacts, {count - there} of them new, in {time.monotonic() - began:.0f} s")


def _conversations(there: int, count: int, case: str, now: datetime) -> Iterator[Conversation]:
    """Those after the first `there` of `count`, in the order of time."""
    chance = Random(there)
    since = now - timedelta(days=365 * YEARS)
    for n in range(there, count):
        outcome = _pick(chance, ENDINGS)
        yield Conversation(
            f"bench-{there}-{n}", _pick(chance, CHANNELS),
            since + (now - since) * (n / count) - timedelta(hours=1),
            chance.randint(20, 600), _pick(chance, TOPICS), outcome, _pick(chance, LANGUAGES),
            case=case if outcome == CASE else None,
            to=chance.choice(ELSEWHERE) if outcome == TRANSFERRED else None,
        )  # fmt: skip


def _pick(chance: Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _looks(site: Site, page: str) -> list[float]:
    """Milliseconds of each look but the first, which warm up."""
    parts = urlsplit(site.url)
    line = HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    year = datetime.now(UTC).year
    periods = ["12m", *(str(year - n) for n in range(1, YEARS)), f"fy{year}", f"{year - 1}-03"]
    took = []
    for n in range(WARM + LOOKS):
        began = time.perf_counter()
        line.request("GET", f"/{page}?period={periods[n % len(periods)]}")
        answer = line.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        if answer.status != 200:
            raise RuntimeError(f"/{page}: {answer.status} {body[:300]!r}")
    line.close()
    return took[WARM:]


if __name__ == "__main__":
    sys.exit(main())

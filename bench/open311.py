"""The API for other programs over HTTP, in a city of a million cases.

    bin/bench open311 [--cases=N] [--db=sqlite]

One program over loopback, warm, after the worker has done what it does at its start. `what` is `list_json` or
`list_xml` (the newest 1,000, all words and photos public, which is the most there is to tell), `one` (a case
by its number) or `post` (a request without photos, each at another place). `met` says which targets are met.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection
from random import Random
from urllib.parse import urlencode, urlsplit

from sqlalchemy import select

from bench._databases import KINDS, Database
from bench._grown import grown
from bench._site import Site, running
from bench._targets import judge, printed
from city.db import engine as db
from city.db.models import Case
from city.geo import Point
from city.people import accounts
from city.places import lookup

CASES = 1_000_000
TARGETS = {"list_json": 250, "list_xml": 250, "one": 10, "post": 60}  # milliseconds, the 95th percentile
LOOKS = {"list_json": 60, "list_xml": 60, "one": 300, "post": 200}
WARM = 10
OLD = 150  # cases of the demo that the city was grown from
KEY = "the key of the bench, long enough to be one"

Ask = Callable[[int], tuple[str, str, str | None]]  # method, address and body of the nth request


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench open311")
    asked.add_argument("--cases", type=int, default=CASES)
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--quick", action="store_true", help="use a hundredth of the cases")
    options = asked.parse_args()
    cases = options.cases // (100 if options.quick else 1)
    for kind in (options.db,) if options.db else KINDS:
        with grown(kind, cases) as (var, base):
            ask = _questions(base)
            with running(var, **base.settings, CITYLINE_PUBLISH="at_once") as site:
                site.settle()
                for what, target in TARGETS.items():
                    took, size = _looks(site, ask[what], LOOKS[what])
                    line = {
                        "bench": "open311", "db": kind, "cases": cases, "what": what, "bytes": size,
                        "p50_ms": statistics.median(took), "p95_ms": statistics.quantiles(took, n=20)[-1],
                    }  # fmt: skip
                    judge(line, [("p95_ms", "<=", target)])
                    print(printed(line), flush=True)
    return 0


def _questions(base: Database) -> dict[str, Ask]:
    """What is asked: of cases all over the city, and at places where there are some."""
    engine = db.connect(base.url)
    with db.transaction(engine) as s:
        if accounts.by_key(s, KEY) is None:
            accounts.make_key(
                s, "Bench", key=KEY, by=accounts.THE_SYSTEM, at=datetime.now(UTC), hourly=accounts.MOST_HOURLY
            )
        newest = s.scalar(select(Case.id).order_by(Case.id.desc()).limit(1)) or 0
        some = sorted(Random("open311").sample(range(1, newest + 1), min(newest, 500)))
        numbers = s.scalars(select(Case.number).where(Case.id.in_(some))).all()
        # The demo's own lie inside its boundary; those that the city was grown by lie around it.
        first = select(Case.lat, Case.lon, Case.service_code).where(Case.lat.is_not(None))
        inside = [
            row
            for row in s.execute(first.order_by(Case.id).limit(OLD)).all()
            if not lookup.outside(s, Point(row.lat, row.lon))
        ]
    engine.dispose()
    run = int(time.time())

    def post(n: int) -> tuple[str, str, str | None]:
        row, far = inside[n % len(inside)], 0.0004 * (n // len(inside))
        told = {
            "api_key": KEY, "service_code": row.service_code, "lat": row.lat + far, "long": row.lon,
            "description": f"It is request {n} of {run}.",
        }  # fmt: skip
        return "POST", "/open311/v2/requests.json", urlencode(told)

    return {
        "list_json": lambda _: ("GET", "/open311/v2/requests.json", None),
        "list_xml": lambda _: ("GET", "/open311/v2/requests.xml", None),
        "one": lambda n: ("GET", f"/open311/v2/requests/{numbers[n * 7 % len(numbers)]}.json", None),
        "post": post,
    }


def _looks(site: Site, ask: Ask, count: int) -> tuple[list[float], int]:
    """Milliseconds of each but the first, which warm up; and the bytes of the largest answer."""
    parts = urlsplit(site.url)
    line = HTTPConnection(str(parts.hostname), parts.port, timeout=120)
    took, size, refused = [], 0, 0
    for n in range(WARM + count):
        method, path, body = ask(n)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        began = time.perf_counter()
        line.request(method, path, body, headers)
        answer = line.getresponse()
        data = answer.read()
        took.append((time.perf_counter() - began) * 1000)
        size = max(size, len(data))
        refused += answer.status != 200
    line.close()
    if refused > count // 4:  # cases of private kinds are not there; a place may lie on the boundary
        raise RuntimeError(f"{ask(0)[1]}: {refused} refused, {data[:300]!r}")
    return took[WARM:], size


if __name__ == "__main__":
    sys.exit(main())

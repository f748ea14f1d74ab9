"""The dispatcher's board over HTTP in a city of a million cases, one in ten open, and in a small one.

    bin/bench board [--cases=N] [--db=sqlite] [--only=map]

Without --cases both cities are measured. One dispatcher, logged in, over loopback, warm, after the worker has
done what it finds at its start. `what` is `map` (a tile, by zoom and filter; `fast` are all reads that the
kept counts answer), `queue` (the first page), `deep` (the pages after 25,000 rows), `search`, `idle`
(nothing new) or `bulk` (1,000 cases to a crew). `met` says which targets a line meets; `times_small` is its
p95 over that of the small city in the same run, where both were measured.
"""

import argparse
import json
import re
import statistics
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import asinh, pi, radians, tan
from random import Random
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import func, select

from bench._browser import Browser, logged_in
from bench._databases import KINDS
from bench._grown import COMMON, RARE, grown
from bench._site import Site, running, say
from bench._targets import Target, judge, printed
from city.db import engine as db
from city.db.models import Assignment, Case
from city.lifecycle import OPEN

MANY, FEW = 1_000_000, 10_000
LOOKS, WARM = 120, 15
DEEP_ROWS = 25_000
BULK, BULKS = 1000, 3
ZOOMS = (10, 13, 16)
FAST = ("none", "service", "state", "risk", "area", "crew")
OTHER = ("words", "age", "closed")

Asked = Callable[[int], str]  # the address of the nth look


@dataclass(frozen=True)
class City:
    """What the looks of one database are about."""

    browser: Browser
    crews: list[int]
    # Of open cases: lat, lon, number, address, service_code, state, standing, area_id, crew_id.
    open: list[Any]

    def of(self, n: int) -> Any:
        """The open case that the nth look is about: a place with twice as many comes twice as often."""
        return self.open[n * 37 % len(self.open)]


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench board")
    asked.add_argument("--cases", type=int, help="run only the city with this many cases")
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--only", choices=MEASURES, help="run only this")
    asked.add_argument("--quick", action="store_true", help="run only the small city")
    options = asked.parse_args()
    sizes = [options.cases] if options.cases else [FEW] if options.quick else [FEW, MANY]
    for kind in (options.db,) if options.db else KINDS:
        small: dict[tuple[str, ...], float] = {}
        for cases in sizes:
            with grown(kind, cases) as (var, base), running(var, **base.settings) as site:
                site.settle()
                city = _city(site)
                for what, measure in MEASURES.items():
                    if options.only not in (None, what):
                        continue
                    for line in measure(city):
                        line = {"bench": "board", "db": kind, "cases": cases, "what": what} | line
                        name = (
                            what,
                            str(line.get("zoom", "")),
                            str(line.get("filter", "")),
                            str(line.get("words", "")),
                        )
                        if cases == FEW:
                            small[name] = line["p95_ms"]
                        elif name in small:
                            line["times_small"] = line["p95_ms"] / small[name]
                        judge(line, _targets(line))
                        print(printed(line), flush=True)
    return 0


def _targets(line: dict[str, Any]) -> list[Target]:
    """What the line is held to."""
    what, name = line["what"], line.get("filter")
    if what == "map" and name in (*FAST, "fast"):
        # A tile of the small city has a hundredth of the cases in it, often one: all reads together say how
        # the city's size tells.
        ratio: list[Target] = [("times_small", "<=", 2)] if name == "fast" and "times_small" in line else []
        return [("p95_ms", "<=", 40), ("bytes", "<=", 40_000), *ratio]
    if what == "map":
        return [("p95_ms", "<=", 300)] if line["db"] == "postgresql" else []
    return {
        "queue": [("p95_ms", "<=", 30)],
        "deep": [("p95_ms", "<=", 30)],
        "search": [("p95_ms", "<=", 60)],
        "idle": [("bytes", "<=", 300)],
        "bulk": [("p95_ms", "<=", 3000)],
    }[what]  # type: ignore[return-value]


def _map(city: City) -> Iterator[dict[str, Any]]:
    """Tiles over an open case; a filter asks for what that case is, so that it finds something there."""
    fast = _Looks()
    for name in (*FAST, *OTHER):
        for zoom in ZOOMS:
            looks = _look(
                city, lambda n, name=name, zoom=zoom: _tile(city, zoom, n) + _query(_filter(city, name, n))
            )
            yield {"zoom": zoom, "filter": name} | looks.line()
            if name in FAST:
                fast.took, fast.sizes = fast.took + looks.took, fast.sizes + looks.sizes
    yield {"filter": "fast"} | fast.line()


def _queue(city: City) -> Iterator[dict[str, Any]]:
    """The first page of a view."""
    for name in FAST:
        yield {"filter": name} | _looked(
            city, lambda n, name=name: "/dispatch" + _query(_filter(city, name, n))
        )


def _deep(city: City) -> Iterator[dict[str, Any]]:
    """The pages from row 25,000 on, reached page by page as a reader would."""
    address, rows = "/dispatch", 0
    while rows < DEEP_ROWS and address:
        page = city.browser.get(address)[0].decode()
        rows += page.count('<tr id="case-')
        address = _next(page)
    pages: list[str] = []
    while address and len(pages) < 12:
        pages.append(address)
        address = _next(city.browser.get(address)[0].decode())
    if pages:
        yield {"after": rows} | _looked(city, lambda n: pages[n % len(pages)])


def _search(city: City) -> Iterator[dict[str, Any]]:
    """What somebody types into the box, in a page that shows what was found."""
    kinds: dict[str, Callable[[int], str]] = {
        "common": lambda _n: COMMON,
        "rare": lambda _n: RARE,
        "address": lambda n: city.of(n).address,
        # All but the last digit: a whole number opens its case.
        "number": lambda n: city.of(n).number[:-1],
    }
    for name, words in kinds.items():
        yield {"words": name} | _looked(
            city, lambda n, words=words: "/dispatch" + _query({"words": words(n)})
        )


def _idle(city: City) -> Iterator[dict[str, Any]]:
    """A board that asks when there is nothing to say."""
    rev = json.loads(city.browser.get("/dispatch/changes?since=now")[0])["rev"]
    yield _looked(city, lambda _n: f"/dispatch/changes?since={rev}")


def _bulk(city: City) -> Iterator[dict[str, Any]]:
    """A thousand cases given to one crew, then to the next."""
    took, size = [], 0
    page = city.browser.get("/dispatch")[0].decode()
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    if found is None:
        raise RuntimeError("the board has no form")
    numbers = [case.number for case in Random(5).sample(city.open, min(BULK, len(city.open)))]
    for n in range(BULKS):
        form = [
            ("csrf_token", found[1]),
            ("act", "assign"),
            ("crew", str(city.crews[n])),
            ("key", str(uuid.uuid4())),
        ]
        form += [("case", number) for number in numbers]
        _body, size, ms = city.browser.post("/dispatch/batch", form)
        took.append(ms)
    yield {"n": len(numbers), "p50_ms": statistics.median(took), "p95_ms": max(took), "bytes": size}


MEASURES = {"map": _map, "queue": _queue, "deep": _deep, "search": _search, "idle": _idle, "bulk": _bulk}


@dataclass
class _Looks:
    """How long each took in milliseconds, and the bytes of its body as it was sent."""

    took: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def line(self) -> dict[str, Any]:
        """The median, the 95th percentile, and the largest body."""
        p95 = statistics.quantiles(self.took, n=20)[-1]
        return {"p50_ms": statistics.median(self.took), "p95_ms": p95, "bytes": max(self.sizes)}


def _look(city: City, address: Asked) -> _Looks:
    looks = _Looks()
    for n in range(LOOKS + WARM):
        _body, size, ms = city.browser.get(address(n))
        if n >= WARM:
            looks.took.append(ms)
            looks.sizes.append(size)
    return looks


def _looked(city: City, address: Asked) -> dict[str, Any]:
    return _look(city, address).line()


def _filter(city: City, name: str, n: int) -> dict[str, str]:
    case = city.of(n)
    return {
        "none": {},
        "service": {"service": case.service_code},
        "state": {"state": case.state},
        "risk": {"standing": case.standing},
        "area": {"area": str(case.area_id)},
        "crew": {"crew": str(case.crew_id or city.crews[0])},
        "words": {"words": COMMON},
        "age": {"age": "30"},
        "closed": {"state": "closed"},
    }[name]


def _tile(city: City, zoom: int, n: int) -> str:
    """The tile over an open case."""
    lat, lon = city.of(n).lat, city.of(n).lon
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - asinh(tan(radians(lat))) / pi) / 2 * 2**zoom)
    return f"/tiles/cases/{zoom}/{x}/{y}"


def _query(told: dict[str, str]) -> str:
    return "?" + urlencode(told) if told else ""


def _next(page: str) -> str:
    """The address of the page's next page; empty where there is none."""
    found = re.search(r'rel="next"[^>]*href="([^"]+)"|href="([^"]+)"[^>]*rel="next"', page)
    return (found[1] or found[2]).replace("&amp;", "&") if found else ""


def _city(site: Site) -> City:
    engine = db.connect(site.settings.database_url)
    browser = logged_in(site, "dispatcher@demo.test", "/dispatch")
    with db.read_session(engine) as s:
        columns = (
            Case.lat, Case.lon, Case.number, Case.address, Case.service_code, Case.state, Case.standing,
            Case.area_id, Case.crew_id,
        )  # fmt: skip
        located = select(*columns).where(Case.state.in_(OPEN), Case.quad.is_not(None))
        rows = s.execute(located.limit(20_000)).all()
        held = select(Assignment.crew_id).where(Assignment.ended_at.is_(None)).group_by(Assignment.crew_id)
        crews = list(s.scalars(held.order_by(func.count().desc())))
    engine.dispose()
    say(f"board: {site.url}, {len(rows)} places of open cases")
    return City(browser, crews, list(rows))


if __name__ == "__main__":
    sys.exit(main())

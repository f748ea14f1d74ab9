"""Finding an answer while a caller speaks, among 5,000 of them: what one look into the box costs.

    bin/bench desk [--answers=N] [--db=sqlite]

`how` is `in process`: the session a page opens, and find(); or `http`: the list under the box as the desk's
page asks for it, a call-taker logged in, over loopback, warm. `cpu_ms` is what the web server computes for a
look, which other programs on the machine change little. What is typed are the questions of
tests/golden/questions.toml and words of the articles, whole, cut off in the middle and misspelt. Of the
articles 16 are the demo's; the others are made of a few thousand invented words, some of them in nearly every
article, as "city" is in a real one.
"""

import argparse
import statistics
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import accumulate
from random import Random
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import Engine, func, select

from bench._browser import logged_in
from bench._databases import KINDS, database
from bench._site import ROOT, Site, fill, running, say
from bench._targets import judge, printed
from city.answers import articles
from city.answers import search as article_search
from city.answers.articles import Draft, Text
from city.db import engine as db
from city.db.models import Article, Case, Contact, Topic
from city.people import accounts

MANY, FEW = 5_000, 500
LOOKS, WARM = 600, 30
CASES = 2_000
AT_ONCE = 250
WORDS = 6_000
QUESTIONS = ROOT / "tests" / "golden" / "questions.toml"
TARGET_MS = 30


def main() -> int:
    """0 when everything that was asked for was measured."""
    asked = argparse.ArgumentParser(prog="bin/bench desk")
    asked.add_argument("--answers", type=int, help="how many answers to make")
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--quick", action="store_true", help="make only a few answers")
    options = asked.parse_args()
    count = options.answers or (FEW if options.quick else MANY)
    for kind in (options.db,) if options.db else KINDS:
        var = ROOT / "var" / "bench" / f"desk-{kind}"
        with database(kind, var) as base:
            fill(var, CASES, **base.settings)
            engine = db.connect(base.url)
            vocabulary = _write(engine, count)
            asked_of = {"bench": "desk", "db": kind, **_counts(engine), "page": "search"}
            typed = list(_typed(Random("desk"), vocabulary))
            _tell(asked_of | {"how": "in process"} | _look(typed, partial(_finds, engine)))
            engine.dispose()
            with running(var, **base.settings) as site:
                site.settle()
                before = site.cpu_seconds()
                looks = _look(typed, _asks(site))
                cpu = {"cpu_ms": (site.cpu_seconds() - before) * 1000 / len(typed)}
                _tell(asked_of | {"how": "http"} | looks | cpu)
    return 0


def _tell(line: dict[str, Any]) -> None:
    judge(line, [("p95_ms", "<=", TARGET_MS)])
    print(printed(line), flush=True)


def _write(engine: Engine, count: int) -> list[str]:
    """Publishes answers until there are `count`; returns the invented words, the common ones first."""
    chance, began = Random("articles"), time.monotonic()
    words = sorted({_word(chance) for _ in range(WORDS)}, key=lambda _: chance.random())
    weights = list(
        accumulate(1 / (n + 5) for n in range(len(words)))
    )  # as often as words are in any language
    with db.read_session(engine) as s:
        missing = count - (s.scalar(select(func.count()).select_from(Article)) or 0)
        topics = s.execute(select(Topic.code, Topic.department_code).order_by(Topic.code)).all()
    for start in range(0, missing, AT_ONCE):
        with db.transaction(engine) as s:
            for n in range(start, min(start + AT_ONCE, missing)):
                topic, department = topics[n % len(topics)]
                texts = {lang: _text(chance, words, weights) for lang in ("en", "es")}
                draft = Draft(department, topic, date(2027, 1, 1) + timedelta(days=n % 365), texts)
                articles.publish(s, f"article-{n}", draft, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    say(f"{count} answers in {time.monotonic() - began:.0f} s")
    return words


def _look(typed: list[str], find: Callable[[str], tuple[bool, float]]) -> dict[str, float]:
    """`find` says whether something was found, and in how many milliseconds."""
    looks = [find(words) for words in typed][WARM:]
    took = [ms for _any, ms in looks]
    cuts = statistics.quantiles(took, n=100)
    found = sum(any_ for any_, _ms in looks) / len(looks)
    return {"p50_ms": cuts[49], "p95_ms": cuts[94], "looks": len(looks), "found": found}


def _finds(engine: Engine, words: str) -> tuple[bool, float]:
    began = time.perf_counter()
    with db.read_session(engine) as s:
        hits = article_search.find(s, words, lang="en")
    return bool(hits), (time.perf_counter() - began) * 1000


def _asks(site: Site) -> Callable[[str], tuple[bool, float]]:
    """As static/js/desk/main.js asks while somebody types."""
    desk = logged_in(site, "desk@demo.test", "/desk")

    def ask(words: str) -> tuple[bool, float]:
        body, _size, ms = desk.get(f"/desk/found?{urlencode({'q': words, 'lang': 'en'})}")
        return b"data-answer=" in body, ms

    return ask


def _typed(chance: Random, vocabulary: list[str]) -> Iterator[str]:
    questions = [each["asked"] for each in tomllib.loads(QUESTIONS.read_text("utf-8"))["questions"]]
    for n in range(LOOKS + WARM):
        if n % 2:
            words = chance.choice(questions)
        else:
            words = " ".join(vocabulary[int(len(vocabulary) * chance.random() ** 3)] for _ in range(3))
        if n % 3 == 1:  # still being typed
            words = words[: chance.randrange(2, len(words))]
        elif n % 3 == 2:  # two letters changed places
            at = chance.randrange(len(words) - 1)
            words = words[:at] + words[at + 1] + words[at] + words[at + 2 :]
        yield words


def _text(chance: Random, words: list[str], weights: list[float]) -> Text:
    def told(count: int) -> str:
        return " ".join(chance.choices(words, cum_weights=weights, k=count))

    return Text(told(5), told(120), told(40))


def _word(chance: Random) -> str:
    return "".join(
        chance.choice("bcdfghklmnprstvz") + chance.choice(("a", "e", "i", "o", "u", "an", "er", "os"))
        for _ in range(chance.randrange(2, 5))
    )


def _counts(engine: Engine) -> dict[str, int]:
    with db.read_session(engine) as s:
        return {
            name: s.scalar(select(func.count()).select_from(kind)) or 0
            for name, kind in (("cases", Case), ("contacts", Contact), ("answers", Article))
        }


if __name__ == "__main__":
    sys.exit(main())

"""The first line under the desk's box is right, or none is first: what callers say, counted."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from factories import Town

from city.answers import articles, lines
from city.answers.articles import Draft, Text
from city.answers.lines import Lines
from city.config import city_file
from city.config import versions as config_versions
from city.config.city_file import CityFile
from city.matching.names import Name, Names
from city.reports import service_matcher
import os

ROOT = Path(__file__).parents[3]
QUERIES = tomllib.loads((ROOT / "tests" / "golden" / os.environ.get("DQ","desk_queries.toml")).read_text("utf-8"))
ARTICLES = tomllib.loads((ROOT / "city" / "demo" / "answers.toml").read_text("utf-8"))


@pytest.fixture
def desk(town: Town) -> Town:
    with town.at_work() as scene:
        config_versions.activate(scene.s, city_file.load(town.settings.city))
        for slug, row in ARTICLES.items():
            texts = {lang: Text(**row[lang]) for lang in ("en", "es")}
            draft = Draft(row["department"], row["topic"], date(2027, 1, 1), texts)
            articles.publish(scene.s, slug, draft, by=scene.actor("manager"), at=town.now)
    return town


def named(city):
    tiles = {g.code: g for g in city.groups}
    out = []
    for sv in city.services:
        n = service_matcher.named(sv, tiles[sv.group])
        out.append(n._replace(key="service "+n.key))
    def join(ds, langs=("en","es")): return {l: " ".join(d.get(l,"") for d in ds) for l in langs}
    for d in city.departments:
        ts=[t for t in city.topics if t.department_code==d.code]
        out.append(lines.office(d.code, d.names, join([t.words for t in ts]), join([t.names for t in ts])))
    for o in city.elsewhere:
        out.append(lines.office(o.code, o.names, o.words, {}))
    return Names(out)

def test_score(desk):
    city = city_file.load(desk.settings.city)
    ns = named(city)
    hit=0
    import time
    with desk.looking() as sc:
        t=time.perf_counter()
        for q, want in QUERIES["first"].items():
            f = lines.find(sc.s, ns, q, lang="en", limit=8)
            first = f"{f.lines[0].what} {f.lines[0].code}" if f.is_sure else "nothing"
            ok = first in want; hit += ok
            ll=" | ".join(f"{l.code}:{l.score:.2f}" for l in f.lines[:4])
            print("ok  " if ok else "MISS", q, "->", first, "" if ok else want, "//", ll)
        print("SCORE", hit, len(QUERIES["first"]), (time.perf_counter()-t)*1000/len(QUERIES["first"]), "ms each")

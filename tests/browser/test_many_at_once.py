"""Fifty residents send over HTTP while five dispatchers work the board: the same promises, by the doors."""

import random
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor, wait
from http.cookiejar import CookieJar

import pytest
from live import Site
from sqlalchemy import func, select

from city.audit import events
from city.db import engine as db
from city.db.models import Crew, Event, Report

REPORTERS, REPORTS_EACH, DISPATCHERS = 50, 2, 5


class Visitor:
    """A browser without scripts: cookies, pages, forms."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))

    def get(self, path: str) -> str:
        with self._opener.open(self._site.path(path), timeout=60) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> tuple[int, str]:
        """The status and the page that the answer led to. 409 and 422 are answers, worse is an error."""
        data = urllib.parse.urlencode(fields).encode()
        try:
            with self._opener.open(self._site.path(path), data, timeout=300) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            if refused.code not in (409, 422):
                raise AssertionError(f"{path}: {refused.code}") from refused
            return refused.code, refused.read().decode()


def value_of(page: str, name: str) -> str:
    return re.findall(rf'name="{name}" value="([^"]*)"', page)[0]


def logged_in(site: Site) -> Visitor:
    desk, email = Visitor(site), "dispatcher@demo.test"
    form = desk.get("/login")
    _, asked = desk.post("/login", csrf_token=value_of(form, "csrf_token"), email=email)
    code = re.findall(r'id="demo-code"[^>]*>\D*(\d{6})', asked)[0]
    desk.post("/login/code", csrf_token=value_of(asked, "csrf_token"), email=email, code=code)
    return desk


@pytest.mark.full
def test_fifty_residents_and_five_dispatchers_over_http(site: Site) -> None:
    over = threading.Event()
    with db.read_session(site.engine) as s:
        before = s.scalar(select(func.count()).select_from(Report)) or 0
        crews = [str(crew_id) for crew_id in s.scalars(select(Crew.id))]

    def report(who: int) -> None:
        visitor = Visitor(site)
        for n in range(REPORTS_EACH):
            form = visitor.get("/report")
            fields = {
                "csrf_token": value_of(form, "csrf_token"), "key": value_of(form, "key"), "do": "send",
                "group": "streetlight", "words": f"{who}/{n}", "seen": "", "accuracy": "8",
                "lat": str(39.59 + who / 5000), "lon": str(-71.2 - n / 5000),
            }  # fmt: skip
            with ThreadPoolExecutor(2) as fingers:  # a double tap
                taps = [fingers.submit(visitor.post, "/report", **fields) for _ in range(2)]
            assert [tap.result()[0] for tap in taps] == [200, 200]

    def dispatch(desk: Visitor, lots: random.Random) -> int:
        done = 0
        while not over.is_set():
            board = desk.get("/dispatch?state=new")
            numbers = sorted(set(re.findall(r'data-number="([^"]+)"', board)))
            status, _ = desk.post(
                f"/dispatch/cases/{lots.choice(numbers)}/assignment",
                csrf_token=value_of(board, "csrf_token"), crew=lots.choice(crews),
            )  # fmt: skip
            done += status == 200
        return done

    desks = [logged_in(site) for _ in range(DISPATCHERS)]
    with ThreadPoolExecutor(REPORTERS + DISPATCHERS) as pool:
        dispatchers = [pool.submit(dispatch, desk, random.Random(n)) for n, desk in enumerate(desks)]
        reporters = [pool.submit(report, who) for who in range(REPORTERS)]
        try:
            for reporter in reporters:
                reporter.result()
        finally:
            over.set()
            wait(dispatchers)
        assigned = [dispatcher.result() for dispatcher in dispatchers]

    assert all(assigned), "every dispatcher got work done meanwhile"
    with db.read_session(site.engine) as s:
        told = select(Report.words).where(Report.words.regexp_match("^[0-9]+/[0-9]+$"))
        words = list(s.scalars(told))
        assert len(words) == len(set(words)) == REPORTERS * REPORTS_EACH
        assert s.scalar(select(func.count()).select_from(Report)) == before + REPORTERS * REPORTS_EACH
        seqs = list(s.scalars(select(Event.seq).order_by(Event.seq)))
        assert len(seqs) == len(set(seqs))
        assert events.verify(s) == []

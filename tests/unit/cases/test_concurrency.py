"""Fifty reporters and five dispatchers at once: no error, nothing lost or doubled, seq in commit order."""

import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
from factories import SECRET, Town
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import transitions
from city.cases.transitions import Closing
from city.db import bulk_insert
from city.db import engine as db
from city.db.models import Case, Crew, Event, Message, Person, Report
from city.lifecycle import Refused
from city.notifications import fan_out
from city.people import accounts
from city.photos import storage
from city.places.lookup import Place
from city.reports import intake

pytestmark = pytest.mark.both_databases

REPORTERS, REPORTS_EACH, DISPATCHERS = 50, 4, 5


@pytest.mark.slow
def test_fifty_reporters_and_five_dispatchers(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(town.engine.pool, "_timeout", 600)  # some fifty share some twenty connections
    over, quiet = threading.Event(), threading.Event()

    def report(who: int) -> None:
        for n in range(REPORTS_EACH):
            place = Place(39.6 + who / 5000, -71.2 + n / 5000, "pin", f"{who} Tansy Street")
            key = uuid.uuid5(uuid.NAMESPACE_OID, f"{who}/{n}").hex
            telling = intake.NewReport(key, "light-out", "web", place=place, words=f"{who}/{n}")
            for _ in range(2):  # a double tap
                with db.transaction(town.engine) as s:
                    intake.submit(s, telling, at=town.now, token=intake.token_for(SECRET, key))

    def dispatch(who: int) -> None:
        lots = random.Random(who)
        while not over.is_set():
            with db.read_session(town.engine) as s:
                ids = list(s.scalars(select(Case.id)))
            if len(ids) < 2:
                continue
            one, other = lots.sample(ids, 2)
            act(one, other, lots)

    def act(one: int, other: int, lots: random.Random) -> None:
        try:
            with db.transaction(town.engine) as s:
                by = accounts.actor(s.get_one(Person, town.ids["dispatcher"]))
                case, into = s.get_one(Case, one), s.get_one(Case, other)
                crew = lots.choice([town.ids["lights"], town.ids["trees"]])
                lots.choice(
                    [
                        lambda: transitions.accept(s, case, by=by, at=town.now),
                        lambda: transitions.assign(
                            s, case, s.get_one(transitions.Crew, crew), by=by, at=town.now
                        ),
                        lambda: transitions.merge(s, case, into, by=by, at=town.now, keep_crew=crew),
                        lambda: transitions.unmerge(s, case, by=by, at=town.now),
                    ]
                )()
        except Refused:
            pass  # the case had moved on: that is an answer, not an error

    def watch() -> list[int]:
        """A follower of the log: what it has read once never gains a line before its end."""
        got: list[int] = []
        while True:
            last_look = quiet.is_set()
            with db.read_session(town.engine) as s:
                lines = events.since(s, got[-1] if got else 0)
            got += [line.seq for line in lines]
            if last_look and not lines:
                return got

    with ThreadPoolExecutor(REPORTERS + DISPATCHERS + 1) as pool:
        follower = pool.submit(watch)
        dispatchers = [pool.submit(dispatch, who) for who in range(DISPATCHERS)]
        reporters = [pool.submit(report, who) for who in range(REPORTERS)]
        try:
            for reporter in reporters:
                reporter.result()
        finally:
            over.set()
            wait(dispatchers)
            quiet.set()
        for dispatcher in dispatchers:
            dispatcher.result()
        seen = follower.result()

    with town.looking() as scene:
        s = scene.s
        assert s.scalar(select(func.count()).select_from(Report)) == REPORTERS * REPORTS_EACH
        assert s.scalar(select(func.count(func.distinct(Report.words)))) == REPORTERS * REPORTS_EACH
        assert s.scalar(select(func.count(func.distinct(Case.number)))) == REPORTERS * REPORTS_EACH
        seqs = list(s.scalars(select(Event.seq).order_by(Event.seq)))
        assert len(seqs) == len(set(seqs))
        assert seen == seqs, "a follower missed a line, so seq does not follow commit order"
        assert events.verify(s) == []


@pytest.mark.postgresql
@pytest.mark.parametrize("first", ["worker", "erasure"])
def test_a_report_may_be_erased_while_its_letters_are_queued(town: Town, first: str) -> None:
    """Either waits for the other: a letter that named an address which is gone would break one of them."""
    with town.at_work() as scene:
        report = scene.report()
        report_id = report.id
        intake.subscribe(scene.s, report, "ana@town.test", lang="en", at=town.now)

    def queue(s: Session) -> None:
        fan_out.process_events(s, town.now)
        s.flush()

    def erase(s: Session) -> None:
        by = accounts.actor(s.get_one(Person, town.ids["dispatcher"]))
        store, var = storage.open_store(town.settings), town.settings.var
        intake.erase(s, s.get_one(Report, report_id), store, var, by=by, at=town.now)
        s.flush()

    one, other = (queue, erase) if first == "worker" else (erase, queue)
    together(town, one, other)
    with town.looking() as scene:
        assert scene.s.scalars(select(Message)).all() == []


@pytest.mark.postgresql
@pytest.mark.parametrize("first", ["worker", "undo"])
def test_a_closing_may_be_taken_back_while_its_letters_are_queued(town: Town, first: str) -> None:
    with town.at_work() as scene:
        case = scene.assigned()
        number = case.number
        wish = intake.subscribe(scene.s, case.reports[0], "ana@town.test", lang="en", at=town.now)
        intake.confirm(scene.s, wish, at=town.now)
    with town.at_work() as scene:
        fan_out.process_events(scene.s, town.now)
    with town.at_work() as scene:
        rosa, case = scene.actor("rosa"), scene.case(number)
        transitions.close(scene.s, case, Closing("not found"), by=rosa, at=town.now)

    def queue(s: Session) -> None:
        fan_out.process_events(s, town.now)
        s.flush()

    def undo(s: Session) -> None:
        by = accounts.actor(s.get_one(Person, town.ids["rosa"]))
        case = s.scalars(select(Case).where(Case.number == number)).one()
        transitions.undo_own_completion(s, case, "close", by=by, at=town.now)
        s.flush()

    one, other = (queue, undo) if first == "worker" else (undo, queue)
    together(town, one, other)
    with town.looking() as scene:
        told = scene.s.execute(select(Message.kind, Message.closure_id).order_by(Message.id)).all()
        asked = [("changed", None), ("receipt", None), ("confirmed", None)]  # changed, as a crew was set
        assert told == [*asked, *([("closed", None)] if first == "worker" else [])]


def together(town: Town, one: Callable[[Session], None], other: Callable[[Session], None]) -> None:
    """Does one, and the other while the first is not yet committed."""

    def run() -> None:
        with db.transaction(town.engine) as s:
            other(s)

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            one(scene.s)
            second = pool.submit(run)
            town.await_waiting()
        second.result(60)


@pytest.mark.postgresql
def test_a_second_tap_that_asks_for_news_finds_what_the_first_has_kept(town: Town) -> None:
    with town.at_work() as scene:
        report_id = scene.report().id

    def ask() -> int:
        with db.transaction(town.engine) as s:
            report = s.get_one(Report, report_id)
            return intake.subscribe(s, report, "ana@town.test", lang="en", at=town.now).id

    with ThreadPoolExecutor(1) as pool:
        with town.at_work() as scene:
            first = intake.subscribe(
                scene.s, scene.s.get_one(Report, report_id), "ana@town.test", lang="en", at=town.now
            ).id
            second = pool.submit(ask)
            town.await_waiting()
        assert second.result(60) == first


def test_many_may_be_given_jobs_in_one_moment(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a moment has no more ids of its own: nobody is given a job under another one's id."""
    monkeypatch.setattr(bulk_insert, "IDS_A_MILLISECOND", 1)
    with town.at_work() as scene:
        numbers = [scene.report().case.number for _ in range(13)]
    together = threading.Barrier(len(numbers) - 1)

    def assign(number: str) -> int:
        if number != numbers[0]:
            together.wait()
        with db.transaction(town.engine) as s:
            case = s.scalars(select(Case).where(Case.number == number)).one()
            by = accounts.actor(s.get_one(Person, town.ids["dispatcher"]))
            crew = s.get_one(Crew, town.ids["lights"])
            transitions.assign(s, case, crew, by=by, at=town.now)
            s.flush()
            return case.assignments[-1].id

    ids = {assign(numbers[0])}
    with ThreadPoolExecutor(len(numbers)) as pool:
        ids |= set(pool.map(assign, numbers[1:]))
    assert len(ids) == len(numbers)

"""The database goes back to an older copy behind the same address, while the server is up and phones work.

Three ways lead a phone to send again what was lost, and each is enough: the server's next connection leads
to another database, the server finds the log lower than it was, or the phone's point of the log is not in it.
"""

import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from phones import OURS, Clock, Phone, Resident, furnish, make_lamp, person, report
from sqlalchemy import Engine, select

from bench._postgres import PostgresServer
from city.audit import epochs, events
from city.db import engine as db
from city.db.models import Epoch, SyncOperation
from city.settings import Settings
from pwa.app import create_app
from sync import server_epoch

pytestmark = pytest.mark.both_databases

WAYS = ("connection", "process", "phone")
BEFORE, AFTER = 6, 12  # pieces of work of each phone before and since the database went back


@pytest.fixture
def private(request: pytest.FixtureRequest) -> Iterator[PostgresServer | None]:
    """A PostgreSQL of this test's own, which it may stop."""
    if request.node.callspec.params["database"] == "sqlite":
        yield None
        return
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(
    request: pytest.FixtureRequest, private: PostgresServer | None, migrated_file: Path, tmp_path: Path
) -> SimpleNamespace:
    """As the other tests' database, over a server of its own."""
    if private is None:
        shutil.copyfile(migrated_file, tmp_path / "cityline.db")
        url = f"sqlite:///{tmp_path / 'cityline.db'}"
        _furnish(url)
        return SimpleNamespace(url=url, owner_url="", programs="")
    url, owner_url = (private.url(role, "migrated") for role in ("cityline_app", "cityline_owner"))
    db.migrate(owner_url, url)
    _furnish(url)
    return SimpleNamespace(url=url, owner_url=owner_url, programs=str(private.programs / "bin"))


def _furnish(url: str) -> None:
    engine = db.connect(url)
    furnish(engine)
    engine.dispose()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With room for a resident who reports a lot."""
    return replace(settings, phone_reports_an_hour=1_000)


@pytest.fixture
def copy(private: PostgresServer | None, engine: Engine, tmp_path: Path) -> "Copy":
    return Copy(private, engine, tmp_path)


class Copy:
    """An older copy of the whole database, as of a disk."""

    def __init__(self, server: PostgresServer | None, engine: Engine, room: Path) -> None:
        self.server, self.engine, self.file, self.older = server, engine, room / "cityline.db", room / "older"

    def take(self) -> None:
        """While nobody writes."""
        self.engine.dispose()
        if self.server is None:
            with closing(sqlite3.connect(self.file)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copy(self.file, self.older)
            return
        self.server.halt()
        self._files("cp", "-a", self.server.folder / "data", self.server.folder / "older")
        self.server.serve()

    def put_back(self) -> None:
        """Under whoever is connected."""
        if self.server is None:
            for tail in ("", "-wal", "-shm"):
                Path(f"{self.file}{tail}").unlink(missing_ok=True)
            self.older.rename(self.file)
            return
        self.server.halt(signal.SIGQUIT)
        self._files("rm", "-r", self.server.folder / "data")
        self._files("mv", self.server.folder / "older", self.server.folder / "data")
        self.server.serve()

    def _files(self, *command: object) -> None:
        subprocess.run([str(word) for word in command], check=True)


class Keeping:
    """What a phone keeps of its work, by the rules of `sync/exchange_round.js`, over a line that may fail."""

    def __init__(self, phone: Phone, make: Callable[[int], dict[str, Any]]) -> None:
        self.phone, self.make = phone, make
        self.waiting: list[dict[str, Any]] = []
        self.sent: list[tuple[dict[str, Any], int]] = []
        self.heard: dict[str, Any] | None = None
        self.acknowledged: set[str] = set()
        self.backs: list[int] = []

    def work(self, number: int) -> None:
        self.waiting.append(self.make(number))
        self.exchange()

    def exchange(self) -> bool:
        """Whether an answer came."""
        asked = self.phone.body(*self.waiting[:50], **({"heard": self.heard} if self.heard else {}))
        response = self.phone.http.post("/sync/v1/exchange", json=asked, headers=OURS)
        if response.status_code != 200:
            assert response.status_code == 503, response.data
            return False
        answer: dict[str, Any] = response.json
        done = {told["id"] for told in answer["results"] if told["result"] not in ("retry", "held")}
        self.sent += [(op, answer["log"]) for op in self.waiting if op["id"] in done]
        self.waiting = [op for op in self.waiting if op["id"] not in done]
        self.acknowledged |= done
        if "back" in answer:
            self.backs.append(answer["back"])
            self.waiting = [op for op, upto in self.sent if upto >= answer["back"]] + self.waiting
            self.sent = [(op, upto) for op, upto in self.sent if upto < answer["back"]]
        else:
            self.sent = [(op, upto) for op, upto in self.sent if upto > answer["safe"]]
        self.heard = {"epoch": answer["epoch"], "upto": answer["log"], "mark": answer["mark"]}
        self.phone.epoch = answer["epoch"]
        cursors = {scope: to for scope, to in self.phone.cursors.items() if scope not in answer["reset"]}
        self.phone.cursors = cursors | {scope: news["to"] for scope, news in answer["changes"].items()}
        return True


def only(way: str, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closes the other ways: of "all" none, of "none" every one."""
    if way not in ("connection", "all"):
        monkeypatch.setattr(db, "origin", lambda *_: None)
        app.extensions["cityline"].watch._origin = None
    if way not in ("process", "all"):
        monkeypatch.setattr(epochs.Watch, "seen", property(lambda _: (0, 0)))
    if way not in ("phone", "all"):
        monkeypatch.setattr(
            server_epoch, "went_back", lambda s, to, seen, _: server_epoch._lost(s, to.epoch, seen)
        )


@pytest.mark.every_variant
@pytest.mark.slow
@pytest.mark.parametrize("way", ["none", *WAYS, "all"])
def test_work_that_a_replaced_database_lost_comes_back(
    app: Flask, engine: Engine, clock: Clock, copy: Copy, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(way, app, monkeypatch)
    phones = crews(app, engine, clock)
    for phone in phones:
        phone.work(0)
    app.extensions["cityline"].engine.dispose()
    copy.take()

    busy, replaced = [0] * len(phones), threading.Event()

    def live(n: int) -> None:
        for number in range(1, BEFORE + AFTER):
            if number == BEFORE:
                replaced.wait()  # or a quick phone would have done all before
            phones[n].work(number)
            busy[n] = number
            clock.tick(seconds=1)

    threads = [threading.Thread(target=live, args=(n,)) for n in range(len(phones))]
    for thread in threads:
        thread.start()
    while min(busy) < BEFORE - 1:
        time.sleep(0.01)
    told_before = set[str]().union(*(phone.acknowledged for phone in phones))
    replaced.set()
    copy.put_back()
    for thread in threads:
        thread.join()
    until = time.monotonic() + 60
    for _ in range(3):
        for phone in phones:
            while not phone.exchange() or phone.waiting:
                assert time.monotonic() < until
                time.sleep(0.05)

    with db.read_session(engine) as s:
        here = set(s.scalars(select(SyncOperation.id)))
        assert events.verify(s) == []
    told = set[str]().union(*(phone.acknowledged for phone in phones))
    assert len(told) >= len(phones) * (BEFORE + AFTER)
    lost = told - here
    if way == "none":
        assert len(lost & told_before) >= len(phones) * (BEFORE - 2), "nothing went back: this shows nothing"
    else:
        assert lost == set()
        assert all(phone.backs for phone in phones)


def crews(app: Flask, engine: Engine, clock: Clock) -> list[Keeping]:
    """Three phones of crews that write notes, and a resident's that reports."""
    found = []
    for email, crew in (("luis", "Lights 2"), ("toni", "Lights 1"), ("luis", "Lights 2")):
        phone = Phone(app, clock, person(engine, f"{email}@city.test"))
        job = phone.job(make_lamp(engine, clock, crew))
        found.append(Keeping(phone, lambda n, phone=phone, job=job: phone.op("note", job, words=f"Note {n}")))
    nia = Resident(app, clock)
    return [*found, Keeping(nia, lambda n: report(nia, words=f"Report {n}"))]


def test_a_database_that_only_started_again_makes_no_phone_begin_anew(
    app: Flask, engine: Engine, clock: Clock, private: PostgresServer | None
) -> None:
    [luis, *_] = crews(app, engine, clock)
    luis.work(0)
    assert luis.heard
    before = luis.heard["epoch"]
    if private:
        private.halt()
        private.serve()
    while not luis.exchange():
        time.sleep(0.05)
    luis.work(1)
    assert luis.backs == []
    assert luis.waiting == []
    assert (luis.heard["epoch"] != before) is bool(private)


def test_two_servers_over_one_database_notice_it_both(
    app: Flask, engine: Engine, settings: Settings, clock: Clock, copy: Copy
) -> None:
    another = create_app(settings, now=clock)
    phones = [crews(each, engine, clock)[0] for each in (app, another)]
    for phone in phones:
        phone.work(0)
    for each in (app, another):
        each.extensions["cityline"].engine.dispose()
    copy.take()
    for phone in phones:
        while not phone.exchange():
            time.sleep(0.05)
        phone.work(1)
    copy.put_back()
    for _ in range(3):
        for phone in phones:
            while not phone.exchange():
                time.sleep(0.05)
    with db.read_session(engine) as s:
        assert {op for phone in phones for op in phone.acknowledged} <= set(
            s.scalars(select(SyncOperation.id))
        )
        assert s.scalars(select(Epoch.first_seq)).all().count(0) == 0, "where it went back to was known"
    another.extensions["cityline"].engine.dispose()


def test_a_phone_that_was_told_once_goes_on(engine: Engine, app: Flask, clock: Clock) -> None:
    [luis, *_] = crews(app, engine, clock)
    luis.work(0)
    assert luis.heard
    luis.heard["mark"] = "0" * server_epoch.MARK  # as of a line that is not there
    luis.work(1)
    assert luis.backs == [0]
    assert len(luis.waiting) == 2  # what was lost comes first, and the new one after it
    luis.exchange()
    luis.exchange()
    assert (luis.backs, luis.waiting) == ([0], [])


def test_a_point_beyond_the_log_is_lost_also_without_a_mark(engine: Engine, app: Flask, clock: Clock) -> None:
    [luis, *_] = crews(app, engine, clock)
    luis.work(0)
    assert luis.heard
    luis.heard = {"epoch": luis.heard["epoch"], "upto": luis.heard["upto"] + 1_000}
    luis.exchange()
    assert luis.backs == [0]


def test_who_notices_does_not_wait_for_whoever_waits_for_them(app: Flask, soon: None) -> None:
    """Whoever has the turn to write connects only then, as after the pool was emptied."""
    held = app.extensions["cityline"]
    held.engine.dispose()
    notices = threading.Thread(target=held.watch.went_back, args=(held.watch.seen,), daemon=True)
    with db.transaction(held.engine) as s:
        notices.start()
        time.sleep(0.2)  # by now it waits for its turn
        s.scalar(select(Epoch.id).limit(1))
    notices.join()
    assert held.watch.seen == (1, 0)


def test_what_was_read_before_the_database_went_back_is_not_remembered(app: Flask) -> None:
    watch = app.extensions["cityline"].watch
    before = watch.seen
    watch.went_back(before)
    watch.saw(before, 1_000)
    assert watch.seen == (1, 0)
    watch.went_back(before)
    assert watch.seen == (1, 0), "the same is noticed once"

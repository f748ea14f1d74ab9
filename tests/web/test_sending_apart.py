"""The worker's two loops: what hangs at another machine delays messages and nothing else."""

import threading
import time
from typing import Any

import pytest
from factories import Town
from flask import Flask
from sqlalchemy import func, select

from city import delivery, notices, reports
from city.schema import Event, Follower, Message
from city.settings import Settings
from pwa import worker
from pwa.app import create_app


class Slow:
    """A mail server that takes a letter and is silent until it is let go."""

    def __init__(self) -> None:
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.taken = 0

    def send(self, _letter: Any) -> None:
        self.reached.set()
        self.goes_on.wait(120)
        self.taken += 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    server = Slow()
    monkeypatch.setattr(delivery, "open_channels", lambda _settings: {"email": server})
    return server


def told(town: Town) -> None:
    """Two people who wait for their receipts."""
    with town.at_work() as scene:
        for name in ("ana", "bea"):
            reports.subscribe(scene.s, scene.report(), f"{name}@town.test", lang="en", at=town.now)


def read_all(town: Town) -> bool:
    """Whether the worker has read the whole log."""
    with town.looking() as scene:
        place = scene.s.get(Follower, notices.NAME)
        return place is not None and place.seq == scene.s.scalar(select(func.max(Event.seq)))


def await_(happens: Any) -> None:
    until = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_mail_server_that_hangs_holds_up_nothing_else_and_its_letter_is_finished(
    town: Town, app: Flask, settings: Settings, slow: Slow
) -> None:
    told(town)
    stop = threading.Event()
    at_work = threading.Thread(target=worker._work, args=(settings, stop))
    at_work.start()
    try:
        assert slow.reached.wait(60)
        told(town)
        await_(lambda: read_all(town))
        assert slow.taken == 0, "it still hangs"
    finally:
        stop.set()
        time.sleep(0.2)
        slow.goes_on.set()
        at_work.join(60)
    assert not at_work.is_alive()
    assert slow.taken == 1, "no other letter is begun"
    with town.looking() as scene:
        sent = scene.s.scalars(select(Message).where(Message.sent_at.is_not(None))).all()
        assert len(sent) == 1, "and what was sent is noted"


def test_who_stops_does_not_wait_for_a_server_for_ever(
    town: Town, app: Flask, settings: Settings, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    apps, before = list[Flask](), set(threading.enumerate())
    monkeypatch.setattr(worker, "create_app", lambda given: apps.append(create_app(given)) or apps[-1])
    monkeypatch.setattr(worker, "LAST_LETTER", 0.3)
    told(town)
    stop = threading.Event()
    at_work = threading.Thread(target=worker._work, args=(settings, stop))
    at_work.start()
    try:
        assert slow.reached.wait(60)
        stop.set()
        at_work.join(60)  # the server is silent for twice as long
        assert not at_work.is_alive()
    finally:
        slow.goes_on.set()
        for left in set(threading.enumerate()) - before:  # nobody writes to a database that is gone
            left.join(60)
        for made in apps:
            made.extensions["cityline"].engine.dispose()

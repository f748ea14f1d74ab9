"""The worker's lanes: what hangs at another machine holds up what goes the same way, and nothing else."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import deadhosts
import pushservice
import pytest
from factories import Town
from flask import Flask
from pushservice import PushService
from sqlalchemy import func, select

from city import safe_http
from city.cases import transitions
from city.cases.transitions import Closing
from city.db.models import Case, Event, Follower, Message
from city.notifications import email, fan_out, outbox, subscriptions, webhooks
from city.people import accounts
from city.reports import intake, remote_images
from city.settings import Settings
from pwa import worker
from pwa.app import create_app

pytestmark = pytest.mark.both_databases


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
    monkeypatch.setattr(outbox, "open_senders", lambda _settings: {"email": server})
    return server


def told(town: Town) -> None:
    """Two people who wait for their receipts."""
    with town.at_work() as scene:
        for name in ("ana", "bea"):
            intake.subscribe(scene.s, scene.report(), f"{name}@town.test", lang="en", at=town.now)


def read_all(town: Town) -> bool:
    """Whether the worker has read the whole log."""
    with town.looking() as scene:
        place = scene.s.get(Follower, fan_out.NAME)
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


FORTY = 40
SECONDS = 10.0  # in which a letter is out, on a machine that has other things to do


@contextmanager
def at_work(settings: Settings) -> Iterator[None]:
    """The worker, all of it."""
    stop = threading.Event()
    working = threading.Thread(target=worker._work, args=(settings, stop))
    working.start()
    try:
        yield
    finally:
        stop.set()
        working.join(60)
    assert not working.is_alive()


@pytest.mark.slow
def test_a_letter_leaves_within_seconds_while_forty_dead_pushes_wait(
    town: Town, app: Flask, settings: Settings, smtp: Any
) -> None:
    with deadhosts.listening(FORTY) as dead:
        danger(town, [f"{url}ana" for url in dead.urls()])
        with at_work(replace(settings, outward="loopback", smtp_url=smtp.url)):
            assert dead.called.wait(60)
            took = letter_after(town, smtp)
            assert took < SECONDS
            assert len(dead.calls) < FORTY, "and they do still wait"
            print(f"letter out after {took:.1f} s, {len(dead.calls)} of {FORTY} pushes tried")


@pytest.mark.slow
@pytest.mark.parametrize("hangs", ["a webhook", "a picture", "the mail server"])
def test_each_way_out_waits_for_its_own_machines_only(
    town: Town, app: Flask, settings: Settings, smtp: Any, hangs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(settings, outward="loopback", smtp_url=smtp.url)
    with deadhosts.listening() as dead, pushservice.running() as service:
        (url,) = dead.urls()
        if hangs == "the mail server":
            settings = replace(settings, smtp_url=url.replace("http", "smtp"))
            monkeypatch.setattr(email, "SMTP_SECONDS", 5)
            told(town)
        with town.at_work() as scene:
            if hangs == "a webhook":
                webhooks.add(scene.s, url, "", loopback=True, by=accounts.THE_SYSTEM, at=town.now)
            report = scene.report()
            if hangs == "a picture":
                monkeypatch.setattr(
                    remote_images, "open_fetch", partial(remote_images.open_fetch, allowed=everybody)
                )
                intake.want_picture(scene.s, report, url + "a.jpg", at=town.now)
        with at_work(settings):
            assert dead.called.wait(60)
            danger(town, [service.browser("ana").endpoint])
            began = time.monotonic()
            await_(lambda: service.taken)
            assert time.monotonic() - began < SECONDS
            if hangs != "the mail server":
                assert letter_after(town, smtp) < SECONDS


def everybody(_address: safe_http.Address) -> bool:
    return True


def danger(town: Town, endpoints: list[str]) -> None:
    """A dangerous case that browsers follow is closed: they hear of it without waiting for the morning."""
    with town.at_work() as scene:
        report = scene.report(danger=True)
        about = subscriptions.Target("case", report.case.number, report.case_id)
        for endpoint in endpoints:
            keys = PushService().browser("ana").told["keys"]
            subscriptions.subscribe(
                scene.s, about, endpoint, channel="push", keys=keys, lang="en", at=town.now
            )
    with town.at_work() as scene:
        case, by = scene.s.get_one(Case, about.case_id), scene.actor("dispatcher")
        transitions.close(scene.s, case, Closing("fixed", no_photo="dark"), by=by, at=town.now)


def letter_after(town: Town, smtp: Any) -> float:
    """Seconds until somebody who tells of something now has the receipt."""
    before, began = len(smtp.messages), time.monotonic()
    with town.at_work() as scene:
        intake.subscribe(scene.s, scene.report(), "ana@town.test", lang="en", at=town.now)
    await_(lambda: len(smtp.messages) > before)
    return time.monotonic() - began

"""A thousand closures, servers that fail half the time, a worker that is killed: nobody is missed."""

import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pushservice
import pytest
import telling
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from factories import Town
from pushservice import PushService
from sqlalchemy import func, select

from city.cases import transitions
from city.cases.transitions import Closing
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import Message, Subscription
from city.notifications import outbox
from city.places.lookup import Place

CLOSURES, AT_ONCE = 1000, 50
KILLS = 12
SPEED = 2000.0  # a second lasts half an hour: twelve hours of waiting are half a minute
PATIENCE = 1200.0  # seconds
MOST_REFUSALS = outbox.TRIES - 1  # of one letter: dice may fall eighteen times alike
GONE = 20  # mailboxes and browsers that are none any more, as many of each

pytestmark = [pytest.mark.slow, pytest.mark.full]


@dataclass
class Moody:
    """What a mail server does: refuses the boxes that are gone, and fails half of the rest."""

    dice: random.Random = field(default_factory=lambda: random.Random(311))
    refused: Counter[str] = field(default_factory=Counter)
    taken: list[tuple[str, str]] = field(default_factory=list)  # to whom, Message-ID

    async def handle_RCPT(self, _server: SMTP, _session: Any, envelope: Envelope, to: str, _o: Any) -> str:
        if to.startswith("gone"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Any, envelope: Envelope) -> str:
        (to,) = envelope.rcpt_tos
        if self.dice.random() < 0.5 and self.refused[to] < MOST_REFUSALS:
            self.refused[to] += 1
            return "451 4.3.0 later"
        assert isinstance(envelope.content, bytes)
        head = envelope.content.decode().partition("\r\n\r\n")[0]
        (name,) = (line for line in head.split("\r\n") if line.startswith("Message-ID:"))
        self.taken.append((to, name.split()[1]))
        return "250 OK"


@pytest.fixture
def mail_server() -> Iterator[tuple[Moody, str]]:
    """A real one on loopback, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Moody()
    controller = Controller(server, hostname="127.0.0.1", port=port, ready_timeout=60)
    controller.start()
    yield server, f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture
def push_service() -> Iterator[PushService]:
    """One that fails half of the time, and says of the browsers that are gone that they are."""
    dice, refused = random.Random(13), Counter[str]()

    def answer(path: str) -> int:
        if path.startswith("/gone"):
            return 410
        if dice.random() < 0.5 and refused[path] < MOST_REFUSALS:
            refused[path] += 1
            return 503
        return pushservice.CREATED

    with pushservice.running() as service:
        service.answer = answer
        yield service


def test_of_a_thousand_closures_nobody_is_missed(
    town: Town, mail_server: tuple[Moody, str], push_service: PushService
) -> None:
    server, url = mail_server
    began = time.time()
    wanted = closed_cases(town, push_service, datetime.fromtimestamp(began, UTC))
    kills, dice = 0, random.Random(8)
    environment = of_the_worker(town, url)

    def heard() -> list[tuple[str, str]]:
        """To whom, and the Message-ID or Topic."""
        notes = [(path, headers["topic"]) for path, headers, _body in list(push_service.taken)]
        return [*server.taken, *notes]

    while kills < KILLS:
        seen = len(heard())
        with at_work(began, environment) as worker:
            wait_for(lambda: len(heard()) > seen or not left(town), worker)  # noqa: B023 asked at once
            time.sleep(dice.random())
            if not left(town):
                break
            worker.kill()
            kills += 1
    with at_work(began, environment) as worker:
        wait_for(lambda: not left(town), worker)

    times = Counter(heard())
    repeats = {
        way: sum(count - 1 for (to, _name), count in times.items() if to.startswith("/") is (way == "push"))
        for way in ("email", "push")
    }
    told = {to for to, _name in times}
    assert told == {to for to in wanted if "gone" not in to}, "nobody is missed"
    assert len(times) == len(told), "a repeat has the Message-ID or Topic of the first"
    assert max(repeats.values()) <= kills, "at most one repeat a kill of each channel, which has its own lane"
    assert undelivered(town) == {to for to in wanted if to.startswith("gone")}, "listed for staff"
    assert ended(town) == GONE // 2, "a browser that is gone is asked no more"
    print(f"{len(told)} told, {repeats} repeats, {kills} kills, {time.time() - began:.0f} s")


def closed_cases(town: Town, service: PushService, at: datetime) -> list[str]:
    """A thousand cases, each with somebody who wants to hear, each closed. Returns to whom.

    Every other one hears by a notification: "/ana7" is the way of a browser at its push service.
    """
    with db.transaction(town.engine) as s:
        config_versions.activate(s, city_file.load(town.settings.city))
    names = [f"{'gone' if n % (CLOSURES // GONE) < 1 else 'ana'}{n}" for n in range(CLOSURES)]
    wanted = [f"{name}@town.test" if n % 4 < 2 else f"/{name}" for n, name in enumerate(names)]
    for first in range(0, CLOSURES, AT_ONCE):
        with town.at_work() as scene:
            for n, to in enumerate(wanted[first : first + AT_ONCE], first):
                corner = Place(39.52 + n // 40 * 0.004, -71.28 + n % 40 * 0.004, "pin")  # nobody's neighbour
                report, by = scene.report(at=at, place=corner), scene.actor("dispatcher")
                wish = Subscription(report_id=report.id, lang="en", asked_at=at, confirmed_at=at, address=to)
                if to.startswith("/"):
                    told = service.browser(to[1:]).told
                    wish.channel, wish.address, wish.keys = "push", told["endpoint"], told["keys"]
                scene.s.add(wish)
                transitions.close(scene.s, report.case, Closing("fixed", no_photo="dark"), by=by, at=at)
    return wanted


def of_the_worker(town: Town, smtp_url: str) -> dict[str, str]:
    settings = town.settings
    return os.environ | {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_SMTP_URL": smtp_url,
        "CITYLINE_OUTWARD": "loopback",
    }


@contextmanager
def at_work(began: float, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    worker = subprocess.Popen(
        [sys.executable, telling.__file__, str(began), str(SPEED)], env=environment, stderr=subprocess.DEVNULL
    )
    yield worker
    worker.kill()
    worker.wait()


def wait_for(happens: Any, worker: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not happens():
        assert worker.poll() is None, "the worker ended by itself"
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.05)


def left(town: Town) -> bool:
    """Whether somebody is still to be told."""
    with town.looking() as scene:
        made = scene.s.scalar(select(func.count()).select_from(Message))
        waits = select(Message.id).where(Message.next_try_at.is_not(None)).limit(1)
        return made != CLOSURES or scene.s.scalar(waits) is not None


def undelivered(town: Town) -> set[str]:
    """The addresses that the page of undelivered mail shows."""
    with town.looking() as scene:
        rows = select(Subscription.address).join(Message, Message.subscription_id == Subscription.id)
        dead = Message.fault.is_not(None), Message.sent_at.is_(None), Message.next_try_at.is_(None)
        return set(scene.s.scalars(rows.where(*dead)))


def ended(town: Town) -> int:
    """How many browsers are known to be gone."""
    with town.looking() as scene:
        gone = Subscription.channel == "push", Subscription.stopped_at.is_not(None)
        return scene.s.scalar(select(func.count()).select_from(Subscription).where(*gone)) or 0

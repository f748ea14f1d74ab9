"""A thousand closures, a mail server that fails half the time, a worker that is killed: nobody is missed."""

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

import pytest
import telling
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope
from factories import Town
from sqlalchemy import func, select

from city import cases, cityfile, db, delivery, policies
from city.schema import Message, Subscription

CLOSURES, AT_ONCE = 1000, 50
KILLS = 12
SPEED = 2000.0  # a second lasts half an hour: twelve hours of waiting are half a minute
PATIENCE = 400.0  # seconds
MOST_REFUSALS = delivery.TRIES - 1  # of one letter: dice may fall eighteen times alike
GONE = 20  # mailboxes that are none any more

pytestmark = pytest.mark.slow


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
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    yield server, f"smtp://127.0.0.1:{port}"
    controller.stop()


def test_of_a_thousand_closures_nobody_is_missed(town: Town, mail_server: tuple[Moody, str]) -> None:
    server, url = mail_server
    began = time.time()
    wanted = closed_cases(town, datetime.fromtimestamp(began, UTC))
    kills, dice = 0, random.Random(8)
    environment = of_the_worker(town, url)
    while kills < KILLS:
        seen = len(server.taken)
        with at_work(began, environment) as worker:
            wait_for(lambda: len(server.taken) > seen or not left(town), worker)  # noqa: B023 asked at once
            time.sleep(dice.random())
            if not left(town):
                break
            worker.kill()
            kills += 1
    with at_work(began, environment) as worker:
        wait_for(lambda: not left(town), worker)

    times = Counter(server.taken)
    told = {to for to, _name in times}
    assert told == {address for address in wanted if not address.startswith("gone")}, "nobody is missed"
    assert len(times) == len(told), "a repeat has the Message-ID of the first"
    assert sum(times.values()) - len(times) <= kills, "at most one repeat a kill"
    assert given_up(town) == {address for address in wanted if address.startswith("gone")}
    print(f"{len(told)} told, {sum(times.values()) - len(times)} repeats, {kills} kills, {time.time() - began:.0f} s")


def closed_cases(town: Town, at: datetime) -> list[str]:
    """A thousand cases, each with somebody who wants to hear, each closed. Returns whom."""
    with db.transaction(town.engine) as s:
        policies.enact(s, cityfile.load(town.settings.city))
    wanted = [f"{'gone' if n % (CLOSURES // GONE) == 0 else 'ana'}{n}@town.test" for n in range(CLOSURES)]
    for first in range(0, CLOSURES, AT_ONCE):
        with town.at_work() as scene:
            for address in wanted[first : first + AT_ONCE]:
                report = scene.report(at=at)
                wish = Subscription(
                    report_id=report.id, address=address, lang="en", asked_at=at, confirmed_at=at
                )
                scene.s.add(wish)
                cases.close(
                    scene.s, report.case, by=scene.actor("dispatcher"), at=at, outcome="fixed", no_photo="dark"
                )
    return wanted


def of_the_worker(town: Town, smtp_url: str) -> dict[str, str]:
    settings = town.settings
    return os.environ | {
        "CITYLINE_VAR": str(settings.var),
        "CITYLINE_DATABASE_URL": settings.database_url,
        "CITYLINE_SMTP_URL": smtp_url,
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


def given_up(town: Town) -> set[str]:
    """The addresses that the page of undelivered mail shows."""
    with town.looking() as scene:
        rows = select(Subscription.address).join(Message, Message.subscription_id == Subscription.id)
        dead = Message.fault.is_not(None), Message.sent_at.is_(None), Message.next_try_at.is_(None)
        return set(scene.s.scalars(rows.where(*dead)))

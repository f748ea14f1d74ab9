"""Fifty residents while others do their worst: what they wait, and whether the city still answers and writes.

    bin/bench overload [--quick] [--db=sqlite] [--only=hammer] [--url=/cases]

The fifty open the pages that residents open, each from a network of their own, first alone and then beside

- `hammer`: 500 clients of one network that ask one public address again and again, whatever they are told;
- `slow_bodies`: 300 forms, each from another network, of which a byte comes each second;
- `dead_push`: 40 followers whose push services take a connection and never say a word.

`p99_ratio` is what 99 of 100 answers took at most, against alone, just before. A 503 with Retry-After is a
refusal, counted in `refused_share`; whatever else is no page counts in `failed`, and as long as it took.
`healthz_max_ms` is the slowest of all looks at /healthz meanwhile. `letter_s` is how long a resident's letter
took from their wish to a mail server; it is waited for a few minutes at most. `others` is what those 500 or
300 were answered, by status.
"""

import argparse
import asyncio
import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from random import Random
from typing import Any
from urllib.parse import urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select

from bench._databases import KINDS, database
from bench._site import ROOT, Site, fill, running
from bench._targets import judge, printed
from city.cases import transitions
from city.cases.transitions import Closing
from city.db import engine as db
from city.db.models import Address, Case, Service
from city.notifications import subscriptions
from city.people import accounts
from city.places.lookup import Place
from city.reports import intake
from city.settings import READS_A_MINUTE

RESIDENTS, HAMMERS, FORMS, DEAD = 50, 500, 300, 40
PAGES = ("/", "/report", "/cases", "/answers", "/trash-day", "/es/cases")
THINKS = 2.0  # seconds in the mean between two pages of one resident
LOOKS_EVERY = 0.2  # seconds between two looks at /healthz
PATIENCE = 10.0  # seconds that a client waits for an answer
TARGETS = [
    ("p99_ratio", "<=", 3.0), ("failed", "<=", 0.0), ("healthz_max_ms", "<=", 1000.0),
    ("letter_s", "<=", 30.0),
]  # fmt: skip


@dataclass(frozen=True)
class Size:
    """How many cases there are; how long each part takes, in seconds; and a letter at most."""

    cases: int = 2_000
    alone: float = 20
    beside: float = 30
    letter: float = 180


QUICK = Size(cases=200, alone=5, beside=8, letter=40)


def main() -> int:
    """0 when everything that was asked for was measured, whether or not it is within its targets."""
    asked = argparse.ArgumentParser(prog="bin/bench overload")
    asked.add_argument("--quick", action="store_true", help="take a few seconds for each part")
    asked.add_argument("--db", choices=KINDS, help="run only on this database")
    asked.add_argument("--only", choices=HARMS, help="do only this harm")
    asked.add_argument("--url", default="/open311/v2/requests.json", help="what is hammered")
    asked.add_argument("--hammer", metavar="ADDRESS", help=argparse.SUPPRESS)  # the process that does it
    options = asked.parse_args()
    if options.hammer:
        asyncio.run(_hammer(options.hammer))
        return 0
    size = QUICK if options.quick else Size()
    for kind in (options.db,) if options.db else KINDS:
        var = ROOT / "var" / "bench" / f"overload-{kind}"
        with database(kind, var) as base, _mailbox() as box:
            fill(var, size.cases, **base.settings)
            more = {
                "CITYLINE_TRUSTED_PROXIES": "1", "CITYLINE_OUTWARD": "loopback", "CITYLINE_SMTP_URL": box.url,
                "CITYLINE_READS_A_MINUTE": str(READS_A_MINUTE),  # as shipped, which other benches go without
            }  # fmt: skip
            with running(var, **base.settings, **more) as site:
                site.settle()
                for what in (options.only,) if options.only else HARMS:
                    line = {"bench": "overload", "db": kind, "what": what}
                    line |= _measured(site, box, HARMS[what], size, options.url)
                    judge(line, TARGETS)
                    print(printed(line), flush=True)
    return 0


def _measured(site: Site, box: "Mailbox", harm: "Harm", size: Size, url: str) -> dict[str, Any]:
    alone = _residents(site, size.alone)
    with harm(site, url) as others, _looking(site) as looks:
        time.sleep(1)
        letter: list[float] = []
        writes = threading.Thread(target=lambda: letter.append(_letter(site, box, size.letter)))
        writes.start()
        beside = _residents(site, size.beside)
        writes.join()
    return {
        "p99_ratio": beside.p99 / alone.p99, "p99_ms": beside.p99 * 1000, "alone_p99_ms": alone.p99 * 1000,
        "asked": beside.asked, "refused_share": beside.refused / beside.asked, "failed": float(beside.failed),
        "healthz_max_ms": max(looks) * 1000, "letter_s": letter[0], "others": dict(sorted(others.items())),
    }  # fmt: skip


@dataclass
class Heard:
    """What clients heard. `took` has the seconds of pages, and of what was neither page nor refusal."""

    took: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0

    @property
    def asked(self) -> int:
        return len(self.took) + self.refused

    @property
    def p99(self) -> float:
        """Seconds; 0 where nobody was shown a page."""
        return statistics.quantiles(self.took, n=100)[98] if len(self.took) > 1 else 0.0

    def note(self, status: int, retry_after: str | None, seconds: float) -> None:
        if status == 503 and retry_after:
            self.refused += 1
        else:
            self.took.append(seconds)
            self.failed += status != 200


def _residents(site: Site, seconds: float) -> Heard:
    heard, until = Heard(), time.monotonic() + seconds

    def visit(n: int) -> None:
        chance = Random(n)
        time.sleep(chance.uniform(0, THINKS))
        while time.monotonic() < until:
            heard.note(*_ask(site, chance.choice(PAGES), f"198.18.{n}.7"))
            time.sleep(chance.expovariate(1 / THINKS))

    visits = [threading.Thread(target=visit, args=(n,)) for n in range(RESIDENTS)]
    for each in visits:
        each.start()
    for each in visits:
        each.join()
    return heard


def _ask(site: Site, path: str, source: str = "198.18.200.7") -> tuple[int, str | None, float]:
    """Status (0: no answer in time), Retry-After, seconds."""
    line, began = HTTPConnection(*_where(site), timeout=PATIENCE), time.monotonic()
    status, retry_after = 0, None
    try:
        line.request("GET", path, headers={"X-Forwarded-For": source, "Accept-Encoding": "gzip, br"})
        answer = line.getresponse()
        answer.read()
        status, retry_after = answer.status, answer.getheader("Retry-After")
    except (OSError, HTTPException):
        pass
    finally:
        line.close()
    return status, retry_after, time.monotonic() - began


def _where(site: Site) -> tuple[str, int]:
    parts = urlsplit(site.url)
    return str(parts.hostname), int(parts.port or 80)


@contextmanager
def _looking(site: Site) -> Iterator[list[float]]:
    """How long /healthz takes; without an answer as long as one was waited for."""
    over, looks = threading.Event(), []

    def look() -> None:
        while not over.wait(LOOKS_EVERY):
            looks.append(_ask(site, "/healthz")[2])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield looks
    finally:
        over.set()
        looking.join()


Harm = Callable[[Site, str], Any]


@contextmanager
def _hammering(site: Site, url: str) -> Iterator[Counter[str]]:
    """In a process of its own, so that it takes no time from those who are measured."""
    told = Counter[str]()
    command = [sys.executable, "-m", "bench.overload", "--hammer", site.url + url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        if process.stdout:
            process.stdout.readline()  # it has begun
        yield told
        out, _none = process.communicate(b"")  # its input ends, and so does it
        told.update(json.loads(out))


async def _hammer(address: str) -> None:
    """Asks until standard input ends. Prints a line once all have begun; at last what was answered."""
    parts = urlsplit(address)
    request = (
        f"GET {parts.path}{f'?{parts.query}' if parts.query else ''} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "X-Forwarded-For: 203.0.113.9\r\n\r\n"
    ).encode()
    told = Counter[str]()

    async def ask() -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            except OSError:
                told["no connection"] += 1
                await asyncio.sleep(0.1)
                continue
            with suppress(OSError, asyncio.IncompleteReadError, ValueError):
                while True:
                    writer.write(request)
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                    await reader.readexactly(int(head.partition("content-length:")[2].split()[0]))
                    told[head.split()[1]] += 1
            writer.close()

    asking = [asyncio.create_task(ask()) for _ in range(HAMMERS)]
    await asyncio.sleep(1)
    print(flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for each in asking:
        each.cancel()
    print(json.dumps(told))


@contextmanager
def _dripping(site: Site, _url: str) -> Iterator[Counter[str]]:
    """Whoever is cut off begins anew."""
    told, over = Counter[str](), threading.Event()

    def begun(n: int) -> socket.socket:
        line = socket.create_connection(_where(site), timeout=PATIENCE)
        line.sendall(
            b"POST /report HTTP/1.1\r\nHost: city\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"X-Forwarded-For: 198.51.%d.%d\r\nContent-Length: 100000\r\n\r\na" % (n // 200, n % 200)
        )
        line.setblocking(False)
        return line

    def drip() -> None:
        lines = [begun(n) for n in range(FORMS)]
        while not over.wait(1):
            for n, line in enumerate(lines):
                if said := _said(line):
                    told[said] += 1
                    line.close()
                    lines[n] = begun(n)
        for line in lines:
            line.close()

    dripping = threading.Thread(target=drip)
    dripping.start()
    try:
        yield told
    finally:
        over.set()
        dripping.join()


def _said(line: socket.socket) -> str:
    """What the city answered to a form that is not whole yet, "closed" without a word; else a byte goes."""
    try:
        line.send(b"a")
        return (line.recv(4_000).split() or [b"", b"closed"])[1].decode()
    except BlockingIOError:
        return ""
    except OSError:
        return "closed"


@contextmanager
def _following(site: Site, _url: str) -> Iterator[Counter[str]]:
    """A case that strangers follow is closed, and all of their push services are dead.

    As somebody was in danger there, no quiet hours hold the news back.
    """
    engine, at = db.connect(site.settings.database_url), datetime.now(UTC)
    with ExitStack() as stack:
        with db.transaction(engine) as s:
            case = _reported(s, at, danger=True).case
            about = subscriptions.Target("case", case.number, case.id)
            for n in range(DEAD):
                dead = stack.enter_context(socket.create_server((f"127.0.1.{n + 1}", 0)))
                endpoint = f"http://127.0.1.{n + 1}:{dead.getsockname()[1]}/{n}"
                subscriptions.subscribe(s, about, endpoint, channel="push", keys=_keys(), lang="en", at=at)
            case_id = case.id
        with db.transaction(engine) as s:
            dispatcher = accounts.actor(
                accounts.by_email(s, "dispatcher@demo.test") or sys.exit("no dispatcher")
            )
            transitions.close(
                s, s.get_one(Case, case_id), Closing("not found"), by=dispatcher, at=datetime.now(UTC)
            )
        engine.dispose()
        yield Counter()


HARMS: dict[str, Harm] = {"hammer": _hammering, "slow_bodies": _dripping, "dead_push": _following}


def _keys() -> dict[str, str]:
    """What a browser gives with its push service's address."""
    point = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )  # fmt: skip
    return {
        name: base64.urlsafe_b64encode(data).decode().rstrip("=")
        for name, data in (("p256dh", point), ("auth", os.urandom(16)))
    }


def _reported(s: Any, at: datetime, *, danger: bool = False) -> Any:
    """A report as the form hands it over."""
    address = s.scalars(select(Address).order_by(Address.id).limit(1)).one()
    service = s.scalars(select(Service.code).where(Service.code == "light-out")).one()
    told = intake.NewReport(
        key=uuid.uuid4().hex, service_code=service, channel="web", danger=danger,
        place=Place(address.lat, address.lon, "address", address.label),
    )  # fmt: skip
    return intake.submit(s, told, at=at, token=uuid.uuid4().hex)


class Mailbox:
    """A mail server that only notes who was written to."""

    def __init__(self, port: int) -> None:
        self.url = f"smtp://127.0.0.1:{port}"
        self.came: dict[str, float] = {}

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        for to in envelope.rcpt_tos:
            self.came.setdefault(to, time.monotonic())
        return "250 OK"


@contextmanager
def _mailbox() -> Iterator[Mailbox]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    box = Mailbox(port)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


def _letter(site: Site, box: Mailbox, most: float) -> float:
    """Seconds from a resident's wish for news until the city's question is with their mail server."""
    to, at = f"{uuid.uuid4().hex}@residents.example", datetime.now(UTC)
    engine = db.connect(site.settings.database_url)
    with db.transaction(engine) as s:
        intake.subscribe(s, _reported(s, at), to, lang="en", at=at)
    engine.dispose()
    began = time.monotonic()
    while to not in box.came and time.monotonic() < began + most:
        time.sleep(0.05)
    return box.came.get(to, time.monotonic()) - began


if __name__ == "__main__":
    sys.exit(main())

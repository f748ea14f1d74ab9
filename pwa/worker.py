"""The worker: what the city does without being asked, some of it every second and some every minute."""

import fcntl
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from smtplib import SMTPException
from typing import IO
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from city.audit import events
from city.board import presence
from city.cases import batches, duplicates, sla_sweep, transitions
from city.channels import EMAIL
from city.db import engine as db
from city.db.models import AccountLetter
from city.forwarding import client as forwarding
from city.forwarding import following, pulling, sending
from city.inbox import entries, mailbox, reception
from city.inbox.mail_server import MailServer
from city.metrics import publications
from city.notifications import (
    account_email,
    danger_alarm,
    digests,
    fan_out,
    outbox,
    overdue_digest,
    pickup_reminders,
    webhooks,
)
from city.notifications.sender import PermanentFailure, Sender
from city.opendata import editions
from city.partners import handovers, telling
from city.people import accounts, callers, duty, rate_limits, sessions
from city.photos import orphans, photos
from city.privacy import retention
from city.reports import conversation, photo_urls, remote_images
from city.settings import OUTWARD, Settings
from pwa.app import create_app
from pwa.messages import report_messages
from pwa.web import city_reload
from sync import compaction, enrolment, expected_photos, residents, review, uploads
from sync.merge import Rules, rules_of

EVERY, NOW_AND_THEN, ONCE_A_DAY = 1.0, 60.0, 86_400.0  # seconds
# Of each second for the files of open data; and how long a fault in them waits, which may be a full disk.
AT_A_TIME, AFTER_FAULT = 0.4, 3600.0
MOST_RECORDS = 200  # cases, calls or addresses of a class that the records schedule takes in one go
# Seconds for what is on its way as it stops; `cityline run` gives its children ten.
LAST_LETTER = 8.0
# Where the list of erasures was lost with the var folder, a restored database knows nothing of holds that
# were placed since the backup: so long there is to place them again.
UNTIL_HELD_AGAIN = timedelta(days=7)

log = logging.getLogger("cityline.worker")

Job = Callable[[datetime], object]


class NoLock(Exception):
    """The var folder gives no lock. Without one a second worker may be at work, and letters go out twice."""


def run(settings: Settings, stop: threading.Event) -> None:
    """Works until it is asked to stop; while another worker has this var folder, waits to take its place.

    Raises NoLock.
    """
    try:
        file = (settings.var / "work.lock").open("a")
    except OSError as fault:
        raise NoLock(fault.strerror) from fault
    with file:  # the lock goes with its process, however that ends
        if _locked(file, stop):
            _work(settings, stop)


def _locked(file: IO[str], stop: threading.Event) -> bool:
    """Whether the lock is ours; False where we are asked to stop first."""
    told = False
    while not stop.is_set():
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if not told:
                log.warning(
                    "Another worker is running for this city. This one will wait until that one stops."
                )
            told = True
        except OSError as fault:
            raise NoLock(fault.strerror) from fault
        stop.wait(EVERY)
    return False


def _work(settings: Settings, stop: threading.Event) -> None:
    """What asks other machines and waits for them has a lane for each way out; all else is done here."""
    app = create_app(settings)
    files = Files(app, editions.place(settings))
    lanes = [
        threading.Thread(target=_go_round, args=(*jobs, [], stop), name=name, daemon=True)
        for name, jobs in _lanes(app, settings, stop).items()
    ]
    for lane in lanes:
        lane.start()
    server = _mail_server(app, settings)
    try:
        _go_round(*_keeping(app, settings, files), stop)
    finally:
        if server:
            server.stop()
        files.leave()
        # What is on its way is finished and noted, so that nobody gets it twice; a server that hangs is left.
        stop.set()
        until = time.monotonic() + LAST_LETTER
        for lane in lanes:
            lane.join(max(0.0, until - time.monotonic()))
    app.extensions["cityline"].engine.dispose()


def _mail_server(app: Flask, settings: Settings) -> MailServer | None:
    """Takes mail where the city's own server hands it over; None where that is not asked for.

    A port that is taken stops no other work: the log says so, and the next start may have it.
    """
    if not settings.mail_in or settings.mail_in.startswith("imap"):
        return None
    server = MailServer(settings.mail_in, partial(_reception, app))
    try:
        server.start()
    except OSError as fault:
        log.error("No mail comes in: can't listen at %s (%s)", settings.mail_in, fault.strerror)
        return None
    return server


def _reception(app: Flask) -> reception.Place:
    held = app.extensions["cityline"]
    return reception.place(held.settings, held.engine, held.city)


def _lanes(app: Flask, settings: Settings, stop: threading.Event) -> dict[str, tuple[list[Job], list[Job]]]:
    """By name, what each lane does every second and every minute. What hangs holds up its own lane only."""
    senders, render = outbox.open_senders(settings), report_messages.render(app)
    post = webhooks.open_post(loopback=settings.outward == OUTWARD[1])
    lanes: dict[str, tuple[list[Job], list[Job]]] = {
        name: ([partial(_tell_people, app, {name: sender}, render, stop)], [])
        for name, sender in senders.items()
    }
    lanes[EMAIL][1].append(partial(_tell_staff, app, senders[EMAIL]))
    # Of its own, since whoever waits for a code to log in waits for no other letter.
    lanes["codes"] = ([partial(_send_codes, app, senders, report_messages.account(app), stop)], [])
    lanes["webhooks"] = ([partial(_tell_systems, app, post)], [])
    lanes["endpoints"] = (
        [partial(_forward, app, forwarding.Client(loopback=settings.outward == OUTWARD[1]))],
        [],
    )
    lanes["pictures"] = ([partial(_fetch, app, remote_images.open_fetch())], [])
    if settings.mail_in.startswith("imap"):
        lanes["mailbox"] = ([], [lambda now: mailbox.fetch(settings.mail_in, _reception(app), now)])
    return lanes


def _keeping(app: Flask, settings: Settings, files: "Files") -> tuple[list[Job], list[Job], list[Job]]:
    """What is done every second, every minute and every day, and waits for nobody."""
    engine, store = app.extensions["cityline"].engine, app.extensions["cityline"].store
    every_second: list[Job] = [
        partial(_take_up_city, app),
        partial(_listen, engine),
        partial(conversation.settle, engine),
        partial(photos.move_staged_to_storage, engine, store, settings.var),
        files,
    ]
    every_minute: list[Job] = [
        partial(photos.sweep, engine, settings.var),
        partial(photos.purge_owed, engine, store),
        partial(uploads.sweep, settings.var),
        partial(_watch_promises, app),
        partial(_ring_for_danger, app),
        partial(_mark_endings_without_photo, engine),
        partial(_bring_before_a_person, engine, rules_of(settings)),
        partial(_tidy_phones, engine),
        partial(_sweep_old_rows, engine),
        partial(_forget_settled, engine, settings.var),
        partial(conversation.remind, engine),
        partial(_root, engine),
        _Records(app),
        partial(_write_digests, app),
        partial(_remind_of_pickups, app),
    ]
    every_day: list[Job] = [
        partial(_publish, app),
        partial(_learn, engine),
        partial(orphans.sweep, engine, store, settings.var),
    ]
    return every_second, every_minute, every_day


def _go_round(
    every_second: list[Job], every_minute: list[Job], every_day: list[Job], stop: threading.Event
) -> None:
    tidied = learned = float("-inf")
    while not stop.is_set():
        jobs = list(every_second)
        if time.monotonic() - tidied > NOW_AND_THEN:
            tidied = time.monotonic()
            jobs += every_minute
        if time.monotonic() - learned > ONCE_A_DAY:
            learned = time.monotonic()
            jobs += every_day
        for job in jobs:
            _safely(job)
        stop.wait(EVERY)


class Files:
    """Makes the files of open data while all else goes on: a little every second, until they are there."""

    def __init__(self, app: Flask, root: Path) -> None:
        self._app, self._held, self._root = app, app.extensions["cityline"], root
        self._going: Generator[None] | None = None
        self._looks_at = float("-inf")

    def __call__(self, now: datetime) -> None:
        """Goes on, or looks once a minute whether new ones are due."""
        if self._going is None and time.monotonic() >= self._looks_at:
            self._looks_at = time.monotonic() + NOW_AND_THEN
            self._begin(now)
        until = time.monotonic() + AT_A_TIME
        while self._going is not None:  # a slow machine too gets on, a step at a time
            self._step(self._going)
            if time.monotonic() >= until:
                break

    def leave(self) -> None:
        """Removes what is half done."""
        if self._going is not None:
            self._going.close()

    def _begin(self, now: datetime) -> None:
        with db.read_session(self._held.engine) as s:
            due = editions.is_due(s, self._root, self._held.city, now)
        if due:
            _publish(self._app, now)  # the figures of a month that has ended tonight
            self._going = editions.make(self._held.engine, self._root, self._held.city, now)

    def _step(self, going: Generator[None]) -> None:
        try:
            next(going)
        except StopIteration:
            self._going = None
        except Exception:
            self._going, self._looks_at = None, time.monotonic() + AFTER_FAULT
            raise


@dataclass
class _Records:
    """The records schedule, once a day; by the minute while much is left, so that no letter waits long."""

    app: Flask
    next_at: datetime | None = None

    def __call__(self, now: datetime) -> None:
        if self.next_at and now < self.next_at:
            return
        held = self.app.extensions["cityline"]
        if orphans.was_restored(held.settings.var, now, UNTIL_HELD_AGAIN):
            return
        done = retention.carry_out(
            held.engine, held.settings.var, held.city.retention, now, most=MOST_RECORDS
        )
        self.next_at = None if done.left else now + timedelta(seconds=ONCE_A_DAY)


def _take_up_city(app: Flask, _now: datetime) -> None:
    with app.app_context():
        city_reload.reload_if_changed()


def _listen(engine: Engine, now: datetime) -> int:
    with db.transaction(engine) as s:
        return fan_out.process_events(s, now)


def _tell_people(
    app: Flask, senders: outbox.Senders, render: outbox.Render, stop: threading.Event, now: datetime
) -> int:
    held = app.extensions["cityline"]
    quiet = held.city.quiet is not None and held.city.quiet.holds(now)
    return outbox.send_due(held.engine, senders, render, now, quiet=quiet, stop=stop.is_set)


def _send_codes(
    app: Flask, senders: outbox.Senders, write: account_email.Write, stop: threading.Event, now: datetime
) -> int:
    engine = app.extensions["cityline"].engine

    def refused(s: Session, letter: AccountLetter, why: str) -> None:
        if letter.kind == telling.LETTER:
            handovers.undelivered(s, letter.facts["link"], why, at=now)

    return account_email.send_due(
        engine, senders[EMAIL], write, now, stop=stop.is_set, refused=refused
    ) + telling.tell_due(engine, now)


def _write_digests(app: Flask, now: datetime) -> int:
    held = app.extensions["cityline"]
    return digests.queue_due(held.engine, now, held.city.time_zone)


def _remind_of_pickups(app: Flask, now: datetime) -> int:
    held = app.extensions["cityline"]
    return pickup_reminders.queue_due(held.engine, now, held.city.time_zone, held.city.collection)


def _tell_staff(app: Flask, by_email: Sender, now: datetime) -> None:
    """A letter that does not go out is tried again within a minute, under the same name, all day."""
    held = app.extensions["cityline"]
    zone = held.city.time_zone
    with db.read_session(held.engine) as s:
        people_due = overdue_digest.due(s, now, zone)
        late = overdue_digest.overdue_cases(s) if people_due else None
    faults: list[Exception] = []
    for person in people_due:
        try:
            if late and late.total:
                by_email.send(report_messages.morning(app, person, late, now.astimezone(zone).date()))
        except (OSError, SMTPException, PermanentFailure) as fault:
            faults.append(fault)  # one mailbox that takes nothing holds up no other
            continue
        with db.transaction(held.engine) as s:
            overdue_digest.mark_sent(s, person.id, now, zone)
    if faults:
        raise faults[0]


def _tell_systems(app: Flask, post: webhooks.Post, now: datetime) -> int:
    held = app.extensions["cityline"]
    return webhooks.send_due(held.engine, post, now, held.publish)


def _forward(app: Flask, client: forwarding.Client, now: datetime) -> int:
    """To other owners' endpoints and back; each of the three goes on where another fails."""
    held = app.extensions["cityline"]
    settings = held.settings
    paths = app.url_map.bind(urlsplit(settings.base_url).netloc)

    def photo_url(photo_id: str) -> str:
        return settings.base_url + paths.build("photos.photo", {"photo_id": photo_id, "size": "page"})

    here = sending.Here(settings.base_url, held.publish, photo_url)
    done = sending.send_due(held.engine, client, here, now)
    done += following.follow_due(held.engine, client, now)
    return done + pulling.pull_due(
        held.engine, client, here, now, secret=settings.secret_key, lang=held.city.languages[0]
    )


def _fetch(app: Flask, fetch: remote_images.Fetch, now: datetime) -> int:
    held = app.extensions["cityline"]
    return photo_urls.fetch_due(held.engine, held.settings.var, now, fetch)


def _watch_promises(app: Flask, now: datetime) -> int:
    held = app.extensions["cityline"]
    return sla_sweep.sweep(held.engine, now, held.city.late_days)


def _ring_for_danger(app: Flask, now: datetime) -> int:
    held = app.extensions["cityline"]
    return danger_alarm.sweep(held.engine, now, held.city.ring_after, held.city.ring_again)


def _mark_endings_without_photo(engine: Engine, now: datetime) -> int:
    with db.transaction(engine) as s:
        return transitions.flag_missing_evidence(s, at=now, by=accounts.THE_SYSTEM)


def _bring_before_a_person(engine: Engine, rules: Rules, now: datetime) -> int:
    with db.transaction(engine) as s:
        return expected_photos.flag_missing(s, now) + review.overdue(s, now, rules)


def _tidy_phones(engine: Engine, now: datetime) -> int:
    done = 0
    for job in (compaction.take_done_away, compaction.drop_tombstones, compaction.compact):
        with db.transaction(engine) as s:
            done += job(s, now)
    return done


def _sweep_old_rows(engine: Engine, now: datetime) -> int:
    with db.transaction(engine) as s:
        sweeps = (
            presence.sweep,
            sessions.sweep,
            duty.sweep,
            enrolment.sweep,
            rate_limits.sweep,
            residents.sweep,
            batches.sweep,
            callers.sweep,
            account_email.sweep,
            sessions.tell_of_guesses,
        )
        return sum(sweep(s, now) for sweep in sweeps)


def _forget_settled(engine: Engine, var: Path, now: datetime) -> int:
    with db.transaction(engine) as s:
        return entries.sweep(s, var, now)


def _root(engine: Engine, now: datetime) -> None:
    with db.transaction(engine) as s:
        events.seal_day_if_due(s, now)


def _publish(app: Flask, now: datetime) -> list[str]:
    held = app.extensions["cityline"]
    return publications.publish_completed_months(held.engine, held.city, now, by=accounts.THE_SYSTEM)


def _learn(engine: Engine, _now: datetime) -> None:
    with db.read_session(engine) as s:  # goes through all ended cases: nobody is to wait for that
        found = duplicates.refit_service_weights(s)
    with db.transaction(engine) as s:
        duplicates.store_learned(s, found)


def _safely(job: Job) -> None:
    """A fault in one job must not stop the others; it is logged and tried again."""
    try:
        job(datetime.now(UTC))
    except OperationalError as fault:  # a database that is down, or busy with an import, is so for every job
        log.warning("a worker job will be tried again: %s", fault.orig)
    except Exception:
        log.exception("a worker job failed")

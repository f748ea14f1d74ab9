"""Is the city well? Each check says so in one line of words; `/readyz` asks the same of what it needs."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from city import security_log
from city.audit import epochs, events
from city.channels import CONFIRMED, PUSH, SILENT
from city.db import engine as db
from city.db.models import Backup, Device, Event, Follower, Message, Person, Photo, Subscription, Webhook
from city.lifecycle import Refused
from city.notifications import account_email, danger_alarm, fan_out
from city.opendata import editions
from city.operations import backup, dumps
from city.operations.backup import MANIFEST
from city.photos import orphans, photos, storage
from city.photos.storage import Store
from city.settings import Settings

OK, LOOK, WRONG = "ok", "look", "wrong"

WORKER_LATE = timedelta(minutes=2)
WORKER_STARTS = timedelta(seconds=30)  # it gives a sign of life every twenty
LINES_BEHIND = 1000  # of the log, which the worker reads in seconds
BACKUP_OLD = timedelta(days=1)
FILES_OLD = timedelta(days=2)  # two nights without new ones
PHONE_LONG_AGO = timedelta(days=7)  # the crew may be on leave, or its work may lie in a drawer
LETTER_LATE = timedelta(minutes=30)  # past its time, and nobody has tried to send it
CODE_LATE = timedelta(minutes=2)  # whoever asked for it sits before the page
LONG_TRIED = 10  # tries: with the waits between them some seventeen hours
HOOK_LATE = timedelta(days=1)
UNSENT_LONG = timedelta(days=1)  # a shift is over, and its work is not here
REFUSED_WITHIN = timedelta(days=1)
ATTACKS = ("log-in refused", "forged request", "key refused", "unknown link")
MANY_REFUSED = 100  # more than a day of typing mistakes in a city hall
DISK_FULL, DISK_FILLING = 0.05, 0.15  # free, as a share of the whole
SUBJECTS, PHOTOS = 500, 200  # the newest ones, of which a quick look is taken
MB = 1_000_000


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, how it is (ok, look or wrong), and that in words."""

    what: str
    mark: str
    words: str


def examine(
    engine: Engine, settings: Settings, store: Store, now: datetime, *, whole: bool = False
) -> list[Finding]:
    """Every check in the order it is told. `whole` reads the whole log and all photos: that takes a while.

    The newest backup is read back either way, its photos only with `whole`.
    """
    found = [_store(store), _disk(settings.var)]
    try:
        with db.read_session(engine) as s:
            found.append(_schema(s))
            if found[-1].mark == OK:
                found += [
                    _worker(s, now),
                    _database(s),
                    _backup(s, settings, now, whole),
                    _phones(s, now),
                    _letters(s, now),
                    _notifications(s),
                    _danger(s),
                    _webhooks(s, now),
                    _log(s, whole),
                    _photos(s, store, whole),
                    _files(settings, now),
                    _refused(settings.var, now),
                    *([_strays(engine, store, now)] if whole else []),
                ]
    except SQLAlchemyError as fault:
        why = getattr(fault, "orig", None) or type(fault).__name__
        found.append(Finding("database", WRONG, f"The database isn't answering: {why}."))
    return found


def unready(engine: Engine, store: Store, now: datetime) -> dict[str, str]:
    """What a report needs and is not there, by name; {} where the server may be sent visitors."""
    found = [_store(store)]
    try:
        with db.read_session(engine) as s:
            found.append(_schema(s))
            if found[-1].mark == OK:
                found.append(_alive(s, now))
    except SQLAlchemyError as fault:
        found.append(Finding("database", WRONG, type(fault).__name__))
    return {finding.what: finding.words for finding in found if finding.mark == WRONG}


def _schema(s: Session) -> Finding:
    if db.is_current(s):
        return Finding("migrations", OK, "The schema is up to date.")
    if db.is_before_first(s.connection()):
        return Finding("migrations", WRONG, "The schema is from before 0.2.0 and can't be updated.")
    if db.is_newer(s.connection()):
        return Finding("migrations", WRONG, "The schema is from a newer release. Use that release.")
    # Visitors may read this too, so it does not say where the database is.
    return Finding(
        "migrations", WRONG, "The schema is out of date, or there's no city yet. Run cityline migrate."
    )


def _store(store: Store) -> Finding:
    try:
        store.check()
    except Exception as fault:  # any fault of a store, whatever its kind, means that photos cannot be kept
        return Finding("store", WRONG, f"Photos can't be stored: {type(fault).__name__}.")
    return Finding("store", OK, "Photo storage works.")


def _disk(var: Path) -> Finding:
    disk = shutil.disk_usage(var)
    words = f"{disk.free // MB:,} MB of {disk.total // MB:,} MB are free under {var}."
    share = disk.free / disk.total
    return Finding("disk", WRONG if share < DISK_FULL else LOOK if share < DISK_FILLING else OK, words)


def _files(settings: Settings, now: datetime) -> Finding:
    edition = editions.current(editions.place(settings))
    if edition is None:
        return Finding("open data", OK, "No files yet.")
    words = f"Files updated {_span(now - edition.made_at)} ago."
    return Finding("open data", LOOK if now - edition.made_at > FILES_OLD else OK, words)


def _refused(var: Path, now: datetime) -> Finding:
    """What the security log of this machine holds of the last day."""
    found = security_log.counts(var, now - REFUSED_WITHIN)
    words = ", ".join(f"{what} {many:,} times" for what, many in found.most_common())
    mark = LOOK if sum(many for what, many in found.items() if what in ATTACKS) >= MANY_REFUSED else OK
    return Finding("refusals", mark, f"In the last day: {words}." if words else "None in the last day.")


def _alive(s: Session, now: datetime) -> Finding:
    worker = s.get(Follower, fan_out.NAME)
    if worker is None:
        return Finding("worker", WRONG, "It has never run. Start it: cityline work.")
    if worker.seen_at == fan_out.NEVER:
        return Finding("worker", WRONG, "It hasn't run since the restore. Start it: cityline work.")
    if now - worker.seen_at > WORKER_LATE:
        return Finding("worker", WRONG, f"It hasn't run for {_span(now - worker.seen_at)}.")
    last = epochs.newest(s)
    if last and worker.seen_at < last.at < now - WORKER_STARTS:
        return Finding(
            "worker", WRONG, "It hasn't run since the last start or restore. Start it: cityline work."
        )
    return Finding("worker", OK, "It's running.")


def _worker(s: Session, now: datetime) -> Finding:
    alive, worker = _alive(s, now), s.get(Follower, fan_out.NAME)
    read = worker.seq if worker else 0
    behind = s.scalar(select(func.count()).where(Event.seq > read)) or 0
    mark = LOOK if alive.mark == OK and behind > LINES_BEHIND else alive.mark
    return Finding("worker", mark, f"{alive.words} It's {_count(behind, 'log line')} behind.")


def _database(s: Session) -> Finding:
    if fault := dumps.fault(s):
        return Finding("database", WRONG, f"The database is damaged: {fault}. Restore a backup.")
    return Finding("database", OK, "It's answering, and finds no damage.")


def _backup(s: Session, settings: Settings, now: datetime, whole: bool) -> Finding:
    last = s.scalars(select(Backup).order_by(Backup.id.desc()).limit(1)).first()
    if last is None:
        return Finding("backup", WRONG, "There's no backup. Make one: cityline backup TO.")
    age, here = now - last.made_at, Path(last.folder)
    words = f"Last backup {_span(age)} ago: {last.folder}."
    if age > BACKUP_OLD:
        return Finding("backup", WRONG, words)
    if not here.parent.is_dir():
        more = "But that folder isn't here. Mount its disk, or look where it is."
        return Finding("backup", WRONG, f"{words} {more}")
    if not (here / MANIFEST).exists():
        return Finding("backup", WRONG, f"{words} But it's no longer there.")
    if fault := _fault_in(here, settings, whole):
        return Finding("backup", WRONG, f"{words} But it's damaged: {fault}.")
    if bad := backup.damaged(here.parent):
        folder, fault = next(iter(bad.items()))
        return Finding(
            "backup", LOOK, f"{words} Others damaged in that folder: {len(bad)}. First: {folder}, {fault}."
        )
    return Finding("backup", OK, f"{words} It was read back.")


def _fault_in(folder: Path, settings: Settings, whole: bool) -> str:
    """Reads a backup back as a restore would, its photos only where `whole`; "" where nothing is wrong."""
    try:
        manifest = backup.read(folder)
        if found := backup.faults(folder, manifest, whole=whole):
            return found[0] if len(found) == 1 else f"{found[0]}, and {len(found) - 1} more"
        return dumps.fault_in(folder / dumps.FILES[manifest.database], settings.postgres_bin)
    except Refused as refused:
        return str(refused.facts.get("fault", refused.code))
    except OSError as fault:
        return str(fault)


def _phones(s: Session, now: datetime) -> Finding:
    live = select(Device, Person.name).join(Person, Person.id == Device.person_id)
    live = live.where(Device.revoked_at.is_(None), Person.disabled_at.is_(None))
    phones = list(s.execute(live.order_by(Device.seen_at)))
    if not phones:
        return Finding("phones", OK, "No phones yet.")
    away, name = now - phones[0][0].seen_at, phones[0][1]
    words = f"{len(phones)} enrolled. Longest without sync: {name}'s, {_span(away)} ago."
    unsent = [
        (since, device, name) for device, name in phones if (since := _unsent_since(device)) is not None
    ]
    waits = timedelta(0)
    if unsent:
        since, device, name = min(unsent, key=lambda row: row[0])
        waits = now - since
        unsent_work = _count(device.waiting["ops"], "update")
        words += f" Oldest unsent work: {name}'s, {unsent_work} for {_span(waits)}."
    return Finding("phones", LOOK if away > PHONE_LONG_AGO or waits > UNSENT_LONG else OK, words)


def _unsent_since(device: Device) -> datetime | None:
    """Since when work lies on a phone, as it said when it was here last; its clock may be wrong."""
    oldest = device.waiting.get("oldest")
    if not device.waiting.get("ops") or not isinstance(oldest, int | float):
        return None
    try:
        return min(datetime.fromtimestamp(oldest, UTC), device.seen_at)
    except (OverflowError, OSError, ValueError):
        return device.seen_at


def _letters(s: Session, now: datetime) -> Finding:
    """Letters and texts; a text that waits for the end of quiet hours is not late."""
    mine = Subscription.channel.in_(CONFIRMED)
    said = [f"{_count(dead, 'message')} failed."] if (dead := _given_up(s, mine)) else []
    late = Message.next_try_at < now - LETTER_LATE
    if waiting := _messages(s, Subscription.channel.in_(SILENT), late):
        said.append(f"Not tried yet, and more than half an hour late: {waiting}.")
    if tried := _messages(s, mine, Message.next_try_at.is_not(None), Message.tries >= LONG_TRIED):
        said.append(f"Tried {LONG_TRIED} or more times: {tried}.")
    if said:
        said.append("See /admin/mail.")
    if codes := account_email.late(s, now - CODE_LATE):
        said.append(f"Login mail waiting for more than two minutes: {codes}.")
    if said:
        return Finding("mail", LOOK, " ".join(said))
    return Finding("mail", OK, "No failed or delayed messages.")


def _notifications(s: Session) -> Finding:
    """A browser that is gone ends its wish by itself; of others the push service says something else."""
    wanted = select(func.count()).select_from(Subscription).where(Subscription.channel == PUSH)
    live = s.scalar(wanted.where(Subscription.stopped_at.is_(None))) or 0
    words = f"Notifications go to {_count(live, 'browser')}."
    if dead := _given_up(s, Subscription.channel == PUSH):
        return Finding("push", LOOK, f"{words} {_count(dead, 'notification')} failed. See /admin/mail.")
    return Finding("push", OK, words)


def _danger(s: Session) -> Finding:
    unheard = [each.number for each in danger_alarm.unaccepted(s) if each.rang_at and not each.rung]
    if not unheard:
        return Finding("danger", OK, "No dangerous case waits unheard.")
    words = f"No one could be alerted of {_count(len(unheard), 'dangerous case')}: {', '.join(unheard[:5])}."
    return Finding("danger", LOOK, f"{words} Someone must go on duty at /me and set up alerts.")


def _webhooks(s: Session, now: datetime) -> Finding:
    rows = list(s.scalars(select(Webhook).order_by(Webhook.id)))
    dead = [row.url for row in rows if row.dead_at]
    failing = [
        row.url
        for row in rows
        if not row.dead_at and row.failing_since and now - row.failing_since > HOOK_LATE
    ]
    said = [f"Stopped: {', '.join(dead)}."] if dead else []
    said += [f"No answer for a day: {', '.join(failing)}."] if failing else []
    if said:
        return Finding("webhooks", LOOK, f"{' '.join(said)} See /admin/webhooks.")
    return Finding("webhooks", OK, f"{_count(len(rows), 'webhook')} working.")


def _given_up(s: Session, whose: Any) -> int:
    return _messages(s, whose, Message.fault.is_not(None), Message.next_try_at.is_(None))


def _messages(s: Session, *which: Any) -> int:
    """How many messages that were not sent."""
    asked = select(func.count()).select_from(Message).join(Subscription)
    return s.scalar(asked.where(Message.sent_at.is_(None), *which)) or 0


def _log(s: Session, whole: bool) -> Finding:
    faults = events.verify(s) if whole else events.verify_newest(s, SUBJECTS)
    looked = "The whole log" if whole else f"The most recent part of the log (up to {SUBJECTS} subjects)"
    if faults:
        return Finding("log", WRONG, f"{looked} has {_count(len(faults), 'problem')}. First: {faults[0]}.")
    return Finding("log", OK, f"{looked} is intact.")


def _photos(s: Session, store: Store, whole: bool) -> Finding:
    asked = select(Photo).where(Photo.stored_at.is_not(None)).order_by(Photo.stored_at.desc())
    rows = list(s.scalars(asked if whole else asked.limit(PHOTOS)))
    try:
        missing = list(_missing(rows, store, whole))
    except storage.StoreDown as fault:
        return Finding("photos", WRONG, f"Photos can't be checked: {fault}.")
    if missing:
        words = f"Missing from photo storage: {len(missing)} of {len(rows)}. First: {missing[0]}."
        return Finding("photos", WRONG, words)
    return Finding("photos", OK, f"{'All' if whole else 'Newest'} photos checked: {len(rows)}. None missing.")


def _missing(rows: list[Photo], store: Store, whole: bool) -> Iterator[str]:
    for photo in rows:
        if not all(photos.is_whole(store, n) if whole else store.has(n) for n in photo.sizes.values()):
            yield photo.id


def _strays(engine: Engine, store: Store, now: datetime) -> Finding:
    try:
        found, names = orphans.count(engine, store, now)
    except storage.StoreDown as fault:
        return Finding("strays", WRONG, f"Can't list photo storage: {fault}.")
    return Finding("strays", LOOK if found else OK, orphans.summary(found, names))


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _span(span: timedelta) -> str:
    """ "3 days", "5 hours", "12 minutes" or "1 minute": as exact as somebody needs who has to act on it."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes >= 48 * 60:
        return f"{minutes // 1440} days"
    if minutes >= 120:
        return f"{minutes // 60} hours"
    return "1 minute" if minutes == 1 else f"{minutes} minutes"

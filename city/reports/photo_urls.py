"""Pictures that a report names by an address: the worker fetches them, or says in the story why not."""

from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from city.audit import events
from city.cases import locks, transitions
from city.db.engine import read_session, transaction
from city.db.models import InboxEntry, PhotoDownload, Report
from city.people import accounts
from city.photos import photos, processing
from city.photos.processing import BadPhoto, Busy, ProcessedPhoto
from city.reports.remote_images import Fetch, NotFetched

AT_ONCE = 3  # addresses in one pass: what was not asked yet comes first in the next one
TRIES = 5
FIRST_PAUSE = timedelta(minutes=1)  # doubled at each try


def fetch_due(engine: Engine, var: Path, now: datetime, fetch: Fetch) -> int:
    """Fetches what is due; returns how many came. No transaction is open while the network is asked."""
    with read_session(engine) as s:
        due = s.execute(
            select(PhotoDownload.id, PhotoDownload.url)
            .where(PhotoDownload.next_try_at <= now)
            .order_by(PhotoDownload.tries > 0, PhotoDownload.next_try_at, PhotoDownload.id)
            .limit(AT_ONCE)
        ).all()
    return sum(_settle(engine, var, row.id, row.url, now, fetch) for row in due)


def _settle(engine: Engine, var: Path, wanted_id: int, url: str, now: datetime, fetch: Fetch) -> bool:
    """Whether the picture is here now."""
    found: ProcessedPhoto | None = None
    why, passing = "", False
    try:
        found = processing.process(fetch(url, processing.MAX_UPLOAD))
    except NotFetched as fault:
        why, passing = fault.code, fault.passing
    except BadPhoto as bad:
        why = bad.code
    except Busy:
        why, passing = "broken", True
    with transaction(engine) as s:
        wanted = s.get(PhotoDownload, wanted_id)
        if wanted is None:  # erased meanwhile
            return False
        if passing and wanted.tries + 1 < TRIES:
            wanted.tries += 1
            wanted.next_try_at = now + FIRST_PAUSE * 2 ** (wanted.tries - 1)
            return False
        s.execute(delete(PhotoDownload).where(PhotoDownload.id == wanted_id))
        if entry := s.get(InboxEntry, wanted.entry_id) if wanted.entry_id else None:
            return _keep(s, var, entry, found, why, now)
        report = s.get_one(Report, wanted.report_id)
        if found is None:
            _refuse(s, report, url, why, now)
            return False
        return _give(s, var, report, wanted.message_id, found, url, now)


def _keep(
    s: Session, var: Path, entry: InboxEntry, found: ProcessedPhoto | None, why: str, now: datetime
) -> bool:
    """With the entry, until the desk knows what it is about."""
    try:
        if found is not None:
            photos.stage(s, var, found, staged_for=f"{photos.INBOX}{entry.key}", at=now)
            return True
    except BadPhoto as bad:
        why = bad.code
    entry.notes = [*entry.notes, f"bad photo {why}"]
    return False


def _give(
    s: Session,
    var: Path,
    report: Report,
    message_id: int | None,
    found: ProcessedPhoto,
    url: str,
    now: datetime,
) -> bool:
    """As a photo of the report after those that it has, or of what its reporter wrote."""
    try:
        photo = photos.stage(s, var, found, staged_for=f"{photos.FORM}{report.key}", at=now)
    except BadPhoto as bad:
        _refuse(s, report, url, bad.code, now)
        return False
    return transitions.photo_came(
        s, photo, case_id=report.case_id, cycle=None, closure_id=None,
        report_id=None if message_id else report.id, message_id=message_id,
        position=len(report.photos), by=accounts.THE_SYSTEM, at=now,
    )  # fmt: skip


def _refuse(s: Session, report: Report, url: str, why: str, now: datetime) -> None:
    """Says in the case's story what was not fetched, and why: somebody may want to look themselves."""
    locks.lock(s, report.case)
    events.record(
        s, transitions.subject(report.case), "photo failed", by=accounts.THE_SYSTEM, at=now,
        facts={"why": why, "report": report.number}, words={"note": url},
    )  # fmt: skip

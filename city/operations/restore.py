"""Putting a backup in the place of what is here, and forgetting again what was erased since."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, delete, select

from city import files
from city.audit import epochs, erasure_ledger
from city.audit.erasure_ledger import Cleared, Forgotten, Held, Left, Line, Redacted, ShutOut, Unfollowed
from city.cases import legal_holds
from city.cases import numbers as case_numbers
from city.config import city_file
from city.db import engine as db
from city.db.models import Backup, EnrolmentCode, Photo
from city.lifecycle import Refused
from city.notifications import fan_out
from city.operations import backup, dumps
from city.operations.backup import Manifest, Told
from city.people import sessions
from city.photos import orphans, photos
from city.photos.storage import Store
from city.privacy import caller_erasure, erasure, redaction, retention
from city.reports import intake
from city.settings import Settings

MARK = "restoring"  # in the var folder while a restore is not finished: nobody may start on half of one


class Damaged(Exception):
    """A backup that is not what it was; `faults` name each part."""

    def __init__(self, folder: Path, faults: Sequence[str]) -> None:
        super().__init__(f"{folder}: parts missing or changed: {len(faults)}")
        self.folder, self.faults = folder, list(faults)


@dataclass(frozen=True)
class Restored:
    """What came of it: `lost` are ids of photos whose bytes nobody has, the others say what to look at."""

    folder: Path
    manifest: Manifest
    lost: list[str]
    erased_again: int
    held_again: int  # holds that were placed or lifted since the backup
    shut_out_again: int  # phones that were revoked since
    own_secret: bool  # CITYLINE_SECRET_KEY is set and is another one than the backup's
    other_city: bool  # the city file on this machine says something else than the one applied last


def restore(
    settings: Settings,
    source: Path,
    store: Store,
    *,
    over: bool,
    lists: Sequence[Path] = (),
    at: datetime,
    told: Told = lambda *_: None,
) -> Restored:
    """Puts back the backup at `source`, or the newest one in it; `lists` are more lists of erasures.

    Looks at every byte before it touches anything: `told` hears how many photos were looked at, and then how
    many were put back. Raises Damaged; Refused `no_backup`, `backup_unreadable`, `backup_too_new`,
    `other_database`, `database_not_empty` (unless `over`) or `database_in_use`; DumpFailed, StoreDown. Ended
    half-way, it is run again.
    """
    folder = backup.find(source)
    manifest = backup.read(folder)
    owner = settings.owner_url
    if manifest.database != dumps.kind(owner):
        raise Refused("other_database", backup=manifest.database, here=dumps.kind(owner))
    if dumps.FILES[manifest.database] not in manifest.files:
        raise Refused("backup_unreadable", folder=str(folder), fault="its database isn't among its files")
    mark = settings.var / MARK
    if not over and not mark.exists() and not dumps.is_empty(owner):
        raise Refused("database_not_empty")
    if found := backup.faults(folder, manifest, told=told):
        raise Damaged(folder, found)
    secret, city = (_text(folder, name) for name in (backup.SECRET, backup.CITY))
    erased = erasure_ledger.read(
        [folder.parent / erasure_ledger.NAME, *lists, settings.var / erasure_ledger.NAME]
    )
    dumps.refuse_in_use(owner, settings.database_url)

    mark.write_text(f"{folder}\n")
    erasure_ledger.append_missing(settings.var, erased)
    dumps.put_back(
        folder / dumps.FILES[manifest.database], owner, settings.database_url, settings.postgres_bin
    )
    db.migrate(owner, settings.database_url)
    db.analyze(owner)  # all phones are about to come back at once
    engine = db.connect(settings.database_url)
    try:
        epochs.start_epoch(engine, at)  # before anything is written: phones tell by it that lines were lost
        with db.transaction(engine) as s:
            case_numbers.skip_after_restore(s, _made(manifest), at)
            fan_out.forget_seen(s)
            s.add(Backup(made_at=_made(manifest), seq=manifest.seq, folder=str(folder.absolute())))
        lost = _put_photos(engine, settings.var, store, folder, told)
        own_secret = _put_secret(settings, secret)
        again = _forget_again(engine, settings.var, store, erased, at)
        held = _hold_again(engine, settings.var, erased, at)
        shut_out = _shut_out_again(engine, settings.var, erased, at)
    finally:
        engine.dispose()
    orphans.hold(settings.var)
    mark.unlink()
    other_city = _city_text(settings.city) != city
    return Restored(folder, manifest, lost, again, held, shut_out, own_secret, other_city)


def refuse_unfinished(var: Path) -> None:
    """Raises Refused `restore_unfinished` where a restore was ended half-way."""
    if (var / MARK).exists():
        raise Refused("restore_unfinished", run_again=f"cityline restore {(var / MARK).read_text().strip()}")


def _put_photos(engine: Engine, var: Path, store: Store, folder: Path, told: Told) -> list[str]:
    with db.read_session(engine) as s:
        rows = list(s.scalars(select(Photo)))
    pool = backup.pool_of(folder)
    # By name, since photos may share bytes, and two hands at one of them would be in each other's way.
    names = {name: photo.id for photo in rows if photo.stored_at for name in photo.sizes.values()}
    jobs = [(photo_id, partial(photos.restore_blob, store, name, pool)) for name, photo_id in names.items()]
    jobs += [(p.id, partial(photos.stage_again, p, pool, var)) for p in rows if not p.stored_at]

    def put(job: partial[None]) -> bool:
        try:
            job()
        except KeyError:  # the backup said so already, or the photo was let go while it was made
            return False
        return True

    lost = set()
    with ThreadPoolExecutor(backup.HANDS) as hands:
        done = hands.map(put, [job for _, job in jobs])
        for n, ((photo_id, _), here) in enumerate(zip(jobs, done, strict=True), 1):
            told(n, len(jobs))
            if not here:
                lost.add(photo_id)
    return sorted(lost)


def _put_secret(settings: Settings, secret: str) -> bool:
    """Puts the backup's secret into the var folder, unless the environment says one, which then counts.

    True where that is another than the backup's: links that residents have do not open then.
    """
    kept = settings.var / "secret_key"
    if not kept.exists() or kept.read_text().strip() != settings.secret_key:
        return secret != settings.secret_key
    with files.atomic_write(kept, mode=0o600) as file:
        file.write(secret.encode())
    return False


def _forget_again(engine: Engine, var: Path, store: Store, lines: Sequence[Line], at: datetime) -> int:
    again = 0
    with db.transaction(engine) as s:
        again += caller_erasure.forget_again(
            s, [line for line in lines if isinstance(line, Forgotten)], at=at
        )
    for line in lines:
        if isinstance(line, Forgotten | Cleared | Held | ShutOut):
            continue
        if isinstance(line, Redacted):
            again += redaction.redact_again(engine, store, var, line, at=at)
            continue
        with db.transaction(engine) as s:
            if isinstance(line, Left):
                again += erasure.erase_again(s, line, at=at)
            elif isinstance(line, Unfollowed):
                again += erasure.unfollow_again(s, line)
            else:
                again += intake.erase_again(s, line, store, var, at=at)
    cleared = [line for line in lines if isinstance(line, Cleared)]
    again += retention.clear_again(engine, var, cleared, at=at)
    photos.purge_owed(engine, store, at)  # the bytes of what was cleared
    return again


def _hold_again(engine: Engine, var: Path, lines: Sequence[Line], at: datetime) -> int:
    """After all that was erased: it was not on hold then. Of each case the last line counts."""
    last = {(line.hold, line.key): line for line in lines if isinstance(line, Held)}
    again = 0
    for line in last.values():
        with db.transaction(engine) as s:
            again += legal_holds.reapply_after_restore(s, line, var, at=at)
    return again


def _shut_out_again(engine: Engine, var: Path, lines: Sequence[Line], at: datetime) -> int:
    with db.transaction(engine) as s:
        s.execute(delete(EnrolmentCode).where(EnrolmentCode.used_at.is_(None)))  # it may have been used since
        told = [line for line in lines if isinstance(line, ShutOut)]
        return sum(sessions.shut_out_again(s, line, var, at=at) for line in told)


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text("utf-8")
    except UnicodeDecodeError:
        raise Refused("backup_unreadable", folder=str(folder), fault=f"{name} isn't text") from None


def _made(manifest: Manifest) -> datetime:
    return datetime.fromisoformat(manifest.made_at).astimezone(UTC)


def _city_text(city: Path) -> str | None:
    try:
        return city_file.read_with_logo(city)
    except city_file.CityFileError:
        return None

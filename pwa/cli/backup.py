"""The commands that keep a city safe: `cityline backup`, `restore`, `doctor` and `callers forget`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from city.cases import board_index
from city.cases import search as case_search
from city.config import versions as config_versions
from city.db import engine as db
from city.lifecycle import Refused
from city.operations import backup, doctor, dumps
from city.operations import restore as operations_restore
from city.people import accounts
from city.people import callers as known_callers
from city.photos import storage
from city.privacy import caller_erasure
from city.settings import read
from pwa.cli.progress import Progress

# What the refusals of these commands mean at night, and what comes next.
WORDS = {
    "no_backup": "No complete backup found there. Use the folder you gave to `cityline backup`.",
    "backup_unreadable": "Can't read the backup {folder} ({fault}). Try an older one from the same folder.",
    "backup_too_new": "A newer Cityline made this backup. Install that version, then restore.",
    "other_database": "This backup is for a different type of database than CITYLINE_DATABASE_URL.",
    "database_not_empty": "The database isn't empty. Back it up first, then restore with --over.",
    "not_empty": "This folder already has data. Use an empty folder for the demo: set CITYLINE_VAR.",
    "database_in_use": "The database is still in use. Stop the web server and worker, then run this again.",
    "restore_unfinished": "A restore started here but didn't finish. Run it again to finish: {run_again}",
    "backup_running": "Another backup is running in this folder. Wait until it's done.",
    "not_public": "{url} isn't a public address. Use https, a public host, and no user name or password. "
    "To test on this machine, set CITYLINE_OUTWARD=loopback here and for the worker.",
    "bad_secret": "A secret must be whsec_ followed by 24 to 64 bytes in base64.",
    "empty_name": "Enter a name.",
    "bad_hourly": "The hourly limit must be a whole number from 1 to {most}.",
    "backup_exists": "A backup from this second already exists. Run it again.",
}

COLOURS = {doctor.OK: "green", doctor.LOOK: "yellow", doctor.WRONG: "red"}
A_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
A_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command("rebuild-index")
def rebuild_index() -> None:
    """Rebuild the board's index, search, and figures from the log."""
    engine = db.connect(read().database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.transaction(engine) as s:
        wrong = board_index.recompute(s, at=datetime.now(UTC))
        board_index.recount(s)
    with db.transaction(engine) as s:
        unfound = case_search.recompute(s)
    click.echo(f"Recounted. Cases corrected: {wrong}. Search entries corrected: {unfound}.")


@click.group()
def callers() -> None:
    """Manage callers, who are known only by phone number."""


@callers.command("forget")
@click.argument("number")
def forget(number: str) -> None:
    """Forget the caller with NUMBER (any format) and what they said. The calls themselves stay."""
    settings = read()
    operations_restore.refuse_unfinished(settings.var)
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.read_session(engine) as s:
        city = config_versions.active(s, settings.city)
    try:
        phones = known_callers.kept_as(number, city.region, city.area_code)
    except Refused:
        raise click.ClickException(f"{number!r} isn't a phone number. Example: (203) 555-0142") from None
    with db.transaction(engine) as s:
        done = caller_erasure.forget(
            s,
            phones,
            storage.open_store(settings),
            settings.var,
            by=accounts.THE_SYSTEM,
            at=datetime.now(UTC),
        )
    if done is None:
        click.echo("No caller has that number.")
        return
    click.echo(f"Forgotten. Calls kept without number and notes: {done.calls}. ", nl=False)
    click.echo(f"Reports erased with them: {done.reports}.")
    if done.held:
        raise click.ClickException(
            f"Under a legal hold, so nothing was removed from: {', '.join(done.held)}."
        )


@click.command("backup")
@click.argument("to", type=A_FOLDER)
@click.option("--keep", type=click.IntRange(1), help="Afterward, keep only the newest N backups in TO.")
def make(to: Path, keep: int | None) -> None:
    """Back up to a folder inside TO while everything keeps running. Safe to run every night."""
    settings = read()
    operations_restore.refuse_unfinished(settings.var)
    engine = db.connect(settings.database_url)
    try:
        with closing(Progress("photos")) as told:
            folder, manifest = backup.make(
                engine, settings, storage.open_store(settings), to, at=datetime.now(UTC), told=told
            )
    except (dumps.DumpFailed, storage.StoreDown, OSError) as fault:
        raise click.ClickException(f"{fault}. No backup was made.") from None
    finally:
        engine.dispose()
    for name in manifest.missing:
        click.echo(f"missing: photo {name} is in the database but not in photo storage", err=True)
    gone = backup.forget_all_but(to, keep) if keep else 0
    counts = ", ".join(f"{count} {name}" for name, count in manifest.counts.items())
    click.echo(f"{folder}: {counts}, up to log line {manifest.seq}.")
    if gone:
        click.echo(f"Older backups removed: {gone}.")


@click.command()
@click.argument("source", metavar="FROM", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--over", is_flag=True, help="Replace a database that isn't empty.")
@click.option(
    "--erasures", "lists", type=A_FILE, multiple=True, help="Another list of erasures to apply again."
)
def restore(source: Path, over: bool, lists: tuple[Path, ...]) -> None:
    """Restore backup FROM, or the newest one in folder FROM. Stop the web server and worker first."""
    settings = read()
    try:
        with closing(Progress("photos checked, then restored")) as told:
            done = operations_restore.restore(
                settings, source, storage.open_store(settings), over=over, lists=lists, at=datetime.now(UTC),
                told=told,
            )  # fmt: skip
    except operations_restore.Damaged as damaged:
        for fault in damaged.faults:
            click.echo(fault, err=True)
        raise click.ClickException(f"{damaged}. Nothing was changed.") from None
    except (dumps.DumpFailed, storage.StoreDown, OSError) as fault:
        raise click.ClickException(f"{fault}. Fix that and run it again.") from None
    manifest = done.manifest
    click.echo(f"Restored {done.folder}: the city as it was at {manifest.made_at}, log line {manifest.seq}.")
    if done.erased_again:
        click.echo(f"Later erasures applied again: {done.erased_again}.")
    if done.held_again:
        click.echo(f"Legal holds placed or lifted again: {done.held_again}. See /admin/records.")
    if done.shut_out_again:
        click.echo(f"Phones revoked again: {done.shut_out_again}.")
    for photo in done.lost:
        click.echo(f"missing: photo {photo} wasn't in the backup", err=True)
    if done.own_secret:
        click.echo(
            "CITYLINE_SECRET_KEY is different from the backup's, so residents' private links won't open."
        )
        click.echo(f"Set it to the value in {done.folder / backup.SECRET}.")
    if done.other_city:
        click.echo(f"{settings.city} isn't the city file that was in use. The next start will apply it.")
        click.echo(f"The one that was in use: {done.folder / backup.CITY}.")
    click.echo("Next, run cityline migrate (draws the map if needed), then start the web server and worker.")
    click.echo("Phones will resend anything they did since then.")


@click.command("doctor")
@click.option("--whole", is_flag=True, help="Read the whole log and every photo.")
def examine(whole: bool) -> None:
    """Check the system, one line per check. Exits with 1 if anything is wrong."""
    settings = read()
    engine = db.connect(settings.database_url)
    found = doctor.examine(engine, settings, storage.open_store(settings), datetime.now(UTC), whole=whole)
    engine.dispose()
    for finding in found:
        mark = click.style(f"{finding.mark:5}", fg=COLOURS[finding.mark])
        click.echo(f"{mark}  {finding.what:10}  {finding.words}")
    sys.exit(1 if any(finding.mark == doctor.WRONG for finding in found) else 0)

"""The commands that keep a city safe: `cityline backup`, `restore`, `doctor` and `callers forget`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click

from city import backup, db, doctor, dumps, forgetting, kept, people, policies, restoring, search, stores
from city import callers as known_callers
from city.lifecycle import Refused
from city.settings import read
from pwa.progress import Progress

# What the refusals of these commands mean at night, and what comes next.
WORDS = {
    "no_backup": "There is no whole backup there. Name the folder that `cityline backup` was given.",
    "backup_unreadable": "The backup {folder} cannot be read ({fault}). "
    "Take an older one from the same folder.",
    "backup_too_new": "A newer Cityline made this backup. Install that version, then restore.",
    "other_database": "The backup is of another kind of database than CITYLINE_DATABASE_URL names.",
    "database_not_empty": "The database is not empty. Make a backup of it, then put this one in its place: "
    "restore --over.",
    "not_empty": "Somebody or something is here already. The demo wants a place of its own: CITYLINE_VAR.",
    "database_in_use": "Something still uses the database. Stop web server and worker, then restore.",
    "restore_unfinished": "A restore began here and did not end. Run it again, it finishes: {run_again}",
    "backup_running": "Another backup writes into this folder. Wait until it is done.",
    "not_public": "{url} is no address of the world's: https, a public name, no name and password in it. "
    "To try one on this machine, set CITYLINE_OUTWARD=loopback here and for the worker.",
    "bad_secret": "A secret is whsec_ and 24 to 64 bytes in base64.",
    "empty_name": "Write a name first.",
    "bad_hourly": "An hour's limit is a whole number from 1 to {most}.",
    "backup_exists": "A backup of this very second is there already. Run it again.",
}

COLOURS = {doctor.OK: "green", doctor.LOOK: "yellow", doctor.WRONG: "red"}
A_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
A_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
def recount() -> None:
    """Derives anew what the board reads, what its search finds and what the figures are added up from."""
    engine = db.connect(read().database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.transaction(engine) as s:
        wrong = kept.recompute(s, at=datetime.now(UTC))
        kept.recount(s)
    with db.transaction(engine) as s:
        unfound = search.recompute(s)
    click.echo(
        f"Counted anew. Cases of which something was kept wrong: {wrong}; found by wrong words: {unfound}"
    )


@click.group()
def callers() -> None:
    """People who called, known by their number alone."""


@callers.command("forget")
@click.argument("number")
def forget(number: str) -> None:
    """Forgets who called from NUMBER, in any writing, and what they said; their calls stay without both."""
    settings = read()
    restoring.refuse_unfinished(settings.var)
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.reading(engine) as s:
        city = policies.in_use(s, settings.city)
    try:
        phones = known_callers.kept_as(number, city.region, city.area_code)
    except Refused:
        raise click.ClickException(f"{number!r} is no phone number. Example: (203) 555-0142") from None
    with db.transaction(engine) as s:
        done = forgetting.forget(
            s, phones, stores.open_store(settings), settings.var, by=people.THE_SYSTEM, at=datetime.now(UTC)
        )
    if done is None:
        click.echo("Nobody is known by that number.")
        return
    click.echo(f"Forgotten. Calls that stay without number and words: {done.calls}; ", nl=False)
    click.echo(f"reports erased with them: {done.reports}.")
    if done.held:
        raise click.ClickException(f"On hold, so nothing of these went: {', '.join(done.held)}.")


@click.command("backup")
@click.argument("to", type=A_FOLDER)
@click.option("--keep", type=click.IntRange(1), help="Then remove all but the newest N backups in TO.")
def make(to: Path, keep: int | None) -> None:
    """Makes a backup below the folder TO, while everybody works on; safe to run each night."""
    settings = read()
    restoring.refuse_unfinished(settings.var)
    engine = db.connect(settings.database_url)
    try:
        with closing(Progress("photos")) as told:
            folder, manifest = backup.make(
                engine, settings, stores.open_store(settings), to, at=datetime.now(UTC), told=told
            )
    except (dumps.DumpFailed, stores.StoreDown, OSError) as fault:
        raise click.ClickException(f"{fault}. There is no new backup.") from None
    finally:
        engine.dispose()
    for name in manifest.missing:
        click.echo(f"missing: photo {name} is in the database and in no store", err=True)
    gone = backup.forget_all_but(to, keep) if keep else 0
    counts = ", ".join(f"{count} {name}" for name, count in manifest.counts.items())
    click.echo(f"{folder}: {counts}; up to line {manifest.seq} of the log.")
    if gone:
        click.echo(f"{gone} older ones were removed.")


@click.command()
@click.argument("source", metavar="FROM", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--over", is_flag=True, help="Also in the place of a database that is not empty.")
@click.option("--erasures", "lists", type=A_FILE, multiple=True, help="More erasures to carry out again.")
def restore(source: Path, over: bool, lists: tuple[Path, ...]) -> None:
    """Puts back the backup FROM, or the newest one in the folder FROM. Stop web server and worker first."""
    settings = read()
    try:
        with closing(Progress("photos looked at, then put back")) as told:
            done = restoring.restore(
                settings, source, stores.open_store(settings), over=over, lists=lists, at=datetime.now(UTC),
                told=told,
            )  # fmt: skip
    except restoring.Damaged as damaged:
        for fault in damaged.faults:
            click.echo(fault, err=True)
        raise click.ClickException(f"{damaged}. Nothing was changed.") from None
    except (dumps.DumpFailed, stores.StoreDown, OSError) as fault:
        raise click.ClickException(f"{fault}. Mend that and run it again.") from None
    manifest = done.manifest
    click.echo(f"{done.folder} is back: the city as it was at {manifest.made_at}, line {manifest.seq}.")
    if done.erased_again:
        click.echo(f"Erasures made since that were carried out again: {done.erased_again}.")
    if done.held_again:
        click.echo(
            f"Holds placed or lifted again, as they were since: {done.held_again}. See /admin/records."
        )
    if done.shut_out_again:
        click.echo(f"Phones that were revoked since were shut out again: {done.shut_out_again}.")
    for photo in done.lost:
        click.echo(f"missing: photo {photo} was not in the backup", err=True)
    if done.own_secret:
        click.echo(
            "CITYLINE_SECRET_KEY is another one than the backup's: links that residents have do not open."
        )
        click.echo(f"Set it to what stands in {done.folder / backup.SECRET}.")
    if done.other_city:
        click.echo(f"{settings.city} is not the city file that was in use. The next start applies it;")
        click.echo(f"the one that was in use is {done.folder / backup.CITY}.")
    click.echo("Now cityline migrate, which draws a map where there is none, then web server and worker.")
    click.echo("Phones notice, and send again what they did since.")


@click.command("doctor")
@click.option("--whole", is_flag=True, help="Read the whole log and every photo.")
def examine(whole: bool) -> None:
    """Says in a line each whether all is well; ends with 1 where something is wrong."""
    settings = read()
    engine = db.connect(settings.database_url)
    found = doctor.examine(engine, settings, stores.open_store(settings), datetime.now(UTC), whole=whole)
    engine.dispose()
    for finding in found:
        mark = click.style(f"{finding.mark:5}", fg=COLOURS[finding.mark])
        click.echo(f"{mark}  {finding.what:10}  {finding.words}")
    sys.exit(1 if any(finding.mark == doctor.WRONG for finding in found) else 0)

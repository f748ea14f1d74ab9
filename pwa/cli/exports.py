"""The commands `export requests`, every public case as a file, and `export edition`, all of open data."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO
from zoneinfo import ZoneInfo

import click

from city import files
from city.config import versions as config_versions
from city.db import engine as db
from city.metrics import publications
from city.opendata import editions
from city.opendata import rows as opendata_rows
from city.opendata.rows import Span
from city.operations import restore
from city.people import accounts
from city.settings import read
from pwa.cli.progress import Progress

DAY = click.DateTime(["%Y-%m-%d"])


@click.command("requests")
@click.option("--format", "form", required=True, type=click.Choice(list(opendata_rows.FORMATS)))
@click.option("--since", type=DAY, metavar="DAY", help="Only cases opened on this day or later: 2026-01-01.")
@click.option("--until", type=DAY, metavar="DAY", help="Only cases opened on this day or earlier.")
@click.option(
    "-o", "--output", "file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="Output file. Default: standard output.",
)  # fmt: skip
def requests(form: str, since: datetime | None, until: datetime | None, file: Path | None) -> None:
    """Export every public case, with nothing about the people who reported it.

    Days are in the city's time zone. `bulk` has the columns of Open311's GeoReport Bulk.
    """
    if since and until and since > until:
        raise click.BadParameter(f"{until:%Y-%m-%d} is before {since:%Y-%m-%d}", param_hint="--until")
    settings = read()
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with _opened(file) as out, closing(Progress("cases")) as told, db.read_session(engine) as s:
        city = config_versions.active(s, settings.city)
        span = Span(_midnight(since, city.time_zone), _midnight(until, city.time_zone, after=1))
        how, of, read_so_far, written = opendata_rows.FORMATS[form], opendata_rows.count(s, span), 0, 0
        out.write(how.head)
        for rows in opendata_rows.cases(s, city, span):
            held = how.of(rows)
            out.write(how.lines(held, written > 0))
            read_so_far, written = read_so_far + len(rows), written + len(held)
            told(read_so_far, of)
        out.write(how.foot)
    if file:
        click.echo(f"Cases written to {file}: {written}.")


@click.command("edition")
def edition() -> None:
    """Rebuild the open data files at /data, as the worker does every night."""
    settings = read()
    restore.refuse_unfinished(settings.var)
    engine, root, now = db.connect(settings.database_url), editions.place(settings), datetime.now(UTC)
    click.get_current_context().call_on_close(engine.dispose)
    with db.read_session(engine) as s:
        city = config_versions.active(s, settings.city)
    publications.publish_completed_months(engine, city, now, by=accounts.THE_SYSTEM)
    try:
        for _page in editions.make(engine, root, city, now):
            pass
    except BlockingIOError:
        raise click.ClickException(
            "The worker is building them right now. They'll be at /data in a moment."
        ) from None
    except OSError as fault:
        raise click.ClickException(f"{root}: {fault.strerror}.") from fault
    made = editions.current(root)
    click.echo(f"{len(made.files) if made else 0} files are at /data now, in {root}.")


@contextmanager
def _opened(file: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that is there once it is whole."""
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with files.atomic_write(file) as out:
            yield out
    except OSError as fault:
        raise click.ClickException(f"Can't write {file}: {fault.strerror}") from fault


def _midnight(day: datetime | None, zone: ZoneInfo, after: int = 0) -> datetime | None:
    """When the day begins there, or one `after` it."""
    return (day + timedelta(days=after)).replace(tzinfo=zone) if day else None

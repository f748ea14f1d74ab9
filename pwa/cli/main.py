"""The command `cityline`: everything that is done from a shell.

What only one command needs is imported inside it: `cityline run` must be up in seconds.
"""

import ctypes
import functools
import json
import logging
import os
import re
import resource
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click
from sqlalchemy import Engine, make_url, select
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.orm import Session

from city import files
from city.audit import counters, epochs, events
from city.config import city_file
from city.config import versions as config_versions
from city.db import engine as db
from city.db.models import ApiKey, Case, Device, EventSequence, Person, Service
from city.lifecycle import Refused
from city.operations import dumps, restore
from city.people import accounts, sessions
from city.settings import (
    ADDRESS,
    DEFAULT_CITY,
    LEAST_THREADS,
    MOST_THREADS,
    THREADS,
    Settings,
    WrongSetting,
    read,
)
from pwa.cli import backup, insights, privacy, sla_simulation, stickers, webhooks
from pwa.cli import exports as cli_exports

if TYPE_CHECKING:
    from pwa.cli import nearby

CONNECTIONS = 4096  # open at once; each is a file, and a slow or idle caller holds no more than that
OTHER_FILES = 512  # what a web server has open besides
WEB_ENDS = 10  # seconds that the web server gives its own process; one that still starts does not hear it
DEMO_CASES = 20_000  # two years of a small city
MOST_ROOTS = 1_000_000_000  # bytes of what `audit seal` printed, a line each case
NO_DEMO = "{} is for another city. The demo only works with Larkhaven's file."
# What became of work out of a file, as sync/file_import.py counts it; and why one is refused, by its code.
BECAME = {
    "applied": "done",
    "merged": "added to work already done",
    "withdrawn": "undone",
    "dismissed": "reviewed and dismissed",
    "erased": "discarded because the case was erased",
    "recorded": "saved as a note",
    "deposited": "waiting for a supervisor",
    "quarantined": "set aside for review",
    "held": "waiting for an earlier step",
    "too_large": "too large",
}
LOOKED_AT, WAITS = ("recorded", "deposited", "quarantined"), "held"
NO_OUTBOX = {
    "not_json": "it's incomplete or isn't JSON",
    "not_an_outbox": "it's a different kind of file, or part of it is missing",
    "protocol": "it's from a different Cityline release",
}
LOOPBACK = "127.0.0.1"
TLS = "tls"  # in the var folder: what --https needs
SHOWN = "Serve over https to phones in the same network, and show how they come to trust this machine."
WHOM = "The address to listen at. By default only this machine can connect; 0.0.0.0 lets any machine."
PR_SET_PDEATHSIG = 1  # of prctl(2)
LAYERS = ("streets", "addresses", "assets", "landmarks", "areas", "boundary")


def main() -> None:
    """The console script; a wrong setting or city file is told in one line."""
    os.umask(0o077)  # the database, photos and mail below var/ are nobody else's to read
    try:
        cli()
    except (WrongSetting, city_file.CityFileError) as fault:
        click.echo(str(fault), err=True)
        sys.exit(2)
    except Refused as refused:
        said = backup.WORDS.get(refused.code, f"refused: {refused.code} {{}}")
        click.echo(said.format(refused.facts or "", **refused.facts).rstrip(), err=True)
        sys.exit(1)


class Renamed(click.Group):
    """A group whose commands had other names once: whoever types one gets the new one, and hears its name."""

    names: ClassVar[dict[str, str]] = {"try": "simulate", "recount": "rebuild-index", "root": "seal"}

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        found = super().get_command(ctx, name)
        if found is None and (found := super().get_command(ctx, self.names.get(name, name))):
            click.echo(f"`{name}` is called `{found.name}` now.", err=True)
        return found


class Commands(Renamed):
    """Commands that say in one line what is wrong with their database, or that a disk is full."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except db.Newer as fault:
            raise click.ClickException(
                "The database was updated by a newer release of Cityline. Use that release, "
                "or restore a backup from before the update."
            ) from fault
        except db.BeforeFirst as fault:
            raise click.ClickException(
                "This database is from before Cityline 0.2.0, and can't be updated. Start a new city, or "
                "keep the program that made it."
            ) from fault
        except (OperationalError, ProgrammingError) as fault:
            where = make_url(read().database_url).render_as_string(hide_password=True)
            if re.match(r"no such (table|column)|(relation|column) .* does not exist", str(fault.orig)):
                raise click.ClickException(
                    f"The database schema at {where} is out of date, or there's no city yet. "
                    "If this is the right database, run cityline migrate."
                ) from fault
            if isinstance(fault, ProgrammingError):
                raise
            raise click.ClickException(
                f"The database at {where} isn't answering: {str(fault.orig).strip()}. "
                "Only cityline migrate makes a new one."
            ) from fault
        except OSError as fault:
            if not files.is_full(fault):
                raise
            raise click.ClickException(f"The disk is full: {fault}. Make room and run this again.") from fault


@click.group(cls=Commands)
def cli() -> None:
    """Cityline 311."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)


@cli.command()
@click.option("--port", default=8311, show_default=True, help="Where to listen.")
@click.option("--host", show_default=LOOPBACK, help=WHOM)
@click.option("--empty", is_flag=True, help="Start without the demo city.")
@click.option("--https", is_flag=True, help=SHOWN)
def run(port: int, host: str | None, empty: bool, https: bool) -> None:
    """Prepare the database, then run the web server and worker until you press Ctrl-C."""
    asked = _asked_to_stop()
    shown = _shown_nearby(host, port) if https else None
    host = shown.host if shown else host or LOOPBACK
    _refuse_taken(host, port)
    settings = _settled(shown.https if shown else f"http://{host}:{port}")
    _prepare(settings, fill=not empty)
    click.echo("Starting …")
    end_with_us = functools.partial(_end_with, os.getpid())
    children = [
        subprocess.Popen(command, preexec_fn=end_with_us)
        for command in ([str(_program("cityline")), "work"], _web_command(host, port, shown))
    ]
    while not (is_up := _answers(host, port, shown)) and not _is_over(children, asked):
        pass
    if is_up:
        _announce(settings, shown.https if shown else f"http://{host}:{port}", shown)
    sys.exit(_wait(children, asked))


@cli.command()
@click.option("--port", default=8311, show_default=True, help="Where to listen.")
@click.option("--host", default=LOOPBACK, show_default=True, help=WHOM)
@click.option(
    "--threads", type=click.IntRange(LEAST_THREADS, MOST_THREADS), envvar="CITYLINE_THREADS",
    default=THREADS, show_default=True, help="Requests served at the same time.",
)  # fmt: skip
def web(port: int, host: str, threads: int) -> None:
    """Run only the web server (granian, one process)."""
    _refuse_taken(host, port)
    os.environ["CITYLINE_THREADS"] = str(threads)
    _settled(f"http://{host}:{port}")
    command = _web_command(host, port)
    click.echo(f"Starting Cityline at http://{host}:{port} …")
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 our own server, with arguments of our own


@cli.command()
def work() -> None:
    """Run the worker: sends messages, stores photos, cleans up, and seals each day's log."""
    from pwa import worker

    asked = _asked_to_stop()
    settings = _settings()
    try:
        worker.run(settings, asked)
    except worker.NoLock as fault:
        raise click.ClickException(
            f"Can't lock files in {settings.var} ({fault}), so two workers could send the same email twice. "
            "Set CITYLINE_VAR to a folder on this machine that this user can write to."
        ) from fault


@cli.command()
def migrate() -> None:
    """Update the database schema and apply the city file."""
    _prepare(_settings(), fill=False)
    click.echo("The database is up to date.")


@cli.command("demo")
@click.option("--seed", default=311, show_default=True)
@click.option("--cases", "count", default=DEMO_CASES, show_default=True)
def demo_city(seed: int, count: int) -> None:
    """Fill an empty database with the demo city of Larkhaven."""
    settings = _ready(create=True)
    if not _is_demo_file(settings):
        raise click.ClickException(f"{NO_DEMO.format(settings.city)} Unset CITYLINE_CITY and try again.")
    with db.read_session(_engine(settings)) as s:
        if not _is_new(s):
            raise Refused("not_empty")
    _prepare(settings, fill=False)
    _fill(settings, seed, count)


@cli.group(cls=Renamed)
def config() -> None:
    """The city file and its versions."""


@config.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would change without changing it.")
def config_apply(file: Path, dry_run: bool) -> None:
    """Show what FILE changes and apply it."""
    text = city_file.read_with_logo(file)
    city_file.parse(text, file.name)
    settings = _settings()
    engine = _engine(settings)
    with db.transaction(engine) as s:
        last = config_versions.current(s)
        changes = config_versions.difference(last.text if last else "", text)
        for change in changes:
            click.echo(_told_change(change))
        applied = None
        if not dry_run:
            applied = config_versions.publish(
                s, text, file.name, by=accounts.THE_SYSTEM, at=datetime.now(UTC)
            )
    engine.dispose()
    if applied:
        click.echo(f"Applied version {applied.number} of the city file.")
        if file.resolve() != settings.city.resolve():
            click.echo(
                f"The next start will apply {settings.city} again. To keep this one, set CITYLINE_CITY to it."
            )
    elif dry_run:
        click.echo("Dry run: nothing was applied." if changes else "No differences.")
    else:
        click.echo(f"Version {last.number if last else 0} already matches this file. Nothing to apply.")


@cli.group()
def user() -> None:
    """Manage city staff."""


@user.command("add")
@click.argument("email")
@click.option("--name", default="")
@click.option("--role", "roles", multiple=True, default=["administrator"], type=click.Choice(accounts.STAFF))
@click.option(
    "--department", "departments", multiple=True, help="Code of a department that a manager answers for."
)
def user_add(email: str, name: str, roles: tuple[str, ...], departments: tuple[str, ...]) -> None:
    """Add a person and print a one-time login link. After that they log in with a code sent to EMAIL."""
    settings, now = _settings(), datetime.now(UTC)
    with db.transaction(_engine(settings)) as s:
        person = accounts.add(
            s, email, name or email.partition("@")[0], roles, departments=departments, at=now
        )
        token = sessions.make_link(s, person, now, by=accounts.THE_SYSTEM)
    click.echo(f"{email} can log in once with this link. It works for one day:")
    click.echo(f"  {settings.base_url}/login/link/{token}")


@user.command("departments")
@click.argument("email")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
def user_departments(email: str, codes: tuple[str, ...]) -> None:
    """Give a manager these departments in place of any before; without a CODE, none."""
    with db.transaction(_engine(_settings())) as s:
        person = accounts.by_email(s, email)
        if person is None:
            raise Refused("unknown_person", email=email)
        accounts.change(
            s, person, name=person.name, lang=person.lang, roles=[row.role for row in person.roles],
            crews=person.crews, departments=codes, by=accounts.THE_SYSTEM, at=datetime.now(UTC),
        )  # fmt: skip
        named = ", ".join(each.code for each in person.departments)
    click.echo(f"{email}: {named or 'no departments'}")


@user.command("link")
@click.argument("email")
def user_link(email: str) -> None:
    """Print a new one-time login link for EMAIL."""
    settings = _settings()
    with db.transaction(_engine(settings)) as s:
        person = accounts.by_email(s, email)
        if person is None:
            raise Refused("unknown_person", email=email)
        token = sessions.make_link(s, person, datetime.now(UTC), by=accounts.THE_SYSTEM)
    click.echo(f"{settings.base_url}/login/link/{token}")


@cli.group()
def crew() -> None:
    """Manage crews."""


@crew.command("add")
@click.argument("name")
@click.option("--member", "members", multiple=True, help="Email of someone who can already log in.")
def crew_add(name: str, members: tuple[str, ...]) -> None:
    """Add a crew called NAME and give its members the crew role."""
    with db.transaction(_engine(_settings())) as s:
        accounts.add_crew(s, name, members, at=datetime.now(UTC))
    click.echo(f"You can now assign jobs to {name}.")


@cli.group()
def device() -> None:
    """Manage crew phones."""


@device.command("list")
def device_list() -> None:
    """List phones: ID, person, last sync, unsent work, app version, and whether it's revoked."""
    from sync import devices

    with db.read_session(_connect(_settings())) as s:
        known = devices.of_crews(s)
        if not known:
            click.echo("No crew phones yet.")
        for phone, person in known:
            ops, photos = (phone.waiting.get(each) or 0 for each in ("ops", "photos"))
            waits = ", ".join(
                f"{count} {what}" if count == 1 else f"{count} {what}s"
                for count, what in ((ops, "update"), (photos, "photo"))
            )
            state = "  revoked" if phone.revoked_at else ""
            seen = f"{phone.seen_at:%Y-%m-%d %H:%M} UTC"
            click.echo(f"{phone.id}  {person.email}  {seen}  {waits}  {phone.release or '-'}{state}")


@device.command("revoke")
@click.argument("device_id")
def device_revoke(device_id: str) -> None:
    """Revoke phone DEVICE_ID and log its user out everywhere. Unsent work stays on the phone."""
    from sync import devices

    settings = _settings()
    with db.transaction(_engine(settings)) as s:
        found = s.get(Device, device_id)
        if found is None:
            raise click.ClickException(f"There's no phone {device_id}. See `cityline device list`.")
        done = devices.revoke(s, settings.var, found, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    click.echo("Phone revoked." if done else "This phone was already revoked.")


@device.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--person", "email", default="", help="EMAIL of the phone's user, if a restore lost it.")
def device_import(file: Path, email: str) -> None:
    """Import the work a phone saved to FILE. Safe to run more than once."""
    from city.photos import processing, storage
    from sync import file_import, protocol, push

    settings = _settings()
    engine = _engine(settings)
    try:
        store = storage.open_store(settings)
        counted = file_import.import_file(
            engine, store, settings, files.read(file, file_import.MOST_BYTES), datetime.now(UTC), owner=email
        )
    except OSError as fault:
        raise click.ClickException(f"{file}: {fault.strerror}") from fault
    except protocol.Unreadable as fault:
        why = NO_OUTBOX.get(fault.code, fault.code)
        raise click.ClickException(f"{file} isn't a file saved by a phone: {why}.") from fault
    except Refused as refused:
        raise click.ClickException(
            f"No one here has the email address {email}."
            if refused.code == "unknown_person"
            else f"The phone that saved {file} isn't known here, or belongs to someone else. "
            "If a restore lost it, add --person with the user's email."
        ) from refused
    except push.Busy as busy:
        raise click.ClickException(f"The database is busy. Import {file} again.") from busy
    except processing.Busy as busy:
        raise click.ClickException(f"There's no time for the photos now. Import {file} again.") from busy
    finally:
        engine.dispose()
    for line in _carried(counted):
        click.echo(line)


def _carried(counted: Mapping[str, int]) -> Iterator[str]:
    """What became of a file's work, in words."""
    results = {code: counted[code] for code in BECAME if counted.get(code)}
    if not counted:
        yield "The file is empty."
    if results:
        yield f"Updates: {', '.join(f'{n} {BECAME[code]}' for code, n in results.items())}."
    if known := counted.get("known"):
        every = known == sum(results.values())
        yield (
            "All of them were already here."
            if every
            else f"{known} of these {'was' if known == 1 else 'were'} already here."
        )
    if photos := counted.get("photos"):
        yield f"Photos imported: {photos}."
    if here := counted.get("photos_known"):
        yield f"Photos that were already here: {here}."
    if gone := counted.get("photos_gone"):
        yield f"Missing photos (not here and not in the file): {gone}."
    if refused := counted.get("photos_refused"):
        yield f"Unreadable photos: {refused}. If the phone still works, they're on it."
    if any(code in results for code in LOOKED_AT):
        yield 'Anything that needs review is under "Field work" on the board.'
    if WAITS in results:
        yield 'Work waiting for an earlier step moves to "Field work" after three days.'


@cli.group()
def key() -> None:
    """Manage API keys."""


@key.command("add")
@click.argument("name")
@click.option(
    "--scope", "scopes", multiple=True, default=[accounts.REPORT], type=click.Choice(accounts.SCOPES)
)
@click.option("--hourly", default=accounts.HOURLY, show_default=True, help="Writes allowed per hour.")
def key_add(name: str, scopes: tuple[str, ...], hourly: int) -> None:
    """Create an API key for the program NAME and print it. It's shown only once."""
    made = secrets.token_urlsafe(24)
    with db.transaction(_engine(_settings())) as s:
        accounts.make_key(
            s, name, key=made, by=accounts.THE_SYSTEM, at=datetime.now(UTC), scopes=scopes, hourly=hourly
        )
    click.echo(made)


@key.command("list")
def key_list() -> None:
    """List API keys: number, name, scopes, writes per hour, date created, and whether it's revoked."""
    with db.read_session(_connect(_settings())) as s:
        for row in s.scalars(select(ApiKey).order_by(ApiKey.id)):
            state = "  revoked" if row.revoked_at else ""
            opens = ", ".join(row.scopes)
            click.echo(f"{row.id}  {row.name}  {opens}  {row.hourly}  {row.made_at:%Y-%m-%d}{state}")


@key.command("revoke")
@click.argument("number", type=int)
def key_revoke(number: int) -> None:
    """Revoke the key with this NUMBER (see `key list`)."""
    with db.transaction(_engine(_settings())) as s:
        found = s.get(ApiKey, number)
        if found is None:
            raise click.ClickException(f"There's no key {number}. See `cityline key list`.")
        done = accounts.revoke_key(s, found, by=accounts.THE_SYSTEM, at=datetime.now(UTC))
    click.echo("Key revoked." if done else "This key was already revoked.")


@cli.group("import")
def imports() -> None:
    """Import data from files: map layers, requests from another system, answers."""


@imports.command("layer")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--kind", required=True, type=click.Choice(LAYERS))
@click.option("--name", default="", help="Column: street or area name, whole address, or asset location.")
@click.option(
    "--id",
    default="",
    help="Column: the source's own ID for each row, which stays the same if a name changes.",
)
@click.option("--number", default="", help="Column: asset number or house number.")
@click.option("--street", default="", help="Column: street of an address.")
@click.option("--lat", default="", help="Column: latitude (or northing) in a CSV.")
@click.option("--lon", default="", help="Column: longitude (or easting) in a CSV.")
@click.option("--crs", default="", help="Coordinate system, if the file doesn't name it: EPSG:2234.")
@click.option("--asset", default="", help="What the assets are: pole, tree, or basket (a trash can).")
@click.option("--prefix", default="", help='Text to add before every asset number: "B-".')
@click.option("--owner", default="", help="Column: who owns the asset. Empty means the city.")
@click.option("--owner-name", default="", help="The owner of every asset in the file.")
@click.option("--area-kind", default="", help="neighborhood (default), park, water, rail, ward …")
@click.option(
    "--left", default="=", help="COLUMN=COLUMN: house numbers on the left side, at the line's start and end."
)
@click.option("--right", default="=", help="COLUMN=COLUMN: the same for the right side.")
@click.option("--major", default="=", help="COLUMN=VALUE: draw these streets as avenues.")
@click.option("--where", default="=", help="COLUMN=VALUE: import only these rows.")
@click.option("--places", type=click.Path(path_type=Path), help="A file of shapes with the rows' locations.")
@click.option(
    "--key", default="=", help="COLUMN=COLUMN: which column of FILE matches which column of --places."
)
@click.option(
    "--max-rejected", type=click.IntRange(0), help="Cancel the import if more rows than this are rejected."
)
@click.option("--shrink", is_flag=True, help="Allow an import that removes most of the current rows.")
def import_layer(
    file: Path,
    max_rejected: int | None,
    shrink: bool,
    places: Path | None,
    left: str,
    right: str,
    major: str,
    where: str,
    key: str,
    **columns: str,
) -> None:
    """Replace the city's streets, addresses, assets, landmarks, areas, or boundary with the rows in FILE.

    Accepts GeoJSON, TopoJSON, Shapefile (.shp or .zip), and CSV, in any coordinate system.
    """
    from city.imports.layers import Order
    from pwa.cli import imports

    settings = _ready()
    order = replace(
        Order(**columns, places=places, shrink=shrink),  # type: ignore[arg-type]
        left=_pair("left", left),
        right=_pair("right", right),
        major=_pair("major", major),
        where=_pair("where", where),
        key=_pair("key", key),
    )
    sys.exit(imports.layer(_engine(settings), settings, file, order, max_rejected))


@imports.command("requests")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--map", "mapping", required=True, help="boston, open311 …, or your own mapping: PATH.toml")
@click.option(
    "--max-rejected", type=click.IntRange(0), help="Cancel the import if more rows than this are rejected."
)
@click.option("--dry-run", is_flag=True, help="Show what would happen without importing.")
def import_requests(file: Path, mapping: str, max_rejected: int | None, dry_run: bool) -> None:
    """Import requests from another system. FILE is a CSV or Open311 list (.gz is fine).

    Safe to run again: a newer FILE updates what changed in the other system.
    """
    from pwa.cli import imports

    settings = _ready()
    sys.exit(imports.requests(_engine(settings), settings, file, mapping, max_rejected, dry_run=dry_run))


@imports.command("answers")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--max-rejected", type=click.IntRange(0), help="Cancel the import if more answers than this are rejected."
)
def import_answers(file: Path, max_rejected: int | None) -> None:
    """Publish the answers in FILE (TOML) and update the ones that changed."""
    from pwa.cli import imports

    sys.exit(imports.answers(_engine(_ready()), file, max_rejected))


@imports.command("runs")
def import_runs() -> None:
    """List imports: run, mapping, date, counts, and whether it was undone."""
    from pwa.cli import imports

    settings = _ready()
    imports.runs(_engine(settings), settings)


@imports.command("undo")
@click.argument("run", type=int)
def import_undo(run: int) -> None:
    """Undo import RUN, as long as no one has changed its cases since."""
    from pwa.cli import imports

    sys.exit(imports.undo(_engine(_ready()), run))


@cli.group()
def basemap() -> None:
    """Manage the city's map."""


@basemap.command("build")
def basemap_build() -> None:
    """Redraw the map from the city's streets and areas."""
    settings = _settings()
    began = time.monotonic()
    tiles = _draw_basemap(settings)
    if not tiles:
        click.echo(
            "The city has no streets or areas yet. Import them first: cityline import layer …", err=True
        )
        sys.exit(1)
    size = settings.basemap.stat().st_size // 1000
    click.echo(f"{settings.basemap}: {tiles} tiles, {size} kB, in {time.monotonic() - began:.1f} s.")


@cli.group(cls=Renamed)
def audit() -> None:
    """Check the log."""


@audit.command("seal")
def audit_seal() -> None:
    """Print what to store somewhere else: the newest root and the last line of every subject."""
    with db.read_session(_connect(_settings())) as s:
        for line in events.daily_root_file(s):
            click.echo(line)


@audit.command("verify")
@click.option(
    "--root", "kept", type=click.Path(exists=True, dir_okay=False), help="A file made by `audit seal`."
)
def audit_verify(kept: str | None) -> None:
    """Check every line of the log and every figure, and print each problem. Exits with 1 if there are any."""
    try:
        lines = files.text(Path(kept), MOST_ROOTS).splitlines() if kept else []
    except (OSError, UnicodeDecodeError) as unread:
        raise click.ClickException(f"Can't read {kept}: {files.why(unread)}.") from unread
    with db.read_session(_connect(_settings())) as s:
        faults = events.verify(s, lines) + counters.differences(s)
        last, gone = s.scalar(select(EventSequence.n)), events.erased(s)
    for fault in faults:
        click.echo(fault)
    click.echo(json.dumps({"audit": "verify", "faults": len(faults), "clock": last, "erased": gone}))
    sys.exit(1 if faults else 0)


@cli.group("export")
def exports() -> None:
    """Export city data."""


config.add_command(sla_simulation.simulate)
exports.add_command(cli_exports.requests)
exports.add_command(cli_exports.edition)
exports.add_command(privacy.export)
for command in (
    backup.make, backup.restore, backup.examine, backup.rebuild_index, backup.callers, insights.reckon,
    webhooks.webhook, privacy.keep_to_schedule, privacy.erase, stickers.stickers,
):  # fmt: skip
    cli.add_command(command)


def _told_change(change: config_versions.Change) -> str:
    """ "+ key = new", "- key = old" or "~ key = old → new"; the colours only repeat the first letter."""
    was, now = (
        json.dumps(change[side], ensure_ascii=False)[:200] if change[side] is not None else ""
        for side in ("was", "now")
    )
    mark, colour = ("~", "yellow") if was and now else ("+", "green") if now else ("-", "red")
    return click.style(f"{mark} {change['key']} = {' → '.join(filter(None, (was, now)))}", fg=colour)


def _program(name: str) -> Path:
    """A program of this very environment."""
    return Path(sys.executable).with_name(name)


def _refuse_taken(host: str, port: int) -> None:
    """Our server would share the port with another of its kind, and visitors would land in either."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as fault:
            raise click.ClickException(
                f"Port {port} on {host} isn't available ({fault.strerror}). Stop the program that uses it, "
                f"or choose another port: --port {port + 1}."
            ) from fault


def _shown_nearby(host: str | None, port: int) -> "nearby.Nearby":
    """What --https serves with, at every address of this machine unless one is named."""
    from pwa.cli import nearby

    _refuse_taken(host or nearby.EVERY_ADDRESS, port + 1)
    return nearby.prepare(read().var / TLS, host or nearby.EVERY_ADDRESS, port, datetime.now(UTC))


def _settled(address: str) -> Settings:
    """The settings of a city that starts at `address`; kept for other shells, whose links lead here too."""
    os.environ.setdefault("CITYLINE_BASE_URL", address)
    settings = _settings()
    with suppress(OSError):  # a full disk is no reason not to start
        (settings.var / ADDRESS).write_text(settings.base_url)
    return settings


def _answers(host: str, port: int, shown: "nearby.Nearby | None" = None) -> bool:
    """Whether the web server is there. It listens before it has loaded our code."""
    try:
        line = HTTPConnection(host, port, timeout=2)
        if shown:
            trusted = ssl.create_default_context(cafile=str(shown.served.certificate))
            line = HTTPSConnection(str(shown.address), port, timeout=2, context=trusted)
        with closing(line):
            line.request("GET", "/healthz")
            return line.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False


def _web_command(host: str, port: int, shown: "nearby.Nearby | None" = None) -> list[str]:
    """The web server of this process's own: it inherits how many files may be open."""
    tls = ["--ssl-protocol-min", "tls1.2"] if shown else []
    if shown:
        tls += ["--ssl-certificate", str(shown.served.certificate), "--ssl-keyfile", str(shown.served.key)]
    return [
        str(_program("granian")), "--interface", "asginl", "--factory", "pwa.app:serve",
        "--host", host, "--port", str(port), "--workers", "1", "--http", "1", "--no-ws",
        "--backlog", str(_connections()),
        "--runtime-mode", "st",  # granian itself would choose "mt"; see decision 0018
        "--log-level", "error",
        "--workers-kill-timeout", str(WEB_ENDS), *tls,
    ]  # fmt: skip


def _connections() -> int:
    """How many callers the web server may hold. Raises the number of open files to that where it may."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + OTHER_FILES
    if most != resource.RLIM_INFINITY:
        wanted = min(wanted, most)
    if least != resource.RLIM_INFINITY and least < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return max(128, wanted - OTHER_FILES)  # fewer granian does not take


def _settings() -> Settings:
    """What the environment says; refused while a restore is only half done."""
    settings = read()
    restore.refuse_unfinished(settings.var)
    return settings


def _engine(settings: Settings) -> Engine:
    """For whoever may write: the start is noted first, by which phones notice a database that went back."""
    engine = _connect(settings)
    epochs.start_epoch(engine, datetime.now(UTC))
    return engine


def _connect(settings: Settings) -> Engine:
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)  # however the command ends
    return engine


def _ready(*, create: bool = False) -> Settings:
    """The settings, over a database of the newest schema; its version of the city file stays what it is."""
    settings = _settings()
    _migrate(settings, create=create)
    return settings


def _migrate(settings: Settings, *, create: bool) -> None:
    """Refuses `database_in_use` where SQLite would change tables under whoever is at work with them."""
    owner = settings.owner_url
    if dumps.kind(owner) == "sqlite" and _lags(owner):
        dumps.refuse_in_use(owner)
    db.migrate(owner, settings.database_url, create=create)


def _lags(url: str) -> bool:
    """Whether there is anything to migrate: a newer schema is refused for that alone."""
    engine = db.connect(url)
    try:
        with db.read_session(engine) as s:
            return not (db.is_current(s) or db.is_newer(s.connection()))
    except OperationalError:  # not there yet
        return True
    finally:
        engine.dispose()


def _prepare(settings: Settings, *, fill: bool) -> None:
    """Schema, city file and, where wanted, fit and nobody is there yet, the demo city."""
    _migrate(settings, create=True)
    engine = _engine(settings)
    with db.transaction(engine) as s:
        is_new = _is_new(s)
        applied = config_versions.publish(
            s,
            city_file.read_with_logo(settings.city),
            settings.city.name,
            by=accounts.THE_SYSTEM,
            at=datetime.now(UTC),
        )
    engine.dispose()
    if applied and applied.number > 1:
        click.echo(f"Now using city file {settings.city}, version {applied.number}.")
    if fill and is_new and _is_demo_file(settings):
        _fill(settings, 311, DEMO_CASES)
        return
    if fill and is_new:
        click.echo(f"{NO_DEMO.format(settings.city)} Starting without the demo.")
    if not settings.basemap.exists():
        _draw_basemap(settings)


def _is_new(s: Session) -> bool:
    """Whether nothing is here, and no other city was: what is invented would stand among what is real."""
    last = config_versions.current(s)
    if last and last.text != city_file.read_with_logo(DEFAULT_CITY):
        return False
    return not any(s.scalar(select(kind.id).limit(1)) for kind in (Person, Case, ApiKey))


def _is_demo_file(settings: Settings) -> bool:
    """Whether the city is Larkhaven as it comes: its cases under another name would be taken for real."""
    return city_file.read_with_logo(settings.city) == city_file.read_with_logo(DEFAULT_CITY)


def _fill(settings: Settings, seed: int, count: int) -> None:
    from city.demo import fill
    from sync.demo import field_work

    began = time.monotonic()
    click.echo("Building the demo city …")
    engine, now = _connect(settings), datetime.now(UTC)
    fill.fill(engine, settings, count, seed, now, step=lambda step: click.echo(f"  {step} …"))
    click.echo("  phones and field work …")
    field_work.fill(engine, settings, seed, now)
    engine.dispose()
    db.analyze(settings.owner_url)
    click.echo("  map …")
    _draw_basemap(settings)
    click.echo(f"Larkhaven is ready: {count} cases in {time.monotonic() - began:.1f} s.")


def _draw_basemap(settings: Settings) -> int:
    from city.places import basemap

    engine = _connect(settings)
    with db.read_session(engine) as s:
        tiles = basemap.build(s, settings.basemap)
    engine.dispose()
    return tiles


def _pair(option: str, value: str) -> tuple[str, str]:
    left, equals, right = value.partition("=")
    if not equals or bool(left) != bool(right):
        raise click.BadParameter(f"{value!r} doesn't have the form COLUMN=VALUE", param_hint=f"--{option}")
    return left, right


def _announce(settings: Settings, address: str, shown: "nearby.Nearby | None") -> None:
    with db.read_session(_connect(settings)) as s:
        invented = accounts.is_demo(s)
        logins = list(s.scalars(select(Person).order_by(Person.id))) if invented else []
        lines = [f"  {p.email:24} {', '.join(r.role for r in p.roles)}" for p in logins]
        services = s.scalar(select(Service.code).limit(1))
    click.echo(f"\nCityline is at {address}  (board: {address}/dispatch, crew: {address}/crew)")
    if invented:
        click.echo("Demo logins (the code appears on the page):")
        click.echo("\n".join(lines))
        click.echo(f"API: {address}/open311/discovery.json (key: demo-key)")
    elif services:
        click.echo("To add the first login, run this in another terminal with the same CITYLINE_ settings:")
        click.echo("  .venv/bin/cityline user add you@example.gov --role administrator --role dispatcher")
        click.echo('  .venv/bin/cityline crew add "Lights 1" --member you@example.gov')
    if not invented and settings.smtp_url.startswith("file:"):
        click.echo(
            f"No mail server is set up. Login codes are saved as emails in {settings.smtp_url[5:]}/new"
        )
    if shown:
        from pwa.cli import nearby

        city = city_file.load(settings.city)
        nearby.serve_trust_page(shown, city.name, city.languages)
        nearby.announce(shown)
    click.echo("Press Ctrl-C to stop.\n")


def _asked_to_stop() -> threading.Event:
    """Set by Ctrl-C or a polite kill. Asked for before any child starts, so that none is left behind."""
    asked = threading.Event()

    def ask(*_: object) -> None:
        # Not from here: what was interrupted may hold the lock of the event, and would never let go of it.
        threading.Thread(target=asked.set).start()

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, ask)
    return asked


def _end_with(parent: int) -> None:
    """For a child, before its program begins: it is asked to stop when the parent ends, also by SIGKILL.

    On Linux; elsewhere a killed parent leaves its children.
    """
    if sys.platform == "linux":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # ours waits for a program that is not there yet
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


def _is_over(children: list[subprocess.Popen[bytes]], asked: threading.Event) -> bool:
    """Whether we were asked to stop or a child has ended, by a moment from now."""
    return asked.wait(0.2) or any(child.poll() is not None for child in children)


def _wait(children: list[subprocess.Popen[bytes]], asked: threading.Event) -> int:
    """Waits until asked to stop or until one child ends, then ends the others; 0 when asked."""
    while not _is_over(children, asked):
        pass
    for child in children:
        if child.poll() is None:
            child.terminate()
    # A server that is killed before it has ended its own process leaves that behind.
    patience = time.monotonic() + 2 * WEB_ENDS
    for child in children:
        try:
            child.wait(max(0.1, patience - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
    return 0 if asked.is_set() else 1

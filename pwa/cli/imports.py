"""What `cityline import` prints: progress, where the rejected rows are, and one line of JSON at the end."""

import json
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine, select

from city.answers import article_files
from city.cases import board_index
from city.config.toml_table import CityFileError
from city.db import engine as db
from city.db.models import Event
from city.imports import layers, mapping
from city.imports import requests as request_imports
from city.imports import runs as import_runs
from city.imports.readers import Outcome, TooManyRejected, Unusable
from city.lifecycle import Refused
from city.people import accounts
from city.places import assets
from city.settings import Settings
from pwa.cli.progress import Progress
from pwa.web import city_reload

UNUSABLE, TOO_MANY, REFUSED = 2, 1, 1
MOST_RUNS = 200
DRAWN = ("streets", "areas", "boundary")
REFUSALS = {
    "unknown_run": "There's no run {run}. See `cityline import runs`.",
    "run_undone": "Run {run} was already undone.",
    "run_touched": "These cases have been changed here since:",
    "run_built_on": "Run {run} changed these cases later. Undo that run first.",
}


def layer(
    engine: Engine, settings: Settings, path: Path, order: layers.Order, max_rejected: int | None
) -> int:
    """Imports a layer and returns the exit code: 0 read to the end, 1 too many rejected, 2 unusable."""
    try:
        _number, city = city_reload.load_at_start(settings, engine)
        with closing(Progress(f"{order.kind}, rows written")) as told, db.transaction(engine) as s:
            outcome = layers.replace(
                s, path, order, bounds=city.bounds, by=accounts.THE_SYSTEM, at=datetime.now(UTC),
                max_rejected=max_rejected, told=told,
            )  # fmt: skip
            owners = assets.owners(s, order.asset) if order.kind == "assets" else {}
    except (Unusable, TooManyRejected, CityFileError) as fault:
        return failed(fault, {"import": "layer", "kind": order.kind})
    if order.kind == "areas":
        with db.transaction(engine) as s:
            board_index.recompute(s)  # cases are counted by the neighborhood in which they lie
    for owner, count in owners.items():
        if city.owner(owner) is None:
            click.echo(
                f"Owner {owner!r} isn't in the city file, so these assets count as the city's: {count}."
            )
    if outcome.unlocated:
        click.echo(f"Rows left out because they have no location: {outcome.unlocated}.")
    if outcome.imported and order.kind in DRAWN and _is_first_since_drawn(engine, settings.basemap):
        click.echo("Once all layers are imported, redraw the map: cityline basemap build")
    report({"import": "layer", "kind": order.kind}, outcome)
    return 0


def _is_first_since_drawn(engine: Engine, basemap: Path) -> bool:
    """Whether this is the first layer for the map since it was drawn, or of a day: one of many says so."""
    since = datetime.now(UTC) - timedelta(days=1)
    if basemap.exists():
        since = max(since, datetime.fromtimestamp(basemap.stat().st_mtime, UTC))
    asked = select(Event.facts).where(
        Event.subject.in_([f"layer:{kind}" for kind in DRAWN]), Event.at > since
    )
    with db.read_session(engine) as s:
        return sum(facts["imported"] > 0 for facts in s.scalars(asked)) == 1


def requests(
    engine: Engine,
    settings: Settings,
    path: Path,
    name: str,
    max_rejected: int | None,
    *,
    dry_run: bool = False,
) -> int:
    """Imports requests by the mapping `name` and returns the exit code, as layer() does.

    A dry run does all of it and keeps nothing, so that it finds the same faults.
    """
    what: dict[str, Any] = {"import": "requests", "map": name}
    if dry_run:
        what["dry_run"] = True
    try:
        how, (_number, city) = mapping.load(name), city_reload.load_at_start(settings, engine)
        with (
            suppress(_KeepNothing), db.gc_paused(), closing(Progress("requests")) as told,
            db.transaction(engine) as s,
        ):  # fmt: skip
            outcome = request_imports.import_file(
                s, path, how, city, at=datetime.now(UTC), secret=settings.secret_key,
                max_rejected=max_rejected, dry_run=dry_run, told=told,
            )  # fmt: skip
            if dry_run:
                raise _KeepNothing
            click.echo("Writing the log …", err=True)
    except (Unusable, TooManyRejected, CityFileError) as fault:
        return failed(fault, what)
    for line in outcome.said:
        click.echo(line)
    for words, count in (
        ("Imported without a location", outcome.unlocated),
        ("Outside the city boundary (noted on each case)", outcome.more.get("outside", 0)),
        (
            "Closed before they were opened (noted on each case)",
            outcome.more.get("closed_before_opened", 0),
        ),
        ("Updated here because they changed in the other system", outcome.more.get("updated", 0)),
    ):
        if count:
            click.echo(f"{words}: {count}.")
    if dry_run:
        click.echo("Dry run: nothing was saved.")
    report(what, outcome)
    return 0


def answers(engine: Engine, path: Path, max_rejected: int | None) -> int:
    """Imports answers and returns the exit code, as layer() does."""
    try:
        with closing(Progress("answers")) as told, db.transaction(engine) as s:
            outcome = article_files.import_articles(
                s, path, by=accounts.THE_SYSTEM, at=datetime.now(UTC), max_rejected=max_rejected, told=told
            )
    except (Unusable, TooManyRejected) as fault:
        return failed(fault, {"import": "answers"})
    if updated := outcome.more.get("updated"):
        click.echo(f"Answers updated from the file: {updated}.")
    report({"import": "answers"}, outcome)
    return 0


def undo(engine: Engine, number: int) -> int:
    """Undoes a run and returns the exit code: 0 undone, 1 refused."""
    what: dict[str, Any] = {"import": "undo", "run": number}
    try:
        with db.transaction(engine) as s:
            undone = import_runs.undo(s, number, at=datetime.now(UTC))
    except Refused as refused:
        click.echo(f"{REFUSALS[refused.code].format(**refused.facts)} Nothing was undone.", err=True)
        touched = refused.facts.get("numbers", [])
        if isinstance(touched, list) and touched:
            click.echo("\n".join(touched), err=True)
        click.echo(
            json.dumps({**what, "removed": 0, "put_back": 0, "error": refused.code, "touched": touched})
        )
        return REFUSED
    click.echo(f"Cases removed: {undone.removed}. Cases put back as before run {number}: {undone.put_back}.")
    click.echo(json.dumps({**what, "removed": undone.removed, "put_back": undone.put_back}))
    return 0


def runs(engine: Engine, settings: Settings) -> None:
    """Lists the runs, the newest first: number, mapping, when, counts, whether undone."""
    _number, city = city_reload.load_at_start(settings, engine)
    with db.read_session(engine) as s:
        listed = import_runs.newest(s, MOST_RUNS)
        if not listed:
            click.echo("No runs yet.")
        for run in listed:
            began = run.began_at.astimezone(city.time_zone)
            counts = ", ".join(
                f"{count} {name.replace('_', ' ')}" for name, count in run.counts.items() if count
            )
            undone = (
                f"  undone {run.undone_at.astimezone(city.time_zone):%Y-%m-%d %H:%M}" if run.undone_at else ""
            )
            click.echo(f"{run.id}  {run.source}  {began:%Y-%m-%d %H:%M}  {counts or 'nothing'}{undone}")


class _KeepNothing(Exception):
    """Ends a dry run's transaction."""


def report(what: dict[str, Any], outcome: Outcome) -> None:
    """The last lines: where to find what was rejected, then the figures as JSON."""
    if outcome.side_file:
        click.echo(f"Rejected rows, with reasons: {outcome.side_file}")
    click.echo(json.dumps({**what, **outcome.counts(), "side_file": outcome.side_file}))


def failed(fault: Exception, what: dict[str, Any]) -> int:
    """Says why nothing was kept, and returns the exit code."""
    if isinstance(fault, TooManyRejected):
        outcome = fault.outcome
        most = outcome.rejected - 1
        click.echo(f"More rows were rejected than allowed ({most}), so nothing was imported.", err=True)
        outcome.imported = outcome.unchanged = outcome.unlocated = 0
        outcome.more.clear()
        report(what, outcome)
        return TOO_MANY
    click.echo(f"{fault}. Nothing was imported.", err=True)
    click.echo(json.dumps({**what, **Outcome().counts(), "side_file": None, "error": str(fault)}))
    return UNUSABLE

"""What `cityline import` prints: progress, where the rejected rows are, and one line of JSON at the end."""

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Engine

from city import bulk, db, imports, layers, mapping, people
from city.settings import Settings
from city.sources import Outcome, TooManyRejected, Unusable
from city.tomlfile import CityFileError
from pwa import newest
from pwa.progress import Progress

UNUSABLE, TOO_MANY = 2, 1


def layer(
    engine: Engine, settings: Settings, path: Path, order: layers.Order, max_rejected: int | None
) -> int:
    """Imports a layer and returns the exit code: 0 read to the end, 1 too many rejected, 2 unusable."""
    try:
        _number, city = newest.at_start(settings, engine)
        with closing(Progress(f"{order.kind}, rows written")) as told, db.transaction(engine) as s:
            outcome = layers.replace(
                s, path, order, bounds=city.bounds, by=people.THE_SYSTEM, at=datetime.now(UTC),
                max_rejected=max_rejected, told=told,
            )  # fmt: skip
    except (Unusable, TooManyRejected, CityFileError) as fault:
        return failed(fault, {"import": "layer", "kind": order.kind})
    if outcome.unlocated:
        click.echo(f"{outcome.unlocated} rows have no place and were left out.")
    if outcome.imported and order.kind in ("streets", "areas", "boundary"):
        click.echo("Now draw the map anew: cityline basemap build")
    report({"import": "layer", "kind": order.kind}, outcome)
    return 0


def requests(engine: Engine, settings: Settings, path: Path, name: str, max_rejected: int | None) -> int:
    """Imports requests by the mapping `name` and returns the exit code, as layer() does."""
    what = {"import": "requests", "map": name}
    try:
        how, (_number, city) = mapping.load(name), newest.at_start(settings, engine)
        with bulk.uncollected(), closing(Progress("requests")) as told, db.transaction(engine) as s:
            outcome = imports.take(
                s, path, how, city, at=datetime.now(UTC), max_rejected=max_rejected, told=told
            )
            click.echo("Writing the log …", err=True)
    except (Unusable, TooManyRejected, CityFileError) as fault:
        return failed(fault, what)
    for words, count in (
        ("have no place, and are cases without one", outcome.unlocated),
        ("lie outside the city's boundary; that is noted on each", outcome.more.get("outside", 0)),
        ("were closed before they were opened; noted", outcome.more.get("closed_before_opened", 0)),
        ("were changed over there since; they stay as they are here", outcome.more.get("changed", 0)),
    ):
        if count:
            click.echo(f"{count} {words}.")
    report(what, outcome)
    return 0


def report(what: dict[str, str], outcome: Outcome) -> None:
    """The last lines: where to find what was rejected, then the figures as JSON."""
    if outcome.side_file:
        click.echo(f"Rows that could not be taken, with reasons: {outcome.side_file}")
    click.echo(json.dumps({**what, **outcome.counts(), "side_file": outcome.side_file}))


def failed(fault: Exception, what: dict[str, str]) -> int:
    """Says why nothing was kept, and returns the exit code."""
    if isinstance(fault, TooManyRejected):
        outcome = fault.outcome
        click.echo(f"More than {outcome.rejected - 1} rows were rejected: nothing was kept.", err=True)
        outcome.imported = outcome.unchanged = outcome.unlocated = 0
        outcome.more.clear()
        report(what, outcome)
        return TOO_MANY
    click.echo(f"{fault}. Nothing was imported.", err=True)
    click.echo(json.dumps({**what, **Outcome().counts(), "side_file": None, "error": str(fault)}))
    return UNUSABLE

"""The command `cityline config simulate`: a city file held against the cases of a past period."""

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from city.cases import sla_simulation
from city.cases.sla_simulation import Line
from city.config import city_file
from city.db import engine as db
from city.settings import read

A_DAY = click.DateTime(formats=["%Y-%m-%d"])
# Why a verdict changed, as rehearsal.Line has it.
WHY = {
    "word": "the old system had its own due date",
    "kind": "switched between calendar days and working hours",
    "days": "different number of calendar days",
    "hours": "different number of working hours",
    "calendar": "different calendar",
    "other": "its service or danger changed after it was opened",
}


@click.command("simulate")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "since", type=A_DAY, required=True, help="First day of the period: 2026-01-01.")
@click.option("--to", "until", type=A_DAY, required=True, help="Last day of the period: 2026-03-31.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def simulate(file: Path, since: datetime, until: datetime, as_json: bool) -> None:
    """Show how the due dates in FILE would have worked for past cases. Changes nothing."""
    city = city_file.load(file)
    if until < since:
        raise click.UsageError("--to is before --from. Example: --from 2026-01-01 --to 2026-03-31")
    engine = db.connect(read().database_url)
    with db.read_session(engine) as s:
        found = sla_simulation.simulate(s, city, since.date(), until.date(), datetime.now(UTC))
    engine.dispose()
    period = f"from {since:%Y-%m-%d} to {until:%Y-%m-%d}"
    if not found.total.cases and not found.unknown:
        raise click.ClickException(
            f"No cases were opened {period}, so there's nothing to test {file.name} on."
        )
    if as_json:
        told = {
            "file": file.name,
            "from": f"{since:%Y-%m-%d}",
            "to": f"{until:%Y-%m-%d}",
            "total": found.total.told(),
            "services": [line.told() for line in found.services],
            "not_in_file": dict(found.unknown.most_common()),
        }
        click.echo(json.dumps(told, ensure_ascii=False))
        return
    click.echo(f"{file.name}, tested on cases opened {period}. Nothing was changed.")
    click.echo(
        f"{'service':32}{'cases':>8}{'then':>8}{'now':>8}{'better':>8}{'worse':>8}{'median':>9}{'p90':>9}"
    )
    for line in [*found.services, found.total]:
        click.echo(_row(line))
    for why, count in found.total.why.most_common():
        click.echo(f"{count} {'result changes' if count == 1 else 'results change'}: {WHY[why]}.")
    if found.unknown:
        click.echo(
            f"Cases not counted because {file.name} doesn't have their service: {found.unknown.total()}."
        )
    click.echo(
        "then, now: on-time share with the old due dates and with this file. median, p90: working hours."
    )


def _row(line: Line) -> str:
    told = line.told()
    shares = (_percent(told["on_time_then"]), _percent(told["on_time_now"]))
    hours = (_number(told["median_hours"]), _number(told["p90_hours"]))
    words = f"{line.service[:31]:32}{line.cases:>8}{shares[0]:>8}{shares[1]:>8}"
    return f"{words}{line.better:>8}{line.worse:>8}{hours[0]:>9}{hours[1]:>9}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(hours: float | None) -> str:
    return "-" if hours is None else f"{hours:.1f}"

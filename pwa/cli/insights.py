"""The command `insights`: the figures of /value and /performance as JSON, or as a file of CSV."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from city import files
from city.config import versions as config_versions
from city.db import engine as db
from city.metrics import metrics, periods, satisfaction
from city.metrics.metrics import Cell, Figures
from city.settings import read


@click.command("insights")
@click.option(
    "--period", "code", default="", metavar="CODE", help="2026, 2026-10, fy2026, or 12m. Default: this year."
)
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def reckon(code: str, file: Path | None) -> None:
    """Print a period's figures as JSON, each with its query, or write them to a CSV FILE."""
    settings = read()
    engine = db.connect(settings.database_url)
    click.get_current_context().call_on_close(engine.dispose)
    with db.read_session(engine) as s:
        city = config_versions.active(s, settings.city)
        today = datetime.now(UTC).astimezone(city.time_zone).date()
        try:
            period = periods.period(code, today, city.costs.starts)
        except periods.NoPeriod as fault:
            raise click.ClickException(
                f"{code!r} isn't a finished period. Examples: 2026-10, 2026, fy2026, 12m."
            ) from fault
        both = {
            "value": metrics.line_metrics(s, city, period),
            "performance": metrics.sla_metrics(s, city, period),
        }
        both["performance"].add(satisfaction.satisfaction_metrics(s, city, period).cells.values())
    if file is None:
        told = {name: [_as_json(cell) for cell in figures.cells.values()] for name, figures in both.items()}
        click.echo(json.dumps({"insights": period.code, **told}, ensure_ascii=False))
        return
    try:
        _write(file, both)
    except OSError as fault:
        raise click.ClickException(f"Can't write {file}: {fault.strerror}") from fault
    click.echo(f"{sum(len(figures.cells) for figures in both.values())} figures are in {file}.")


def _as_json(cell: Cell) -> dict[str, Any]:
    return {
        "id": cell.id, "value": cell.value, "hidden": cell.hidden, "before": cell.before, "query": cell.proof,
    }  # fmt: skip


def _write(file: Path, both: dict[str, Figures]) -> None:
    told = io.StringIO(newline="")
    rows = csv.writer(told)
    rows.writerow(("page", "figure", "value", "hidden", "a year before", "query"))
    for name, figures in both.items():
        for cell in figures.cells.values():
            hidden = "true" if cell.hidden else ""
            rows.writerow((name, cell.id, cell.value, hidden, cell.before, cell.proof))
    with files.atomic_write(file) as out:
        out.write(told.getvalue().encode())

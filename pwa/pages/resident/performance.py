"""How the city keeps its promises: promised against done, by service, department and area. For everybody."""

from collections.abc import Mapping

from flask import Blueprint, Response, request, url_for

from city.metrics import metrics, periods, publications, satisfaction
from city.metrics.metrics import Figures
from pwa.metrics import charts
from pwa.metrics import labels as metric_labels
from pwa.metrics.charts import Bars, Lines
from pwa.web import access, localization
from pwa.web.fragments import render

bp = Blueprint("performance", __name__)

PERCENTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@bp.get("/performance")
def page() -> Response:
    """The figures of ?period; the file has the year before of every row as well.

    A manager of departments is told what is hidden of theirs, here and nowhere else.
    """
    period, city = metric_labels.asked(running=True), access.current_city().city
    is_running, today = period.code == periods.RUNNING, localization.today()
    with access.reading() as s:
        if is_running:
            figures = metrics.running_metrics(s, city, period)
            by_month = metrics.month_metrics(s, city, periods.period(periods.LAST_TWELVE, today))
        else:
            own = access.own_departments(s)
            figures = by_month = metrics.sla_metrics(s, city, period, compared=False, own=own)
        ratings = Figures(period)
        if not is_running:  # whoever looked again after each answer would know who gave it
            ratings = satisfaction.satisfaction_metrics(s, city, period)
        follows = by_month.period.last == periods.moved(f"{today:%Y-%m}", -1)
        so_far = metrics.kept_so_far(s, f"{today:%Y-%m}") if follows else None
        versions = publications.versions(s, figures.period)
        tables = list(
            dict.fromkeys(
                cell.table
                for cell in [*figures.cells.values(), *by_month.cells.values(), *ratings.cells.values()]
            )
        )
        names = {
            table: metric_labels.row_name(
                s, table, [*figures.rows(table), *by_month.rows(table), *ratings.rows(table)]
            )
            for table in tables
        }
    return render(
        "figures/performance.html",
        figures=figures,
        names=names,
        measures=metric_labels,
        versions=versions,
        silent_days=publications.SILENT_DAYS,
        tables=tables,
        is_running=is_running,
        by_month=by_month,
        so_far=so_far,
        months=_months(by_month, so_far, periods.moved(by_month.period.last, 1)),
        left=_left(figures),
        left_sum=sum(int(figures.of("left", year, "open").value or 0) for year in figures.rows("left")),
        running=f"{today:%Y-%m}",
        ratings=ratings,
        scores=_scores(ratings),
        rated=satisfaction,
        by_service=_on_time(figures, names.get("service", {})),
        few=metrics.SUPPRESSION_THRESHOLD,
        indexed=not request.args,
        canonical=access.current_city().settings.base_url + url_for(".page"),
    )


@bp.get("/performance.csv")
def table() -> Response:
    """The same figures as a file; ?table names one of the tables."""
    period = metric_labels.asked()
    with access.reading() as s:
        city = access.current_city().city
        figures = metrics.sla_metrics(s, city, period)
        figures.add(satisfaction.satisfaction_metrics(s, city, period).cells.values())
        return metric_labels.as_csv(s, "performance", figures)


def _months(figures: Figures, so_far: float | None, running: str) -> list[Lines]:
    """Promises kept by month, and a year before; nothing of one month alone.

    `so_far` is how the month after them goes, `running`, which is not over: a line of its own.
    """
    rows = figures.rows("month")
    if len(rows) < 2:
        return []
    cells = [figures.of("month", row, "on_time") for row in rows]
    now, then = [cell.value for cell in cells], [cell.before for cell in cells]
    kept = [[None if v is None else v / PERCENTS[1] for v in values] for values in (now, then)]
    told = [metric_labels.number(each, "share") for each in PERCENTS]
    if so_far is not None:
        rows = [*rows, running]
        unknown: list[float | None] = [None] * (len(rows) - 2)
        kept = [[*kept[0], None], [*kept[1], None], [*unknown, kept[0][-1], so_far / PERCENTS[1]]]
    return charts.lines([metric_labels.month(row, "MMM") for row in rows], kept, told)


def _on_time(figures: Figures, names: Mapping[str, str]) -> list[Bars]:
    """Which services are done on time, the most often first; without those of which not everybody is told."""
    cells = [figures.of("service", row, "on_time") for row in figures.rows("service")]
    known = (cell for cell in cells if cell.value is not None and not cell.only_you)
    told = sorted(known, key=lambda cell: -(cell.value or 0))
    rows = [(names[cell.row], 0, cell.value or 0, metric_labels.cell_text(cell)) for cell in told]
    return charts.bars(rows) if rows else []


def _left(figures: Figures) -> list[Bars]:
    """The open cases by the year in which they were opened."""
    cells = [figures.of("left", year, "open") for year in figures.rows("left")]
    return charts.bars([(cell.row, 0, cell.value or 0, metric_labels.cell_text(cell)) for cell in cells])


def _scores(ratings: Figures) -> list[Bars]:
    """How many gave each rating; nothing where that is not told."""
    cells = [ratings.of("city", "", what) for what in satisfaction.EACH.values()]
    if any(cell.value is None for cell in cells):
        return []
    rows = zip(satisfaction.EACH, cells, strict=True)
    return charts.bars(
        [(str(score), 0, cell.value or 0, metric_labels.cell_text(cell)) for score, cell in rows]
    )

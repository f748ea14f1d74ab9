"""How the city keeps its promises: promised against done, by service, department and area. For everybody."""

from flask import Blueprint, Response, request, url_for

from city.metrics import metrics, publications
from city.metrics.metrics import Figures
from pwa.metrics import charts
from pwa.metrics import labels as metric_labels
from pwa.metrics.charts import Bars, Lines
from pwa.web import access
from pwa.web.fragments import render

bp = Blueprint("performance", __name__)

PERCENTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@bp.get("/performance")
def page() -> Response:
    """The figures of ?period; the file has the year before of every row as well."""
    period, city = metric_labels.asked(), access.current_city().city
    with access.reading() as s:
        figures = metrics.sla_metrics(s, city, period, compared=False)
        versions = publications.versions(s, figures.period)
        tables = list(dict.fromkeys(cell.table for cell in figures.cells.values()))
        names = {table: metric_labels.row_name(s, table, figures.rows(table)) for table in tables}
    return render(
        "figures/performance.html",
        figures=figures,
        names=names,
        measures=metric_labels,
        versions=versions,
        silent_days=publications.SILENT_DAYS,
        tables=tables,
        months=_months(figures),
        left=_left(figures),
        few=metrics.SUPPRESSION_THRESHOLD,
        indexed=not request.args,
        canonical=access.current_city().settings.base_url + url_for(".page"),
    )


@bp.get("/performance.csv")
def table() -> Response:
    """The same figures as a file; ?table names one of the tables."""
    period = metric_labels.asked()
    with access.reading() as s:
        return metric_labels.as_csv(
            s, "performance", metrics.sla_metrics(s, access.current_city().city, period)
        )


def _months(figures: Figures) -> list[Lines]:
    """Promises kept by month, and a year before; nothing of one month alone."""
    rows = figures.rows("month")
    if len(rows) < 2:
        return []
    cells = [figures.of("month", row, "on_time") for row in rows]
    now, then = [cell.value for cell in cells], [cell.before for cell in cells]
    kept = [[None if v is None else v / PERCENTS[1] for v in values] for values in (now, then)]
    told = [metric_labels.number(each, "share") for each in PERCENTS]
    return charts.lines([metric_labels.month(row, "MMM") for row in rows], kept, told)


def _left(figures: Figures) -> list[Bars]:
    """The open cases by the year in which they were opened."""
    cells = [figures.of("left", year, "open") for year in figures.rows("left")]
    return charts.bars([(cell.row, 0, cell.value or 0, metric_labels.cell_text(cell)) for cell in cells])

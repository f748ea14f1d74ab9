"""What the line is worth: its contacts, what they cost and spared, and what if it were cut. For everybody."""

from dataclasses import dataclass, field

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _

from city.config.costs import Desk
from city.metrics import metrics, publications
from city.metrics.metrics import Figures
from pwa.metrics import charts
from pwa.metrics import labels as metric_labels
from pwa.metrics.charts import Bars, Lines
from pwa.web import access
from pwa.web.fragments import render

bp = Blueprint("value", __name__)

TOPICS = 8  # bars; the rest is one more
BOUNDS = {"minutes": (0, 480), "hourly": (0, 10_000), "share": (0, 100), "full_time": (1, 8784)}


@dataclass
class Assumed:
    """What "what if" assumes, as typed: the city file's where nothing was. `faults` are by field."""

    typed: dict[str, str]
    desks: dict[str, Desk] = field(default_factory=dict)
    share: int = 100
    full_time: int = 1
    faults: dict[str, str] = field(default_factory=dict)


@bp.get("/value")
def page() -> Response:
    """The figures of ?period, and what if the line were cut; 422 where what is assumed is no number."""
    period, city = metric_labels.asked(), access.current_city().city
    with access.reading() as s:
        figures = metrics.line_metrics(s, city, period)
        versions = publications.versions(s, figures.period)
        names = {table: metric_labels.row_name(s, table, figures.rows(table)) for table in _tables(figures)}
    assumed = _assumed(figures)
    cut = None if assumed.faults else metrics.cost_if_closed(
        figures, city, assumed.desks, assumed.share, assumed.full_time
    )  # fmt: skip
    response = render(
        "figures/value.html", figures=figures, names=names, assumed=assumed, cut=cut, measures=metric_labels,
        versions=versions,
        topics=_topics(figures, names["topic"]), months=_months(figures), changed=_is_changed(assumed),
        costs=city.costs, years=_years(figures), tables=_tables(figures), indexed=not request.args,
        canonical=access.current_city().settings.base_url + url_for(".page"),
    )  # fmt: skip
    response.status_code = 422 if assumed.faults else 200
    return response


@bp.get("/value.csv")
def table() -> Response:
    """The same figures as a file; ?table names one of the tables."""
    period = metric_labels.asked()
    with access.reading() as s:
        return metric_labels.as_csv(s, "value", metrics.line_metrics(s, access.current_city().city, period))


def _tables(figures: Figures) -> list[str]:
    return list(dict.fromkeys(cell.table for cell in figures.cells.values()))


def _topics(figures: Figures, names: dict[str, str]) -> list[Bars]:
    """Contacts by topic: those that were answered or passed on, and those that became a case."""

    def n(row: str, what: str) -> int:
        return int(figures.of("topic", row, what).value or 0)

    counts = [(names[row], n(row, "contacts"), n(row, "case")) for row in figures.rows("topic")]
    first, rest = counts[:TOPICS], counts[TOPICS:]
    if rest:
        first.append(
            (_("Everything else"), sum(all_ for _, all_, _ in rest), sum(cases for _, _, cases in rest))
        )
    return charts.bars(
        [(_short(name), all_ - cases, cases, metric_labels.number(all_, "n")) for name, all_, cases in first]
    )


def _months(figures: Figures) -> list[Lines]:
    """Contacts by month, and the same a year before; nothing of one month alone."""
    rows = figures.rows("month")
    if len(rows) < 2:
        return []
    cells = [figures.of("month", row, "contacts") for row in rows]
    now, then = [float(cell.value or 0) for cell in cells], [float(cell.before or 0) for cell in cells]
    steps = charts.heights(max(now + then))
    series = [[n / steps[1] for n in values] for values in ((now, then) if any(then) else (now,))]
    told = [metric_labels.number(step, "n") for step in steps]
    return charts.lines([metric_labels.month(row, "MMM") for row in rows], series, told)


def _years(figures: Figures) -> list[str]:
    """The years of the city file whose costs the period shares."""
    costs = access.current_city().city.costs
    return [year.code for year in costs.years if set(year.months()) & set(figures.period.months)]


def _assumed(figures: Figures) -> Assumed:
    """Each assumption from the address, the city file's where it is not there."""
    costs = access.current_city().city.costs
    found = Assumed({})
    found.share = _number(found, "share", 100)
    found.full_time = _number(found, "full_time", costs.full_time)
    for code in figures.rows("department"):
        desk = costs.desk_of(code)
        minutes = _number(found, f"minutes-{code}", desk.minutes)
        found.desks[code] = Desk(minutes, _number(found, f"hourly-{code}", desk.hourly))
    return found


def _number(found: Assumed, name: str, otherwise: int) -> int:
    typed = request.args.get(name, str(otherwise)).strip()[:40]
    found.typed[name] = typed
    low, high = BOUNDS[name.partition("-")[0]]
    if typed.isascii() and typed.isdecimal() and low <= int(typed) <= high:
        return int(typed)
    found.faults[name] = _(
        "“%(typed)s” isn't a whole number from %(low)s to %(high)s.",
        typed=typed, low=metric_labels.number(low, "n"), high=metric_labels.number(high, "n"),
    )  # fmt: skip
    return otherwise


def _is_changed(assumed: Assumed) -> bool:
    return any(name in request.args for name in assumed.typed)


def _short(name: str) -> str:
    return name if len(name) <= 27 else name[:26].rstrip(" ,") + "…"

"""How the city's figures read: names, definitions and numbers, in the visitor's language and its money."""

import csv
import io
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent
from flask import Response, abort, request
from flask_babel import get_locale, ngettext
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.answers import articles
from city.csv_cells import in_a_table
from city.lifecycle import WAIT_REASONS
from city.metrics import metrics, periods, satisfaction
from city.metrics.metrics import Cell, Figures, Line, Value
from city.metrics.periods import NoPeriod, Period
from city.places import areas
from pwa.web import access, formatting, localization

CHOSEN = "period"  # the address's word


class Meaning(NamedTuple):
    """What a figure is called, what it counts, and in what: n, share, money, rate, hours, days, seconds."""

    name: str
    says: str
    unit: str


def meaning(what: str) -> Meaning:
    """Of a figure, by its name in the program."""
    return _meanings(get_locale())[what]


def asked(*, running: bool = False) -> Period:
    """The period that the address asks for; 404 for none that anybody knows or that is not over yet.

    Where `running` it may be the month that is not over.
    """
    if running and request.args.get(CHOSEN) == periods.RUNNING:
        return periods.running(_today())
    try:
        return periods.period(request.args.get(CHOSEN, ""), _today(), _starts())
    except NoPeriod:
        abort(404)


def choices(chosen: Period, *, running: bool = False) -> list[tuple[str, str, bool]]:
    """(code, words, whether it is the one that is shown) of the periods to choose from."""
    codes = [*([periods.RUNNING] if running else []), *periods.choices(_today(), _starts())]
    if chosen.code not in codes:
        codes.append(chosen.code)
    return [(code, named(code), code == chosen.code) for code in codes]


def named(code: str) -> str:
    """ "October 2026", "2026", "Fiscal year 2026", "12 months"."""
    if code == periods.LAST_TWELVE:
        return _("12 months")
    if code == periods.RUNNING:
        return _("%(month)s so far", month=month(f"{_today():%Y-%m}", "LLLL"))
    if code.startswith("fy"):
        return _("Fiscal year %(year)s", year=code[2:])
    return month(code) if "-" in code else code


def month(code: str, pattern: str = "") -> str:
    """ "October 2026"; by `pattern` "Oct". As it stands alone: with a capital, whatever the language."""
    words = _in_sentence(code, pattern)
    return words[:1].upper() + words[1:]


def span(period: Period) -> str:
    """ "January to October 2026", "October 2026"."""
    if period.first == period.last:
        return month(period.first)
    same = period.first[:4] == period.last[:4]
    first = _in_sentence(period.first, "MMMM" if same else "")
    return _("%(first)s to %(last)s", first=first, last=_in_sentence(period.last))


def cell_text(cell: Cell, *, before: bool = False) -> str:
    """The figure as people write it; "–" where there is none or, of the year before, it is not told."""
    if cell.hidden and not before:
        return _("hidden")
    return number(cell.before if before else cell.value, meaning(cell.what).unit)


def number(value: float | Fraction | None, unit: str) -> str:
    """A number with its unit; "–" for None."""
    if value is None:
        return "–"
    return money(value) if unit == "money" else _number(float(value), unit, get_locale())


def money(value: float | Fraction) -> str:
    """In the city's currency: cents below a hundred only."""
    currency, locale = access.current_city().city.costs.currency, get_locale()
    amount, pattern = float(value), locale.currency_formats["standard"].pattern if locale else "¤#,##0.00"
    if abs(amount) < 100:
        return format_currency(amount, currency, pattern, locale=locale)
    whole = pattern.replace("0.00", "0")
    return format_currency(round(amount), currency, whole, locale=locale, currency_digits=False)


class Told(NamedTuple):
    """A line beside what was on time: a sentence, what it means, and the figures that its tables show."""

    says: str
    means: str
    whats: tuple[str, ...]


def beside(figures: Figures) -> list[Told]:
    """The promises with a line of their own and those that were paused, in words; of the whole city."""
    told = []
    for line in figures.lines(metrics.KEPT_APART.values()):
        num, kept = (cell_text(figures.of("city", "", what)) for what in (line.what, *line.of_them))
        means = meaning(line.what).says
        told.append(Told(_kept_apart()[line.what] % {"num": num, "kept": kept}, means, _whats(line)))
    paused = {line.what: reason for reason, line in metrics.PAUSED.items()}
    for line in figures.lines(metrics.PAUSED.values()):
        cases, in_all, half = (figures.of("city", "", what).value for what in _whats(line))
        says = ngettext(
            "%(waits)s: %(cases)s case paused, %(days)s.",
            "%(waits)s: %(cases)s cases paused, %(days)s in all. Half were paused for %(half)s or less.",
            int(cases or 0),
            waits=formatting.waits_for(paused[line.what]),
            cases=number(cases, "n"),
            days=days(in_all),
            half=days(half),
        )
        told.append(Told(says, "", _whats(line)))
    return told


def _whats(line: Line) -> tuple[str, ...]:
    return (line.what, *line.of_them)


def change(cell: Cell) -> str:
    """Against a year before, in words; "" where nothing is known of then."""
    if not cell.before or cell.value is None:
        return ""
    if meaning(cell.what).unit == "share":
        return _change_of_share(round(100 * (cell.value - cell.before)))
    percent = round(100 * (cell.value - cell.before) / cell.before)
    if percent > 0:
        return _("Up %(percent)d%% from a year earlier.", percent=percent)
    if percent < 0:
        return _("Down %(percent)d%% from a year earlier.", percent=-percent)
    return _("About the same as a year earlier.")


def _change_of_share(points: int) -> str:
    if points > 0:
        return ngettext(
            "%(num)d percentage point higher than a year earlier.",
            "%(num)d percentage points higher than a year earlier.",
            points,
        )
    if points < 0:
        return ngettext(
            "%(num)d percentage point lower than a year earlier.",
            "%(num)d percentage points lower than a year earlier.",
            -points,
        )
    return _("About the same as a year earlier.")


def table(code: str) -> str:
    """What a table is called."""
    return {
        "month": _("By month"),
        satisfaction.TREND: _("By department and month"),
        "topic": _("By topic"),
        "channel": _("By channel"),
        "lang": _("By language"),
        "office": _("Without the call center"),
        "department": _("By department"),
        "service": _("By service"),
        "area": _("By neighborhood"),
        "left": _("Still open"),
    }[code]


def row_name(s: Session, table: str, rows: Iterable[str]) -> dict[str, str]:
    """What the rows of a table are called."""
    city = access.current_city().city
    if table == "topic":
        names = {code: localization.said(words) for code, words in articles.all_topics(s).items()}
    elif table == "service":
        names = {code: localization.said(words) for code, words in articles.all_services(s).items()}
    elif table in ("department", "office"):
        names = _offices() | {each.code: localization.said(each.names) for each in city.departments}
    elif table == "area":
        names = areas.names(s)
    elif table == "channel":
        names = _channels()
    elif table == "lang":
        names = {row: localization.language_name(row) for row in rows}
    elif table == "month":
        names = {row: month(row) for row in rows}
    elif table == satisfaction.TREND:
        offices = {each.code: localization.said(each.names) for each in city.departments}
        names = {row: _of_month(row, offices) for row in rows}
    else:
        names = {}
    return {row: names.get(row, row) for row in rows}


def _of_month(row: str, offices: Mapping[str, str]) -> str:
    """ "Streets, October 2026"."""
    code, _dot, its_month = row.rpartition(".")
    return f"{offices.get(code, code)}, {month(its_month)}"


def as_csv(s: Session, name: str, figures: Figures) -> Response:
    """The figures, or of it the table that the address names, as a file: a figure a line, with its proof."""
    tables = list(dict.fromkeys(cell.table for cell in figures.cells.values()))
    wanted = request.args.get("table")
    if wanted and wanted not in tables:
        abort(404)
    file = io.StringIO()
    out = csv.writer(file)
    out.writerow(("figure", "of", "name", "value", "hidden", "a year before", "definition", "query"))
    for table in [wanted] if wanted else tables:
        names = row_name(s, table, figures.rows(table))
        for cell in (each for each in figures.cells.values() if each.table == table):
            says = meaning(cell.what)
            hidden = "true" if cell.hidden else ""
            figure = (cell.id, in_a_table(names[cell.row]), says.name)
            values = (plain(cell.value), hidden, plain(cell.before))
            out.writerow((*figure, *values, says.says, cell.proof))
    answer = Response(file.getvalue(), mimetype="text/csv")
    answer.headers["Content-Disposition"] = f"attachment; filename={name}-{figures.period.code}.csv"
    return answer


@lru_cache(maxsize=10_000)  # a page says some hundred, and mostly the same
def _number(amount: float, unit: str, locale: Locale | None) -> str:
    if unit == "share":
        return format_percent(amount, "#,##0.#%" if 0 < amount < 0.1 else "#,##0%", locale=locale)
    if unit == "hours":
        return localization.hours(round(amount))
    if unit == "seconds":
        minutes, seconds = divmod(round(amount), 60)
        return _("%(minutes)d min %(seconds)d sec", minutes=minutes, seconds=seconds)
    if unit == "n":
        return localization.figure(int(amount))
    return format_decimal(
        amount, "#,##0" if unit == "days" and (amount >= 10 or not amount) else "#,##0.0", locale=locale
    )


def plain(value: Value) -> str:
    """A figure for a program: in full, without an exponent, six digits behind the point at most."""
    return (
        ""
        if value is None
        else str(value)
        if isinstance(value, int)
        else f"{value:.6f}".rstrip("0").rstrip(".")
    )


def _in_sentence(code: str, pattern: str = "") -> str:
    """With a capital only where the language writes months so; with its year without a pattern."""
    first = date(int(code[:4]), int(code[5:]), 1)
    return str(format_date(first, pattern, locale=get_locale())) if pattern else localization.month(first)


def _today() -> date:
    return localization.today()


def _starts() -> int:
    return access.current_city().city.costs.starts


def _offices() -> dict[str, str]:
    return {
        "911": "911", "police": _("Police"), "utility": _("Utility company"), "county": _("County"),
        "state": _("State"),
    }  # fmt: skip


def _channels() -> dict[str, str]:
    return {
        "phone": _("Phone"), "voicemail": _("Voicemail"), "counter": _("In person"), "email": _("Email"),
        "sms": _("Text message"), "form": _("Another form"),
    }  # fmt: skip


@lru_cache
def _kept_apart_in(_locale: Locale | None) -> dict[str, str]:
    """The sentence of each line of counters.APART: how many (num), and how many were kept."""
    return {
        "restarted": _("Due dates counted again after a correction: %(num)s. Met: %(kept)s."),
        "new_date": _("New dates given: %(num)s. Met: %(kept)s."),
        "by_partner": _("Cases closed by partners: %(num)s. On time: %(kept)s."),
    }


def _kept_apart() -> dict[str, str]:
    return _kept_apart_in(get_locale())


def _paused_meanings(reason: str) -> dict[str, Meaning]:
    waits, line = formatting.reason(reason), metrics.PAUSED[reason]
    in_all, half = line.of_them
    return {
        line.what: Meaning(
            _("Paused: %(reason)s", reason=waits),
            _("Closed cases whose due date had been paused while they waited for this."),
            "n",
        ),
        in_all: Meaning(
            _("Days paused: %(reason)s", reason=waits),
            _("For how many days those due dates were paused, added up."),
            "days",
        ),
        half: Meaning(
            _("Half paused within: %(reason)s", reason=waits),
            _("Half of those due dates were paused for this many days or less. Rounded like days to close."),
            "days",
        ),
    }


def _more_meanings() -> dict[str, Meaning]:
    """Those of each reason to wait, and of the ratings."""
    paused = {what: says for reason in WAIT_REASONS for what, says in _paused_meanings(reason).items()}
    each = {
        what: Meaning(
            _("Rated %(score)s", score=score), _("How many gave the rating %(score)s.", score=score), "n"
        )
        for score, what in satisfaction.EACH.items()
    }
    return (
        paused
        | {
            satisfaction.ASKED: Meaning(
                _("Asked for a rating"),
                _("Reporters who were asked how satisfied they are with a closing in the period."),
                "n",
            ),
            satisfaction.ANSWERED: Meaning(
                _("Ratings"),
                _("Reporters who answered, with a number from 1 to 5."),
                "n",
            ),
            satisfaction.RATE: Meaning(
                _("Answer rate"),
                _("Share of those asked who answered."),
                "share",
            ),
            satisfaction.AVERAGE: Meaning(
                _("Average rating"),
                _("Average of the ratings. 1 is not at all satisfied, 5 is very satisfied."),
                "rate",
            ),
        }
        | each
    )


@lru_cache
def _meanings(_locale: Locale | None) -> dict[str, Meaning]:
    return {
        "contacts": Meaning(
            _("Contacts"),
            _("Phone calls, voicemails, and in-person visits that began in the period."),
            "n",
        ),
        "answered": Meaning(
            _("Answered"),
            _("Contacts answered on the spot, with no case and no transfer."),
            "n",
        ),
        "case": Meaning(
            _("Became a case"),
            _("Contacts that became a case for a department."),
            "n",
        ),
        "transferred": Meaning(
            _("Transfers"),
            _("Contacts transferred to another office."),
            "n",
        ),
        "dropped": Meaning(
            _("Dropped calls"),
            _("Contacts that ended before we could help."),
            "n",
        ),
        "first_contact": Meaning(
            _("Answered on first contact"),
            _("Share of all contacts that were answered on the spot."),
            "share",
        ),
        "follow_up": Meaning(
            _("Follow-up rate"),
            _("Share of all contacts that became a case."),
            "share",
        ),
        "seconds": Meaning(
            _("Time per contact"),
            _("Average time from start to end, across all contacts."),
            "seconds",
        ),
        "cost": Meaning(
            _("Cost of the call center"),
            _("Cost of the call center from the city file: one-twelfth of the year's cost for each month."),
            "money",
        ),
        "cost_per_contact": Meaning(
            _("Cost per contact"),
            _("Cost of the call center divided by its contacts."),
            "money",
        ),
        "per_paid_hour": Meaning(
            _("Contacts per paid hour"),
            _("Contacts divided by the paid hours of call center staff."),
            "rate",
        ),
        "per_open_hour": Meaning(
            _("Contacts per open hour"),
            _("Contacts divided by the hours the call center is open, not counting holidays."),
            "rate",
        ),
        "spared_hours": Meaning(
            _("Hours saved"),
            _("Answered contacts times the minutes each would have taken the department."),
            "hours",
        ),
        "spared_money": Meaning(
            _("Money saved"),
            _("Hours saved times the hourly cost in that department."),
            "money",
        ),
        "asked": Meaning(
            _("Questions"),
            _("Contacts about the department's topics, not counting dropped calls."),
            "n",
        ),
        "opened": Meaning(
            _("Cases opened"),
            _("Cases opened in the period."),
            "n",
        ),
        "closed": Meaning(
            _("Cases closed"),
            _("Cases closed in the period. A reopened case can be closed more than once."),
            "n",
        ),
        "on_time": Meaning(
            _("On time"),
            _("Share of closed cases where the work was done by the due date."),
            "share",
        ),
        "median_days": Meaning(
            _("Half done within"),
            _(
                "Half of the closed cases were done within this many days of the report. Shown in tenths "
                "of a day up to ten days, then in whole days, rounded up."
            ),
            "days",
        ),
        "p90_days": Meaning(
            _("Nine in ten done within"),
            _("Nine in ten closed cases were done within this many days. Rounded the same way."),
            "days",
        ),
        "reopened": Meaning(
            _("Reopenings"),
            _("Share of closed cases that were reopened in the period."),
            "share",
        ),
        "reasoned": Meaning(
            _("Fixed, no photo"),
            _("Share of field closings marked fixed with a reason instead of a photo, such as darkness."),
            "share",
        ),
        "unproven": Meaning(
            _("Missing photo"),
            _("Share of field closings marked fixed with a photo that never arrived and no reason given."),
            "share",
        ),
        "merged": Meaning(
            _("Duplicates"),
            _("Cases merged into another case about the same problem, not counting any later separated."),
            "n",
        ),
        "cancelled": Meaning(
            _("Canceled by resident or staff"),
            _("Cases canceled by the resident who reported them or by staff."),
            "n",
        ),
        "open": Meaning(
            _("Still open"),
            _("Cases opened that year that are still open."),
            "n",
        ),
        "restarted": Meaning(
            _("Counted again after a correction"),
            _(
                "Closed cases that were already late when their type was corrected. None of them counts as "
                "on time, even where the new due date was met."
            ),
            "n",
        ),
        "kept_again": Meaning(
            _("Counted again: met"),
            _("Those of them where the work was done by the due date as it was counted again."),
            "n",
        ),
        "new_date": Meaning(
            _("New dates given"),
            _(
                "Closed cases for which a new date was given. Whether they were on time is still judged by "
                "the first due date."
            ),
            "n",
        ),
        "new_date_kept": Meaning(
            _("New dates met"),
            _("Those of them where the work was done by the latest new date."),
            "n",
        ),
        "by_partner": Meaning(
            _("Closed by partners"),
            _("Closed cases whose work a contractor, a utility, or a neighboring town did for the city."),
            "n",
        ),
        "by_partner_kept": Meaning(
            _("By partners, on time"),
            _("Those of them where the work was done by the due date."),
            "n",
        ),
    } | _more_meanings()


def days(value: Value) -> str:
    """ "3.2 days"."""
    if value is None:
        return "–"
    return ngettext("%(n)s day", "%(n)s days", 1 if value == 1 else 2, n=number(value, "days"))

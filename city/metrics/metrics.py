"""What the line is worth and how the city performs: figures over whole months, each with its proof.

A figure is a Cell: which table, whose row, what, its value, the same a year before, and the question to the
log that gives it again. Pages, CSV, `cityline insights` and what is published all show these cells.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from city.audit.counters import APART
from city.config import business_hours
from city.config.city_file import CityFile
from city.config.costs import Desk
from city.db.models import Service, Tally, Topic
from city.lifecycle import WAIT_REASONS
from city.metrics import periods
from city.metrics import sql as metric_sql
from city.metrics.periods import Period
from city.metrics.sql import Span
from city.people.contacts import ANSWERED, CASE, DROPPED, OUTCOMES
from city.places import areas

# Fewer than so many of an area or a private service are not told: who knows one of them would know them all.
SUPPRESSION_THRESHOLD: Final = 5
OF_CLOSED: Final = ("on_time", "median_days", "p90_days", "reopened", "reasoned", "unproven")


class Line(NamedTuple):
    """Figures that are told together: how many closings, and what is told of them. Small numbers hide all."""

    what: str
    of_them: tuple[str, ...]


# Promises with a line of their own: how many, and how many were kept.
KEPT_APART: Final = {
    line.what: Line(line.what.replace(" ", "_"), (line.kept.replace(" ", "_"),)) for line in APART
}
# Promises that were paused, by what the cases waited for: how many, how many days in all, and their middle.
PAUSED: Final = {
    reason: Line(f"paused_{reason}", (f"paused_{reason}_days", f"paused_{reason}_half"))
    for reason in WAIT_REASONS
}
Column = tuple[str, str]  # what is counted, and what of it is not
Value = int | float | None
Sums = Mapping[str, int]  # what → n
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure. `hidden` says that there is a value, and that it is not told.

    `only_you` says that it is told to a manager of that department alone, and hidden from everybody else.
    """

    table: str
    row: str
    what: str
    value: Value
    before: Value = None
    proof: str = ""
    hidden: bool = False
    only_you: bool = False

    @property
    def id(self) -> str:
        """As CSV and JSON name it: "topic.taxes.contacts"."""
        return ".".join(filter(None, (self.table, self.row, self.what)))


@dataclass
class Figures:
    """All cells about a period, in the order in which they are shown."""

    period: Period
    cells: dict[str, Cell] = field(default_factory=dict)

    def add(self, cells: Iterable[Cell]) -> None:
        self.cells |= {cell.id: cell for cell in cells}

    def of(self, table: str, row: str, what: str) -> Cell:
        """The cell; an empty one where nothing is known."""
        return self.cells.get(".".join(filter(None, (table, row, what)))) or Cell(table, row, what, None)

    def knows_before(self, table: str, what: str) -> bool:
        """Whether anything is known of the year before."""
        return any(self.of(table, row, what).before for row in self.rows(table))

    def hides(self, table: str) -> bool:
        """Whether anything of a table is not told."""
        return any(cell.hidden for cell in self.cells.values() if cell.table == table)

    def lines(self, known: Iterable[Line]) -> list[Line]:
        """Which of these lines tell anything of the period in the whole city."""
        return [line for line in known if self.of("city", "", line.what).value]

    def tells_only_you(self, table: str) -> bool:
        """Whether anything of a table is told to a manager alone."""
        return any(cell.only_you for cell in self.cells.values() if cell.table == table)

    def rows(self, table: str) -> list[str]:
        """The rows of a table, in order."""
        return list(dict.fromkeys(cell.row for cell in self.cells.values() if cell.table == table))


def line_metrics(s: Session, city: CityFile, period: Period) -> Figures:
    """What the line did and cost: contacts by topic, channel, language and office, and what they spared."""
    began = _began(s, "line")
    period = _since(began, period)
    figures, line = Figures(period), _Line(s, city, period)
    for cells in (
        line.all(), line.months(), line.by("topic", [topic.code for topic in city.topics]),
        line.departments(), line.by("channel", []), line.by("lang", []), line.offices(),
    ):  # fmt: skip
        figures.add(_comparable(cells, period, began))
    return figures


def sla_metrics(
    s: Session, city: CityFile, period: Period, *, compared: bool = True, own: Collection[str] = ()
) -> Figures:
    """How cases went: promised against done, by month, service, department and area; and what is left.

    `own` are the codes of the departments whose manager looks: nothing of theirs is hidden, unless it would
    tell what is hidden of another department's. What comes of it is never published and never in a file.
    Services and areas stand beside a year before only where they are `compared`, which takes twice as long.
    """
    figures, cases = Figures(period), _Cases(s, city, period, compared, own)
    began = _began(s, "city")
    for cells in (cases.all(), cases.months(), cases.services(), cases.departments(), cases.areas()):
        figures.add(_comparable(cells, period, began))
    figures.add(cases.left())
    return figures


def running_metrics(s: Session, city: CityFile, period: Period) -> Figures:
    """How cases went in a month that is not over, in the whole city; the backlog; and no year before.

    Of services and areas nothing: whoever looks again after each case would read from the difference what a
    whole month hides.
    """
    figures, cases = Figures(period), _Cases(s, city, period, compared=False)
    figures.add(replace(cell, before=None) for cell in cases.all())
    figures.add(cases.left())
    return figures


def kept_so_far(s: Session, month: str) -> float | None:
    """The share of the closings of a month that is not over that were on time; None of few closings."""
    asked = select(Tally.what, func.sum(Tally.n)).where(Tally.facet == "city", Tally.month == month)
    sums = Counter({what: int(n) for what, n in s.execute(asked.group_by(Tally.what))})
    return _timely(sums) if sums["closed"] >= SUPPRESSION_THRESHOLD else None


def month_metrics(s: Session, city: CityFile, period: Period) -> Figures:
    """What sla_metrics() says by month, and nothing else."""
    figures = Figures(period)
    figures.add(_comparable(_Cases(s, city, period, compared=False).months(), period, _began(s, "city")))
    return figures


@dataclass(frozen=True, slots=True)
class CostIfClosed:
    """What the questions of the period would cost the departments, had they to answer them."""

    hours: dict[str, Fraction]  # by department
    money: Fraction
    people: Fraction


def cost_if_closed(
    figures: Figures, city: CityFile, desks: Mapping[str, Desk], share: int, full_time: int
) -> CostIfClosed:
    """What if the line were cut, and `share` percent of its callers asked the departments instead."""
    hours = {
        code: Fraction(int(figures.of("department", code, "asked").value or 0) * desk.minutes * share, 6000)
        for code, desk in desks.items()
    }
    money = sum((hours[code] * desk.hourly for code, desk in desks.items()), Fraction(0))
    people = sum(hours.values(), Fraction(0)) / full_time * 12 / len(figures.period.months)
    return CostIfClosed(hours, money, people)


def suppressed_rows(counts: Mapping[Row, int], guarded: Collection[Row] | None = None) -> set[Row]:
    """Whose counts of a column are not told where its sum is: those below FEW, and what hides them.

    Where some rows are `guarded`, only theirs may not be known.

    One number alone could be worked out of the sum, and so could several, were it known that all of them are
    few. So the next larger ones go with them; where there are none, all. Nothing says which of them are few.
    """
    few = {
        row
        for row, n in counts.items()
        if n and n < SUPPRESSION_THRESHOLD and (guarded is None or row in guarded)
    }
    larger = [n for n in counts.values() if n >= SUPPRESSION_THRESHOLD]
    if few and not larger:
        return set(counts)
    return few | {row for row, n in counts.items() if few and n == min(larger)}


def protected_without(
    counts: Mapping[Row, int],
    hidden: Collection[Row],
    known: Collection[Row],
    guarded: Collection[Row] | None = None,
) -> bool:
    """Whether the `hidden` counts of a column stay hidden from somebody who is told the `known` ones of them.

    As in suppressed_rows(): of those that are left either none is few, or a larger one hides them.
    """
    left = [(row, counts[row]) for row in hidden if row not in known]
    few = any(n and n < SUPPRESSION_THRESHOLD and (guarded is None or row in guarded) for row, n in left)
    return not few or any(n >= SUPPRESSION_THRESHOLD for _row, n in left)


class _Line:
    """The contacts of a period and of the same months a year before, read once."""

    def __init__(self, s: Session, city: CityFile, period: Period) -> None:
        self.s, self.city, self.period, self.then = s, city, period, period.before()
        self.span: Span = period.span(city.time_zone)
        facets = ("line", "topic", "channel", "lang", "office")
        self.now, self.was = _period_and_year_before(s, facets, period)

    def all(self) -> Iterator[Cell]:
        now, was = self.now.of("line"), self.was.of("line")
        yield from self._counts("line", "", metric_sql.ANY)
        total, answered, asked = self._proof(), self._proof(ANSWERED), self._proof(CASE)
        yield self._cell(
            "first_contact", _share(now, ANSWERED), _share(was, ANSWERED), metric_sql.share(answered, total)
        )
        yield self._cell("follow_up", _share(now, CASE), _share(was, CASE), metric_sql.share(asked, total))
        mean = metric_sql.contacts(
            self.span, select="1.0 * sum(CAST(facts->>'seconds' AS integer)) / count(*)"
        )
        yield self._cell("seconds", _mean(now), _mean(was), mean)
        yield from self._costs(total)
        yield from self._spared()

    def months(self) -> Iterator[Cell]:
        """Every month with its contacts and how many of them became a case."""
        for month, then in zip(self.period.months, self.then.months, strict=True):
            now, was = self.now.months[month], self.now.months[then]
            span = Period(month, (month,)).span(self.city.time_zone)
            yield Cell("month", month, "contacts", _all(now), _all(was), metric_sql.contacts(span))
            proof = metric_sql.contacts(span, metric_sql.OUTCOME.format(CASE))
            yield Cell("month", month, CASE, now[CASE], was[CASE], proof)

    def by(self, facet: str, known: Sequence[str]) -> Iterator[Cell]:
        """Every topic, channel or language, those with most contacts first; `known` ones even where none."""
        rows = {*known, *self.now[facet], *self.was[facet]}
        counts = {code: _all(self.now.of(facet, code)) for code in rows}
        for code, _ in sorted(counts.items(), key=lambda each: (-each[1], each[0])):
            yield from self._counts(facet, code, metric_sql.fact_is(facet, code))

    def departments(self) -> Iterator[Cell]:
        """What each was asked, and the hours and money that answers on the spot spared it."""
        for code, topics in self._topics().items():
            desk = self.city.costs.desk_of(code)
            about = metric_sql.fact_in("topic", topics)
            now, was = (sums.of("topic", *topics) for sums in (self.now, self.was))
            answered = metric_sql.contacts(
                self.span, metric_sql.all_of(about, metric_sql.OUTCOME.format(ANSWERED))
            )
            asked = metric_sql.contacts(self.span, f"{about} AND facts->>'outcome' <> '{DROPPED}'")
            yield Cell("department", code, "asked", _completed_calls(now), _completed_calls(was), asked)
            hours, then = (sums[ANSWERED] * desk.minutes / 60 for sums in (now, was))
            proof = f"SELECT ({answered}) * {desk.minutes} / 60.0"
            yield Cell("department", code, "spared_hours", hours, then, proof)
            money, past = hours * desk.hourly, then * desk.hourly
            yield Cell("department", code, "spared_money", money, past, f"{proof} * {desk.hourly}")

    def offices(self) -> Iterator[Cell]:
        """Whom callers would have called without the line: they say so, or were passed on there."""
        counts = {code: _all(sums) for code, sums in self.now["office"].items()}
        for code in sorted(counts, key=lambda each: (-counts[each], each)):
            proof = metric_sql.contacts(self.span, metric_sql.either_fact_is("to", "instead", code))
            before = _all(self.was.of("office", code))
            yield Cell("office", code, "contacts", counts[code], before, proof)

    def _topics(self) -> dict[str, list[str]]:
        """The topics of each department; those that left the city file too, where somebody asked."""
        found: dict[str, list[str]] = {}
        for topic in self.city.topics:
            found.setdefault(topic.department_code, []).append(topic.code)
        known = {topic.code for topic in self.city.topics}
        gone = {*self.now["topic"], *self.was["topic"]} - known
        for code, department in _departments_of(self.s, gone):
            found.setdefault(department, []).append(code)
        return found

    def _counts(self, table: str, row: str, where: str) -> Iterator[Cell]:
        now, was = (sums.of(table, row) for sums in (self.now, self.was))
        yield Cell(table, row, "contacts", _all(now), _all(was), metric_sql.contacts(self.span, where))
        for outcome in OUTCOMES:
            both = metric_sql.all_of(where, metric_sql.OUTCOME.format(outcome))
            proof = metric_sql.contacts(self.span, both)
            yield Cell(table, row, outcome, now[outcome], was[outcome], proof)

    def _costs(self, total: str) -> Iterator[Cell]:
        now, was = (self.city.costs.of(period.months) for period in (self.period, self.then))
        n, before = _all(self.now.of("line")), _all(self.was.of("line"))
        money, hours = now or (None, None)
        past_money, past_hours = was or (None, None)
        # Which money was spent stands in the city file, whose versions are lines of the log as well.
        yield self._cell("cost", _round(money), _round(past_money), "")
        proof = f"SELECT {float(money)} / nullif(({total}), 0)" if money is not None else ""
        yield self._cell("cost_per_contact", _over(money, n), _over(past_money, before), proof)
        proof = f"SELECT ({total}) / {float(hours)}" if hours else ""
        yield self._cell("per_paid_hour", _over(n, hours), _over(before, past_hours), proof)
        open_now, open_then = self._open_hours(self.period), self._open_hours(self.then)
        proof = f"SELECT ({total}) / {float(open_now)}" if open_now else ""
        yield self._cell("per_open_hour", _over(n, open_now), _over(before, open_then), proof)

    def _spared(self) -> Iterator[Cell]:
        cells = list(self.departments())
        for what in ("spared_hours", "spared_money"):
            of = [cell for cell in cells if cell.what == what]
            proof = "SELECT " + " + ".join(f"({cell.proof})" for cell in of) if of else ""
            now, was = (sum(each) for each in ([c.value or 0 for c in of], [c.before or 0 for c in of]))
            yield self._cell(what, now, was, proof)

    def _open_hours(self, period: Period) -> Fraction | None:
        if self.city.line is None:
            return None
        open_for = business_hours.between(self.city.line, *period.span(self.city.time_zone))
        return Fraction(int(open_for / timedelta(seconds=1)), 3600)

    def _proof(self, outcome: str = "") -> str:
        where = metric_sql.OUTCOME.format(outcome) if outcome else metric_sql.ANY
        return metric_sql.contacts(self.span, where)

    def _cell(self, what: str, now: Value, was: Value, proof: str) -> Cell:
        return Cell("line", "", what, now, was, proof)


class _Cases:
    """The lines of cases of a period and of the same months a year before, added up once."""

    def __init__(
        self, s: Session, city: CityFile, period: Period, compared: bool, own: Collection[str] = ()
    ) -> None:
        self.s, self.city, self.period, self.then = s, city, period, period.before()
        self.own, self.span = own, period.span(city.time_zone)
        facets = ("city", "service", "area")
        self.now, self.was = _period_and_year_before(s, facets, period, facets if compared else facets[:1])
        self.known = self._services()
        self.shown = self._with_anything()

    def all(self) -> Iterator[Cell]:
        yield from self._cells("city", "", metric_sql.ANY, self.now.of("city"), self.was.of("city"))

    def months(self) -> Iterator[Cell]:
        """Every month with what was opened and closed, and how many promises were kept."""
        for month, then in zip(self.period.months, self.then.months, strict=True):
            now, was = self.now.months[month], self.now.months[then]
            span = Period(month, (month,)).span(self.city.time_zone)
            for what, rule in (("opened", metric_sql.OPENED), ("closed", metric_sql.CLOSED)):
                yield Cell("month", month, what, now[what], was[what], metric_sql.cases(span, rule))
            proof = metric_sql.share(
                metric_sql.cases(span, metric_sql.TIMELY), metric_sql.cases(span, metric_sql.CLOSED)
            )
            yield Cell("month", month, "on_time", _timely(now), _timely(was), proof)
            yield from self._beside("month", month, metric_sql.ANY, span, now, was)

    def services(self) -> Iterator[Cell]:
        """In the order of the city file, then those that left it; of private ones nothing too small."""
        for code in self.shown:
            yield from self._guarded("service", code, [code], metric_sql.fact_is("service", code))

    def departments(self) -> Iterator[Cell]:
        """What would give a private service away is not told: all of a department may be that one service."""
        owners = [service.department for service in self.known.values()]
        for department in dict.fromkeys([*(each.code for each in self.city.departments), *owners]):
            codes = [code for code, service in self.known.items() if service.department == department]
            if any(code in self.shown for code in codes):
                yield from self._guarded(
                    "department", department, codes, metric_sql.fact_in("service", codes)
                )

    def areas(self) -> Iterator[Cell]:
        """By the areas' names; what is too small to be told is not, nor what would give it away."""
        found = {*self.now["area"], *self.was["area"]}
        names = areas.names(self.s)
        known = [area for _name, area in sorted((names[area], area) for area in found if area in names)]
        now, was = ({area: sums.of("area", area) for area in known} for sums in (self.now, self.was))
        untold, before = _Untold(now), _Untold(was)
        for area in known:
            for cell in self._cells("area", area, metric_sql.in_area(area), now[area], was[area]):
                yield _redacted(cell, hidden=untold.has(area, cell.what), before=before.has(area, cell.what))

    def left(self) -> Iterator[Cell]:
        """The backlog as it is now, by the year in which its cases were opened."""
        rows = self.s.execute(
            select(Tally.month, func.sum(Tally.n)).where(Tally.facet == "cohort").group_by(Tally.month)
        )
        years: Counter[str] = Counter()
        for month, n in rows:
            years[month[:4]] += int(n)
        for year, n in sorted(years.items()):
            if n:
                begin, end = (
                    periods.midnight(f"{each}-01", self.city.time_zone)
                    for each in (year, f"{int(year) + 1:04d}")
                )
                yield Cell("left", year, "open", n, None, metric_sql.still_open((begin, end)))

    def _services(self) -> "dict[str, _Known]":
        """All services of the city file, and as they were last those that left it."""
        known = {each.code: _Known(each.department_code, each.private) for each in self.city.services}
        gone = {*self.now["service"], *self.was["service"]} - set(known)
        if gone:
            rows = select(Service).where(Service.code.in_(gone)).order_by(Service.code)
            known |= {each.code: _Known(each.department_code, each.private) for each in self.s.scalars(rows)}
        return known

    def _with_anything(self) -> list[str]:
        """The services with a row of their own, in order.

        Where one private one has a row, all have: a missing one would say that nothing of it is in the sum.
        """
        found = {code for code in self.known if self.now.of("service", code) or self.was.of("service", code)}
        if not found.isdisjoint(self._private):
            found.update(self._private)
        return [code for code in self.known if code in found]

    @cached_property
    def _private(self) -> list[str]:
        return [code for code, service in self.known.items() if service.private]

    @cached_property
    def _mine(self) -> set[str]:
        """The services of the departments whose manager looks."""
        return {code for code, service in self.known.items() if service.department in self.own}

    @cached_property
    def _hidden(self) -> "tuple[_Untold, _Untold]":
        """Of the period and of the year before. Where there is but one private service, another hides it."""
        rows = self._private if len(self._private) > 1 else self.shown
        now, was = ({code: sums.of("service", code) for code in rows} for sums in (self.now, self.was))
        return _Untold(now, self._private, self._mine), _Untold(was, self._private, self._mine)

    def _guarded(self, table: str, row: str, codes: Sequence[str], of: str) -> Iterator[Cell]:
        """The cells of these services, without what is too small to be told of one, or would give it away."""
        now, was = (sums.of("service", *codes) for sums in (self.now, self.was))
        for cell in self._cells(table, row, of, now, was):
            hidden, before = (any(each.has(code, cell.what) for code in codes) for each in self._hidden)
            if hidden or before:
                told, told_then = (each.tells(codes, cell.what) for each in self._hidden)
                cell = replace(cell, only_you=hidden and told)
                hidden, before = hidden and not told, before and not told_then
            yield _redacted(cell, hidden=hidden, before=before)

    def _cells(self, table: str, row: str, of: str, now: Sums, was: Sums) -> Iterator[Cell]:
        def count(rule: str) -> str:
            return metric_sql.cases(self.span, rule, scope=of)

        def cell(what: str, told: Any, proof: str) -> Cell:
            return Cell(table, row, what, told(now), told(was), proof)

        closed = count(metric_sql.CLOSED)
        yield cell("opened", _n("opened"), count(metric_sql.OPENED))
        yield cell("closed", _n("closed"), closed)
        yield cell("on_time", _timely, metric_sql.share(count(metric_sql.TIMELY), closed))
        yield cell("median_days", lambda sums: _quantile(sums, 50), metric_sql.closing_times(self.span, of))
        yield cell("p90_days", lambda sums: _quantile(sums, 90), metric_sql.closing_times(self.span, of))
        yield cell("reopened", _ratio("reopened"), metric_sql.share(count(metric_sql.REOPENED), closed))
        provable = count(metric_sql.PROVABLE)
        yield cell(
            "reasoned", _of_provable("reasoned"), metric_sql.share(count(metric_sql.REASONED), provable)
        )
        yield cell(
            "unproven", _of_provable("unproven"), metric_sql.share(count(metric_sql.UNPROVEN), provable)
        )
        merged = metric_sql.cases(
            self.span, metric_sql.ANY, scope=of, select=f"coalesce(sum({metric_sql.MERGED}), 0)"
        )
        yield cell("merged", _n("merged"), merged)
        yield cell("cancelled", _n("cancelled"), count(metric_sql.CANCELLED))
        yield from self._beside(table, row, of, self.span, now, was)

    def _beside(self, table: str, row: str, of: str, span: Span, now: Sums, was: Sums) -> Iterator[Cell]:
        """Promises with a line of their own, and those that were paused; nothing the city has none of."""

        def cell(what: str, told: Any, proof: str) -> Cell:
            return Cell(table, row, what, told(now), told(was), proof)

        def count(rule: str, select: str = "count(*)") -> str:
            return metric_sql.cases(span, rule, scope=of, select=select)

        for line in APART:
            if self._has(line.what):
                what, (kept,) = KEPT_APART[line.what]
                yield cell(what, _n(line.what), count(metric_sql.apart(line)))
                yield cell(kept, _n(line.kept), count(metric_sql.kept_apart(line)))
        for reason, (what, (days, half)) in PAUSED.items():
            if self._has(f"paused {reason}"):
                paused = metric_sql.paused(reason)
                yield cell(what, _n(f"paused {reason}"), count(paused))
                yield cell(days, _days(reason), count(paused, metric_sql.paused_days(reason)))
                yield cell(half, _half(reason), metric_sql.paused_times(span, reason, of))

    def _has(self, what: str) -> bool:
        return any(sums.of("city").get(what) for sums in (self.now, self.was))


class _Known(NamedTuple):
    """Whose a service is, and whether strangers see its cases."""

    department: str
    private: bool


class _Sums(defaultdict[str, defaultdict[str, Counter[str]]]):
    """Of each facet and row how many of what; `months` are the sums of each month of all."""

    def __init__(self) -> None:
        super().__init__(lambda: defaultdict(Counter))
        self.months: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def of(self, facet: str, *rows: str) -> Counter[str]:
        """What these rows have together; without any, all."""
        if len(rows) < 2:
            return self[facet].get(rows[0] if rows else "", Counter())
        found = Counter[str]()
        for row in rows:
            found.update(self[facet].get(row, {}))
        return found


def _period_and_year_before(
    s: Session, facets: Sequence[str], period: Period, before: Sequence[str] | None = None
) -> tuple[_Sums, _Sums]:
    """The sums of the period and of the one a year before; `months` of the first holds those of both.

    Of the year before only those of the facets `before`, where any are named.
    """
    now, was = _Sums(), _Sums()
    of_both = ((now, period.months, facets), (was, period.before().months, before or facets))
    for sums, months, wanted in of_both:
        rows = s.execute(
            select(Tally.facet, Tally.what, Tally.value, func.sum(Tally.n))
            .where(Tally.facet.in_(wanted), Tally.month.between(months[0], months[-1]))
            .group_by(Tally.facet, Tally.what, Tally.value)
        )
        for facet, what, value, n in rows:
            sums[facet][value][what] = int(n)
        monthly = select(Tally.month, Tally.what, Tally.n).where(
            Tally.facet == facets[0], Tally.month.between(months[0], months[-1])
        )
        for month, what, n in s.execute(monthly):
            now.months[month][what] = n
    return now, was


def _began(s: Session, facet: str) -> str | None:
    """The first month of which anything is known."""
    return s.scalar(select(func.min(Tally.month)).where(Tally.facet == facet))


def _since(began: str | None, period: Period) -> Period:
    """The period without the months before the line's first contact, in which it answered nobody."""
    months = tuple(month for month in period.months if began and month >= began)
    return Period(period.code, months) if months else period


def _comparable(cells: Iterable[Cell], period: Period, began: str | None) -> Iterator[Cell]:
    """The cells, without a year before of which some months lie before anything is known: it would be less
    than a year, and this one more than it."""
    for cell in cells:
        then = periods.moved(cell.row if cell.table == "month" else period.first, -12)
        yield cell if began and then >= began else replace(cell, before=None)


def _departments_of(s: Session, codes: set[str]) -> list[tuple[str, str]]:
    """Code and department of these topics, in the order of their codes."""
    if not codes:
        return []
    wanted = select(Topic.code, Topic.department_code).where(Topic.code.in_(codes)).order_by(Topic.code)
    return [(code, department) for code, department in s.execute(wanted)]


def _all(sums: Sums) -> int:
    return sum(sums.get(outcome, 0) for outcome in OUTCOMES)


def _completed_calls(sums: Sums) -> int:
    """All but those that broke off."""
    return _all(sums) - sums.get(DROPPED, 0)


def _share(sums: Sums, outcome: str) -> float | None:
    total = _all(sums)
    return sums.get(outcome, 0) / total if total else None


def _mean(sums: Sums) -> float | None:
    total = _all(sums)
    return sums.get("seconds", 0) / total if total else None


def _n(what: str) -> Any:
    return lambda sums: sums.get(what, 0)


def _ratio(what: str) -> Any:
    def of_closed(sums: Sums) -> float | None:
        closed = sums.get("closed", 0)
        return sums.get(what, 0) / closed if closed else None

    return of_closed


def _of_provable(what: str) -> Any:
    """A share of the closings that a photo could prove: all but an office's."""

    def of_provable(sums: Sums) -> float | None:
        closed = sums.get("closed", 0) - sums.get("indoors", 0)
        return sums.get(what, 0) / closed if closed else None

    return of_provable


_timely = _ratio("timely")


def _quantile(sums: Sums, percent: int) -> float | None:
    """Within how many days so many percent of what was closed were done: the age of that closing."""
    return _within(sums, percent, "closed", "after ")


def _days(reason: str) -> Any:
    """For how many days clocks had stood for that reason."""
    return lambda sums: sums.get(f"seconds {reason}", 0) / 86400


def _half(reason: str) -> Any:
    """Within how many days half of the clocks went on that had stood for that reason."""
    return lambda sums: _within(sums, 50, f"paused {reason}", f"held {reason} ")


def _within(sums: Sums, percent: int, counted: str, each: str) -> float | None:
    """How many days so many percent of what is `counted` took at most; `each` begins its histogram."""
    ages = sorted((int(what[len(each) :]), n) for what, n in sums.items() if what.startswith(each))
    wanted = -(-sums.get(counted, 0) * percent // 100)
    seen = 0
    for tenths, n in ages:
        seen += n
        if seen >= wanted > 0:
            return tenths / 10
    return None


class _Untold:
    """Which figures of which rows, areas or services, are not told; `guarded` as suppressed_rows() says.

    `mine` are the rows of whoever looks.
    """

    def __init__(
        self, sums: Mapping[str, Sums], guarded: Collection[str] | None = None, mine: Collection[str] = ()
    ) -> None:
        self._sums, self._guarded, self._mine = sums, guarded, mine
        self._known: dict[tuple[Column, ...], set[str]] = {}

    def has(self, row: str, what: str) -> bool:
        """Whether this figure is not told; a share or a duration where the closings are not."""
        return row in self._of(_columns(what))

    def tells(self, rows: Collection[str], what: str) -> bool:
        """Whether this figure of these rows is told to whoever looks, though it is not to others."""
        columns = _columns(what)
        hidden = self._of(columns)
        return all(row in self._mine for row in rows) and all(
            protected_without(self._counts(column), hidden, self._mine, self._guarded) for column in columns
        )

    def _of(self, columns: tuple[Column, ...]) -> set[str]:
        if columns not in self._known:
            hidden = (suppressed_rows(self._counts(column), self._guarded) for column in columns)
            self._known[columns] = set().union(*hidden)
        return self._known[columns]

    def _counts(self, column: Column) -> dict[str, int]:
        whole, less = column
        return {each: sums.get(whole, 0) - sums.get(less, 0) for each, sums in self._sums.items()}


def _columns(what: str) -> tuple[Column, ...]:
    """The counts of which each must be told before the figure is: a share or a duration is of the closings.

    A line of closings hides where they do, and with a small number of them that were kept, or were not.
    """
    if what in OF_CLOSED:
        return (CLOSINGS,)
    return _BESIDE.get(what, ((what, ""),))


CLOSINGS: Final[Column] = ("closed", "")
_BESIDE: Final = {
    what: (CLOSINGS, (line.what, ""), (line.kept, ""), (line.what, line.kept))
    for line in APART
    for what in (KEPT_APART[line.what].what, *KEPT_APART[line.what].of_them)
} | {
    what: (CLOSINGS, (f"paused {reason}", ""))
    for reason, line in PAUSED.items()
    for what in (line.what, *line.of_them)
}


def _redacted(cell: Cell, *, hidden: bool, before: bool) -> Cell:
    """The cell, without what is not told."""
    return replace(
        cell, value=None if hidden else cell.value, before=None if before else cell.before, hidden=hidden
    )


def _over(part: Fraction | int | None, whole: Fraction | int | None) -> float | None:
    return None if part is None or not whole else float(Fraction(part) / Fraction(whole))


def _round(money: Fraction | None) -> float | None:
    return None if money is None else round(float(money), 2)

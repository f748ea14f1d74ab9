"""What a row of the queue shows of its case, and the table of a view says: read as it is, in one statement.

A page has a hundred of them and is asked all day, so no case is built for it, with its reports and crews.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from city.db.in_list import is_in
from city.db.models import Asset, Assignment, Case, CaseTag, Crew, Department, Pause, Photo, Report, Service
from city.lifecycle import OPEN

FIRST_WORDS = 160  # letters of what was told: as many as a wide row has room for
_Key = TypeVar("_Key", int, str)


class Row(NamedTuple):
    """One case as a row shows it. The names are the case's own where it has them."""

    id: int
    number: str
    service_code: str
    service: dict[str, str]  # its names, by language
    state: str
    standing: str  # as the counts have it, so that nothing contradicts them
    urgent: bool
    raised: bool
    cycle: int  # beyond the first it was reopened
    address: str
    lat: float | None
    lon: float | None
    asset: str | None  # the number on it
    crew: str | None  # who has it now
    had: str | None  # who had it last
    wait_reason: str | None
    wait_until: datetime | None  # when it comes back by itself
    opened_at: datetime
    due_at: datetime
    rescheduled_to: datetime | None  # the new date that residents were told
    closed_at: datetime | None
    outcome: str | None
    reports: int
    words: str | None  # the beginning of what was told first
    photo: str | None  # the id of the first photo that was sent with it
    twin: str | None  # the number of the open case that it probably repeats
    office: dict[str, str] | None  # the names of the department whose desk does it; None for field work
    tags: list[str]


def of_ids(s: Session, ids: Sequence[int], *, sealed: Collection[str] = ()) -> list[Row]:
    """The rows of these cases, in this order; those of `sealed` services without words and place."""
    found = _read(s, _BY_IDS, {"ids": ids}, sealed)
    return _in_order(ids, found, lambda row: row.id)


def of_numbers(s: Session, numbers: Collection[str], *, sealed: Collection[str] = ()) -> list[Row]:
    """The same of cases by their numbers; what is no number is passed over."""
    found = _read(s, _BY_NUMBERS, {"numbers": numbers}, sealed)
    return _in_order(numbers, found, lambda row: row.number)


def danger_first(rows: Sequence[Row]) -> list[Row]:
    """The same in their order, but that open cases of danger come before all others."""
    return sorted(rows, key=lambda row: not (row.urgent and row.state in OPEN))


def _read(s: Session, asked: Select[Any], values: dict[str, Any], sealed: Collection[str]) -> Iterable[Row]:
    found: dict[int, Row] = {}
    for *facts, tag in s.execute(asked, values):
        row = found.setdefault(facts[0], Row._make([*facts, []]))
        if tag:
            row.tags.append(tag)
    return [_bare(row) if row.service_code in sealed else row for row in found.values()]


def _bare(row: Row) -> Row:
    """The row without what was told, where that is, and what staff wrote on it."""
    return row._replace(
        address="", lat=None, lon=None, asset=None, words=None, photo=None, twin=None, tags=[]
    )


def _in_order(keys: Iterable[_Key], rows: Iterable[Row], key: Callable[[Row], _Key]) -> list[Row]:
    found = {key(row): row for row in rows}
    return [found[each] for each in dict.fromkeys(keys) if each in found]


def _shown() -> Select[Any]:
    """The columns of a Row, and last a tag: a case with several comes several times."""
    twin, had = aliased(Case), aliased(Crew)
    last = select(had.name).join(Assignment, Assignment.crew_id == had.id)
    last = last.where(Assignment.case_id == Case.id).order_by(Assignment.id.desc()).limit(1)
    waits = and_(Pause.case_id == Case.id, Pause.ended_at.is_(None))
    told = select(func.count()).select_from(Report).where(Report.case_id == Case.id)
    words = select(func.substr(Report.words, 1, FIRST_WORDS)).where(
        Report.case_id == Case.id, Report.words != ""
    )
    photo = select(Photo.id).join(Report, Photo.report_id == Report.id).where(Report.case_id == Case.id)
    return (
        select(
            Case.id, Case.number, Case.service_code, Service.names, Case.state, Case.standing, Case.urgent,
            Case.raised, Case.cycle, Case.address, Case.lat, Case.lon, Asset.number, Crew.name,
            last.scalar_subquery(), Pause.why, Pause.until, Case.opened_at, Case.due_at, Case.rescheduled_to,
            Case.closed_at, Case.outcome, told.scalar_subquery(),
            words.order_by(Report.id).limit(1).scalar_subquery(),
            photo.order_by(Report.id, Photo.position).limit(1).scalar_subquery(), twin.number,
            Department.names, CaseTag.tag,
        )
        .join(Service, Service.code == Case.service_code)
        .outerjoin(Department, and_(Department.code == Service.department_code, Service.office))
        .outerjoin(Asset, Asset.id == Case.asset_id)
        .outerjoin(Crew, Crew.id == Case.crew_id)
        .outerjoin(twin, and_(twin.id == Case.twin_id, twin.state.in_(OPEN), Case.state.in_(OPEN)))
        .outerjoin(Pause, waits)
        .outerjoin(CaseTag, CaseTag.case_id == Case.id)
        .order_by(CaseTag.tag)
    )  # fmt: skip


# Asked for every page, so they are made once.
_SHOWN: Final = _shown()
_BY_IDS: Final = _SHOWN.where(is_in(Case.id, "ids"))
_BY_NUMBERS: Final = _SHOWN.where(is_in(Case.number, "numbers"))

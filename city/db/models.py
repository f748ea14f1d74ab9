"""The whole database on one page: tables and their columns, no behaviour.

Nouns are those of docs/reference/glossary.md. All times are aware UTC; all positions are WGS 84 degrees.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from city.lifecycle import PRIORITY_REPORTERS
from city.questions import Question


class UtcDateTime(TypeDecorator[datetime]):
    """An instant. Naive values are refused; SQLite keeps them as naive UTC, PostgreSQL with their zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], Any]:
        """What is written, in one step: a large import writes a million of them."""
        as_text = dialect.name == "sqlite"

        def written(value: datetime | None) -> Any:
            if value is None:
                return None
            if value.tzinfo is None:
                raise ValueError("a time without a zone")
            if value.tzinfo is not UTC:
                value = value.astimezone(UTC)
            return value.isoformat(" ", "microseconds")[:26] if as_text else value

        return written

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Questions(TypeDecorator[tuple[Question, ...]]):
    """What is asked about a kind of problem, in its order."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Sequence[Question] | None, dialect: Dialect) -> Any:
        return [each.to_json() for each in value or ()]

    def process_result_value(self, value: Any, dialect: Dialect) -> tuple[Question, ...]:
        return tuple(Question.from_json(each) for each in value or ())


Serial = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        str: Text(),
    }


class Department(Base):
    """Who is responsible. `names` by language."""

    __tablename__ = "departments"
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    names: Mapped[dict[str, Any]]
    time_zone: Mapped[str] = mapped_column(String(40))  # in which its days begin and end


class Calendar(Base):
    """When somebody works, as a version of the city file had it. Never changed: promises count by it."""

    __tablename__ = "calendars"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)  # of the rules
    rules: Mapped[str]  # calendars.written()


class Service(Base):
    """A kind of problem the city handles; the default of its group stands for the tile itself."""

    __tablename__ = "services"
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    group: Mapped[str] = mapped_column(String(40))
    names: Mapped[dict[str, Any]]
    chips: Mapped[dict[str, Any]]  # the short words on the chip, by language
    is_default: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int]
    department_code: Mapped[str] = mapped_column(ForeignKey("departments.code"))
    promise_days: Mapped[int]  # calendar days; 0 where working hours are promised
    promise_hours: Mapped[int | None]  # of `calendar`
    calendar_id: Mapped[int | None] = mapped_column(ForeignKey("calendars.id"))
    questions: Mapped[tuple[Question, ...]] = mapped_column(Questions, default=())
    asset_kind: Mapped[str | None]  # pole, tree, basket
    precision_m: Mapped[int] = mapped_column(default=0)  # how exactly strangers see the place
    private: Mapped[bool] = mapped_column(default=False)
    urgent: Mapped[bool] = mapped_column(default=False)
    office: Mapped[bool] = mapped_column(default=False)  # no field work: see lifecycle.py's table
    hazard: Mapped[dict[str, Any] | None]  # what a crew must mind there, by language
    # How many times as often as the city's others its cases turn out to be told already; duplicates.py's.
    often: Mapped[float] = mapped_column(default=1.0)
    many: Mapped[int] = mapped_column(
        default=PRIORITY_REPORTERS
    )  # so many people's reports raise a case's priority
    # What the city file says of waits: {reason: [days, most]}; else see lifecycle.WAIT_REASONS.
    waits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    department: Mapped[Department] = relationship()
    calendar: Mapped[Calendar | None] = relationship()


class Owner(Base):
    """A utility or whoever else mends things of its own. `names` are what registers call it, case folded."""

    __tablename__ = "owners"
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    names: Mapped[list[Any]]


class Topic(Base):
    """What a Contact was about, and whose business that is."""

    __tablename__ = "topics"
    code: Mapped[str] = mapped_column(String(40), primary_key=True)
    names: Mapped[dict[str, Any]]
    department_code: Mapped[str] = mapped_column(ForeignKey("departments.code"))


class Street(Base):
    """A piece of a street. House numbers go from `…_from` where the line begins to `…_to` where it ends."""

    __tablename__ = "streets"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str]
    line: Mapped[list[Any]]  # [[lon, lat], …]
    source_id: Mapped[str | None] = mapped_column(String(80))  # what the city's own register calls it
    kind: Mapped[str] = mapped_column(String(20), default="street")  # street, avenue, lane
    left_from: Mapped[int | None]
    left_to: Mapped[int | None]
    right_from: Mapped[int | None]
    right_to: Mapped[int | None]


class Address(Base):
    __tablename__ = "addresses"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    label: Mapped[str]
    lat: Mapped[float]
    lon: Mapped[float]
    cell: Mapped[str] = mapped_column(String(24), index=True)


class Intersection(Base):
    """Where two streets meet, "Elm Street & Oak Avenue"; found by their names in either order."""

    __tablename__ = "intersections"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    label: Mapped[str]
    lat: Mapped[float]
    lon: Mapped[float]


class Landmark(Base):
    """What people call by its name: a town hall, a school."""

    __tablename__ = "landmarks"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str]
    lat: Mapped[float]
    lon: Mapped[float]


class Asset(Base):
    """A light pole, tree or litter basket from a register. Retired ones stay for the cases that name them."""

    __tablename__ = "assets"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    number: Mapped[str] = mapped_column(String(40), index=True)
    source_id: Mapped[str | None] = mapped_column(String(80))  # the register's name, whatever its number
    owner: Mapped[str] = mapped_column(String(80), default="")  # as the register names it; empty is the city
    lat: Mapped[float]
    lon: Mapped[float]
    cell: Mapped[str] = mapped_column(String(24), index=True)
    address: Mapped[str]  # readable, nearest
    retired_at: Mapped[datetime | None]  # since when the register has it no more


# A number may be given to another thing once the one that bore it is retired.
Index(
    "uq_assets_number",
    Asset.kind,
    Asset.owner,
    Asset.number,
    unique=True,
    sqlite_where=text("retired_at IS NULL"),
    postgresql_where=text("retired_at IS NULL"),
)


class Area(Base):
    """Neighbourhood, park, water or the city's boundary, as GeoJSON geometry."""

    __tablename__ = "areas"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    name: Mapped[str]
    geometry: Mapped[dict[str, Any]]
    source_id: Mapped[str | None] = mapped_column(String(80))


class Person(Base):
    __tablename__ = "persons"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    lang: Mapped[str] = mapped_column(String(10), default="en")
    disabled_at: Mapped[datetime | None]
    wants_late: Mapped[bool] = mapped_column(default=False)  # a letter about late cases each working morning
    late_told_on: Mapped[date | None]  # the last day that had one
    roles: Mapped[list["PersonRole"]] = relationship(lazy="selectin", cascade="all, delete-orphan")
    crews: Mapped[list["Crew"]] = relationship(secondary="crew_members", lazy="selectin")
    departments: Mapped[list["Department"]] = relationship(secondary="person_departments")


class PersonRole(Base):
    __tablename__ = "person_roles"
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)


class PersonDepartment(Base):
    """A department that a manager answers for."""

    __tablename__ = "person_departments"
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    department_code: Mapped[str] = mapped_column(ForeignKey("departments.code"), primary_key=True)


class Crew(Base):
    __tablename__ = "crews"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    department_code: Mapped[str | None] = mapped_column(ForeignKey("departments.code"))
    partner: Mapped["Partner | None"] = relationship(back_populates="crew")


class Partner(Base):
    """What makes a crew a partner, who has no log-in: a contractor, a utility, a neighboring town."""

    __tablename__ = "partners"
    crew_id: Mapped[int] = mapped_column(ForeignKey("crews.id"), primary_key=True)
    email: Mapped[str] = mapped_column(String(320))  # where its links go
    lang: Mapped[str] = mapped_column(String(10))
    services: Mapped[list[Any]] = mapped_column(default=list)  # codes; empty: whatever there is
    areas: Mapped[list[Any]] = mapped_column(default=list)  # names; empty: anywhere
    needs_acceptance: Mapped[bool] = mapped_column(default=True)  # its "done" closes no case by itself
    is_active: Mapped[bool] = mapped_column(default=True)
    made_at: Mapped[datetime]
    crew: Mapped[Crew] = relationship(back_populates="partner")


class PartnerLink(Base):
    """What lets a partner see one job, or without `case_id` all that it has. The token is made of `nonce` and
    the city's secret, so that this row alone opens nothing."""

    __tablename__ = "partner_links"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    crew_id: Mapped[int] = mapped_column(ForeignKey("partners.crew_id"), index=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    nonce: Mapped[str] = mapped_column(String(22), unique=True)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]  # when something was last said by it
    fault: Mapped[str | None]  # why its letter could not be delivered


class Handover(Base):
    """How it goes with a partner's job. What the partner said stands in the case's story."""

    __tablename__ = "handovers"
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), primary_key=True)
    told_at: Mapped[datetime | None]  # when its link went out; None once more after it was sent back
    accepted_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]  # what the partner calls done and nobody has accepted yet


class CrewMember(Base):
    __tablename__ = "crew_members"
    crew_id: Mapped[int] = mapped_column(ForeignKey("crews.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)


class DutyShift(Base):
    """Who is on duty until when: one row a person, which goes as it ends. people/duty.py's."""

    __tablename__ = "duty_shifts"
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True, autoincrement=False)
    began_at: Mapped[datetime]
    until: Mapped[datetime]


class LoginCode(Base):
    """A code sent by e-mail, or a link that an administrator made. `tries` counts wrong guesses."""

    __tablename__ = "login_codes"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    email: Mapped[str] = mapped_column(index=True)
    seed: Mapped[str]  # a code is this and the city's secret, which is not here; of a link the token's hash
    asked_by: Mapped[str] = mapped_column(String(64), default="")  # hash of the browser's own nonce
    source: Mapped[str] = mapped_column(String(64), default="")  # its network: rate_limits.source()
    made_by: Mapped[str] = mapped_column(String(40), default="")  # of a link: whose it is in the log
    known: Mapped[bool] = mapped_column(default=False)  # asked in a browser where this person was before
    made_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    used_at: Mapped[datetime | None]


class AccountLetter(Base):
    """A letter about somebody's own log-in, until it is sent. Whose the address is, is seen then."""

    __tablename__ = "account_letters"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    email: Mapped[str] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(20))
    lang: Mapped[str] = mapped_column(String(10))
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # ids of what it is about
    made_at: Mapped[datetime]
    next_try_at: Mapped[datetime] = mapped_column(index=True)


class Session(Base):
    """A browser in which somebody is logged in, by the hash of its token. Logging out deletes it."""

    __tablename__ = "sessions"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))  # the phone it was used on
    began_at: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)


class ApiKey(Base):
    """What lets another program in. Only its hash is kept; the key itself is shown once."""

    __tablename__ = "api_keys"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str]
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    made_at: Mapped[datetime]
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    revoked_at: Mapped[datetime | None]
    scopes: Mapped[list[Any]]  # people.SCOPES: what it opens
    hourly: Mapped[int]  # how often an hour it may write


class CityVersion(Base):
    """A numbered version of the city file, as it was applied. `changes` are lines {key, was, now}."""

    __tablename__ = "city_versions"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    applied_at: Mapped[datetime]
    applied_by: Mapped[str] = mapped_column(String(40))  # as the log names an actor
    sha256: Mapped[str] = mapped_column(String(64))
    text: Mapped[str]
    changes: Mapped[list[Any]]


class ImportRun(Base):
    """One run of `cityline import requests`, with what came of it."""

    __tablename__ = "import_runs"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    source: Mapped[str] = mapped_column(String(40))  # the mapping's name
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    counts: Mapped[dict[str, Any]]
    undone_at: Mapped[datetime | None]


class Imported(Base):
    """A row of another system that is here already: the next run finds its case by it."""

    __tablename__ = "imported"
    source: Mapped[str] = mapped_column(String(40), primary_key=True)
    ref: Mapped[str] = mapped_column(String(80), primary_key=True, index=True)  # its number over there
    run_id: Mapped[int] = mapped_column(ForeignKey("import_runs.id"), index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    digest: Mapped[str] = mapped_column(String(64))


class ImportChange(Base):
    """What a later run changed on a case that an earlier one brought: how it was, for undoing that run."""

    __tablename__ = "import_changes"
    run_id: Mapped[int] = mapped_column(ForeignKey("import_runs.id"), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, index=True)
    was: Mapped[dict[str, Any]]  # city/imports/deltas.py writes and reads it; no words of anybody


class Device(Base):
    """A phone, known by a token of which only the hash is kept. A resident's belongs to nobody."""

    __tablename__ = "devices"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"), index=True)
    token_hash: Mapped[str] = mapped_column(index=True)
    next_hash: Mapped[str | None] = mapped_column(index=True)  # of the token that comes after it
    token_at: Mapped[datetime | None]  # since when the token is used
    signed_in_at: Mapped[datetime | None]  # when its person last signed in on it; None once signed out
    enrolled_at: Mapped[datetime]
    seen_at: Mapped[datetime]  # its last exchange, to within some minutes
    release: Mapped[str] = mapped_column(String(80), default="")  # of the app, as it said then
    waiting: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what it still held: ops, photos, oldest
    pack: Mapped[dict[str, Any]] = mapped_column(default=dict)  # the receipt of its pack: sync/devices.py
    revoked_at: Mapped[datetime | None]


class EnrolmentCode(Base):
    """A code that makes a phone a crew member's. Only its hash is kept, and that of what only the phone knows
    which typed it: that one may ask again."""

    __tablename__ = "enrolment_codes"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)
    code_hash: Mapped[str] = mapped_column(String(64), index=True)
    made_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    attempt_hash: Mapped[str | None] = mapped_column(String(64))
    device_id: Mapped[str | None] = mapped_column(ForeignKey("devices.id"))


class RateLimitHit(Base):
    """Something that may be done so many times an hour: a wrong guess, a report. No address is kept."""

    __tablename__ = "rate_limit_hits"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    what: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


Index("ix_rate_limit_hits_what_source_at", RateLimitHit.what, RateLimitHit.source, RateLimitHit.at)


class Counter(Base):
    """The last case number given in a year of the city's own time."""

    __tablename__ = "counters"
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int]


class Case(Base):
    """The thing to be mended. `due_at` and `risk_at` are caches of cases/sla.py.

    The last columns are kept.py's, and say how the case stands as the board reads it: its promise and rank in
    the queue, the crew that has it now, where it lies, and as what it is counted in cell_counts.
    """

    __tablename__ = "cases"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    service_code: Mapped[str] = mapped_column(ForeignKey("services.code"))
    state: Mapped[str] = mapped_column(String(12), index=True)  # lifecycle's, or its UNDONE
    cycle: Mapped[int] = mapped_column(default=1)
    version: Mapped[int] = mapped_column(default=1)  # grows with every change: phones say which they saw
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    accuracy_m: Mapped[float | None]
    place_source: Mapped[str] = mapped_column(String(10))  # gps, pin, address, asset, photo, unknown
    address: Mapped[str] = mapped_column(default="")
    cell: Mapped[str | None] = mapped_column(String(24))
    asset_id: Mapped[int | None] = mapped_column(ForeignKey("assets.id"))
    urgent: Mapped[bool] = mapped_column(default=False)
    origin: Mapped[str] = mapped_column(String(10), default="live")
    opened_at: Mapped[datetime]
    clock_from: Mapped[datetime]  # the first Report, that of a case merged into this one included
    # As promised then: a city file that changes later moves no given word. Of days and hours, the earlier.
    promise_days: Mapped[int]  # without danger; 0 where only working hours were promised
    promise_hours: Mapped[int | None]  # of `calendar`
    calendar_id: Mapped[int | None] = mapped_column(ForeignKey("calendars.id"))
    promised_at: Mapped[datetime | None]  # by another system, to the instant: it goes before days and hours
    restarted_at: Mapped[datetime | None]  # the promise counts from here: a correction came after its end
    # It was late when its type was corrected, by the old promise or by the new one, so it is not on time.
    corrected_late: Mapped[bool] = mapped_column(default=False)
    corrected_version: Mapped[int] = mapped_column(default=0)  # after which a phone knows type and place
    rescheduled_to: Mapped[datetime | None]  # the new date that residents were told: no clock counts by it
    due_at: Mapped[datetime] = mapped_column(index=True)
    risk_at: Mapped[datetime]
    # What the log has said of its promise in this cycle: deadlines.py's. None: nothing.
    warned: Mapped[str | None] = mapped_column(String(10))
    closed_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))
    follow_on: Mapped[bool] = mapped_column(default=False)  # made safe; the lasting repair is still owed
    review: Mapped[str | None] = mapped_column(
        String(20), index=True
    )  # why a dispatcher or supervisor must look
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    merged_from: Mapped[str | None] = mapped_column(String(12))  # the state unmerge gives back
    merged_crew_id: Mapped[int | None] = mapped_column(ForeignKey("crews.id"))  # the crew unmerge gives back
    merged_started_at: Mapped[datetime | None]  # when that crew had begun
    linked_to_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    twin_id: Mapped[int | None] = mapped_column(
        ForeignKey("cases.id", ondelete="SET NULL"), index=True
    )  # the case that it probably repeats
    raised: Mapped[bool] = mapped_column(default=False)  # goes before others of its kind
    standing: Mapped[str] = mapped_column(String(4), default="ok")  # ok, risk, late, wait, done
    rank: Mapped[int] = mapped_column(SmallInteger, default=2)  # 0 goes first; kept.RANKS
    crew_id: Mapped[int | None] = mapped_column(ForeignKey("crews.id"))
    area_id: Mapped[int | None] = mapped_column(ForeignKey("areas.id", ondelete="SET NULL"))
    quad: Mapped[int | None] = mapped_column(BigInteger)  # geo.quad() of its place
    counted: Mapped[list[Any] | None]  # what the counts hold of it; None while it is in none of them
    cleared_at: Mapped[datetime | None]  # when its words and photos went by the records schedule
    service: Mapped[Service] = relationship()
    calendar: Mapped[Calendar | None] = relationship()
    twin: Mapped["Case | None"] = relationship(foreign_keys=[twin_id], remote_side=[id])
    asset: Mapped[Asset | None] = relationship()
    # Directly, not through another. Where one comes or goes, transitions reads them anew.
    merged_cases: Mapped[list["Case"]] = relationship(
        foreign_keys=[merged_into_id], order_by=lambda: Case.id, viewonly=True
    )
    reports: Mapped[list["Report"]] = relationship(back_populates="case", order_by="Report.id")
    assignments: Mapped[list["Assignment"]] = relationship(order_by="Assignment.id")
    pauses: Mapped[list["Pause"]] = relationship(order_by="Pause.id")
    closures: Mapped[list["Closure"]] = relationship(order_by="Closure.id")
    tags: Mapped[list["CaseTag"]] = relationship(order_by="CaseTag.tag", cascade="all, delete-orphan")
    hold: Mapped["LegalHold | None"] = relationship(back_populates="case")


# What was told of late, by other programs' lists: every state, as Open311 asks for it.
# What was told at a spot of late, by whoever looks for duplicates.
Index("ix_cases_cell_opened_at", Case.cell, Case.opened_at)
# The board reads open cases only, of which there are a tenth or less: small indexes, in the queue's order.
IS_OPEN = text("rank < 4")
for _name, *_columns in (
    ("queue", Case.rank, Case.due_at, Case.id),
    ("standing", Case.standing, Case.rank, Case.due_at, Case.id),
    ("crew", Case.crew_id, Case.rank, Case.due_at, Case.id),
    ("service", Case.service_code, Case.rank, Case.due_at, Case.id),
    ("area", Case.area_id, Case.rank, Case.due_at, Case.id),
    ("state", Case.state, Case.rank, Case.due_at, Case.id),
    ("opened", Case.opened_at, Case.id),
    ("number", Case.number, Case.id),
    ("quad", Case.quad),
    # The sweeper's: what becomes at risk or late, and what the log has not said yet.
    ("risk", Case.standing, Case.risk_at),
    ("due", Case.standing, Case.due_at),
    ("warned", Case.warned, Case.standing, Case.due_at),
):
    Index(f"ix_cases_open_{_name}", *_columns, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
HAS_ENDED = text("rank = 4")
for _column in (Case.closed_at, Case.opened_at):
    Index(
        f"ix_cases_ended_{_column.key.removesuffix('_at')}", Case.state, _column, Case.id,
        sqlite_where=HAS_ENDED, postgresql_where=HAS_ENDED,
    )  # fmt: skip
# Those of them that no map shows: a view of ended cases says how many, and leads to them.
_NOWHERE = text("rank = 4 AND quad IS NULL")
Index(
    "ix_cases_ended_nowhere", Case.state, Case.closed_at, Case.id,
    sqlite_where=_NOWHERE, postgresql_where=_NOWHERE,
)  # fmt: skip


class MapCellCount(Base):
    """How many open cases of a standing lie in a cell: all of them, or of a service, state, crew or area.

    `quad` is geo.quad() at kept.CELL_ZOOM, two bits less a zoom; -1 is for those of which nobody knows where
    they are, -2 for all of them together. `lat` and `lon` are sums of millionths of a degree, so that a
    cluster stands where its cases do.
    """

    __tablename__ = "map_cell_counts"
    facet: Mapped[str] = mapped_column(String(8), primary_key=True)
    value: Mapped[str] = mapped_column(String(40), primary_key=True)
    quad: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    standing: Mapped[str] = mapped_column(String(4), primary_key=True)
    n: Mapped[int]
    lat: Mapped[int] = mapped_column(BigInteger)
    lon: Mapped[int] = mapped_column(BigInteger)


# The few that stand for no cell: lists that want no map read these alone.
_NO_CELL = text("quad < 0")
Index(
    "ix_map_cell_counts_totals",
    MapCellCount.facet, MapCellCount.value, MapCellCount.quad, MapCellCount.standing,
    sqlite_where=_NO_CELL, postgresql_where=_NO_CELL,
)  # fmt: skip


class Tally(Base):
    """How many lines of the log tell of one thing in one month: what the figures are added up from.

    Only city/audit/counters.py writes it, in the transaction of the lines themselves, and says what
    is counted.
    """

    __tablename__ = "tallies"
    facet: Mapped[str] = mapped_column(String(10), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # on the city's own clocks: 2026-10
    what: Mapped[str] = mapped_column(String(20), primary_key=True)
    value: Mapped[str] = mapped_column(String(40), primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger)


class CaseWords(Base):
    """What a case is found by: search.py writes it, and the indexes of both databases follow by themselves.

    `street` is its address by the name of the street, house numbers last: in that order people drive.
    """

    __tablename__ = "case_words"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    open: Mapped[bool]  # its index is a tenth of that of the ended ones, and asked far more often
    words: Mapped[str]
    street: Mapped[str]


Index("ix_case_words_street", CaseWords.open, CaseWords.street, CaseWords.case_id)


class SavedView(Base):
    """An address of the board that a person saved under a name, as `args`. Shared ones are everybody's."""

    __tablename__ = "saved_views"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)
    name: Mapped[str]
    args: Mapped[dict[str, Any]]
    shared: Mapped[bool] = mapped_column(default=False, index=True)
    made_at: Mapped[datetime]


class NotDuplicate(Base):
    """Two cases that look alike, and somebody said that they are two. The lower id stands first."""

    __tablename__ = "not_duplicates"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    other_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, index=True)


class CaseTag(Base):
    """A word that staff put on a case, folded: see tags.py."""

    __tablename__ = "case_tags"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)


Index("ix_case_tags_tag_case_id", CaseTag.tag, CaseTag.case_id)


class LegalHold(Base):
    """Of this case, and of all that was merged into it, nothing may be removed until the hold is lifted."""

    __tablename__ = "legal_holds"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True, autoincrement=False)
    reason: Mapped[str]  # who wants it kept, and why
    placed_at: Mapped[datetime]
    placed_by_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # None at the command line
    case: Mapped[Case] = relationship(back_populates="hold")
    placed_by: Mapped[Person | None] = relationship()


class Batch(Base):
    """One act on many cases at once. `digest` says of what form it came: sent twice, it is done once."""

    __tablename__ = "batches"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"))
    at: Mapped[datetime]
    act: Mapped[str] = mapped_column(String(20))  # batches.ACTS
    what: Mapped[dict[str, Any]]  # crew, reason, outcome, tag, into; no words about a case
    done: Mapped[int] = mapped_column(default=0)
    same: Mapped[int] = mapped_column(default=0)  # how many were so already
    refused: Mapped[list[Any]] = mapped_column(default=list)  # [number, code, facts]
    undone_at: Mapped[datetime | None]
    undone_by_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    left: Mapped[list[Any]] = mapped_column(default=list)  # numbers that had moved on when it was undone


Index("ix_batches_person_id_at", Batch.person_id, Batch.at)


class BatchItem(Base):
    """A case that a batch changed: its version afterwards, and how it was, for undoing."""

    __tablename__ = "batch_items"
    batch_id: Mapped[int] = mapped_column(ForeignKey("batches.id", ondelete="CASCADE"), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    version: Mapped[int]
    was: Mapped[dict[str, Any]]  # city/cases/batches.py writes and reads it


class Viewer(Base):
    """Somebody at a desk who has a case before them, to within some seconds."""

    __tablename__ = "viewers"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), primary_key=True)
    seen_at: Mapped[datetime]


class Report(Base):
    """One person's telling. Never edited after it is taken, only erased. Its number names its first case; a
    split gives it a case of its own.
    """

    __tablename__ = "reports"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    number: Mapped[str] = mapped_column(String(24), unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # from the form: a retry finds its report
    service_code: Mapped[str] = mapped_column(ForeignKey("services.code"))
    channel: Mapped[str] = mapped_column(String(10))  # web, phone, crew, api
    lang: Mapped[str] = mapped_column(String(10))
    words: Mapped[str] = mapped_column(default="")
    answers: Mapped[dict[str, Any]] = mapped_column(default=dict)
    lat: Mapped[float | None]
    lon: Mapped[float | None]
    accuracy_m: Mapped[float | None]
    place_source: Mapped[str] = mapped_column(String(10))
    address: Mapped[str] = mapped_column(default="")
    danger: Mapped[bool] = mapped_column(default=False)
    taken_at: Mapped[datetime]
    at_device: Mapped[datetime | None]
    origin: Mapped[str] = mapped_column(String(10), default="live")
    shown_at: Mapped[datetime | None]  # when staff made its words and photos public
    # Its case was private: whatever the city publishes otherwise, staff show this one or nobody does.
    shown_by_hand: Mapped[bool] = mapped_column(default=False)
    erased_at: Mapped[datetime | None]
    case: Mapped[Case] = relationship(back_populates="reports")
    service: Mapped[Service] = relationship()
    photos: Mapped[list["Photo"]] = relationship(back_populates="report", order_by="Photo.position")
    subscriptions: Mapped[list["Subscription"]] = relationship(back_populates="report")


class PhotoDownload(Base):
    """A picture that a report or a text names by an address; the row goes once it is here, or was refused."""

    __tablename__ = "photo_downloads"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("case_messages.id"))  # that it came with
    entry_id: Mapped[int | None] = mapped_column(ForeignKey("inbox_entries.id"), index=True)  # no report's
    url: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime] = mapped_column(index=True)


class IdempotencyKey(Base):
    """A report's key, taken first: a twin in the same moment waits here and then finds the report."""

    __tablename__ = "idempotency_keys"
    key: Mapped[str] = mapped_column(String(64), primary_key=True)


class SecretLink(Base):
    """What lets the reporter see the own report without an account. Only the token's hash is kept."""

    __tablename__ = "secret_links"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"), index=True)
    made_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Subscription(Base):
    """A wish to hear about a report's case, another case, an area, a street, a zone's pickups, or danger
    while its person is on duty: of `report_id`, `case_id` and `place` one is set.

    After the receipt nothing is sent until `confirmed_at`, or for a report's own mailbox `receipt_at`.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        UniqueConstraint("report_id", "address"),
        Index("ix_subscriptions_case_id", "case_id", "address", unique=True),
        Index("ix_subscriptions_place", "place", "address", unique=True),
    )
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    place: Mapped[str | None] = mapped_column(
        String(200)
    )  # "area:Old Mill", "street:tansy street", "pickups:west", "duty:7": notifications/subscriptions.py
    place_name: Mapped[str] = mapped_column(String(200), default="")  # as people read it
    weekly: Mapped[bool] = mapped_column(default=False)  # of a place: on Mondays, not every day
    told_seq: Mapped[int] = mapped_column(BigInteger, default=0)  # of a place: up to which line of the log
    # Of a place: the last day whose digest was written, or had nothing to say; of pickups the last one told.
    told_on: Mapped[date | None]
    channel: Mapped[str] = mapped_column(String(8), default="email")  # email, push, sms
    # Of a mailbox, of a browser at its push service, or a number (E.164).
    address: Mapped[str] = mapped_column(index=True)
    keys: Mapped[dict[str, Any] | None]  # by which only that browser reads a push message: p256dh, auth
    lang: Mapped[str] = mapped_column(String(10))
    asked_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]  # its reader said so: it is theirs
    # Of a report's mailbox: the receipt went there, so it hears of the report unless its reader stops that.
    receipt_at: Mapped[datetime | None]
    stopped_at: Mapped[datetime | None]
    report: Mapped[Report | None] = relationship(back_populates="subscriptions")
    case: Mapped[Case | None] = relationship()

    @property
    def hears(self) -> bool:
        """Whether messages go there, and not only what asks for its confirmation."""
        return self.stopped_at is None and (self.confirmed_at is not None or self.receipt_at is not None)


class Photo(Base):
    """Bytes named by their SHA-256. Staged (private, no case) until a report or a closing takes it."""

    __tablename__ = "photos"
    __table_args__ = (UniqueConstraint("staged_for", "upload_sha256"),)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    staged_for: Mapped[str] = mapped_column(String(80), index=True)  # "form:KEY" or "device:ID"
    upload_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64), index=True)  # the full size; the name it is served by
    sizes: Mapped[dict[str, Any]]  # {"full": sha, "page": sha, "thumb": sha}
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    added_at: Mapped[datetime]
    stored_at: Mapped[datetime | None]  # when all sizes were in the store: evidence counts from here
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    cycle: Mapped[int | None]  # a crew's photo: the cycle it was taken in; None for a report's
    closure_id: Mapped[int | None] = mapped_column(ForeignKey("closures.id"))  # the closing it proves
    message_id: Mapped[int | None] = mapped_column(ForeignKey("case_messages.id"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    report: Mapped[Report | None] = relationship(back_populates="photos")


# The few photos on their way to the store: looked for every second, however many were ever taken.
Index(
    "ix_photos_unstored",
    Photo.added_at,
    sqlite_where=text("stored_at IS NULL"),
    postgresql_where=text("stored_at IS NULL"),
)


class Assignment(Base):
    """A case given to a crew. At most one a case is live (`ended_at` is null)."""

    __tablename__ = "assignments"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    crew_id: Mapped[int] = mapped_column(ForeignKey("crews.id"), index=True)
    cycle: Mapped[int]
    given_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_why: Mapped[str | None] = mapped_column(String(20))
    crew: Mapped[Crew] = relationship()


Index(
    "uq_assignments_live",
    Assignment.case_id,
    unique=True,
    sqlite_where=text("ended_at IS NULL"),
    postgresql_where=text("ended_at IS NULL"),
)


class Pause(Base):
    """A time in which a case waited for somebody, or was closed before a reopening."""

    __tablename__ = "pauses"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    why: Mapped[str] = mapped_column(String(20))  # a reason to wait, or "closed"
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    until: Mapped[datetime | None]  # when the case comes back by itself; None where another system waits
    stops_clock: Mapped[bool] = mapped_column(default=True)  # whether the promise clock stands meanwhile
    passed_to: Mapped[str | None] = mapped_column(String(80))  # the other owner who has it: see forwarding/


# The few that are open: the worker looks every minute which are over.
_OPEN_PAUSE = text("ended_at IS NULL")
Index("ix_pauses_until", Pause.until, sqlite_where=_OPEN_PAUSE, postgresql_where=_OPEN_PAUSE)


class Closure(Base):
    """How a cycle of a case ended. `words` are for the residents."""

    __tablename__ = "closures"
    __table_args__ = (UniqueConstraint("case_id", "cycle"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    cycle: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(20))
    no_photo: Mapped[str | None] = mapped_column(String(20))
    words: Mapped[str] = mapped_column(default="")
    reply: Mapped[dict[str, Any] | None]  # the ready reply that was meant: {code, policy, words}
    crew_id: Mapped[int | None] = mapped_column(ForeignKey("crews.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))
    done_at: Mapped[datetime]  # by the device, bounded by assignment and receipt
    closed_at: Mapped[datetime]
    unproven_at: Mapped[datetime | None]  # when its photo had been missing for too long and stopped to count
    crew: Mapped[Crew | None] = relationship()


class CaseMessage(Base):
    """What the city and a reporter wrote each other. An update has no `report_id`: it goes to all of them."""

    __tablename__ = "case_messages"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    kind: Mapped[str] = mapped_column(String(10))  # ask, answer, add, update: reports/conversation.py
    channel: Mapped[str] = mapped_column(String(8), default="page")  # how it came: page, or one of CHANNELS
    words: Mapped[str] = mapped_column(default="")
    choices: Mapped[list[Any] | None]  # the ready answers of a question
    lang: Mapped[str] = mapped_column(String(10))  # that it was written in
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # who wrote it for the city
    is_public: Mapped[bool] = mapped_column(default=False)
    answers_id: Mapped[int | None] = mapped_column(ForeignKey("case_messages.id"), index=True)  # the question
    at: Mapped[datetime]
    handed_over_at: Mapped[datetime | None]  # a question: when its reporter could first have read it
    reminded_at: Mapped[datetime | None]  # and when its reporter was asked again
    failed: Mapped[str | None]  # why no channel could carry it
    key: Mapped[str | None] = mapped_column(String(64), unique=True)  # of its form, mail or text: a retry
    report: Mapped["Report | None"] = relationship()
    photos: Mapped[list["Photo"]] = relationship(order_by="Photo.position", viewonly=True)


# The few questions that nobody could read yet: the worker looks every round.
_UNREAD = text("kind = 'ask' AND handed_over_at IS NULL AND failed IS NULL")
Index("ix_case_messages_unread", CaseMessage.id, sqlite_where=_UNREAD, postgresql_where=_UNREAD)


class InboxEntry(Base):
    """A mail, a text or a recording that is no case yet. Its words go a while after the desk has ended it."""

    __tablename__ = "inbox_entries"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # of what came: the same twice is one
    channel: Mapped[str] = mapped_column(String(10))  # email, sms, voicemail, form
    sender: Mapped[str] = mapped_column(default="", index=True)  # a mailbox, or a number (E.164)
    sender_name: Mapped[str] = mapped_column(default="")
    subject: Mapped[str] = mapped_column(default="")
    words: Mapped[str] = mapped_column(default="")
    rest: Mapped[str] = mapped_column(default="")  # what they quoted
    notes: Mapped[list[Any]] = mapped_column(default=list)  # codes of what could not be taken with it
    added: Mapped[list[Any]] = mapped_column(default=list)  # keys of what its sender wrote after a question
    lang: Mapped[str] = mapped_column(String(10))
    came_at: Mapped[datetime]
    report_id: Mapped[int | None] = mapped_column(
        ForeignKey("reports.id"), index=True
    )  # that it writes about
    replies: Mapped[list[Any]] = mapped_column(default=list)  # what the desk wrote back, in its order
    asked_at: Mapped[datetime | None]  # since when it waits for their answer
    held_by: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # who has it open
    held_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    contact_id: Mapped[int | None] = mapped_column(ForeignKey("contacts.id"), index=True)
    forgotten_at: Mapped[datetime | None]


# Those that wait for the desk, which are few among all that ever came.
_WAITS = text("settled_at IS NULL")
Index("ix_inbox_entries_waiting", InboxEntry.came_at, sqlite_where=_WAITS, postgresql_where=_WAITS)


class Recording(Base):
    """What somebody said to a machine; it goes with the words of its entry."""

    __tablename__ = "recordings"
    entry_id: Mapped[int] = mapped_column(ForeignKey("inbox_entries.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(80))  # audio/mpeg
    sound: Mapped[bytes] = mapped_column(LargeBinary)


class NotFixed(Base):
    """A resident's "not fixed" about one closing. One a report, case and cycle."""

    __tablename__ = "not_fixed"
    __table_args__ = (UniqueConstraint("report_id", "case_id", "cycle"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("reports.id"))
    cycle: Mapped[int]
    said_at: Mapped[datetime]
    led_to: Mapped[str] = mapped_column(String(12))  # reopened, joined, review, new case


class SatisfactionAnswer(Base):
    """That a report's sender was asked about one closing, and the score they gave. Without `report_id` it is
    nobody's any more, and only counts."""

    __tablename__ = "satisfaction_answers"
    __table_args__ = (UniqueConstraint("report_id", "case_id", "cycle"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"))
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    cycle: Mapped[int]
    department_code: Mapped[str] = mapped_column(ForeignKey("departments.code"))  # whose case it was then
    month: Mapped[str] = mapped_column(String(7), index=True)  # 2026-10, in which the case was closed
    score: Mapped[int | None]  # 1 to 5; none until it is answered
    said_at: Mapped[datetime | None]


class Article(Base):
    """An article of the knowledge base. Every change is a new `version`; all of their words are kept."""

    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    slug: Mapped[str] = mapped_column(String(80), unique=True)
    state: Mapped[str] = mapped_column(String(12))  # published, retired
    version: Mapped[int]
    department_code: Mapped[str] = mapped_column(ForeignKey("departments.code"))  # who keeps it true
    topic_code: Mapped[str] = mapped_column(ForeignKey("topics.code"), index=True)
    services: Mapped[list[Any]]  # codes of the services it leads to
    review_on: Mapped[date]  # when its department must look at it again


class ArticleText(Base):
    """An Answer's words in one language, as one version had them."""

    __tablename__ = "article_texts"
    answer_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    lang: Mapped[str] = mapped_column(String(10), primary_key=True)
    title: Mapped[str]
    body: Mapped[str]  # Markdown
    script: Mapped[str]  # what a call-taker reads aloud


class ArticleWords(Base):
    """What an Answer is found by in one language: answers/search.py writes it, and the indexes follow."""

    __tablename__ = "article_words"
    __table_args__ = (UniqueConstraint("answer_id", "lang"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    answer_id: Mapped[int] = mapped_column(ForeignKey("articles.id"))
    lang: Mapped[str] = mapped_column(String(10))
    stems: Mapped[str]  # each once, with the mark of the best place where it stands
    words: Mapped[str]  # the same as they are written, each once: what a misspelt word is compared with


class ArticleVotes(Base):
    """How many browsers found a version of an Answer helpful, and how many did not. No browser is known."""

    __tablename__ = "article_votes"
    answer_id: Mapped[int] = mapped_column(ForeignKey("articles.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    helpful: Mapped[int] = mapped_column(default=0)
    unhelpful: Mapped[int] = mapped_column(default=0)


class FailedSearch(Base):
    """A question that nothing was found for, or nothing helpful. Nobody's: only how often it was asked."""

    __tablename__ = "failed_searches"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str] = mapped_column(String(300), unique=True)  # what makes two questions one
    lang: Mapped[str] = mapped_column(String(10))
    words: Mapped[str] = mapped_column(String(120))  # as first typed, without numbers and addresses
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("articles.id"))  # which did not help
    asked: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime] = mapped_column(index=True)
    settled_at: Mapped[datetime | None]  # an owner has seen to it; asked again, it is open again


class Caller(Base):
    """Somebody who called, known by their number alone; the one thing that joins their contacts."""

    __tablename__ = "callers"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    phone: Mapped[str] = mapped_column(String(20), unique=True)  # E.164, as far as its caller said it
    lang: Mapped[str] = mapped_column(String(10))  # in which they were last spoken with
    called_at: Mapped[datetime] = mapped_column(index=True)  # last


class Contact(Base):
    """One conversation with the city. Its words, if any, stand with its line of the log."""

    __tablename__ = "contacts"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)  # from the form: a retry finds its contact
    channel: Mapped[str] = mapped_column(String(10))  # phone, voicemail, counter
    began_at: Mapped[datetime] = mapped_column(index=True)
    seconds: Mapped[int]
    topic_code: Mapped[str] = mapped_column(ForeignKey("topics.code"))
    lang: Mapped[str] = mapped_column(String(10))
    outcome: Mapped[str] = mapped_column(String(12))  # answered, case, transferred, dropped
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # who took it
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"), index=True)
    answer_id: Mapped[int | None] = mapped_column(ForeignKey("articles.id"))
    transferred_to: Mapped[str | None] = mapped_column(String(40))  # a department, or an office elsewhere
    instead_of: Mapped[str | None] = mapped_column(String(40))  # the same: whom the line spared this contact
    caller_id: Mapped[int | None] = mapped_column(ForeignKey("callers.id"), index=True)
    reply_by: Mapped[str] = mapped_column(String(10), default="none")  # how they want to hear: contacts.py's
    origin: Mapped[str] = mapped_column(String(10), default="live")


class EventSequence(Base):
    """One row. `n` is the last seq given; its lock is what makes seq follow commit order."""

    __tablename__ = "event_sequence"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    """One line of the log: no personal data, never changed (triggers refuse), chained per subject."""

    __tablename__ = "events"
    __table_args__ = (UniqueConstraint("subject", "n"),)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    subject: Mapped[str] = mapped_column(String(60))
    n: Mapped[int]  # 1, 2, 3 … within the subject
    kind: Mapped[str] = mapped_column(String(40))
    was: Mapped[str | None] = mapped_column(String(12))
    now: Mapped[str | None] = mapped_column(String(12))
    actor: Mapped[str] = mapped_column(String(40))  # "person:7", "report:12", "system"
    at: Mapped[datetime]
    at_device: Mapped[datetime | None]
    origin: Mapped[str] = mapped_column(String(10))
    facts: Mapped[dict[str, Any]]
    photos: Mapped[list[Any]]
    detail: Mapped[str | None] = mapped_column(String(64))
    prev: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


# What has changed since: other programs ask by the hour, and the log is as long as the city's memory.
Index("ix_events_at", Event.at)


class ChainTip(Base):
    """A subject's last line: where the next one is chained, and a second witness of how many there are."""

    __tablename__ = "chain_tips"
    subject: Mapped[str] = mapped_column(String(60), primary_key=True)
    n: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int] = mapped_column(BigInteger, index=True)


class EventDetail(Base):
    """Words that an Event commits to; may be deleted, and the chain still verifies."""

    __tablename__ = "event_details"
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    text: Mapped[str]


class Erasure(Base):
    """What was erased; after a restore also what must not come back: it was erased, and is not here."""

    __tablename__ = "erasures"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    report_id: Mapped[int | None]  # no foreign key: the list outlives what it names
    key: Mapped[str | None] = mapped_column(String(64), index=True)  # of a report that is not here
    at: Mapped[datetime]
    seqs: Mapped[list[Any]]  # events whose details went
    photos: Mapped[list[Any]]  # hashes whose bytes went, unless another photo needs them
    gone_at: Mapped[datetime | None] = mapped_column(
        index=True
    )  # when they did; null: the store still has them


class DailyRoot(Base):
    """One line a day over every subject that moved that day, chained to the day before."""

    __tablename__ = "daily_roots"
    day: Mapped[date] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)  # the last one covered
    prev: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class DailyRootTip(Base):
    """A subject's last line as the root of a day saw it."""

    __tablename__ = "daily_root_tips"
    day: Mapped[date] = mapped_column(ForeignKey("daily_roots.day"), primary_key=True)
    subject: Mapped[str] = mapped_column(String(60), primary_key=True)
    n: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))


class Follower(Base):
    """How far somebody has read the log."""

    __tablename__ = "followers"
    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    seen_at: Mapped[datetime]


class Message(Base):
    """The outbox: one message to one subscription about one event, however often the log is read."""

    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("event_seq", "subscription_id", "kind"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    event_seq: Mapped[int] = mapped_column(BigInteger)
    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id"), index=True)
    # receipt, confirmed, closed, reopened, changed, question, update, digest, danger; and with the day meant
    # "pickup 2026-12-04"
    kind: Mapped[str] = mapped_column(String(20))
    closure_id: Mapped[int | None] = mapped_column(ForeignKey("closures.id"), index=True)  # the closing told
    case_message_id: Mapped[int | None] = mapped_column(ForeignKey("case_messages.id"), index=True)
    cases: Mapped[dict[str, Any] | None]  # what a digest tells of: digests.py
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None] = mapped_column(index=True)  # null once sent or given up
    sent_at: Mapped[datetime | None]
    fault: Mapped[str | None]
    subscription: Mapped[Subscription] = relationship()


class Webhook(Base):
    """Another system that wants to hear of every public change: how far it was told, and how that goes."""

    __tablename__ = "webhooks"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    url: Mapped[str] = mapped_column(unique=True)
    secret: Mapped[str]  # by which the other end knows us: "whsec_" and base64
    made_at: Mapped[datetime]
    seq: Mapped[int] = mapped_column(BigInteger)  # of the log: all up to it was taken
    tries: Mapped[int] = mapped_column(default=0)  # of the line after it
    next_try_at: Mapped[datetime]
    failing_since: Mapped[datetime | None]
    fault: Mapped[str | None]
    dead_at: Mapped[datetime | None]  # nothing is sent any more until somebody begins again


class Endpoint(Base):
    """Where another owner takes requests by Open311. `name` is public; `services` are theirs by ours."""

    __tablename__ = "endpoints"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(80), unique=True)
    url: Mapped[str]  # up to and with /v2, without the last slash
    jurisdiction: Mapped[str] = mapped_column(default="")
    api_key: Mapped[str] = mapped_column(default="")
    format: Mapped[str] = mapped_column(String(4), default="json")  # or xml, where they know no other
    services: Mapped[dict[str, Any]] = mapped_column(default=dict)  # our code → their code
    offered: Mapped[list[Any]] = mapped_column(default=list)  # [code, name] of theirs, as last tested
    is_active: Mapped[bool] = mapped_column(default=True)
    pulls: Mapped[bool] = mapped_column(default=False)  # whether their new requests come in as reports
    repeats: Mapped[bool] = mapped_column(default=False)  # they take the same `token` twice as one request
    made_at: Mapped[datetime]
    tested_at: Mapped[datetime | None]
    pulled_until: Mapped[datetime | None]  # all that was told there up to it came in, or was none of ours
    tries: Mapped[int] = mapped_column(default=0)  # in a row without a good answer
    next_try_at: Mapped[datetime]
    fault: Mapped[str | None]


class RemoteRequest(Base):
    """One request at another owner's endpoint, and the case here that goes with it, in either direction."""

    __tablename__ = "remote_requests"
    __table_args__ = (UniqueConstraint("endpoint_id", "their_id"),)
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    endpoint_id: Mapped[int] = mapped_column(ForeignKey("endpoints.id"))
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    is_ours: Mapped[bool]  # we sent it there; otherwise it came from there
    key: Mapped[str] = mapped_column(String(64), unique=True)  # what ours is called when it is sent again
    state: Mapped[str] = mapped_column(String(10))  # forwarding/forwards.py names them
    their_id: Mapped[str | None] = mapped_column(String(64))
    their_token: Mapped[str | None] = mapped_column(String(64))  # by which they will tell us that number
    words: Mapped[str] = mapped_column(default="")  # what goes along
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # who passed it on
    made_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]  # when a request went out whose outcome was not known at first
    taken_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(40), default="")  # theirs
    notes: Mapped[str] = mapped_column(default="")  # and what they say of it
    their_update_at: Mapped[datetime | None]
    seen_at: Mapped[datetime | None]  # when their answer last named it
    tries: Mapped[int] = mapped_column(default=0)
    next_try_at: Mapped[datetime | None]  # None: nothing is to be done by itself
    fault: Mapped[str | None]
    ended_at: Mapped[datetime | None]
    endpoint: Mapped["Endpoint"] = relationship()


# The few that the worker has something to do for.
_GOES_ON = text("next_try_at IS NOT NULL")
Index(
    "ix_remote_requests_next_try_at", RemoteRequest.next_try_at,
    sqlite_where=_GOES_ON, postgresql_where=_GOES_ON,
)  # fmt: skip


class CaseHop(Base):
    """A machine that a case has been at before it came here, with its number there: loops end by it."""

    __tablename__ = "case_hops"
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    hop: Mapped[str] = mapped_column(String(200), primary_key=True)  # host/number


class Epoch(Base):
    """One row a server start: its id is the epoch that phones compare."""

    __tablename__ = "epochs"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    first_seq: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime]


class Backup(Base):
    """A complete backup of this database: what the log held at its moment, and where it was put."""

    __tablename__ = "backups"
    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    made_at: Mapped[datetime]
    seq: Mapped[int] = mapped_column(BigInteger)
    folder: Mapped[str]


class SyncFeedRow(Base):
    """What a scope (`crew:7`) must know: one row a thing, moved to a new seq whenever it changes."""

    __tablename__ = "sync_feed"
    scope: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    ref: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    present: Mapped[bool]
    why: Mapped[str | None] = mapped_column(String(20))


Index("ix_sync_feed_scope_seq", SyncFeedRow.scope, SyncFeedRow.seq)


class SyncOperation(Base):
    """One intention of one phone, kept with its result so that a replay changes nothing."""

    __tablename__ = "sync_operations"
    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"), index=True)
    person_id: Mapped[int | None] = mapped_column(ForeignKey("persons.id"))  # None for a resident's
    n: Mapped[int]
    t: Mapped[str] = mapped_column(String(20))
    case_ref: Mapped[str] = mapped_column(String(40))  # as sent: a case's number, or a report operation's id
    prev: Mapped[str | None] = mapped_column(String(36))
    body_hash: Mapped[str] = mapped_column(String(64))
    result: Mapped[dict[str, Any]]
    code: Mapped[str] = mapped_column(String(12), default="")  # the result's name
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))  # the case that it came to
    version: Mapped[int | None]  # of that case when it was done
    raw: Mapped[str | None]  # kept only where a person must look, or it is not done yet
    review: Mapped[str | None] = mapped_column(String(20))  # why a person must look; None once they have
    received_at: Mapped[datetime]


# Few rows of very many: what is not done yet, and what a person must look at.
_NOT_DONE, _TO_REVIEW = text("code IN ('held', 'deposited')"), text("review IS NOT NULL")
Index(
    "ix_sync_operations_not_done",
    SyncOperation.received_at,
    sqlite_where=_NOT_DONE,
    postgresql_where=_NOT_DONE,
)
Index(
    "ix_sync_operations_review",
    SyncOperation.received_at,
    sqlite_where=_TO_REVIEW,
    postgresql_where=_TO_REVIEW,
)


class ExpectedPhoto(Base):
    """A photo that an operation has, by what its bytes must hash to: on its way, here, or refused.

    `case_id`, `cycle`, `closure_id` and `report_id` say what it belongs to, once the operation is done.
    """

    __tablename__ = "expected_photos"
    operation_id: Mapped[str] = mapped_column(ForeignKey("sync_operations.id"), primary_key=True)
    id: Mapped[str] = mapped_column(String(36), primary_key=True)  # as the phone calls it
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id"))
    sha256: Mapped[str] = mapped_column(String(64))
    bytes: Mapped[int] = mapped_column(BigInteger)
    position: Mapped[int]
    declared_at: Mapped[datetime]
    case_id: Mapped[int | None] = mapped_column(ForeignKey("cases.id"))
    cycle: Mapped[int | None]
    closure_id: Mapped[int | None] = mapped_column(ForeignKey("closures.id"), index=True)
    report_id: Mapped[int | None] = mapped_column(ForeignKey("reports.id"), index=True)
    photo_id: Mapped[str | None] = mapped_column(ForeignKey("photos.id"), index=True)  # once it is here
    # Why it will never be here, a BadPhoto's code; only `late` stays wanted, and goes when the photo comes.
    fault: Mapped[str | None] = mapped_column(String(20))


Index("ix_expected_photos_device_id", ExpectedPhoto.device_id, ExpectedPhoto.id)
_MISSING = text("photo_id IS NULL")
Index(
    "ix_expected_photos_missing", ExpectedPhoto.device_id, ExpectedPhoto.declared_at,
    sqlite_where=_MISSING, postgresql_where=_MISSING,
)  # fmt: skip

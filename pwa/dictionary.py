"""What the files of open data hold, table by table and column by column, in the reader's language."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from babel import Locale
from flask_babel import get_locale
from flask_babel import gettext as _

from city import contacts, lifecycle
from city.cityfile import ASSET_KINDS
from city.exports import LAYERS


class Column(NamedTuple):
    """One column: `type` is text, number, time, month or shape; `values` are all that may stand there.

    `source` names verbs of the log as `docs/glossary.md` has them, or another place where it comes from.
    """

    name: str
    type: str
    says: str
    source: str
    values: Sequence[str] = ()


class Table(NamedTuple):
    """All files of one kind. In GeoJSON `places` stand in the geometry; the other columns are properties."""

    kind: str
    title: str
    says: str
    columns: Sequence[Column]
    places: Sequence[str] = ()


def tables() -> dict[str, Table]:
    """Every kind of file by its name in the program, in the order of the page."""
    return _tables(get_locale())


@lru_cache
def _tables(_locale: Locale | None) -> dict[str, Table]:
    all_of_them = (
        Table("cases", _("Cases"), _("Every case that is no private matter, a line each."), _cases(), PLACES),
        Table(
            "requests",
            _("Cases, for programs of other cities"),
            _("The same in the columns of Open311's GeoReport Bulk, without what was merged."),
            _requests(),
        ),
        Table(
            "contacts",
            _("Contacts"),
            _("How many people called or came, by month, channel, outcome and topic."),
            _contacts(),
        ),
        Table(
            "measures",
            _("Published figures"),
            _("The figures of every month, as they were published in the log."),
            _measures(),
        ),
        *(Table(kind, *_layer(kind), ("geometry",)) for kind in LAYERS),
    )
    return {table.kind: table for table in all_of_them}


PLACES = ("latitude", "longitude")


def _cases() -> list[Column]:
    return [
        Column("number", "text", _("The case's number. Text, not a figure."), "open"),
        Column("service_code", "text", _("Which kind of problem, as the city file calls it."), "open"),
        Column("service", "text", _("The same in words of the city's first language."), _("city file")),
        Column("group", "text", _("The tile of the report form that the kind belongs to."), _("city file")),
        Column("department", "text", _("Who is responsible."), _("city file")),
        Column(
            "state",
            "text",
            _("How far it was when the file was made."),
            _("every move"),
            lifecycle.STATES,
        ),
        Column("outcome", "text", _("How it ended. Empty while it is open."), "close", lifecycle.OUTCOMES),
        Column("opened_at", "time", _("When somebody first told of it."), "open"),
        Column(
            "updated_at",
            "time",
            _("When the last thing happened to it that everybody may know."),
            _("every move"),
        ),
        Column(
            "due_at",
            "time",
            _("Until when it is promised, waiting times added."),
            "open, wait, resume, reopen",
        ),
        Column("closed_at", "time", _("When it was closed. Empty where it is not."), "close"),
        Column(
            "address",
            "text",
            _("Where it is. Without the house number where the kind's place is told only roughly."),
            "open",
        ),
        Column("area", "text", _("The neighborhood in which that place lies."), _("layer areas")),
        Column(
            "latitude",
            "number",
            _("Degrees north, WGS 84. Moved to the middle of a square where told only roughly."),
            "open",
        ),
        Column("longitude", "number", _("Degrees east, moved in the same way."), "open"),
        Column("reports", "number", _("How many people's reports it has of its own."), "open, join"),
        Column(
            "reopenings", "number", _("How often it was opened again after it had been closed."), "reopen"
        ),
        Column(
            "merged_into", "text", _("The number of the case that goes on in its place."), "merge, unmerge"
        ),
    ]


def _requests() -> list[Column]:
    nothing = _("Always empty here.")
    return [
        Column("service_request_id", "text", _("The case's number. Text, not a figure."), "open"),
        Column("requested_datetime", "time", _("When somebody first told of it."), "open"),
        Column(
            "updated_datetime",
            "time",
            _("When the last thing happened to it that everybody may know."),
            _("every move"),
        ),
        Column("closed_date", "time", _("When it was closed. Empty where it is not."), "close"),
        Column(
            "status_description",
            "text",
            _("Whether it is still open. Cancelled ones count as closed."),
            _("every move"),
            ("open", "closed"),
        ),
        Column("status_notes", "text", nothing, ""),
        Column("source", "text", nothing, ""),
        Column(
            "service_name", "text", _("The kind of problem in the city's first language."), _("city file")
        ),
        Column("service_subtype", "text", nothing, ""),
        Column("description", "text", nothing, ""),
        Column("agency_responsible", "text", _("Who is responsible."), _("city file")),
        Column(
            "address",
            "text",
            _("Where it is. Without the house number where the kind's place is told only roughly."),
            "open",
        ),
        Column(
            "lat",
            "number",
            _("Degrees north, WGS 84. Moved to the middle of a square where told only roughly."),
            "open",
        ),
        Column("long", "number", _("Degrees east, moved in the same way."), "open"),
    ]


def _contacts() -> list[Column]:
    return [
        Column("month", "month", _("The month in which it began, on the city's own clocks."), "log"),
        Column("channel", "text", _("How people came."), "log", contacts.CHANNELS),
        Column("outcome", "text", _("How the conversation ended."), "log", contacts.OUTCOMES),
        Column("topic", "text", _("What it was about, as the city file calls it."), "log"),
        Column("contacts", "number", _("How many there were. Empty where that is hidden."), "log"),
        Column(
            "hidden",
            "text",
            _("Says that there were some, and that so small a number is not told, or would tell another."),
            "",
            ("true",),
        ),
    ]


def _measures() -> list[Column]:
    return [
        Column("month", "month", _("The month that the figure is about."), "publish"),
        Column(
            "version", "number", _("Which version of the month's figures this is: the newest."), "publish"
        ),
        Column("published_at", "time", _("When that version was written into the log."), "publish"),
        Column(
            "figure",
            "text",
            _("Its name: table, row and what is counted, as on the pages of figures and in their files."),
            "publish",
        ),
        Column(
            "value",
            "number",
            _("The figure. Shares lie between 0 and 1. What is hidden has no line."),
            "publish",
        ),
    ]


def _layer(kind: str) -> tuple[str, str, list[Column]]:
    own = Column("id", "text", _("What the register that it came from calls it."), "import")
    address = Column("address", "text", _("The nearest address or street."), "import")
    return {
        "areas": (
            _("Neighborhoods and other areas"),
            _("The shapes that the city divides itself by, its parks and waters, and its boundary."),
            [
                own,
                Column("kind", "text", _("What it is: area, ward, park, water, boundary …"), "import"),
                Column("name", "text", _("What it is called."), "import"),
                Column("geometry", "shape", _("Its shape, WGS 84."), "import"),
            ],
        ),
        "assets": (
            _("Light poles, trees and baskets"),
            _("The things that reports are about, without those that are gone."),
            [
                Column("kind", "text", _("What it is."), "import", ASSET_KINDS),
                Column("number", "text", _("The number that stands on it."), "import"),
                Column("owner", "text", _("Whose it is. Empty where it is the city's."), "import"),
                address,
                Column("geometry", "shape", _("Where it stands, WGS 84."), "import"),
            ],
        ),
        "streets": (
            _("Streets"),
            _("The pieces of the city's streets."),
            [
                own,
                Column("kind", "text", _("How large it is."), "import", ("street", "avenue", "lane")),
                Column("name", "text", _("What it is called."), "import"),
                Column("geometry", "shape", _("Its line, WGS 84."), "import"),
            ],
        ),
    }[kind]

"""What the files of open data hold, table by table and column by column, in the reader's language."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from babel import Locale
from flask_babel import get_locale
from flask_babel import gettext as _

from city import lifecycle
from city.config.city_file import ASSET_KINDS
from city.opendata.rows import LAYERS
from city.people import contacts


class Column(NamedTuple):
    """One column: `type` is text, number, time, month or shape; `values` are all that may stand there.

    `source` names verbs of the log as `docs/reference/glossary.md` has them, or another place where it comes
    from.
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
        Table("cases", _("Cases"), _("Every public case, one per line."), _cases(), PLACES),
        Table(
            "requests",
            _("Cases in Open311 format"),
            _("The same cases in Open311 GeoReport Bulk columns, without merged cases."),
            _requests(),
        ),
        Table(
            "contacts",
            _("Contacts"),
            _("How many people contacted us, by month, channel, outcome, and topic."),
            _contacts(),
        ),
        Table(
            "measures",
            _("Published figures"),
            _("Each month's figures, as published in the log."),
            _measures(),
        ),
        *(Table(kind, *_layer(kind), ("geometry",)) for kind in LAYERS),
    )
    return {table.kind: table for table in all_of_them}


PLACES = ("latitude", "longitude")


def _cases() -> list[Column]:
    return [
        Column("number", "text", _("Case number. It's text, not a number to calculate with."), "open"),
        Column("service_code", "text", _("Type of problem, as named in the city file."), "open"),
        Column("service", "text", _("The service name in the city's main language."), _("city file")),
        Column("group", "text", _("Category on the report form."), _("city file")),
        Column("department", "text", _("Department responsible."), _("city file")),
        Column(
            "state",
            "text",
            _("Status when the file was made."),
            _("every status change"),
            list(lifecycle.STATES),
        ),
        Column(
            "outcome", "text", _("How it ended. Empty while the case is open."), "close", lifecycle.OUTCOMES
        ),
        Column("opened_at", "time", _("When it was first reported."), "open"),
        Column(
            "updated_at",
            "time",
            _("When the public part of the case last changed."),
            _("every status change"),
        ),
        Column(
            "due_at",
            "time",
            _("Due date, including time on hold."),
            "open, wait, resume, reopen",
        ),
        Column("closed_at", "time", _("When the case was closed. Empty while it's open."), "close"),
        Column(
            "address",
            "text",
            _("Location. No house number where the exact location is private."),
            "open",
        ),
        Column("area", "text", _("Neighborhood of that location."), _("areas layer")),
        Column(
            "latitude",
            "number",
            _(
                "Latitude in degrees, WGS 84. Moved to the center of a square where the exact location is "
                "private."
            ),
            "open",
        ),
        Column("longitude", "number", _("Longitude in degrees. Adjusted the same way."), "open"),
        Column(
            "reports",
            "number",
            _("How many people's reports this case has, not counting merged cases."),
            "open, join",
        ),
        Column("reopenings", "number", _("How many times the case was reopened."), "reopen"),
        Column("merged_into", "text", _("Number of the case it was merged into."), "merge, unmerge"),
    ]


def _requests() -> list[Column]:
    nothing = _("Always empty.")
    return [
        Column(
            "service_request_id", "text", _("Case number. It's text, not a number to calculate with."), "open"
        ),
        Column("requested_datetime", "time", _("When it was first reported."), "open"),
        Column(
            "updated_datetime",
            "time",
            _("When the public part of the case last changed."),
            _("every status change"),
        ),
        Column("closed_date", "time", _("When the case was closed. Empty while it's open."), "close"),
        Column(
            "status_description",
            "text",
            _("Whether it's still open. Canceled cases count as closed."),
            _("every status change"),
            ("open", "closed"),
        ),
        Column("status_notes", "text", nothing, ""),
        Column("source", "text", nothing, ""),
        Column("service_name", "text", _("Type of problem in the city's main language."), _("city file")),
        Column("service_subtype", "text", nothing, ""),
        Column("description", "text", nothing, ""),
        Column("agency_responsible", "text", _("Department responsible."), _("city file")),
        Column(
            "address",
            "text",
            _("Location. No house number where the exact location is private."),
            "open",
        ),
        Column(
            "lat",
            "number",
            _(
                "Latitude in degrees, WGS 84. Moved to the center of a square where the exact location is "
                "private."
            ),
            "open",
        ),
        Column("long", "number", _("Longitude in degrees. Adjusted the same way."), "open"),
    ]


def _contacts() -> list[Column]:
    return [
        Column("month", "month", _("Month the contact began, in the city's time zone."), "log"),
        Column("channel", "text", _("How people contacted us."), "log", contacts.CHANNELS),
        Column("outcome", "text", _("How the conversation ended."), "log", contacts.OUTCOMES),
        Column("topic", "text", _("Topic of the contact, as named in the city file."), "log"),
        Column("contacts", "number", _("Number of contacts. Empty when the number is hidden."), "log"),
        Column(
            "hidden",
            "text",
            _("There were some, but the number is too small to show or would reveal another."),
            "",
            ("true",),
        ),
    ]


def _measures() -> list[Column]:
    return [
        Column("month", "month", _("Month the figure covers."), "publish"),
        Column("version", "number", _("Version of the month's figures. Always the newest."), "publish"),
        Column("published_at", "time", _("When that version was published in the log."), "publish"),
        Column(
            "figure",
            "text",
            _(
                "Name of the figure: table, row, and what is counted, as on the figures pages and in their "
                "files."
            ),
            "publish",
        ),
        Column(
            "value",
            "number",
            _("The figure. Shares run from 0 to 1. Hidden figures have no line."),
            "publish",
        ),
    ]


def _layer(kind: str) -> tuple[str, str, list[Column]]:
    own = Column("id", "text", _("ID in the original register."), "import")
    address = Column("address", "text", _("Nearest address or street."), "import")
    return {
        "areas": (
            _("Neighborhoods and other areas"),
            _("City boundary, neighborhoods and other areas, parks, and water."),
            [
                own,
                Column("kind", "text", _("Type of area: area, ward, park, water, boundary …"), "import"),
                Column("name", "text", _("Name."), "import"),
                Column("geometry", "shape", _("Shape on the map, WGS 84."), "import"),
            ],
        ),
        "assets": (
            _("Light poles, trees, and trash cans"),
            _("The assets that reports are about, not including ones that are gone."),
            [
                Column("kind", "text", _("Type of asset."), "import", ASSET_KINDS),
                Column("number", "text", _("Number on the asset."), "import"),
                Column("owner", "text", _("Owner. Empty if it's the city's."), "import"),
                address,
                Column("geometry", "shape", _("Location on the map, WGS 84."), "import"),
            ],
        ),
        "streets": (
            _("Streets"),
            _("Segments of the city's streets."),
            [
                own,
                Column("kind", "text", _("Size of the street."), "import", ("street", "avenue", "lane")),
                Column("name", "text", _("Name."), "import"),
                Column("geometry", "shape", _("Line on the map, WGS 84."), "import"),
            ],
        ),
    }[kind]

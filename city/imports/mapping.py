"""How the table of another 311 system is read: mapping files, whose keys docs/how-to/imports.md explains."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from city import files
from city.config import toml_table
from city.imports.readers import Source, Unusable
from city.lifecycle import ACCEPTED, CANCELLED, CLOSED, FIELD_OUTCOMES, NEW

MOST_BYTES = 10_000_000  # of a mapping
MAPPINGS: Final = Path(__file__).parent / "mappings"
STATES: Final = (NEW, ACCEPTED, CLOSED, CANCELLED)  # how a story of another system may end
CHANNELS: Final = ("web", "phone", "crew", "api")
ANYTHING = "*"  # stands for every value that a mapping does not name
ISO: Final = "iso"  # among a mapping's dates: ISO 8601, with or without a zone

COLUMNS: Final = ("ref", "service", "opened", "state")  # needed; the others may be missing
MORE_COLUMNS: Final = (
    "target", "accepted", "closed", "reopened", "channel", "lat", "lon", "address", "words", "closure",
    "notes", "department", "crew", "email", "consent",
)  # fmt: skip


@dataclass(frozen=True)
class Mapping:
    """How the table of another system is read; docs/how-to/imports.md explains each part.

    `columns` are by our names, each a list. `default_points` are those that stand for "no place"; `bounds`
    (south, west, north, east) stand in for a boundary that the city has not got yet. `groups` and `private`
    go by the values of the column `group_by`; where `other_group` is "", the city's own is taken.
    `contains` are parts of the column `outcome_from`, in order.
    `time_zone` is None where times without a zone are those of the city. `crews` are ours by theirs,
    `consent` the values of the column of that name that say yes.
    """

    source: str
    time_zone: ZoneInfo | None
    language: str
    dates: tuple[str, ...]
    default_points: tuple[tuple[float, float], ...]
    bounds: tuple[float, ...]
    columns: dict[str, tuple[str, ...]]
    states: dict[str, str]
    channels: dict[str, str]
    group_by: str
    groups: dict[str, str]
    other_group: str
    private: frozenset[str]
    precision_m: int
    promise_days: int
    outcome_from: str
    contains: tuple[tuple[str, str], ...]
    outcome: str
    departments: dict[str, str]
    crews: dict[str, str]
    consent: frozenset[str]
    table: toml_table.Table  # to say on which line a column stands that a file does not have

    def check(self, source: Source) -> None:
        """Raises CityFileError for the first column that the file does not have."""
        wanted = [("columns", name) for names in self.columns.values() for name in names]
        wanted += [("services", self.group_by)] * bool(self.group_by)
        wanted += [("outcomes", self.outcome_from)] * bool(self.outcome_from)
        for part, name in wanted:
            if name not in source.columns:
                key = next((k for k, names in self.columns.items() if name in names), "")
                where = {"columns": key, "services": "group_by", "outcomes": "column"}[part]
                raise self.table.wrong(
                    f"{part}.{where}",
                    f"{source.path.name} has no column {name!r}",
                    f"one of {', '.join(source.columns)}",
                )


def load(name: str) -> Mapping:
    """The mapping of that name (boston, newhaven, open311 …), or in the file of that path ending in .toml.

    Raises Unusable where there is none, and CityFileError with line and key where it is wrong.
    """
    path = Path(name) if name.endswith(".toml") else MAPPINGS / f"{name}.toml"
    try:
        text = files.text(path, MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(file.stem for file in MAPPINGS.glob("*.toml")))
        fault = f"can't read a mapping called {name!r} ({files.why(error)})"
        raise Unusable("--map", f"{fault}. Use one of {known}, or a .toml file") from error
    return _mapping(toml_table.read(text, path.name, 'name = "boston"'))


def _mapping(top: toml_table.Table) -> Mapping:
    columns = dict(_columns(top.table("columns")))
    services, outcomes = top.table("services"), top.table("outcomes")
    source = top.text("name", 'name = "boston"')
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", source):
        raise top.wrong(
            "name", f"{source!r} isn't up to 20 lowercase letters, digits, and hyphens", 'name = "boston"'
        )
    found = Mapping(
        source=source,
        time_zone=top.zone("time_zone") if top.has("time_zone") else None,
        language=top.text("language", 'language = "en"', "en"),
        dates=tuple(_dates(top)),
        default_points=tuple(_points(top)),
        bounds=tuple(
            top.numbers("bounds", 4, "bounds = [42.22, -71.2, 42.41, -70.9]") if top.has("bounds") else ()
        ),
        columns=columns,
        states=_choices(top.table("states"), STATES),
        channels=_choices(top.table("channels"), CHANNELS) or {ANYTHING: "web"},
        group_by=services.text("group_by", 'group_by = "CATEGORY"', ""),
        groups=dict(_groups(services.table("groups"))),
        other_group=services.text("otherwise", 'otherwise = "other"', ""),
        private=frozenset(
            services.texts("private", 'private = ["Housing"]') if services.has("private") else ()
        ),
        precision_m=services.number("precision_m", 0, 5000) if services.has("precision_m") else 0,
        promise_days=services.number("promise_days", 1, 365),
        outcome_from=outcomes.text("column", 'column = "CLOSURE_REASON"', ""),
        contains=tuple(_choices(outcomes.table("contains"), FIELD_OUTCOMES).items()),
        outcome=outcomes.one_of("otherwise", FIELD_OUTCOMES) if outcomes.has("otherwise") else "fixed",
        departments=dict(_names(top.table("departments"))),
        crews=dict(_names(top.table("crews"))),
        consent=frozenset(top.texts("consent", 'consent = ["Yes"]') if top.has("consent") else ()),
        table=top,
    )
    for table in (services, outcomes, top):
        table.refuse_rest()
    return found


def _columns(table: toml_table.Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in (*COLUMNS, *MORE_COLUMNS):
        if name not in COLUMNS and not table.has(name):
            continue
        example = f'{name} = "COLUMN"'
        value = table.take(name, example)
        yield (
            name,
            tuple(table.texts(name, example) if isinstance(value, list) else [table.text(name, example)]),
        )
    table.refuse_rest()


def _dates(top: toml_table.Table) -> Iterator[str]:
    example = 'dates = ["%m/%d/%Y %I:%M:%S %p"]'
    for form in top.texts("dates", example):
        if form != ISO and not all(
            any(code in form for code in codes) for codes in (("%Y", "%y"), ("%m", "%b", "%B"), ("%d",))
        ):
            raise top.wrong("dates", f"{form!r} lacks a year, month, or day", example)
        yield form


def _points(top: toml_table.Table) -> Iterator[tuple[float, float]]:
    if not top.has("default_points"):
        return
    example = "default_points = [[42.3594, -71.0587]]"
    value = top.take("default_points", example)
    for point in value if isinstance(value, list) else [value]:
        right = isinstance(point, list) and len(point) == 2 and all(isinstance(n, int | float) for n in point)
        if not right:
            raise top.wrong("default_points", f"{point!r} isn't latitude, longitude", example)
        yield float(point[0]), float(point[1])


def _choices(table: toml_table.Table, choices: tuple[str, ...]) -> dict[str, str]:
    return {name: table.one_of(name, choices) for name in table.values}


def _groups(table: toml_table.Table) -> Iterator[tuple[str, str]]:
    for group in table.values:
        yield from ((value, group) for value in table.texts(group, f'{group} = ["Street Lights"]'))


def _names(table: toml_table.Table) -> Iterator[tuple[str, str]]:
    for code in table.values:
        yield code, table.text(code, f'"{code}" = "Public works"')

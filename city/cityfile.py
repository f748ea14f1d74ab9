"""The city file: what one city is called, where it lies, and what it mends. Read, checked, applied."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from city import schema
from city.geo import Box, Point

Words = dict[str, str]  # language → words

ASSET_KINDS = ("pole", "tree", "basket")
DATATYPES = ("string", "number", "datetime", "text", "singlevaluelist", "multivaluelist")  # Open311's


class CityFileError(Exception):
    """A city file that cannot be used: names the line or key, the fault and an example."""

    def __init__(self, path: Path, key: str, fault: str, example: str) -> None:
        super().__init__(f"{path.name}: {key}: {fault}. Example: {example}")
        self.key = key


@dataclass(frozen=True)
class Department:
    """Who is responsible."""

    code: str
    names: Words


@dataclass(frozen=True)
class Group:
    """A tile of the report form. `icon` is a symbol's name without its `i-`; `ask` stands over the chips."""

    code: str
    icon: str
    names: Words
    ask: Words


@dataclass(frozen=True)
class Service:
    """A kind of problem. `questions` are as in `schema.Service`."""

    code: str
    group: str
    names: Words
    chips: Words
    is_default: bool
    position: int
    department_code: str
    promise_days: int
    questions: list[dict[str, Any]]
    asset_kind: str | None
    precision_m: int
    private: bool
    urgent: bool


@dataclass(frozen=True)
class CityFile:
    """One city. The first language is its own; `phone` and `emergency` are numbers to call."""

    name: str
    time_zone: ZoneInfo
    languages: tuple[str, ...]
    phone: str
    emergency: str
    centre: Point
    bounds: Box
    departments: tuple[Department, ...]
    groups: tuple[Group, ...]
    services: tuple[Service, ...]

    def of_group(self, code: str) -> tuple[Service, ...]:
        """The services behind a tile, in the order of their chips."""
        return tuple(service for service in self.services if service.group == code)

    def default_of(self, group: str) -> Service:
        """The service that a tile stands for when no chip is chosen."""
        return next(service for service in self.of_group(group) if service.is_default)


def load(path: Path) -> CityFile:
    """The city that the file at `path` describes; raises CityFileError."""
    top = _Table(path, "", _parse(path))
    languages = tuple(top.texts("languages", 'languages = ["en", "es"]'))
    departments = tuple(_departments(top, languages))
    groups = tuple(_groups(top, languages))
    services = tuple(_services(top, languages, {d.code for d in departments}, {g.code for g in groups}))
    _check_defaults(path, groups, services)
    bounds, centre = _ground(top)
    city = CityFile(
        name=top.text("name", 'name = "Larkhaven"'),
        time_zone=_time_zone(top),
        languages=languages,
        phone=top.text("phone", 'phone = "311"'),
        emergency=top.text("emergency", 'emergency = "911"'),
        centre=centre,
        bounds=bounds,
        departments=departments,
        groups=groups,
        services=services,
    )
    top.refuse_rest()
    return city


def apply(s: Session, city: CityFile) -> None:
    """Writes departments and services as the file has them.

    A service that left the file keeps its row, since old cases name it; it is offered no more.
    """
    for department in city.departments:
        s.merge(schema.Department(code=department.code, names=department.names, time_zone=city.time_zone.key))
    s.flush()
    for service in city.services:
        s.merge(schema.Service(**vars(service)))
    s.flush()


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        fault, _, where = str(error).rpartition(" (at ")
        where = where.rstrip(")") if fault else "the file"
        raise CityFileError(path, where, fault or str(error), 'name = "Larkhaven"') from error
    except (OSError, UnicodeDecodeError) as error:
        raise CityFileError(
            path, "the file", f"cannot be read ({error})", "CITYLINE_CITY=/etc/city.toml"
        ) from error


def _departments(top: "_Table", languages: tuple[str, ...]) -> Iterator[Department]:
    for code, row in top.tables("departments", "[departments.lights]"):
        yield Department(code, row.words("names", languages))
        row.refuse_rest()


def _groups(top: "_Table", languages: tuple[str, ...]) -> Iterator[Group]:
    for code, row in top.tables("groups", "[groups.streetlight]"):
        icon = row.text("icon", 'icon = "lightbulb"')
        yield Group(code, icon, row.words("names", languages), row.words("ask", languages))
        row.refuse_rest()


def _services(
    top: "_Table", languages: tuple[str, ...], departments: set[str], groups: set[str]
) -> Iterator[Service]:
    for position, (code, row) in enumerate(top.tables("services", "[services.light-out]"), start=1):
        yield Service(
            code=code,
            group=row.one_of("group", groups),
            names=row.words("names", languages),
            chips=row.words("chips", languages),
            is_default=row.flag("default"),
            position=position,
            department_code=row.one_of("department", departments),
            promise_days=row.number("promise_days", 1, 365),
            questions=list(_questions(row, languages)),
            asset_kind=row.one_of("asset_kind", ASSET_KINDS) if row.has("asset_kind") else None,
            precision_m=row.number("precision_m", 0, 5000) if row.has("precision_m") else 0,
            private=row.flag("private"),
            urgent=row.flag("urgent"),
        )
        row.refuse_rest()


def _questions(service: "_Table", languages: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for row in service.rows("questions"):
        datatype = row.one_of("datatype", DATATYPES)
        values = [
            {"code": value.text("code", 'code = "yes"'), "words": value.words("words", languages)}
            for value in row.rows("values")
        ]
        if datatype.endswith("list") != bool(values):
            raise row.wrong(
                "values", f"a {datatype} has {'none' if not values else 'some'}", 'datatype = "string"'
            )
        yield {
            "code": row.text("code", 'code = "blocked"'),
            "datatype": datatype,
            "required": row.flag("required"),
            "words": row.words("words", languages),
            "values": values,
        }
        row.refuse_rest()


def _check_defaults(path: Path, groups: tuple[Group, ...], services: tuple[Service, ...]) -> None:
    for group in groups:
        defaults = [
            service.code for service in services if service.group == group.code and service.is_default
        ]
        if len(defaults) != 1:
            fault = f"has {len(defaults)} default services, and needs one"
            raise CityFileError(path, f"groups.{group.code}", fault, "default = true in one of its services")


def _ground(top: "_Table") -> tuple[Box, Point]:
    centre = Point(*top.numbers("centre", 2, "centre = [39.6, -71.2]"))
    example = "bounds = [39.58, -71.22, 39.62, -71.18]"
    bounds = Box(*top.numbers("bounds", 4, example))
    in_order = -90 <= bounds.south < bounds.north <= 90 and -180 <= bounds.west < bounds.east <= 180
    if not in_order:
        raise top.wrong("bounds", "is not south, west, north, east", example)
    if not (bounds.south <= centre.lat <= bounds.north and bounds.west <= centre.lon <= bounds.east):
        raise top.wrong(
            "centre", "lies outside bounds, or is not latitude, longitude", "centre = [39.6, -71.2]"
        )
    return bounds, centre


def _time_zone(top: "_Table") -> ZoneInfo:
    example = 'time_zone = "America/New_York"'
    name = top.text("time_zone", example)
    try:
        return ZoneInfo(name)
    except (OSError, ValueError) as error:  # an unknown zone is a kind of missing file
        raise top.wrong("time_zone", f"{name!r} is no time zone", example) from error
    except KeyError as error:
        raise top.wrong("time_zone", f"{name!r} is no time zone", example) from error


@dataclass
class _Table:
    """A part of the file that remembers what was asked for, so that a misspelt key is noticed."""

    path: Path
    key: str
    values: Mapping[str, Any]
    known: set[str] = field(default_factory=set)

    def wrong(self, name: str, fault: str, example: str) -> CityFileError:
        return CityFileError(self.path, f"{self.key}{name}", fault, example)

    def has(self, name: str) -> bool:
        self.known.add(name)
        return name in self.values

    def text(self, name: str, example: str) -> str:
        value = self._take(name, example)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, f"{value!r} is not words in quotes", example)
        return value.strip()

    def texts(self, name: str, example: str) -> list[str]:
        value = self._take(name, example)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, f"{value!r} is not a list of words", example)
        return value

    def words(self, name: str, languages: tuple[str, ...]) -> Words:
        example = f"{name} = {{ " + ", ".join(f'{language} = "…"' for language in languages) + " }"
        value = self._take(name, example)
        if not isinstance(value, dict):
            raise self.wrong(name, f"{value!r} is not words by language", example)
        table = _Table(self.path, f"{self.key}{name}.", value)
        words = {language: table.text(language, example) for language in languages}
        table.refuse_rest()
        return words

    def flag(self, name: str) -> bool:
        if not self.has(name):
            return False
        value = self._take(name, "")
        if not isinstance(value, bool):
            raise self.wrong(name, f"{value!r} is neither true nor false", f"{name} = true")
        return value

    def number(self, name: str, low: int, high: int) -> int:
        example = f"{name} = {max(low, 3)}"
        value = self._take(name, example)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"{value!r} is not a whole number from {low} to {high}", example)
        return value

    def numbers(self, name: str, count: int, example: str) -> list[float]:
        value = self._take(name, example)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(isinstance(n, int | float) for n in value)
        ):
            raise self.wrong(name, f"{value!r} is not a list of {count} numbers", example)
        return [float(n) for n in value]

    def one_of(self, name: str, choices: set[str] | tuple[str, ...]) -> str:
        listed = sorted(choices)
        example = f'{name} = "{listed[0]}"'
        value = self._take(name, example)
        if value not in listed:
            raise self.wrong(name, f"{value!r} is none of {', '.join(listed)}", example)
        return str(value)

    def tables(self, name: str, example: str) -> Iterator[tuple[str, "_Table"]]:
        """The named tables below `name`, in the order of the file."""
        value = self._take(name, example)
        if not isinstance(value, dict) or not all(isinstance(row, dict) for row in value.values()):
            raise self.wrong(name, "is not a group of tables", example)
        for code, row in value.items():
            if not code or len(code) > 40:
                raise self.wrong(name, f"the code {code!r} has not 1 to 40 characters", example)
            yield code, _Table(self.path, f"{self.key}{name}.{code}.", row)

    def rows(self, name: str) -> Iterator["_Table"]:
        """The tables of the list `name`, which may be missing."""
        if not self.has(name):
            return
        value = self._take(name, "")
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.wrong(name, "is not a list of tables", f"[[{self.key}{name}]]")
        for n, row in enumerate(value, start=1):
            yield _Table(self.path, f"{self.key}{name}[{n}].", row)

    def refuse_rest(self) -> None:
        """Raises for the first key that nobody asked for: it is most likely misspelt."""
        for name in self.values:
            if name not in self.known:
                raise self.wrong(name, "is not a key known here", f"one of {', '.join(sorted(self.known))}")

    def _take(self, name: str, example: str) -> Any:
        self.known.add(name)
        if name not in self.values:
            raise self.wrong(name, "is missing", example)
        return self.values[name]

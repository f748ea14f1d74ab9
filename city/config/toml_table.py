"""A TOML file as tables that check what is asked of them, and know on which line every key stands."""

import difflib
import re
import tomllib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

Words = dict[str, str]  # language → words


class CityFileError(Exception):
    """A city file that cannot be used: names the line, the key, the fault and an example."""

    def __init__(self, name: str, line: int | None, key: str, fault: str, example: str) -> None:
        place = f"{name}, line {line}" if line else name
        super().__init__(f"{place}: {key}: {fault}. Example: {example}")
        self.key, self.line = key, line


def read(text: str, name: str, example: str) -> "Table":
    """The whole file as one table; raises CityFileError where it is no TOML. Faults call the file `name`."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        fault, _, where = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+)", where)
        line = int(found[1]) if found else max(1, len(text.splitlines()))
        raise CityFileError(name, line, "this line", fault or str(error), example) from error
    except (RecursionError, ValueError) as error:  # nested too deeply, or a number of thousands of digits
        raise CityFileError(name, 1, "the file", f"can't be read ({error})", example) from error
    return Table(name, "", values, cache(partial(lines, text)))  # only a fault asks for them


def lines(text: str) -> dict[str, int]:
    """The line of every key, table and item of a file that is known to be TOML, counted from 1.

    Keys are written as faults name them: `services.light-out.questions[1].words.en`.
    """
    scan = _Scan(text.replace("\r\n", "\n"))
    scan.file()
    return scan.found


@dataclass
class Table:
    """A part of the file that remembers what was asked for, so that a misspelt key is noticed."""

    name: str
    key: str
    values: Mapping[str, Any]
    lines: Callable[[], Mapping[str, int]]
    known: set[str] = field(default_factory=set)

    def wrong(self, name: str, fault: str, example: str) -> CityFileError:
        """The error to raise about one of this table's keys; a missing one is where its table begins."""
        key = where = f"{self.key}{name}"
        lines = self.lines()
        while where and where not in lines:
            where = where.rpartition(".")[0]
        return CityFileError(self.name, lines.get(where), key, fault, example)

    def has(self, name: str) -> bool:
        self.known.add(name)
        return name in self.values

    def zone(self, name: str) -> ZoneInfo:
        """A time zone by its name; raises CityFileError for one that nobody knows."""
        example = f'{name} = "America/New_York"'
        words = self.text(name, example)
        try:
            return ZoneInfo(words)
        except (OSError, ValueError, KeyError) as error:  # an unknown zone is a kind of missing file
            raise self.wrong(name, f"{words!r} isn't a time zone", example) from error

    def text(self, name: str, example: str, default: str | None = None) -> str:
        if default is not None and not self.has(name):
            return default
        value = self.take(name, example)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, f"{value!r} isn't text in quotes", example)
        return value.strip()

    def texts(self, name: str, example: str) -> list[str]:
        value = self.take(name, example)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, f"{value!r} isn't a list of text in quotes", example)
        return value

    def words(self, name: str, languages: tuple[str, ...], default: Words | None = None) -> Words:
        if default is not None and not self.has(name):
            return default
        example = f"{name} = {{ " + ", ".join(f'{language} = "…"' for language in languages) + " }"
        value = self.take(name, example)
        if not isinstance(value, dict):
            raise self.wrong(name, f"{value!r} isn't text by language", example)
        table = self._below(name, value)
        words = {language: table.text(language, example) for language in languages}
        table.refuse_rest()
        return words

    def flag(self, name: str, default: bool = False) -> bool:
        if not self.has(name):
            return default
        value = self.take(name, "")
        if not isinstance(value, bool):
            raise self.wrong(name, f"{value!r} isn't true or false", f"{name} = true")
        return value

    def number(self, name: str, low: int, high: int) -> int:
        example = f"{name} = {max(low, 3)}"
        value = self.take(name, example)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"{value!r} isn't a whole number from {low} to {high}", example)
        return value

    def numbers(self, name: str, count: int, example: str) -> list[float]:
        value = self.take(name, example)
        if (
            not isinstance(value, list)
            or len(value) != count
            or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in value)
        ):
            raise self.wrong(name, f"{value!r} isn't a list of {count} numbers", example)
        try:
            return [float(n) for n in value]
        except OverflowError as error:
            raise self.wrong(name, "has a number that's too large", example) from error

    def dates(self, name: str) -> list[date]:
        """Days, written without quotes; none where the key is missing."""
        if not self.has(name):
            return []
        example = f"{name} = [2026-12-24, 2026-12-31]"
        value = self.take(name, example)
        # A date with a time is a date as well, to Python.
        if not isinstance(value, list) or not all(
            isinstance(day, date) and not isinstance(day, datetime) for day in value
        ):
            raise self.wrong(name, "isn't a list of dates without quotes", example)
        return value

    def day(self, name: str, example: str) -> date:
        """One day, written without quotes."""
        value = self.take(name, example)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.wrong(name, f"{value!r} isn't a date without quotes", example)
        return value

    def one_of(self, name: str, choices: set[str] | tuple[str, ...]) -> str:
        listed = sorted(choices)
        example = f'{name} = "{listed[0]}"' if listed else f'{name} = "…"'
        value = self.take(name, example)
        if value not in listed:
            raise self.wrong(name, f"{value!r} isn't one of {', '.join(listed) or 'nothing'}", example)
        return str(value)

    def tables(self, name: str, example: str) -> Iterator[tuple[str, "Table"]]:
        """The named tables below `name`, in the order of the file."""
        value = self.take(name, example)
        if not isinstance(value, dict) or not all(isinstance(row, dict) for row in value.values()):
            raise self.wrong(name, "isn't a group of tables", example)
        for code, row in value.items():
            if not code or len(code) > 40:
                raise self.wrong(name, f"the code {code!r} doesn't have 1 to 40 characters", example)
            yield code, self._below(f"{name}.{code}", row)

    def table(self, name: str) -> "Table":
        """The one table below `name`; an empty one where it is missing."""
        value = self.values.get(name, {})
        self.known.add(name)
        if not isinstance(value, dict):
            raise self.wrong(name, f"{value!r} isn't a table", f"[{self.key}{name}]")
        return self._below(name, value)

    def rows(self, name: str) -> Iterator["Table"]:
        """The tables of the list `name`, which may be missing."""
        if not self.has(name):
            return
        value = self.take(name, "")
        if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
            raise self.wrong(name, "isn't a list of tables", f"[[{self.key}{name}]]")
        for n, row in enumerate(value, start=1):
            yield self._below(f"{name}[{n}]", row)

    def refuse_rest(self) -> None:
        """Raises for the first key that nobody asked for: it is most likely misspelt."""
        for name in self.values:
            if name not in self.known:
                raise self.wrong(name, "isn't a known key", f"one of {', '.join(sorted(self.known))}")

    def take(self, name: str, example: str) -> Any:
        """The bare value; raises where it is missing."""
        self.known.add(name)
        if name not in self.values:
            unread = [key for key in self.values if key not in self.known]
            like = "".join(difflib.get_close_matches(name, unread, n=1))
            line = self.lines().get(f"{self.key}{like}")
            raise self.wrong(
                name, f"is missing, but line {line} has {like}" if like else "is missing", example
            )
        return self.values[name]

    def _below(self, name: str, values: Mapping[str, Any]) -> "Table":
        return Table(self.name, f"{self.key}{name}.", values, self.lines)


class _Scan:
    """Reads TOML once from front to back and notes where keys stand; tomllib, which reads it too, does not.

    It may be careless about what is allowed, since only what tomllib took comes here.
    """

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._breaks = [i for i, c in enumerate(text) if c == "\n"]
        self._counts: dict[str, int] = {}  # how many tables a [[list]] has so far
        self.found: dict[str, int] = {}

    def file(self) -> None:
        table = ""
        while self._skip_blank():
            if self._took("[["):
                table = self._opened(self._keys(), many=True)
                self._took("]]")
            elif self._took("["):
                table = self._opened(self._keys(), many=False)
                self._took("]")
            else:
                self._pair(table)

    def _opened(self, keys: list[tuple[str, int]], *, many: bool) -> str:
        """The name of a table whose header was read; what stands in a [[list]] belongs to its last one."""
        path = ""
        for n, (key, at) in enumerate(keys, start=1):
            path = f"{path}.{key}" if path else key
            self._note(path, at)
            if many and n == len(keys):
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                path = f"{path}[{self._counts[path]}]"
                self._note(path, at)
        return path

    def _pair(self, table: str) -> None:
        path = table
        for key, at in self._keys():
            path = f"{path}.{key}" if path else key
            self._note(path, at)
        self._skip_blank()
        self._took("=")
        self._value(path)

    def _value(self, path: str) -> None:
        self._skip_blank()
        if self._took("{"):
            while self._skip_blank() and not self._took("}"):
                if not self._took(","):
                    self._pair(path)
        elif self._took("["):
            n = 0
            while self._skip_blank() and not self._took("]"):
                if not self._took(","):
                    n += 1
                    self._note(f"{path}[{n}]", self._at)
                    self._value(f"{path}[{n}]")
        elif string := _STRING.match(self._text, self._at):
            self._at = string.end()
        else:
            bare = _BARE_VALUE.match(self._text, self._at)
            self._at = bare.end() if bare else len(self._text)

    def _keys(self) -> list[tuple[str, int]]:
        """A key in its parts, each with where it begins: `a."b c".d`."""
        parts: list[tuple[str, int]] = []
        while True:
            self._skip_blank()
            found = _KEY.match(self._text, self._at)
            if found is None:
                return parts
            raw = found[0]
            parts.append((tomllib.loads(f"x = {raw}")["x"] if raw[0] in "\"'" else raw, self._at))
            self._at = found.end()
            self._skip_blank()
            if not self._took("."):
                return parts

    def _note(self, path: str, at: int) -> None:
        self.found.setdefault(path, bisect_left(self._breaks, at) + 1)

    def _skip_blank(self) -> bool:
        """Goes on to what is neither space nor comment; False at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._at < len(self._text)

    def _took(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True


_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_BARE_VALUE = re.compile(r"[^,\]}\n#]+")

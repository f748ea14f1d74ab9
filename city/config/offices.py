"""Who else takes a call: the city's departments by their numbers, and offices that are none of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from city.config.business_hours import Calendar
from city.config.toml_table import Table, Words
from city.lifecycle import ELSEWHERE

PHONE = 'phone = "555-0120"'


@dataclass(frozen=True)
class Office:
    """An office that is no department. `phone` is "" and `hours` None where the file does not say.

    `words` are what people say who want it, in every language; without any it is found by its name.
    """

    code: str
    names: Words
    phone: str
    hours: Calendar | None
    words: Words


def offices_of(top: Table, languages: tuple[str, ...], calendars: Mapping[str, Calendar]) -> Iterator[Office]:
    """The offices of the file's `elsewhere`; none where it has none. Raises CityFileError."""
    if not top.has("elsewhere"):
        return
    for code, row in top.tables("elsewhere", "[elsewhere.utility]"):
        if code not in ELSEWHERE:
            raise top.wrong(
                "elsewhere", f"{code!r} isn't one of {', '.join(ELSEWHERE)}", "[elsewhere.utility]"
            )
        yield Office(
            code, row.words("names", languages), *answering(row, calendars), row.words("words", languages, {})
        )
        row.refuse_rest()


def answering(row: Table, calendars: Mapping[str, Calendar]) -> tuple[str, Calendar | None]:
    """The number of a department or office, and when somebody answers there."""
    hours = calendars[row.one_of("hours", set(calendars))] if row.has("hours") else None
    return row.text("phone", PHONE, ""), hours

"""Sentences, dates, clocks, distances and numbers in the reader's language and the city's region.

The region is the city file's and not the language's: Spanish in the US reads "vie, 4 de dic" and "5:12 p.m.".
The patterns are those of the CLDR, as Babel has them. Crews' phones write by the same ones, see
`for_scripts`. What goes to programs (CSV, JSON, Open311) is ISO and does not come from here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache, lru_cache, wraps
from typing import Any, Final, TypeVar

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.languages import get_official_languages
from babel.numbers import format_decimal
from babel.units import format_unit
from flask import Flask, request
from flask_babel import Babel, Domain, get_locale
from flask_babel import get_translations as _catalogue
from flask_babel import gettext as _
from jinja2 import pass_eval_context
from jinja2.nodes import EvalContext
from markupsafe import Markup

from pwa.web import access

NBSP: Final = "\u00a0"
SOURCE: Final = "en"  # the language in which the sentences of code and templates are written
# Regions of the US system by the CLDR's measurementData, and the territories of the US.
FEET: Final = frozenset({"US", "LR", "PR", "GU", "VI", "AS", "MP"})
FOOT: Final = 0.3048  # meters
MILE: Final = 1609.344
# Lengths are rounded as people say them: from so many on, to so many.
STEPS_FEET: Final = ((500, 50), (30, 10))
STEPS_METERS: Final = ((100, 10),)
FARTHEST: Final = 40_000_000.0  # meters, around the earth
MOST_FIGURE: Final = 10**15  # more digits are no number that somebody reads, and some are too many for Babel
MOST_SMALL: Final = 1000  # feet or meters; from there on people say miles or kilometers
_COUNT: Final = re.compile(r"%\((\w+)\)d")
# Date patterns by how much they say; the first that the CLDR has is taken, widened as UTS 35 says.
_ROW: Final = ("MMMEd",)
_SENTENCE: Final = ("MMMMEEEEd", "MMMMEd", "MMMEd")
_OTHER_YEAR: Final = ("yMMMd",)

_Words = TypeVar("_Words")


def init(app: Flask, first: str) -> None:
    """Sentences and filters for code and templates; `first` is the language of addresses without a prefix."""
    Babel(app, locale_selector=lambda: locale_of(request.environ.get("cityline.lang", first)))
    # flask-babel takes the name of a domain only, and this is a class of our own.
    app.extensions["babel"].instance.domain_instance = _Sentences()  # type: ignore[no-untyped-call]
    app.jinja_env.filters.update(
        t=said, day=day, long_day=long_day, long_date=long_date, date=full_date, clock=clock, moment=moment,
        distance=distance, figure=figure, tongue=language_name, stopped=stopped,
    )  # fmt: skip
    app.jinja_env.globals |= {"_": _gettext, "ngettext": _ngettext}


def locale_of(lang: str) -> Locale:
    """The language as the city's region writes it; as anywhere where the CLDR does not have the two.

    English where it does not have the language either.
    """
    return _locale(lang, access.current_city().city.region)


@cache
def _locale(lang: str, region: str) -> Locale:
    for known in (f"{lang}_{region}", lang, SOURCE):
        try:
            return Locale.parse(known)
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError(SOURCE)


def current_locale() -> Locale:
    """The reader's locale."""
    return get_locale() or Locale(SOURCE)


def lang() -> str:
    """The reader's language: "en", "es"."""
    return str(current_locale().language)


def tag() -> str:
    """The reader's language and the city's region as browsers name both: "es-US"."""
    return f"{lang()}-{access.current_city().city.region}"


# Sentences


class _Sentences(Domain):
    """gettext and ngettext for code: a count in a sentence is grouped as on the rest of the page."""

    def gettext(self, string: str, **facts: Any) -> str:
        text = _catalogue().ugettext(string)
        return filled(_by_name(text), _localized_facts(facts)) if facts else text

    def ngettext(self, singular: str, plural: str, num: int, **facts: Any) -> str:
        text = _catalogue().ungettext(singular, plural, num)
        return filled(_by_name(text), _localized_facts({"num": num} | facts))


@pass_eval_context
def _gettext(page: EvalContext, text: str, /, **facts: Any) -> str:
    """gettext() for templates, which say some hundred sentences a page: each is looked up once a language."""
    return filled(_looked_up(text, get_locale(), page.autoescape), _apart(facts))


@pass_eval_context
def _ngettext(page: EvalContext, one: str, many: str, num: int, /, **facts: Any) -> str:
    """ngettext() for templates; `num` in the sentence is the number that chose its form."""
    text = _by_name(_catalogue().ungettext(one, many, num))
    return filled(Markup(text) if page.autoescape else text, _apart({"num": num} | facts))  # noqa: S704


@cache
def _looked_up(text: str, _reader: Locale | None, escapes: bool) -> str:
    found = _by_name(_catalogue().ugettext(text))
    return Markup(found) if escapes else found  # noqa: S704 translators are ours


@lru_cache(maxsize=4_000)
def _by_name(text: str) -> str:
    """The sentence with its counts as text, which _localized_facts() has grouped."""
    return _COUNT.sub(r"%(\1)s", text)


def filled(text: str, facts: dict[str, Any]) -> str:
    """The sentence with its facts. A fact that ends with a period ("5 p.m.") ends the sentence by itself."""
    for name, fact in facts.items():
        if isinstance(fact, str) and fact.endswith(".") and f"%({name})s." in text:
            text = text.replace(f"%({name})s.", f"%({name})s")
    return text % facts


def stopped(words: str) -> str:
    """The words as a sentence of their own, with the period at its end."""
    return words if words.endswith((".", "…", "?", "!")) else f"{words}."


def _localized_facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: figure(fact) if type(fact) is int else fact for name, fact in facts.items()}


def _apart(facts: dict[str, Any]) -> dict[str, Any]:
    told = _localized_facts(facts)
    if not _is_leftward(get_locale()):
        return told
    return {name: apart(fact) if isinstance(fact, str) else fact for name, fact in told.items()}


def apart(text: str) -> str:
    """A name, number or place that keeps its own direction in a language from right to left. Links need none.

    By Unicode's isolates, which work in titles and attributes too: "214 Elm St" would read "Elm St 214".
    """
    if not text or "://" in text or not _is_leftward(get_locale()):
        return text
    return type(text)(f"\u2068{text}\u2069")  # Markup stays what it is


def _is_leftward(reader: Locale | None) -> bool:
    return reader is not None and reader.text_direction == "rtl"


def once_a_language(words: Callable[[], dict[str, _Words]]) -> Callable[[], dict[str, _Words]]:
    """Words that a page asks for on every row: put together once in every language."""
    known: dict[str, dict[str, _Words]] = {}

    @wraps(words)
    def told() -> dict[str, _Words]:
        language = str(get_locale())
        if language not in known:
            known[language] = words()
        return known[language]

    return told


def said(names: Mapping[str, str]) -> str:
    """The city's own words for the reader's language; those of its first language where there are none."""
    return names.get(lang()) or next(iter(names.values()), "")


def language_name(code: str, *, heading: bool = False) -> str:
    """A language's name in the reader's own, which writes it small except where it heads something."""
    try:
        name = str(Locale.parse(code).get_language_name(get_locale()) or code)
    except (ValueError, UnknownLocaleError):
        return code
    return name[:1].upper() + name[1:] if heading else name


# Days and clocks


def local(at: datetime) -> datetime:
    """The instant on the city's own clocks; in UTC at either end of the calendar, where a phone's may be."""
    try:
        return at.astimezone(access.current_city().city.time_zone)
    except OverflowError:
        return at


def today() -> date:
    """The day it is in the city."""
    return local(access.now()).date()


def day(at: datetime) -> str:
    """For rows: "Fri, Dec 4"; "Dec 4, 2025" where it is another year. Never broken."""
    return short_day(local(at).date())


def short_day(on: date) -> str:
    """The same for a day that no hour belongs to."""
    return _unbroken(
        format_date(on, _pattern(_ROW if on.year == today().year else _OTHER_YEAR), current_locale())
    )


def full_date(on: date) -> str:
    """For rows, always with its year: "Dec 4, 2026"."""
    return _unbroken(format_date(on, _pattern(_OTHER_YEAR), current_locale()))


def long_day(at: datetime) -> str:
    """For sentences: "Friday, December 4"; "Friday, December 4, 2025" where it is another year."""
    return long_date(local(at).date())


def long_date(on: date) -> str:
    """The same for a day that no hour belongs to. It breaks after a comma only."""
    pattern: Any = _pattern(_SENTENCE) if on.year == today().year else current_locale().date_formats["full"]
    return re.sub(r"(?<!,) ", NBSP, str(format_date(on, pattern, current_locale())))


def weekday(on: date) -> str:
    """ "Friday"."""
    return str(format_date(on, "EEEE", current_locale()))


def month(on: date) -> str:
    """ "December 2026"."""
    return str(format_date(on, current_locale().datetime_skeletons["yMMMM"].pattern, current_locale()))


def clock(at: datetime) -> str:
    """ "5:12 pm", "8 pm"; "17:12" in a region that counts hours to 24."""
    here = local(at)
    minutes, hours = _clocks(current_locale(), access.current_city().city.region)
    words = format_time(here, hours if here.minute == 0 else minutes, locale=current_locale())
    return _unbroken(words).lower()


def moment(at: datetime) -> str:
    """For rows: "Today at 5:12 pm" or "Sun, Nov 22 at 6:41 pm"."""
    days = (today() - local(at).date()).days
    named = {0: _("Today"), 1: _("Yesterday")}.get(days) or day(at)
    return _("%(day)s at %(time)s", day=named, time=clock(at))


def _pattern(skeletons: tuple[str, ...]) -> str:
    return _widened(current_locale(), skeletons)


@cache
def _widened(reader: Locale, skeletons: tuple[str, ...]) -> str:
    """The pattern of the first skeleton that the locale has, its fields as wide as the first of all asks."""
    known = reader.datetime_skeletons
    has = next(skeleton for skeleton in skeletons if skeleton in known)
    pattern = str(known[has].pattern)
    for wide, narrow in (("EEEE", r"(?<![Ec])(?:E{1,3}|ccc)(?![Ec])"), ("MMMM", r"(?<!M)MMM(?!M)")):
        if wide in skeletons[0] and wide not in has:
            pattern = re.sub(narrow, wide, pattern)
    return pattern


@cache
def _clocks(reader: Locale, region: str) -> tuple[str, str]:
    """Patterns of a clock: with its minutes, and on the hour.

    Whether hours go to 12 or to 24 is the region's custom, as its own language has it, whatever the reader's.
    """
    spoken = get_official_languages(region, de_facto=True)
    own = _locale(spoken[0], region) if spoken else reader
    skeletons = ("hm", "h") if "a" in own.time_formats["short"].pattern else ("Hm", "Hm")
    minutes, hours = (str(reader.datetime_skeletons[name].pattern) for name in skeletons)
    return minutes, hours


def _unbroken(words: object) -> str:
    return str(words).replace("\u202f", NBSP).replace(" ", NBSP)


# Numbers and distances


def figure(n: int) -> str:
    """ "100,000", as the reader's language and region group it."""
    return str(n) if -1000 < n < 1000 or abs(n) >= MOST_FIGURE else _figure(n, get_locale())


@lru_cache(maxsize=10_000)  # the board says some fifty, and mostly the same
def _figure(n: int, reader: Locale | None) -> str:
    return format_decimal(n, locale=reader)


def hours(n: int) -> str:
    """ "1,506 hr"."""
    return _unbroken(format_unit(n, "duration-hour", "short", locale=current_locale()))


def distance(meters: float) -> str:
    """ "130 ft", "0.4 mi"; "40 m", "1.2 km" outside the US. Rounded as people say it.

    From elsewhere come lengths that no place has: negative, endless, none. They are the nearest that one has.
    """
    near = min(max(meters, 0), FARTHEST) if meters == meters else FARTHEST  # only a NaN differs from itself
    return apart(_distance(near, current_locale(), access.current_city().city.region in FEET))


@lru_cache(maxsize=2_000)
def _distance(meters: float, reader: Locale, in_feet: bool) -> str:
    if in_feet:
        small, unit = _rounded(meters / FOOT, STEPS_FEET), "length-foot"
        large, large_unit = meters / MILE, "length-mile"
    else:
        small, unit = _rounded(meters, STEPS_METERS), "length-meter"
        large, large_unit = meters / 1000, "length-kilometer"
    told, unit = (small, unit) if small < MOST_SMALL else (round(large * 10) / 10, large_unit)
    return _unbroken(format_unit(told, unit, "short", locale=reader))


def _rounded(length: float, steps: tuple[tuple[int, int], ...]) -> int:
    """To the step of the first entry whose bound is reached."""
    step = next((step for bound, step in steps if length >= bound), 1)
    return round(length / step) * step


# What scripts write by themselves


CONTEXTS: Final = (
    "format",
    "stand-alone",
)  # some languages bend a name beside a number, as Russian its months


def for_scripts() -> dict[str, Any]:
    """The patterns and names by which a crew's phone writes days, clocks and distances without the city."""
    reader, region = current_locale(), access.current_city().city.region
    minutes, hours = _clocks(reader, region)
    return {
        "tag": tag(),
        "row": _pattern(_ROW),
        "otherYear": _pattern(_OTHER_YEAR),
        "clock": minutes,
        "hour": hours,
        "weekdays": {name: _from_sunday(reader.days[name]["abbreviated"]) for name in CONTEXTS},
        "months": {name: list(reader.months[name]["abbreviated"].values()) for name in CONTEXTS},
        "periods": [reader.day_periods["format"]["abbreviated"][half].lower() for half in ("am", "pm")],
        "units": _units(reader, region in FEET),
        "mostSmall": MOST_SMALL,
    }


def _from_sunday(days: Mapping[int, str]) -> list[str]:
    return [days[(n - 1) % 7] for n in range(7)]


def _units(reader: Locale, in_feet: bool) -> list[dict[str, Any]]:
    """A short and a long unit of length: its meters, how it is rounded, how a number of it is written."""
    feet = (("foot", FOOT, STEPS_FEET), ("mile", MILE, None))
    meters = (("meter", 1.0, STEPS_METERS), ("kilometer", 1000.0, None))
    return [
        {"meters": length, "steps": steps, "words": _counted(f"length-{name}", reader)}
        for name, length, steps in (feet if in_feet else meters)
    ]


def _counted(unit: str, reader: Locale) -> dict[str, str]:
    """A number of a unit in each plural form of the language, with {n} where it names the number."""
    forms: dict[str, str] = {}
    for n in (*range(201), 0.5, 1_000_000):
        form = reader.plural_form(n)
        if form not in forms:
            number = format_decimal(n, locale=reader)
            forms[form] = _unbroken(format_unit(n, unit, "short", locale=reader)).replace(number, "{n}")
    return forms

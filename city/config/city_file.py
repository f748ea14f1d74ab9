"""The city file: what one city is called, where it lies, what it mends and who does it. Read and checked."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from phonenumbers import SUPPORTED_REGIONS

from city import files
from city.config import branding, business_hours, quiet_hours
from city.config.branding import Look
from city.config.business_hours import Calendar
from city.config.calendars import LINE, calendars_of, ordinary
from city.config.canned_replies import Reply, replies_of
from city.config.collection_schedule import Collection, collection_of
from city.config.costs import NO_COSTS, Costs, costs_of
from city.config.offices import Office, answering, offices_of
from city.config.quiet_hours import Quiet
from city.config.retention_schedule import FOR_EVER, Schedule, schedule_of
from city.config.routing import Rule
from city.config.toml_table import CityFileError as CityFileError
from city.config.toml_table import Table, Words, read
from city.geo import Box, Point
from city.lifecycle import PRIORITY_REPORTERS, WAIT_REASONS
from city.questions import DATATYPES, MOST_DEPENDENTS, Choice, Condition, Question, dependents
from city.settings import PUBLISH

MOST_BYTES = 10_000_000  # of a city file or a logo
MOST_AS_TILES = 40  # kinds of problem that are looked over as tiles and their chips
MOST_DEPTH = 4  # questions, each asked within the other
WORK = ("field", "office")
# What a service says of a problem that lies somewhere, and why an office's does not.
OF_THE_FIELD = {
    "default": "it picks a category on the report form",
    "chips": "they appear on the report form",
    "asset_kind": "poles, trees, and trash cans are fixed in the field",
    "precision_m": "it sets how exactly a location is shown",
    "urgent": "danger needs a crew",
    "hazard": "crews read it on site",
}
# What reporters and followers hear of by themselves, each by its kind of message; a city may switch each off.
NEWS = ("changed", "corrected", "late", "reopened")
ASSET_KINDS = ("pole", "tree", "basket")
NAME = 'name = "Larkhaven"'
LICENCE_URL = 'licence_url = "https://creativecommons.org/publicdomain/zero/1.0/"'
WEB = 'web = "https://www.example.org/outages"'
LOGO = 'logo = "logo.svg"'


@dataclass(frozen=True)
class Department:
    """Who is responsible."""

    code: str
    names: Words
    calendar: str | None = None  # by which its working hours are counted
    phone: str = ""  # to which its calls are transferred,
    hours: Calendar | None = None  # and when somebody answers there


@dataclass(frozen=True)
class Group:
    """A tile of the report form. `icon` is a symbol's name without its `i-`; `ask` stands over the chips."""

    code: str
    icon: str
    names: Words
    ask: Words


@dataclass(frozen=True)
class Service:
    """A kind of problem.

    It promises either `promise_days`, calendar days, or `promise_hours`, working hours of its own `calendar`
    or its department's; the other one is 0 or None. See CityFile.working(). What is `office` work goes to no
    crew, has no place and is private; it is asked for at the call desk only.
    """

    code: str
    group: str
    names: Words
    chips: Words
    is_default: bool
    position: int
    department_code: str
    promise_days: int
    questions: tuple[Question, ...]
    asset_kind: str | None
    precision_m: int
    private: bool
    urgent: bool
    promise_hours: int | None = None
    calendar: str | None = None
    hazard: Words | None = None
    many: int = PRIORITY_REPORTERS
    waits: dict[str, list[int]] = field(default_factory=dict)  # by reason: days, and days at most
    office: bool = False
    words: Words = field(default_factory=dict)  # what else people call it


@dataclass(frozen=True)
class Owner:
    """A utility or whoever else mends things of its own.

    `names` are what registers call it, case folded, its own name and code among them. `phone` and `web` are
    empty where the file does not say.
    """

    code: str
    name: str
    names: frozenset[str]
    phone: str
    web: str


@dataclass(frozen=True)
class Topic:
    """What a conversation is about, and who knows of it. `services` are those that such calls lead to.

    `words` are what people say who call about it.
    """

    code: str
    names: Words
    department_code: str
    services: tuple[str, ...] = ()
    words: Words = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CityFile:
    """One city; itself and like no other, so that what is made of it can be kept.

    The first language is its own; `phone` and `emergency` are numbers to call. `publish` is what
    CITYLINE_PUBLISH is where nobody sets it. `calendars` are by name. A case that has been late for
    `late_days` is a supervisor's; None where the file does not say, as with `quiet`. `ring_after` is how long
    danger may go unaccepted before it rings for those on duty, zero for ever; `ring_again` is between rings.
    """

    name: str
    time_zone: ZoneInfo
    languages: tuple[str, ...]
    phone: str
    emergency: str
    region: str  # the country: how days, clocks and lengths are written, where a number without a code lies
    area_code: str  # and the area of one that a town's people say without it; "" where there is none
    centre: Point
    bounds: Box
    look: Look
    publish: str
    name_crews: bool  # whether residents read which crew and department has their case
    calendars: dict[str, Calendar]
    departments: tuple[Department, ...]
    groups: tuple[Group, ...]
    services: tuple[Service, ...]
    routing: tuple[Rule, ...]
    topics: tuple[Topic, ...]
    owners: tuple[Owner, ...]
    elsewhere: tuple[Office, ...]
    collection: Collection
    replies: tuple[Reply, ...]
    costs: Costs = NO_COSTS
    late_days: int | None = None
    ring_after: timedelta = timedelta(minutes=30)
    ring_again: timedelta = timedelta(minutes=30)
    quiet: Quiet | None = None
    silent: frozenset[str] = frozenset()  # the kinds of NEWS that the city sends to nobody
    licence: str = ""  # under which the open data may be used; "" where the file does not say
    licence_url: str = ""
    retention: Schedule = FOR_EVER

    @property
    def line(self) -> Calendar | None:
        """When somebody answers the phone; None where the file does not say."""
        return self.calendars.get(LINE)

    def owner(self, words: str) -> Owner | None:
        """The owner that a register calls so; None for one that the file does not name."""
        return next((owner for owner in self.owners if words.casefold() in owner.names), None)

    def working(self, service: Service) -> Calendar:
        """By which a service's hours are counted: its own calendar, its department's, or the line's."""
        department = next(one for one in self.departments if one.code == service.department_code)
        name = service.calendar or department.calendar or LINE
        return self.calendars.get(name) or ordinary(self.time_zone)

    def of_group(self, code: str) -> tuple[Service, ...]:
        """The services behind a tile, in the order of their chips; an office's have none."""
        return tuple(service for service in self.services if service.group == code and not service.office)

    @property
    def groups_for_residents(self) -> tuple[Group, ...]:
        """The groups that residents choose from, as tiles: an office's stand on no form of theirs."""
        return tuple(group for group in self.groups if self.of_group(group.code))

    @property
    def for_residents(self) -> tuple[Service, ...]:
        """The services that residents and crews may tell of."""
        return tuple(service for service in self.services if not service.office)

    def topic_of(self, service: Service) -> Topic | None:
        """What a call that leads to this service is about: what names it, else what its department knows."""
        naming = [topic for topic in self.topics if service.code in topic.services]
        theirs = [topic for topic in self.topics if topic.department_code == service.department_code]
        return next(iter([*naming, *theirs, *self.topics]), None)

    @property
    def has_many_kinds(self) -> bool:
        """Whether residents choose by search and groups: tiles with their chips would be too many."""
        return len(self.for_residents) > MOST_AS_TILES

    @property
    def catch_all(self) -> Service:
        """The service of what fits no other: what the last tile stands for."""
        return self.default_of(self.groups_for_residents[-1].code)

    def default_of(self, group: str) -> Service:
        """The service that a tile stands for when no chip is chosen."""
        return next(service for service in self.of_group(group) if service.is_default)


def load(path: Path) -> CityFile:
    """The city that the file at `path` describes; raises CityFileError."""
    return parse(read_with_logo(path), path.name)


def read_with_logo(path: Path) -> str:
    """The words of the file with the logo that lies beside it, so that nothing else is needed later.

    Raises CityFileError where one of them cannot be read. A logo that was written in already stays.
    """
    text = _words_of(path)
    top = read(text, path.name, NAME)
    wanted = top.table("look")
    if not wanted.has("logo") or "files" in top.values:
        return text
    logo = wanted.text("logo", LOGO)
    if Path(logo).name != logo:
        raise wanted.wrong("logo", f"{logo!r} isn't next to the city file", LOGO)
    try:
        svg = files.text(path.parent / logo, MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise wanted.wrong("logo", f"{logo!r} can't be read ({files.why(error)})", LOGO) from error
    # JSON's strings are TOML's, but for one letter that no drawing needs.
    written = json.dumps(svg, ensure_ascii=False).replace("\x7f", "")
    return f"{text.rstrip()}\n\n[files]\n{json.dumps(logo, ensure_ascii=False)} = {written}\n"


def parse(text: str, name: str) -> CityFile:
    """The city that these words describe, looking at no disk; raises CityFileError. Faults call it `name`."""
    top = read(text, name, NAME)
    languages = _languages(top)
    zone = top.zone("time_zone")
    calendars = dict(calendars_of(top, zone))
    departments = tuple(_departments(top, languages, calendars))
    groups = tuple(_groups(top, languages))
    services = tuple(
        _services(top, languages, {d.code for d in departments}, {g.code for g in groups}, set(calendars))
    )
    _check_defaults(top, groups, services)
    bounds, centre = _ground(top)
    ring_after, ring_again = _danger(top)
    quiet, silent = _news(top, zone)
    city = CityFile(
        name=top.text("name", NAME),
        time_zone=zone,
        languages=languages,
        phone=top.text("phone", 'phone = "311"', "311"),
        emergency=top.text("emergency", 'emergency = "911"', "911"),
        region=_region(top),
        area_code=_area_code(top),
        centre=centre,
        bounds=bounds,
        look=_look(top),
        publish=top.one_of("publish", PUBLISH) if top.has("publish") else PUBLISH[0],
        name_crews=top.flag("name_crews", True),
        calendars=calendars,
        departments=departments,
        groups=groups,
        services=services,
        routing=tuple(_rules(top, departments, groups, services)),
        topics=tuple(_topics(top, languages, departments, services)),
        owners=tuple(_owners(top)),
        elsewhere=tuple(offices_of(top, languages, calendars)),
        collection=collection_of(top, calendars, {g.code for g in groups}),
        replies=tuple(
            replies_of(top, languages, {g.code for g in groups}, {x.code: x.office for x in services})
        ),
        costs=costs_of(top, languages, {d.code for d in departments}),
        late_days=_escalation(top),
        ring_after=ring_after,
        ring_again=ring_again,
        quiet=quiet,
        silent=silent,
        **_licence(top),
        retention=schedule_of(top),
    )
    top.refuse_rest()
    _check_promises(top, city)
    return city


def _words_of(path: Path) -> str:
    try:
        return files.text(path, MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise CityFileError(
            path.name, None, "the file", f"can't be read ({files.why(error)})", "CITYLINE_CITY=/etc/city.toml"
        ) from error


def _languages(top: Table) -> tuple[str, ...]:
    if not top.has("languages"):
        return ("en",)
    example = 'languages = ["en", "es"]'
    found = top.texts("languages", example)
    if odd := [code for code in found if not re.fullmatch("[a-z]{2,3}", code) or found.count(code) > 1]:
        raise top.wrong("languages", f"{odd[0]!r} isn't a language, or is listed twice", example)
    return tuple(found)


def _region(top: Table) -> str:
    example = 'region = "US"'
    region = top.text("region", example, "US")
    if region not in SUPPORTED_REGIONS:
        raise top.wrong("region", f"{region!r} isn't a two-letter country code", example)
    return region


def _area_code(top: Table) -> str:
    example = 'area_code = "555"'
    code = top.text("area_code", example, "")
    if code and not re.fullmatch("[0-9]{1,6}", code):
        raise top.wrong("area_code", f"{code!r} isn't one to six digits", example)
    return code


def _look(top: Table) -> Look:
    row = top.table("look")
    primary = row.text("primary", f'primary = "{branding.PRIMARY}"', branding.PRIMARY).lower()
    if fault := branding.fault_of_primary(primary):
        raise row.wrong("primary", fault, f'primary = "{branding.PRIMARY}"')
    accent = row.text("accent", f'accent = "{branding.ACCENT}"', branding.ACCENT).lower()
    if fault := branding.fault_of_accent(accent):
        raise row.wrong("accent", fault, f'accent = "{branding.ACCENT}"')
    logo = row.text("logo", LOGO, "")
    files = top.table("files")
    svg = files.text(logo, f'"{logo}" = "<svg …>"') if logo else ""
    if svg and (fault := branding.fault_of_logo(svg)):
        raise row.wrong("logo", f"{logo} {fault}", LOGO)
    row.refuse_rest()
    files.refuse_rest()
    return Look(primary, accent, svg)


def _departments(
    top: Table, languages: tuple[str, ...], calendars: Mapping[str, Calendar]
) -> Iterator[Department]:
    for code, row in top.tables("departments", "[departments.lights]"):
        calendar = row.one_of("calendar", set(calendars)) if row.has("calendar") else None
        yield Department(code, row.words("names", languages), calendar, *answering(row, calendars))
        row.refuse_rest()


def _groups(top: Table, languages: tuple[str, ...]) -> Iterator[Group]:
    for code, row in top.tables("groups", "[groups.streetlight]"):
        icon = row.text("icon", 'icon = "lightbulb"', "signpost")
        names = row.words("names", languages)
        yield Group(code, icon, names, row.words("ask", languages, names))
        row.refuse_rest()


def _services(
    top: Table, languages: tuple[str, ...], departments: set[str], groups: set[str], calendars: set[str]
) -> Iterator[Service]:
    many, waits = _many(top), _waits(top)
    for position, (code, row) in enumerate(top.tables("services", "[services.light-out]"), start=1):
        names = row.words("names", languages)
        days, hours = _promise(row)
        office = row.has("work") and row.one_of("work", WORK) == WORK[1]
        if office:
            _check_office(row)
        yield Service(
            code=code,
            group=row.one_of("group", groups),
            names=names,
            chips=row.words("chips", languages, names),
            is_default=row.flag("default"),
            position=position,
            department_code=row.one_of("department", departments),
            promise_days=days,
            questions=_questions(row, languages),
            asset_kind=row.one_of("asset_kind", ASSET_KINDS) if row.has("asset_kind") else None,
            precision_m=row.number("precision_m", 0, 5000) if row.has("precision_m") else 0,
            private=row.flag("private") or office,
            urgent=row.flag("urgent"),
            promise_hours=hours,
            calendar=row.one_of("calendar", calendars) if row.has("calendar") else None,
            hazard=row.words("hazard", languages) if row.has("hazard") else None,
            many=many,
            waits=waits,
            office=office,
            words=row.words("words", languages, {}),
        )
        row.refuse_rest()


def _check_office(service: Table) -> None:
    """What is work in the field only cannot stand beside `work = "office"`."""
    for key, why in OF_THE_FIELD.items():
        if service.has(key):
            fault = f'isn\'t allowed where work is "office", because {why}'
            raise service.wrong(key, fault, f"the service without {key}")
    if service.has("private") and not service.flag("private"):
        raise service.wrong("private", 'is always true where work is "office"', "the service without private")


def _many(top: Table) -> int:
    row = top.table("priority")
    many = row.number("reports", 2, 1000) if row.has("reports") else PRIORITY_REPORTERS
    row.refuse_rest()
    return many


def _waits(top: Table) -> dict[str, list[int]]:
    """How long a case waits for each reason where nobody says, and at most; in days."""
    found: dict[str, list[int]] = {}
    for reason, row in top.tables("waits", "[waits.parts]") if top.has("waits") else ():
        if reason not in WAIT_REASONS:
            known = ", ".join(WAIT_REASONS)
            raise top.wrong("waits", f"{reason!r} is no reason to wait; those are {known}", "[waits.parts]")
        usual = WAIT_REASONS[reason]
        most = row.number("most", 1, 365) if row.has("most") else usual.most
        days = row.number("days", 1, 365) if row.has("days") else min(usual.days, most)
        if days > most:
            raise row.wrong("days", f"is more than most, which is {most}", f"days = {most}")
        found[reason] = [days, most]
        row.refuse_rest()
    return found


def _promise(service: Table) -> tuple[int, int | None]:
    """Calendar days or working hours: one of them."""
    hours = service.number("promise_hours", 1, 2000) if service.has("promise_hours") else None
    if hours is None:
        return service.number("promise_days", 1, 365), None
    if service.has("promise_days"):
        fault = "promise_days is set too. A service can have only one of them"
        raise service.wrong("promise_hours", fault, "promise_hours = 16")
    return 0, hours


def _questions(service: Table, languages: tuple[str, ...]) -> tuple[Question, ...]:
    asked: list[Question] = []
    for row in service.rows("questions"):
        code = row.text("code", 'code = "blocked"')
        if code in {each.code for each in asked}:
            raise row.wrong("code", f"{code!r} is already the code of another question", 'code = "blocked"')
        asked.append(
            Question(
                code,
                row.one_of("datatype", tuple(DATATYPES)),
                row.words("words", languages),
                required=row.flag("required"),
                choices=_choices(row, languages),
                only_if=_condition(row, asked) if row.has("only_if") else None,
                hint=row.words("hint", languages) if row.has("hint") else None,
            )
        )
        row.refuse_rest()
    return tuple(asked)


def _choices(question: Table, languages: tuple[str, ...]) -> tuple[Choice, ...]:
    name = str(question.values.get("datatype"))
    choices = []
    for row in question.rows("values"):
        choices.append(Choice(row.text("code", 'code = "yes"'), row.words("words", languages)))
        row.refuse_rest()
    if DATATYPES[name].has_choices != bool(choices):
        fault = f"a {name} can't have values" if choices else f"a {name} needs values"
        raise question.wrong("datatype", fault, 'datatype = "string"')
    if DATATYPES[name].is_several and any("," in each.code for each in choices):
        raise question.wrong("datatype", "a code has a comma, which stands between answers", 'code = "yes"')
    return tuple(choices)


def _condition(question: Table, earlier: Sequence[Question]) -> Condition:
    """Which choice of an earlier question leads to this one."""
    row = question.table("only_if")
    lists = {each.code: each for each in earlier if each.choices}
    on = lists[row.one_of("question", set(lists))]
    example = f'choices = ["{on.choices[0].code}"]'
    choices = tuple(row.texts("choices", example))
    row.refuse_rest()
    if odd := [each for each in choices if each not in {choice.code for choice in on.choices}]:
        raise row.wrong("choices", f"{odd[0]!r} isn't a choice of {on.code}", example)
    if _depth(earlier, on) == MOST_DEPTH:
        raise row.wrong("question", f"leads through more than {MOST_DEPTH} questions to this one", example)
    if len(dependents(earlier, on)) == MOST_DEPENDENTS:
        raise row.wrong("question", f"{on.code} already leads to {MOST_DEPENDENTS} questions", example)
    return Condition(on.code, choices)


def _depth(questions: Sequence[Question], question: Question) -> int:
    """How many questions lead to an answer of this one, itself included."""
    by_code = {each.code: each for each in questions}
    depth = 1
    while question.only_if:
        question, depth = by_code[question.only_if.question], depth + 1
    return depth


def _topics(
    top: Table, languages: tuple[str, ...], departments: Sequence[Department], services: Sequence[Service]
) -> Iterator[Topic]:
    """Those of the file. Without any its services serve as topics, and departments that have no service: a
    contact is about something, or no call could end."""
    if not top.has("topics") or top.values["topics"] == {}:
        yield from (Topic(each.code, each.names, each.department_code, (each.code,)) for each in services)
        taken = {each.code for each in services} | {each.department_code for each in services}
        yield from (Topic(each.code, each.names, each.code) for each in departments if each.code not in taken)
        return
    known = {each.code for each in departments}
    codes = {each.code for each in services}
    for code, row in top.tables("topics", "[topics.taxes]"):
        example = 'services = ["dumping"]'
        named = tuple(row.texts("services", example)) if row.has("services") else ()
        if odd := [each for each in named if each not in codes]:
            raise row.wrong("services", f"{odd[0]!r} isn't a service", example)
        names, department = row.words("names", languages), row.one_of("department", known)
        yield Topic(code, names, department, named, row.words("words", languages, {}))
        row.refuse_rest()


def _owners(top: Table) -> Iterator[Owner]:
    if not top.has("owners"):
        return
    seen: set[str] = set()
    for code, row in top.tables("owners", "[owners.harbor-electric]"):
        name = row.text("name", 'name = "Harbor Electric"')
        known = row.texts("known_as", 'known_as = ["HECO"]') if row.has("known_as") else []
        names = frozenset(words.casefold() for words in (code, name, *known))
        if twice := seen & names:
            raise row.wrong(
                "name", f"{min(twice)!r} already belongs to another owner", 'name = "Harbor Electric"'
            )
        web = row.text("web", WEB, "")
        if web and not re.fullmatch(r"https?://\S+", web):
            raise row.wrong("web", f"{web!r} isn't a web address", WEB)
        yield Owner(code, name, names, row.text("phone", 'phone = "1-800-555-0100"', ""), web)
        row.refuse_rest()
        seen |= names


def _escalation(top: Table) -> int | None:
    row = top.table("escalation")
    late_days = row.number("late_days", 1, 365) if row.has("late_days") else None
    row.refuse_rest()
    return late_days


def _danger(top: Table) -> tuple[timedelta, timedelta]:
    row = top.table("danger")
    after = row.number("ring_after", 0, 1440) if row.has("ring_after") else 30
    again = row.number("ring_again", 5, 1440) if row.has("ring_again") else 30
    row.refuse_rest()
    return timedelta(minutes=after), timedelta(minutes=again)


def _news(top: Table, zone: ZoneInfo) -> tuple[Quiet | None, frozenset[str]]:
    row, example = top.table("news"), 'quiet = "21:00-08:00"'
    words = row.text("quiet", example, "")
    found = quiet_hours.parse(words, zone) if words else None
    if words and found is None:
        raise row.wrong("quiet", f"{words!r} isn't a time range", example)
    silent = frozenset(kind for kind in NEWS if not row.flag(kind, True))
    row.refuse_rest()
    return found, silent


def _licence(top: Table) -> dict[str, str]:
    row = top.table("open_data")
    found = {
        "licence": row.text("licence", 'licence = "CC0 1.0"', ""),
        "licence_url": row.text("licence_url", LICENCE_URL, ""),
    }
    if found["licence_url"] and not re.fullmatch(r"https?://[^\s/]\S*", found["licence_url"]):
        raise row.wrong("licence_url", f"{found['licence_url']!r} isn't a web address", LICENCE_URL)
    row.refuse_rest()
    return found


def _rules(
    top: Table,
    departments: tuple[Department, ...],
    groups: tuple[Group, ...],
    services: tuple[Service, ...],
) -> Iterator[Rule]:
    last: Table | None = None
    for row in top.rows("routing"):
        if last is not None:
            fault = "every case matches it, so the rules below it are never used"
            raise last.wrong("department", fault, 'group = "streetlight" in the same rule')
        rule = Rule(
            department=row.one_of("department", {d.code for d in departments}),
            crew=row.text("crew", 'crew = "Lights 2"', ""),
            group=row.one_of("group", {g.code for g in groups}) if row.has("group") else "",
            service=row.one_of("service", {x.code for x in services}) if row.has("service") else "",
            area=row.text("area", 'area = "Old Harbor"', ""),
        )
        _check_routed(row, rule, services)
        row.refuse_rest()
        yield rule
        last = None if rule.group or rule.service or rule.area else row


def _check_routed(row: Table, rule: Rule, services: tuple[Service, ...]) -> None:
    """Nothing of an office goes to a crew; its department alone is responsible."""
    if rule.service and next(each for each in services if each.code == rule.service).office:
        fault = f'{rule.service!r} has work = "office", so its own department gets it and no crew does'
        raise row.wrong("service", fault, 'service = "light-out"')
    theirs = [each for each in services if each.group == rule.group]
    if rule.group and theirs and all(each.office for each in theirs):
        fault = f'all services of {rule.group!r} have work = "office", so they never go to a crew'
        raise row.wrong("group", fault, 'group = "streetlight"')


def _check_defaults(top: Table, groups: tuple[Group, ...], services: tuple[Service, ...]) -> None:
    if all(service.office for service in services):
        fault = 'all have work = "office", so residents have nothing to report'
        raise top.wrong("services", fault, 'a service with work = "field"')
    for group in groups:
        theirs = [service for service in services if service.group == group.code]
        defaults = [service.code for service in theirs if service.is_default]
        if len(defaults) != 1 and not (theirs and all(service.office for service in theirs)):
            fault = f"has {len(defaults)} default services and needs exactly one"
            raise top.wrong(f"groups.{group.code}", fault, "default = true in one of its services")


def _check_promises(top: Table, city: CityFile) -> None:
    """Its calendar must hold a promise: otherwise every report of the service would fail."""
    for service in city.services:
        hours = service.promise_hours or 0
        if not business_hours.has_end(city.working(service), timedelta(hours=hours)):
            years = business_hours.LOOK_AHEAD_YEARS // 2
            fault = f"its calendar isn't open for {hours} hours within {years} years"
            raise top.wrong(f"services.{service.code}.promise_hours", fault, "promise_hours = 16")


def _ground(top: Table) -> tuple[Box, Point]:
    example = "bounds = [39.58, -71.22, 39.62, -71.18]"
    bounds = Box(*top.numbers("bounds", 4, example))
    in_order = -90 <= bounds.south < bounds.north <= 90 and -180 <= bounds.west < bounds.east <= 180
    if not in_order:
        raise top.wrong("bounds", "must be in the order south, west, north, east", example)
    middle = [(bounds.south + bounds.north) / 2, (bounds.west + bounds.east) / 2]
    centre = Point(*(top.numbers("centre", 2, "centre = [39.6, -71.2]") if top.has("centre") else middle))
    if not (bounds.south <= centre.lat <= bounds.north and bounds.west <= centre.lon <= bounds.east):
        raise top.wrong("centre", "is outside bounds, or isn't latitude, longitude", "centre = [39.6, -71.2]")
    return bounds, centre

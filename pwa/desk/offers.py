"""The lines under the desk's box, with all that they show: kinds, open cases, answers and offices."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.answers import lines as ranked
from city.answers.lines import Lines
from city.answers.search import Found
from city.board import rows as queue_rows
from city.board.rows import Row
from city.cases import queries
from city.cases import search as case_search
from city.config.city_file import CityFile, Service, Topic
from city.config.toml_table import Words
from city.db.models import Case
from city.lifecycle import OPEN
from city.matching import vocabulary
from city.matching.names import Names
from city.matching.vocabulary import Term
from city.reports import service_matcher
from pwa.desk import transfers
from pwa.desk.transfers import Transfer
from pwa.web import access

MOST = 6  # lines that are read at a glance
CASES = 2
LOOKED_AT = 50  # cases that have the words


@dataclass(frozen=True)
class Offer:
    """A line: `kind` is "service", "answer", "office" or "case", and what it leads to is what is not None.

    `because` is what else it is called, where it was found by that and its name says nothing of it.
    """

    kind: str
    service: Service | None = None
    answer: Found | None = None
    office: Transfer | None = None
    case: Row | None = None
    topic: Topic | None = None
    because: str = ""


@dataclass(frozen=True)
class Offers:
    """The lines, the best first; whether the first is chosen for the call-taker; and what was meant."""

    offers: Sequence[Offer] = ()
    is_sure: bool = False
    terms: Sequence[Term] = ()

    def marked(self, words: str, lang: str) -> list[tuple[str, bool]]:
        """A line's words in pieces, each with whether it was typed."""
        return vocabulary.marked(words, self.terms, lang)

    def marked_place(self, address: str) -> list[tuple[str, bool]]:
        """An address in pieces: streets have names of no language."""
        typed = [Term(term.word, {term.word: 1.0}, 0.0) for term in self.terms if len(term.word) > 1]
        return vocabulary.marked(address, typed, "")


def find(s: Session, typed: str, *, lang: str) -> Offers:
    """What the words in the box may mean; `lang` is the one of the answers' words."""
    if not typed.strip():
        return Offers()
    city = access.current_city().city
    if number := _numbered(s, typed):
        return Offers([_case(city, row) for row in queue_rows.of_numbers(s, [number])], is_sure=True)
    found = ranked.find(s, _named(city), typed, lang=lang, limit=MOST)
    offers = [_offer(city, line, found.terms) for line in found.lines]
    for row in _cases(s, typed, offers, found):
        same = [n for n, each in enumerate(offers) if each.service and each.service.code == row.service_code]
        offers.insert(same[0] + 1 if same else len(offers), _case(city, row))
    offers = offers[:MOST]
    return Offers([*offers, *_led_to(city, offers)], found.is_sure, found.terms)


@lru_cache(maxsize=8)
def _named(city: CityFile) -> Names:
    """All that has a name here, by keys like "service light-out"."""
    kinds = [each._replace(key=f"service {each.key}") for each in service_matcher.kinds(city, city.services)]
    offices = [
        ranked.office(each.code, each.names, _joined(each.said), _joined(each.knows))
        for each in transfers.all_of(city)
    ]
    return Names([*kinds, *offices])


def _led_to(city: CityFile, offers: Sequence[Offer]) -> list[Offer]:
    """The kinds that the first answer leads to, where they are not among the lines already."""
    first = next((each.answer for each in offers if each.answer), None)
    there = {each.service.code for each in offers if each.service}
    further = [each for each in city.services if first and each.code in first.services]
    return [
        Offer("service", service=each, topic=city.topic_of(each))
        for each in further
        if each.code not in there
    ]


def _joined(each: Sequence[Words]) -> Words:
    langs = dict.fromkeys(lang for words in each for lang in words)
    return {lang: ", ".join(words.get(lang, "") for words in each) for lang in langs}


def _offer(city: CityFile, line: ranked.Line, terms: Sequence[Term]) -> Offer:
    if line.answer:
        topic = next((each for each in city.topics if each.code == line.answer.topic_code), None)
        return Offer("answer", answer=line.answer, topic=topic)
    if line.what == "office":
        office = next(each for each in transfers.all_of(city) if each.code == line.code)
        topic = next((each for each in city.topics if each.department_code == line.code), None)
        said = vocabulary.because([office.names, *office.knows], office.said, terms)
        return Offer("office", office=office, topic=topic, because=said)
    service = next(each for each in city.services if each.code == line.code)
    said = vocabulary.because([service.names], [service.words], terms)
    return Offer("service", service=service, topic=city.topic_of(service), because=said)


def _numbered(s: Session, typed: str) -> str | None:
    """The number of an open case that was typed whole."""
    case = queries.by_number(s, typed.strip().upper()) if re.search(r"\d", typed) else None
    return case.number if case and case.state in OPEN else None


def _cases(s: Session, typed: str, offers: Sequence[Offer], found: Lines) -> list[Row]:
    """Open cases of the kinds that may be meant, where what names no kind is their street or number."""
    kinds = [each.service.code for each in offers if each.service]
    known = {term.word for term in found.terms if term.stems}
    rest = [term for term in case_search.terms(typed) if term.word not in known and len(term.word) > 1]
    if not rest or not kinds:
        return []
    there = select(Case.id).where(
        Case.id.in_(case_search.ids(s, rest, live=True)), Case.service_code.in_(kinds)
    )
    return queue_rows.of_ids(s, list(s.scalars(there.order_by(Case.id.desc()).limit(CASES))))


def _case(city: CityFile, row: Row) -> Offer:
    service = next((each for each in city.services if each.code == row.service_code), None)
    return Offer("case", service=service, case=row, topic=city.topic_of(service) if service else None)

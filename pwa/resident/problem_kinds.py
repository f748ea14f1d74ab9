"""Which problem is it? For a city with more kinds than anybody looks over: search, what is likely, all."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.config.city_file import CityFile, Group, Service
from city.geo import Point
from city.matching import vocabulary
from city.matching.vocabulary import Term
from city.reports import service_matcher, usual_kinds
from pwa.web import access, localization

SUGGESTED = 6  # two by three on a phone
FOUND = 8
EXAMPLES = 3  # names that a group shows of its kinds


@dataclass(frozen=True)
class Suggestion:
    """Kinds to choose from before anything was typed, the likeliest first, and in words what they rest on."""

    services: Sequence[Service]
    why: str


@dataclass(frozen=True)
class Found:
    """The kinds that the words may mean, best first; `read_as` are the words as they were understood."""

    services: Sequence[Service] = ()
    terms: Sequence[Term] = ()
    read_as: str = ""

    def marked(self, words: str, lang: str) -> list[tuple[str, bool]]:
        """A name in pieces, each with whether it was typed."""
        return vocabulary.marked(words, self.terms, lang)

    def because(self, service: Service) -> str:
        """What else the kind is called, where it was found by that and its name says nothing of it."""
        return vocabulary.because([service.names], [service.words], self.terms)


def suggest(s: Session, city: CityFile, spot: Point | None) -> Suggestion:
    """The kinds offered first: those reported near the spot, then in the city, then each group's default.

    A model that reads the photo will answer here too. Nothing is told of where private kinds were reported.
    """
    known = {service.code: service for service in city.for_residents}
    here = [each.code for each in known.values() if not each.private]
    near = usual_kinds.near(s, spot, at=access.now(), among=here) if spot else []
    of_late = [code for code in usual_kinds.in_city(s) if code in known]
    usual = [city.default_of(group.code).code for group in city.groups_for_residents]
    offered = [known[code] for code in dict.fromkeys([*near, *of_late, *usual]) if code in known]
    offered = [service for service in offered if service.code != city.catch_all.code][:SUGGESTED]
    if any(service.code in near for service in offered):
        return Suggestion(offered, _("These are often reported near this spot."))
    if of_late:
        return Suggestion(offered, _("These are often reported in %(city)s.", city=city.name))
    return Suggestion(offered, _("These are common problems."))


def find(city: CityFile, typed: str) -> Found:
    """The kinds that the words may mean, in any of the city's languages and with slips."""
    among = service_matcher.for_residents(city)
    known = {service.code: service for service in city.for_residents}
    codes = service_matcher.match_services(among, typed, FOUND)
    terms = among.vocabulary.terms_of_a_name(typed)
    return Found([known[code] for code in codes], terms, among.vocabulary.read_as(typed))


def examples(city: CityFile, group: Group) -> str:
    """Some of a group's kinds, as its line names them."""
    kinds = city.of_group(group.code)
    apart = -(-len(kinds) // EXAMPLES)  # neighbors are mostly of one sort
    return ", ".join(localization.said(service.chips) for service in kinds[::apart])

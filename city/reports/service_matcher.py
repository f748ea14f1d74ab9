"""Which kinds of problem somebody means by a few words: "light out", "arbol caido", "pot hole". Pure.

The one matcher of the desk, of the report form and of the public list.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from city.config.city_file import CityFile, Group, Service
from city.matching import names
from city.matching.names import Name, Names
from city.matching.vocabulary import BODY, CALLED, TITLE

# What has half of the words may be meant: people say more than a name holds.
LEAST = 0.5
# Of kinds that fit alike, the one that its tile stands for.
DEFAULT = 0.03
# What an office answers comes behind the answers that say it at once.
OFFICE = -0.1


def named(service: Service, group: Group) -> Name:
    """A kind with all that it is called: its name and chip, other words for it, its tile's name."""
    title = {lang: f"{words} {service.chips.get(lang, '')}" for lang, words in service.names.items()}
    said = {TITLE: title, CALLED: service.words, BODY: group.names}
    return names.name(service.code, said, OFFICE if service.office else DEFAULT * service.is_default)


@lru_cache(maxsize=8)
def for_residents(city: CityFile) -> Names:
    """The kinds that residents may tell of, to be looked among."""
    return Names(kinds(city, city.for_residents))


def kinds(city: CityFile, services: Iterable[Service]) -> Iterator[Name]:
    """The names of these services."""
    tiles = {group.code: group for group in city.groups}
    return (named(service, tiles[service.group]) for service in services)


def match_services(among: Names, typed: str, limit: int = 4) -> list[str]:
    """The codes of the kinds that the words may mean, the likeliest first; of equals in the order given.

    Every word counts, so that one that fits nothing pulls a kind down; the last may be the beginning of one.
    """
    found = among.scores(among.vocabulary.terms_of_a_name(typed), least=LEAST)
    return sorted(found, key=lambda code: -found[code])[:limit]

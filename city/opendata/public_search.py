"""Finding cases by what strangers may know of them: the kind of problem, the street, words that were shown.

The board's search knows who told and what was hidden, so nothing here looks into it. The database
only chooses candidates: a case counts where its public view holds what was looked for.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from city.cases import queries
from city.cases.queries import PublicCase
from city.db.models import Case, Report
from city.places import lookup, streets
from city.text import normalize

MOST_WORDS = 6  # of what somebody types
MOST_STREETS = 4  # that a name with a slip may mean
LOOKED_AT = 20_000  # cases, the newest, where words are read one case after the other


def find(
    s: Session,
    services: Sequence[str],
    words: str,
    *,
    group: str = "",
    now: datetime,
    states: Sequence[str],
    publish: str,
    limit: int,
) -> list[PublicCase]:
    """The newest cases of these services (of all where none are named) with these words.

    Words that name a street choose it, a slip forgiven; all others must stand in what the case's page shows.
    """
    asked = queries.public_cases(states, group)
    if services:
        asked = asked.where(Case.service_code.in_(services))
    number, street = _at_a_door(s, words)
    named = _streets(s, street)
    sought = {word: tuple(normalize(word)) for word in words.split()[:MOST_WORDS] if list(normalize(word))}
    if named:
        asked = asked.where(or_(*(_at(label) for label in named)))
    elif sought:
        newest = queries.public_cases(states).with_only_columns(Case.id).order_by(Case.id.desc())
        asked = asked.where(Case.id.in_(newest.limit(LOOKED_AT)))
        asked = asked.where(and_(*(_holds(word, publish) for word in sought)))
    elif not services:
        return []
    found = list(s.scalars(asked.with_only_columns(Case.id).order_by(Case.id.desc()).limit(2 * limit)))
    seen = queries.public(s, now=now, publish=publish, ids=found, limit=len(found)) if found else []
    streets_named = [(*core, *normalize(number)) for core in named.values()]
    said = [part for parts in sought.values() for part in parts]
    return [sight for sight in seen if not words or _fits(sight, streets_named, said)][:limit]


def names_street(s: Session, words: str) -> bool:
    """Whether the words are an address or a street's name, as it is written or with its type and a slip."""
    return _is_street(s, words) or bool(_at_a_door(s, words)[0])


def _at_a_door(s: Session, words: str) -> tuple[str, str]:
    """The house number and the street of an address; no number where the words are none."""
    number, _, street = words.strip().partition(" ")
    is_address = number[:1].isdigit() and not _is_street(s, words) and _is_street(s, street)
    return (number, street) if is_address else ("", words)


def _is_street(s: Session, words: str) -> bool:
    if not words.strip() or len(words) > lookup.MOST_LETTERS:
        return False
    match = lookup.gazetteer(s).atlas.directory.find(words)
    return bool(match.streets) and (not match.slips or len(words.split()) > 1)


def _streets(s: Session, words: str) -> dict[str, tuple[str, ...]]:
    """The streets that somebody means, by their labels: the words of each without type and direction."""
    if not words.strip() or len(words) > lookup.MOST_LETTERS:
        return {}
    match = lookup.gazetteer(s).atlas.directory.find(words)
    names = {found.label: streets.parse(found.label).core for found in match.streets[:MOST_STREETS]}
    return {label: core for label, core in names.items() if core}


def _at(label: str) -> ColumnElement[bool]:
    """Addresses with the street's words as they are written, accents included; types are left out."""
    core = streets.parse(label).core
    written = [word for word in label.split() if core and set(normalize(word)) & set(core)]
    return and_(*(Case.address.icontains(word, autoescape=True) for word in written or label.split()))


def _holds(word: str, publish: str) -> ColumnElement[bool]:
    told = select(Report.id).where(Report.case_id == Case.id, queries.shown_column(publish))
    said = told.where(Report.words.icontains(word, autoescape=True)).exists()
    return or_(Case.address.icontains(word, autoescape=True), said)


def _fits(sight: PublicCase, named: Sequence[Sequence[str]], sought: Sequence[str]) -> bool:
    at = set(normalize(sight.address))
    if named:
        return any(at.issuperset(street) for street in named)
    said = at.union(*(normalize(telling.words) for telling in sight.tellings))
    return all(any(one.startswith(word) for one in said) for word in sought)

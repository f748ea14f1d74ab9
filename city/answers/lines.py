"""The list under the desk's box: kinds of problem, answers and offices, scored on one scale, best first."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from city.answers import search as article_search
from city.answers.search import MOST_TYPED, Found
from city.config.toml_table import Words
from city.matching import names, vocabulary, words
from city.matching.names import Name, Names
from city.matching.vocabulary import CALLED, SCRIPT, TITLE, Term
from city.text import normalize

ANSWERS = 8  # that are weighed
# The first line is chosen for the call-taker where it has so much of what was said, and that much more than
# the second. Set by tests/golden/desk_queries.toml: what is right there scores more, and what is wrong less.
SURE = ((0.6, 0.02), (0.4, 0.1))
LEAST = 0.25  # what has less of what was said is not offered,
SHARE = 0.5  # nor what fits so much worse than the first
# Who begins with "when" or "how" asks, and has nothing to report.
ASKED = 0.2
# Of an answer and the office that gives it, the answer first: nobody is transferred who can be told at once.
OFFICE = -0.12


@dataclass(frozen=True)
class Line:
    """What a line leads to: `what` is "service", "answer" or "office", `code` the one of these."""

    what: str
    code: str
    score: float
    answer: Found | None = None


@dataclass(frozen=True)
class Lines:
    """The lines, best first; whether the first may be chosen for whoever typed; and what was meant."""

    lines: Sequence[Line] = ()
    is_sure: bool = False
    terms: Sequence[Term] = ()


def office(code: str, called: Words, said: Words, topics: Words) -> Name:
    """An office by its name, by what callers say who want it, and by what it knows of."""
    return names.name(f"office {code}", {TITLE: called, CALLED: said, SCRIPT: topics}, OFFICE)


def find(s: Session, named: Names, typed: str, *, lang: str, limit: int) -> Lines:
    """The lines for what was typed; `named` are kinds and offices, by keys like "service light-out"."""
    known = article_search.vocabulary_of(s)
    terms = vocabulary.together(known, named.vocabulary).terms_of_a_name(typed[:MOST_TYPED])
    answers = article_search.best(s, known, terms, lang=lang, limit=ANSWERS)
    asked = ASKED if words.asks(list(normalize(typed))) else 0.0
    lines = [Line("answer", each.slug, each.score + asked, each) for each in answers]
    for key, score in named.scores(terms, least=LEAST).items():
        what, _space, code = key.partition(" ")
        lines.append(Line(what, code, score))
    lines.sort(key=lambda line: -line.score)
    offered = [line for line in lines if line.score >= SHARE * lines[0].score]
    return Lines(offered[:limit], _is_sure(lines, terms), terms)


def _is_sure(lines: Sequence[Line], terms: Sequence[Term]) -> bool:
    if not lines or not any(term.tells for term in terms):
        return False
    ahead = lines[0].score - (lines[1].score if len(lines) > 1 else 0.0)
    return any(lines[0].score >= least and ahead >= apart for least, apart in SURE)

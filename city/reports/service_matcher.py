"""Which kinds of problem somebody means by a few words: "light out", "arbol caido", "pot hole". Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from rapidfuzz import fuzz

from city.text import normalize

# How well a word that was typed fits one of a kind's words. What is only like it must be long enough to be a
# word at all; these were set by trying what people type of Larkhaven's kinds.
EQUAL, BEGINS, WITHIN = 1.0, 0.95, 0.85
LEAST_LIKE, LEAST_LETTERS = 0.7, 4
LEAST = 0.7  # of all words together


class Kind(NamedTuple):
    """A service and all that it is called, in every language: its names, chips and its tile's names."""

    code: str
    called: Sequence[Mapping[str, str]]


def match_services(kinds: Iterable[Kind], typed: str, limit: int = 4) -> list[str]:
    """The codes of the kinds that the words may mean, the likeliest first; of equals in the order given.

    Every word counts, so that one that fits nothing pulls a kind down; one or two letters begin a word.
    """
    sought = list(dict.fromkeys(normalize(typed)))
    if not sought:
        return []
    scored = [(_fit(sought, kind), kind.code) for kind in kinds]
    found = sorted((each for each in scored if each[0] >= LEAST), key=lambda each: -each[0])
    return [code for _score, code in found][:limit]


def _fit(sought: Sequence[str], kind: Kind) -> float:
    """The best of what it is called: words of two languages are not mixed in one name."""
    best = 0.0
    for name in kind.called:
        for words in name.values():
            known = list(normalize(words))
            best = max(best, sum(max((_like(one, word) for word in known), default=0.0) for one in sought))
    return best / len(sought)


def _like(typed: str, word: str) -> float:
    if typed == word:
        return EQUAL
    if word.startswith(typed):
        return BEGINS
    if len(typed) < LEAST_LETTERS:
        return 0.0
    if typed in word:
        return WITHIN
    # A slip within a long word, "strret" in "streetlight", or within the whole.
    like = max(
        fuzz.ratio(typed, word), fuzz.partial_ratio(typed, word) * WITHIN if len(word) > len(typed) else 0
    )
    return like / 100 if like >= LEAST_LIKE * 100 else 0.0

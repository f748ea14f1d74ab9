"""The words that stand in many texts, what is meant by typed ones, and how well a text fits them. Pure.

A text is one string of stems, each with the mark of the best place where it stands: its title, other words
for it, what is said first, the rest. The same marks and figures hold for all that is looked for by words, so
that their scores can be compared.
"""

import math
import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple, TypeVar

from rapidfuzz import process
from rapidfuzz.distance import OSA

from city.matching import words as known_words
from city.text import normalize, stem

Key = TypeVar("Key", str, int)

MOST_TERMS = 12
# What a word is worth by where it stands. The marks are signs that folding never leaves in a word.
TITLE, CALLED, SCRIPT, BODY = "¹", "³", "²", ""
WORTH: Final = {TITLE: 1.0, CALLED: 0.95, SCRIPT: 0.7, BODY: 0.5}
# And by how it was meant: as it stands, the beginning of it, a part of it, another word for it, misspelt once
# or twice.
AS_TYPED, BEGUN, PART, SAME, MISSPELT, MISSPELT_TWICE = 1.0, 0.8, 0.8, 0.75, 0.8, 0.6
# Of two texts that fit alike, the one that says little else.
TITLE_SHARE = 0.1
# Among names, a word that heads none is mostly a street's or a person's, and one that is vague fits many.
UNKNOWN, VAGUE = 0.5, 0.25

_BEGINNING = 2  # letters from which on the last word may be the beginning of one
_MOST_BEGUN = 40
_MISSPELT_FROM, _TWICE_FROM = 4, 7  # letters of a word that may have one or two wrong
_SURE_FROM = 5  # letters of a misspelt word by which something may be chosen
_PART_FROM = 4  # letters of a word that may be part of a longer one


class Text(NamedTuple):
    """One language of a thing: its stems with their marks, and its words."""

    lang: str
    stems: str
    words: str


def text(parts: Mapping[str, str], lang: str) -> Text:
    """What is found by `parts`, words by their mark, the best mark first."""
    folded = {mark: list(normalize(said)) for mark, said in parts.items()}
    marks: dict[str, str] = {}
    for mark, words in folded.items():
        for word in words:
            marks.setdefault(stem(word, lang), mark)
    plain = dict.fromkeys(word for words in folded.values() for word in words)
    return Text(lang, " ".join(mark + word for word, mark in marks.items()), " ".join(plain))


@dataclass(frozen=True)
class Term:
    """A word that was typed: the stems that are meant, each with how surely, and what the word tells.

    A word that stands nowhere has no stems, and counts against every text alike. `tells` is whether a thing
    may be chosen by it: it heads one, and says what it is.
    """

    word: str
    stems: Mapping[str, float]
    weight: float
    tells: bool = True

    @property
    def by_worth(self) -> list[tuple[str, float]]:
        """Everything that stands for it in a text, what is worth most first."""
        found = [
            (mark + word, sure * worth) for word, sure in self.stems.items() for mark, worth in WORTH.items()
        ]
        return sorted(found, key=lambda each: -each[1])


@dataclass(eq=False)
class Vocabulary:
    """All words that stand in some texts, and in how many. Never changed: others are kept by it."""

    stems: Mapping[str, frozenset[str]]  # by the word as it is written
    texts: Counter[str]  # how many have a stem, by its mark
    langs: frozenset[str]
    count: int
    compounds: frozenset[str] = frozenset()  # words of which a part may be typed
    words: Sequence[str] = field(init=False)  # in order
    lengths: Mapping[int, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        lengths: defaultdict[int, list[str]] = defaultdict(list)
        # A misspelt word may be one that only callers use.
        for word in sorted(self.stems.keys() | known_words.groups().keys()):
            lengths[len(word)].append(word)
        self.words, self.lengths = sorted(self.stems), lengths

    def terms(self, typed: str) -> list[Term]:
        """What is meant by what was typed; words that name nothing are left out where there are others."""
        words = list(dict.fromkeys(normalize(typed)))
        begun = words[-1] if words and typed[-1:].isalnum() else None
        telling = [word for word in words if word not in known_words.little()] or words
        telling = telling[:MOST_TERMS]
        meant = {word: self._meant(word, begins=word == begun) for word in telling}
        # "street light" and "streetlight" are one thing.
        for one, other in pairwise(telling):
            if (joined := one + other) in self.stems:
                for word in (one, other):
                    meant[word] |= dict.fromkeys(self.stems[joined], AS_TYPED)
        return [Term(word, stems, self._weight(stems)) for word, stems in meant.items()]

    def terms_of_a_name(self, typed: str) -> list[Term]:
        """The same for what names a thing: "out" and "on" tell lights apart, a house number nothing."""
        terms = [self._named_by(each) for each in self.terms(typed) if not each.word.isdigit()]
        if all(each.word in known_words.little() for each in terms):
            terms = [replace(each, weight=0.0, tells=False) for each in terms]
        there = {each.word for each in terms}
        small = [word for word in dict.fromkeys(normalize(typed)) if word not in there and not word.isdigit()]
        return terms + [
            Term(word, dict.fromkeys(self._stems_of(word), AS_TYPED), 0.0, False) for word in small
        ]

    def read_as(self, typed: str) -> str:
        """What was typed, with slips mended: "watter" is "water"."""
        return " ".join(self._mended(word) for word in typed.split())

    def _mended(self, word: str) -> str:
        folded = next(normalize(word), "")
        near = [] if not folded or self._named(folded) else self._near(folded)
        begun = any(longer.startswith(folded) for longer in self.stems) if folded else True
        return near[0][0] if near and not begun else word

    def spread(self, word: str) -> int:
        """How many texts have a stem."""
        return sum(self.texts[mark + word] for mark in WORTH)

    def _meant(self, word: str, *, begins: bool) -> dict[str, float]:
        """The stems, each with how surely."""
        found = self._named(word)
        if begins and len(word) >= _BEGINNING:
            for longer in self._begun_with(word):
                for each in self.stems[longer]:
                    found.setdefault(each, BEGUN)
        parts = [
            part for part in {word, *(stem(word, lang) for lang in self.langs)} if len(part) >= _PART_FROM
        ]
        for longer in self.compounds if parts else ():
            if any(part in longer for part in parts):
                for each in self.stems[longer]:
                    found.setdefault(each, PART)
        return found or self._misspelt(word)

    def _misspelt(self, word: str) -> dict[str, float]:
        """By the words that it is a slip for."""
        found: dict[str, float] = {}
        for near, wrong in self._near(word):
            for each in self._named(near):
                found.setdefault(each, MISSPELT if wrong == 1 else MISSPELT_TWICE)
        return found

    def _named(self, word: str) -> dict[str, float]:
        """By the word itself, or by another for the same thing."""
        found = dict.fromkeys(self._stems_of(word), AS_TYPED)
        for same in known_words.same(self.langs, word):
            for each in self._stems_of(same):
                found.setdefault(each, SAME)
        return found

    def _stems_of(self, word: str) -> Iterator[str]:
        """Of the word itself, and where only other forms of it stand, what it has in common with them."""
        yield from self.stems.get(word, ())
        for lang in self.langs:
            if self.spread(each := stem(word, lang)):
                yield each

    def _named_by(self, term: Term) -> Term:
        """The same word where names are looked for."""
        if term.word in known_words.vague():
            return replace(term, weight=term.weight * VAGUE, tells=False)
        heads = any(self.texts[mark + each] for each in term.stems for mark in (TITLE, CALLED))
        if not heads:
            return replace(term, weight=term.weight * UNKNOWN, tells=False)
        # "deer" is no slip for "deed".
        is_slip = len(term.word) < _SURE_FROM and term.stems == self._misspelt(term.word)
        return replace(term, tells=not is_slip)

    def _begun_with(self, beginning: str) -> Sequence[str]:
        first = bisect_left(self.words, beginning)
        last = bisect_left(self.words, beginning + chr(0x10FFFF), first)
        return self.words[first : min(last, first + _MOST_BEGUN)]

    def _near(self, word: str) -> list[tuple[str, int]]:
        """The words that it differs least from, if they are near enough."""
        most = (len(word) >= _MISSPELT_FROM) + (len(word) >= _TWICE_FROM)
        found: list[tuple[str, int]] = []
        for length in range(len(word) - most, len(word) + most + 1) if most else ():
            choices = self.lengths.get(length, ())
            near = process.extract(word, choices, scorer=OSA.distance, score_cutoff=most, limit=None)
            found += [(choice, int(wrong)) for choice, wrong, _ in near]
        least = min((wrong for _, wrong in found), default=0)
        return [(choice, wrong) for choice, wrong in found if wrong == least]

    def _weight(self, stems: Mapping[str, float]) -> float:
        """A word in few texts tells more than one in many."""
        surest = max(stems.values(), default=0.0)
        spread = max((self.spread(each) for each, sure in stems.items() if sure == surest), default=0)
        return math.log(1 + self.count / (1 + spread))


def read(texts: Iterable[Text], *, in_parts: bool = False) -> Vocabulary:
    """The vocabulary of these texts; `in_parts`, a part of a word is enough: "light" of "streetlight"."""
    stems: defaultdict[str, set[str]] = defaultdict(set)
    spread: Counter[str] = Counter()
    langs, count = set(), 0
    for lang, marked, words in texts:
        langs.add(lang)
        count += 1
        spread.update(marked.split())
        for word in words.split():
            stems[word].add(stem(word, lang))
    known = {word: frozenset(each) for word, each in stems.items()}
    return Vocabulary(known, spread, frozenset(langs), count, frozenset(known) if in_parts else frozenset())


@lru_cache(maxsize=8)
def together(one: Vocabulary, other: Vocabulary) -> Vocabulary:
    """The vocabulary of the texts of both, so that a word tells the same in each of them."""
    stems = {
        word: one.stems.get(word, frozenset()) | other.stems.get(word, frozenset())
        for word in one.stems.keys() | other.stems.keys()
    }
    return Vocabulary(
        stems, one.texts + other.texts, one.langs | other.langs, one.count + other.count,
        one.compounds | other.compounds,
    )  # fmt: skip


def because(
    names: Iterable[Mapping[str, str]], said: Iterable[Mapping[str, str]], terms: Sequence[Term]
) -> str:
    """The phrase of `said` that was typed, or that means the same, unless one of the names says it already.

    Both are words by language; commas stand between phrases.
    """
    telling = [term for term in terms if term.tells]
    themselves = [replace(term, stems=_surest(term)) for term in telling]

    def has(words: str, lang: str, typed: Sequence[Term]) -> bool:
        return any(is_typed for _piece, is_typed in marked(words, typed, lang))

    if any(has(words, lang, themselves) for each in names for lang, words in each.items()):
        return ""
    phrases = [
        (lang, phrase.strip())
        for each in said for lang, words in each.items() for phrase in words.split(",")
    ]  # fmt: skip
    found = (
        phrase for typed in (themselves, telling) for lang, phrase in phrases if has(phrase, lang, typed)
    )
    return next(found, "")


def _surest(term: Term) -> Mapping[str, float]:
    """The stems of a word that are meant most surely: its own, and not those of other words for it."""
    most = max(term.stems.values(), default=0.0)
    return {each: sure for each, sure in term.stems.items() if sure == most}


def marked(words: str, terms: Sequence[Term], lang: str) -> list[tuple[str, bool]]:
    """The words in pieces, each with whether it was typed, or means what was."""
    pieces, last = [], 0
    for word in re.finditer(r"[^\W_]+", words):
        if span := _typed_in(word[0], terms, lang):
            begin, end = word.start() + span[0], word.start() + span[1]
            pieces += [(words[last:begin], False), (words[begin:end], True)]
            last = end
    return [piece for piece in [*pieces, (words[last:], False)] if piece[0]]


def _typed_in(word: str, terms: Sequence[Term], lang: str) -> tuple[int, int] | None:
    """From which letter to which a word was typed; all of it where another form or another word was."""
    folded = next(normalize(word), "")
    found = stem(folded, lang)
    for term in terms:
        begin = folded.find(term.word) if found in term.stems else -1
        if begin >= 0 and len(folded) == len(word):
            return begin, begin + len(term.word)
    return (0, len(word)) if any(found in term.stems for term in terms) else None


def scores(texts: Iterable[tuple[Key, str]], terms: Sequence[Term], *, least: float) -> dict[Key, float]:
    """How well each thing fits, by its key: about 1 where its title has every word. None below `least`.

    `texts` are keys with stems and their marks: a thing has one in each of its languages, and what is asked
    in two languages is found in both.
    """
    whole = sum(term.weight for term in terms)
    sought = [term.by_worth for term in terms]
    worth: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0] * len(terms))
    share: defaultdict[Key, float] = defaultdict(float)
    for key, marked in texts:
        there, best = set(marked.split()), worth[key]
        headed = 0
        for n, words in enumerate(sought):
            for word, each in words:
                if word in there:
                    best[n] = max(best[n], each)
                    headed += word[0] == TITLE
                    break
        share[key] = max(share[key], min(headed / max(marked.count(TITLE), 1), 1.0))
    fits = {
        key: sum(term.weight * each for term, each in zip(terms, best, strict=True)) / whole if whole else 0.0
        for key, best in worth.items()
    }
    return {key: fit + TITLE_SHARE * share[key] for key, fit in fits.items() if fit >= least}

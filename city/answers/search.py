"""Finding an answer by what somebody types, in any language of the house, while they type.

One row a text holds its words, folded and stemmed by us so that both databases see the same ones; SQLite's
FTS5 and PostgreSQL's GIN index are kept from that row, in the transaction that changes the text. The database
says which texts have the words; which of them comes first is reckoned here, alike for both.
"""

import math
import re
import tomllib
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rapidfuzz import process
from rapidfuzz.distance import OSA
from sqlalchemy import cast, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from city.db.cached_read import VersionedCache
from city.db.models import Article, ArticleText, ArticleWords, Contact
from city.text import normalize, stem

MOST_TYPED = 300  # letters of a question that are read
MOST_TERMS = 12
MOST_ROWS = 300  # texts that are compared with each other; of a word in more of them, only those it heads
LEAST: Final = 0.25  # below that score a text has a word or two of the question, and does not answer it

# What a word is worth by where it stands. The marks are signs that folding never leaves in a word.
TITLE, SCRIPT, BODY = "¹", "²", ""
WORTH: Final = {TITLE: 1.0, SCRIPT: 0.7, BODY: 0.5}
# And by how it was meant: as it stands, the beginning of it, another word for it, misspelt once or twice.
AS_TYPED, BEGUN, SAME, MISSPELT, MISSPELT_TWICE = 1.0, 0.8, 0.75, 0.8, 0.6
# Of two texts that fit alike, the one that says little else, and the one that is read out more often.
TITLE_SHARE, ASKED_SHARE = 0.1, 0.08
RECENT = 20_000  # conversations by which it is known what callers ask,
ANEW_AFTER = 500  # and how many more there are until they are counted anew

_BEGINNING = 2  # letters from which on the last word may be the beginning of one
_MOST_BEGUN = 40
_MISSPELT_FROM, _TWICE_FROM = 4, 7  # letters of a word that may have one or two wrong
# The stems as PostgreSQL's index has them, by a function of the schema's own.
_LEXEMES: Final[Any] = literal_column("article_lexemes(article_words.stems)")


@dataclass(frozen=True, slots=True)
class Found:
    """An answer that fits, with its words in the language that was asked for, or else in its first."""

    answer_id: int
    slug: str
    title: str
    script: str
    lang: str
    score: float  # higher fits better; comparable within one question only
    department_code: str
    review_on: date
    topic_code: str
    services: list[str]  # codes of those that it leads to


def find(s: Session, typed: str, *, lang: str, limit: int = 8) -> list[Found]:
    """The published answers that fit what somebody typed, the best first; none where nothing fits.

    Asked in any language, whatever `lang` is: that is the one of the words handed back. The last word may be
    the beginning of one. Words may be misspelt.
    """
    known = _VOCABULARY.of(s)
    terms = known.terms(typed[:MOST_TYPED])
    if not any(term.stems for term in terms):
        return []
    scores = _scores(_candidates(s, known, terms), terms, _ASKED.of(s))
    best = sorted(scores, key=lambda answer_id: (-scores[answer_id], answer_id))[:limit]
    shown = _shown(s, best, lang)
    return [_found(shown[answer_id], scores[answer_id]) for answer_id in best]


def most_asked(s: Session, *, lang: str, limit: int = 8) -> list[Found]:
    """The published answers that were read out most often of late, with how often as a share of the first."""
    asked = _ASKED.of(s)
    if not asked:
        return []
    shown = _shown(s, list(asked), lang)
    best = sorted(shown, key=lambda answer_id: (-asked[answer_id], answer_id))[:limit]
    return [_found(shown[answer_id], round(asked[answer_id], 6)) for answer_id in best]


def write(s: Session, answer_id: int, texts: Mapping[str, tuple[str, str, str]]) -> None:
    """Makes an answer found by `texts`: title, script and body by language. None: it is not found any more.

    Whoever calls holds the answer's lock.
    """
    there = {
        row.lang: row for row in s.scalars(select(ArticleWords).where(ArticleWords.answer_id == answer_id))
    }
    for lang, (title, script, body) in texts.items():
        row = there.pop(lang, None) or ArticleWords(answer_id=answer_id, lang=lang)
        row.stems, row.words = _indexed(title, script, body, lang)
        s.add(row)
    for gone in there.values():
        s.delete(gone)
    s.flush()


def _indexed(title: str, script: str, body: str, lang: str) -> tuple[str, str]:
    """Its stems, each with the mark of the best place where it stands, and its words."""
    parts = {
        TITLE: list(normalize(title)),
        SCRIPT: list(normalize(script)),
        BODY: list(normalize(_unlinked(body))),
    }
    marks: dict[str, str] = {}
    for mark, words in parts.items():
        for word in words:
            marks.setdefault(stem(word, lang), mark)
    plain = dict.fromkeys(word for words in parts.values() for word in words)
    return " ".join(mark + word for word, mark in marks.items()), " ".join(plain)


@dataclass(frozen=True)
class _Term:
    """A word of the question: the stems that are meant, each with how surely, and what the word tells.

    A word that stands nowhere has no stems, and counts against every text alike.
    """

    stems: Mapping[str, float]
    weight: float


@dataclass
class _Vocabulary:
    """All words that stand in answers, and in how many texts. What a process remembers."""

    stems: Mapping[str, frozenset[str]]  # by the word as it is written
    texts: Counter[str]  # how many have a stem, by its mark
    langs: frozenset[str]
    count: int
    words: Sequence[str] = ()  # in order
    lengths: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def terms(self, typed: str) -> list[_Term]:
        """What is meant by what was typed."""
        words = list(dict.fromkeys(normalize(typed)))
        begun = words[-1] if words and typed[-1:].isalnum() else None
        telling = [word for word in words if word not in _little()] or words
        telling = telling[:MOST_TERMS]
        meant = {word: self._meant(word, begins=word == begun) for word in telling}
        # "street light" and "streetlight" are one thing.
        for one, other in pairwise(telling):
            if (joined := one + other) in self.stems:
                for word in (one, other):
                    meant[word] |= dict.fromkeys(self.stems[joined], AS_TYPED)
        return [_Term(stems, self._weight(stems)) for stems in meant.values()]

    def _meant(self, word: str, *, begins: bool) -> dict[str, float]:
        """The stems, each with how surely."""
        found = self._named(word)
        if begins and len(word) >= _BEGINNING:
            for longer in self._begun_with(word):
                for each in self.stems[longer]:
                    found.setdefault(each, BEGUN)
        if not found:
            for near, wrong in self._near(word):
                for each in self._named(near):
                    found.setdefault(each, MISSPELT if wrong == 1 else MISSPELT_TWICE)
        return found

    def _named(self, word: str) -> dict[str, float]:
        """By the word itself, or by another for the same thing."""
        found = dict.fromkeys(self._stems_of(word), AS_TYPED)
        for same in _same(self.langs, word):
            for each in self._stems_of(same):
                found.setdefault(each, SAME)
        return found

    def _stems_of(self, word: str) -> Iterator[str]:
        """Of the word itself, and where only other forms of it stand, what it has in common with them."""
        yield from self.stems.get(word, ())
        for lang in self.langs:
            if self.spread(each := stem(word, lang)):
                yield each

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

    def spread(self, word: str) -> int:
        """How many texts have a stem."""
        return sum(self.texts[mark + word] for mark in WORTH)


def _read_vocabulary(s: Session) -> _Vocabulary:
    stems: defaultdict[str, set[str]] = defaultdict(set)
    texts: Counter[str] = Counter()
    langs, count = set(), 0
    for lang, words, marked in s.execute(select(ArticleWords.lang, ArticleWords.words, ArticleWords.stems)):
        langs.add(lang)
        count += 1
        texts.update(marked.split())
        for word in words.split():
            stems[word].add(stem(word, lang))
    lengths: defaultdict[int, list[str]] = defaultdict(list)
    # A misspelt word may be one that only callers use.
    for word in sorted(stems.keys() | _groups().keys()):
        lengths[len(word)].append(word)
    known = {word: frozenset(each) for word, each in stems.items()}
    return _Vocabulary(known, texts, frozenset(langs), count, sorted(known), lengths)


def _read_asked(s: Session) -> Mapping[int, float]:
    """By the answer's id: 1 for the one that was read out most often of late, less for the others."""
    since = select(func.max(Contact.id) - RECENT).scalar_subquery()
    asked = (
        select(Contact.answer_id, func.count())
        .where(Contact.id > since, Contact.answer_id.is_not(None))
        .group_by(Contact.answer_id)
    )
    counts = {answer_id: count for answer_id, count in s.execute(asked) if answer_id is not None}
    most = max(counts.values(), default=1)
    return {answer_id: math.log1p(count) / math.log1p(most) for answer_id, count in counts.items()}


# Versions only ever grow, and nothing that was published or retired leaves all three figures as they were.
_COUNTED: Any = select(
    func.count(), func.sum(Article.version), func.count().filter(Article.state == "published")
).select_from(Article)
_VOCABULARY = VersionedCache(_COUNTED, _read_vocabulary)
_ASKED = VersionedCache(select(func.coalesce(func.max(Contact.id), 0) // ANEW_AFTER), _read_asked)


def _candidates(s: Session, known: _Vocabulary, terms: Sequence[_Term]) -> Sequence[Any]:
    """The texts that have some of the words, the telling ones before all."""
    sought: list[str] = []
    room = MOST_ROWS
    for term in sorted((term for term in terms if term.stems), key=lambda term: -term.weight):
        everywhere = [mark + word for word in term.stems for mark in WORTH]
        heading = [TITLE + word for word in term.stems]
        for words in (everywhere, heading):
            there = [word for word in words if known.texts[word]]
            if there and (needed := sum(known.texts[word] for word in there)) <= room:
                sought += there
                room -= needed
                break
    if not sought:
        term = max((term for term in terms if term.stems), key=lambda term: term.weight)
        sought = [mark + word for word in term.stems for mark in WORTH]
    rows = select(ArticleWords.answer_id, ArticleWords.stems).order_by(ArticleWords.id).limit(MOST_ROWS)
    return s.execute(rows.where(ArticleWords.id.in_(_matching(s, sought)))).all()


def _matching(s: Session, sought: Sequence[str]) -> Any:
    """The ids of the texts that have one of these, out of the index."""
    if s.get_bind().dialect.name == "postgresql":
        query = " | ".join(f"'{word}'" for word in sought)
        there = select(ArticleWords.id).where(_LEXEMES.op("@@")(cast(query, TSQUERY)))
        # By itself it would read text after text in their order until there are MOST_ROWS.
        return select(there.cte("there").prefix_with("MATERIALIZED").c.id)
    index = table("words_articles", column("rowid"), column("words_articles"))
    query = " OR ".join(f'"{word}"' for word in sought)
    return select(index.c.rowid).where(index.c["words_articles"].op("MATCH")(query))


def _scores(rows: Sequence[Any], terms: Sequence[_Term], asked: Mapping[int, float]) -> dict[int, float]:
    """By the answer's id, from LEAST on. A question in two languages is answered by the texts of both."""
    whole = sum(term.weight for term in terms)
    sought = [_by_worth(term) for term in terms]
    worth: defaultdict[int, list[float]] = defaultdict(lambda: [0.0] * len(terms))
    share: defaultdict[int, float] = defaultdict(float)
    for answer_id, marked in rows:
        there, best = set(marked.split()), worth[answer_id]
        headed = 0
        for n, words in enumerate(sought):
            for word, each in words:
                if word in there:
                    best[n] = max(best[n], each)
                    headed += word[0] == TITLE
                    break
        share[answer_id] = max(share[answer_id], min(headed / max(marked.count(TITLE), 1), 1.0))
    scores = {}
    for answer_id, best in worth.items():
        fits = sum(term.weight * each for term, each in zip(terms, best, strict=True)) / whole
        if fits >= LEAST:
            more = TITLE_SHARE * share[answer_id] + ASKED_SHARE * asked.get(answer_id, 0.0)
            scores[answer_id] = round(fits + more, 6)
    return scores


def _by_worth(term: _Term) -> list[tuple[str, float]]:
    """Everything that stands for a word in a text, what is worth most first."""
    found = [
        (mark + word, sure * worth) for word, sure in term.stems.items() for mark, worth in WORTH.items()
    ]
    return sorted(found, key=lambda each: -each[1])


def _shown(s: Session, answer_ids: Sequence[int], lang: str) -> dict[int, Any]:
    """By its id, what is shown of an answer."""
    rows = s.execute(
        select(
            Article.id, Article.slug, Article.department_code, Article.review_on, Article.topic_code,
            Article.services, ArticleText.lang, ArticleText.title, ArticleText.script,
        )
        .join(ArticleText, (ArticleText.answer_id == Article.id) & (ArticleText.version == Article.version))
        .where(Article.id.in_(answer_ids), Article.state == "published")
        .order_by(Article.id, ArticleText.lang)
    )  # fmt: skip
    shown: dict[int, Any] = {}
    for row in rows:
        if row.id not in shown or row.lang == lang:
            shown[row.id] = row
    return shown


def _found(row: Any, score: float) -> Found:
    return Found(
        row.id, row.slug, row.title, row.script, row.lang, score, row.department_code, row.review_on,
        row.topic_code, row.services,
    )  # fmt: skip


def _unlinked(body: str) -> str:
    """Markdown without the addresses of its links: nobody asks for those."""
    return re.sub(r"\]\((?:[^)\]]|\](?!\())*\)", "]", body)


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).parent / "synonyms.toml").read_text("utf-8"))


@cache
def _little() -> frozenset[str]:
    return frozenset(word for words in _words()["little"].values() for word in words.split())


@cache
def _groups() -> dict[str, frozenset[str]]:
    """By a word, all that mean the same."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in _words()["same"]["lines"].strip().splitlines():
        for word in (group := line.split()):
            found[word].update(group)
    return {word: frozenset(group) for word, group in found.items()}


@cache
def _groups_by_stem(langs: frozenset[str]) -> dict[str, frozenset[str]]:
    found: defaultdict[str, set[str]] = defaultdict(set)
    for word, group in _groups().items():
        for each in {word, *(stem(word, lang) for lang in langs)}:
            found[each].update(group)
    return {each: frozenset(group) for each, group in found.items()}


def _same(langs: frozenset[str], word: str) -> Iterator[str]:
    """Other words for it, in order."""
    by_stem = _groups_by_stem(langs)
    forms = {word, *(stem(word, lang) for lang in langs)}
    yield from sorted({other for form in forms for other in by_stem.get(form, ())} - {word})

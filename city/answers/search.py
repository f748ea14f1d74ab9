"""Finding an answer by what somebody types, in any language of the house, while they type.

One row a text holds its words, folded and stemmed by us so that both databases see the same ones; SQLite's
FTS5 and PostgreSQL's GIN index are kept from that row, in the transaction that changes the text. The database
says which texts have the words; which of them comes first is reckoned here, alike for both.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import cast, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session

from city.db.cached_read import VersionedCache
from city.db.models import Article, ArticleText, ArticleWords, Contact
from city.matching import vocabulary
from city.matching.vocabulary import BODY, SCRIPT, TITLE, Term, Vocabulary

MOST_TYPED = 300  # letters of a question that are read
MOST_ROWS = 300  # texts that are compared with each other; of a word in more of them, only those it heads
LEAST: Final = 0.25  # below that score a text has a word or two of the question, and does not answer it
MARKS = (TITLE, SCRIPT, BODY)  # that stand in the index
ASKED_SHARE = 0.08  # of two that fit alike, the one that is read out more often
RECENT = 20_000  # conversations by which it is known what callers ask,
ANEW_AFTER = 500  # and how many more there are until they are counted anew

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
    known = vocabulary_of(s)
    return best(s, known, known.terms(typed[:MOST_TYPED]), lang=lang, limit=limit)


def best(s: Session, known: Vocabulary, terms: Sequence[Term], *, lang: str, limit: int) -> list[Found]:
    """The same for words whose meaning is known. `known` is vocabulary_of(s)."""
    if not any(term.stems for term in terms):
        return []
    scores = _scores(_candidates(s, known, terms), terms, _ASKED.of(s))
    first = sorted(scores, key=lambda answer_id: (-scores[answer_id], answer_id))[:limit]
    shown = _shown(s, first, lang)
    return [_found(shown[answer_id], scores[answer_id]) for answer_id in first]


def vocabulary_of(s: Session) -> Vocabulary:
    """All words that stand in published answers."""
    return _VOCABULARY.of(s)


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
        found_by = vocabulary.text({TITLE: title, SCRIPT: script, BODY: _unlinked(body)}, lang)
        row.stems, row.words = found_by.stems, found_by.words
        s.add(row)
    for gone in there.values():
        s.delete(gone)
    s.flush()


def _read_vocabulary(s: Session) -> Vocabulary:
    rows = s.execute(select(ArticleWords.lang, ArticleWords.stems, ArticleWords.words))
    return vocabulary.read(map(vocabulary.Text._make, rows))


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
_VOCABULARY: VersionedCache[Vocabulary] = VersionedCache(_COUNTED, _read_vocabulary)
_ASKED = VersionedCache(select(func.coalesce(func.max(Contact.id), 0) // ANEW_AFTER), _read_asked)


def _candidates(s: Session, known: Vocabulary, terms: Sequence[Term]) -> Sequence[Any]:
    """The texts that have some of the words, the telling ones before all."""
    sought: list[str] = []
    room = MOST_ROWS
    for term in sorted((term for term in terms if term.stems), key=lambda term: -term.weight):
        everywhere = [mark + word for word in term.stems for mark in MARKS]
        heading = [TITLE + word for word in term.stems]
        for words in (everywhere, heading):
            there = [word for word in words if known.texts[word]]
            if there and (needed := sum(known.texts[word] for word in there)) <= room:
                sought += there
                room -= needed
                break
    if not sought:
        term = max((term for term in terms if term.stems), key=lambda term: term.weight)
        sought = [mark + word for word in term.stems for mark in MARKS]
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


def _scores(rows: Sequence[Any], terms: Sequence[Term], asked: Mapping[int, float]) -> dict[int, float]:
    """By the answer's id, from LEAST on; of those that fit alike, what is read out more often comes first."""
    fits = vocabulary.scores(((row.answer_id, row.stems) for row in rows), terms, least=LEAST)
    return {key: round(fit + ASKED_SHARE * asked.get(key, 0.0), 6) for key, fit in fits.items()}


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

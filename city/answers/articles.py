"""The knowledge base: articles with a spoken script, per language, kept true by a department.

Every change is a new version and a line of the log, which commits to the words by their hash. Finding an
answer by what somebody types is in answers/search.py, which hears of every change here.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.answers import search as article_search
from city.audit import events
from city.audit.events import Actor
from city.db import bulk_insert
from city.db.models import Article, ArticleText, ArticleVotes, Department, Event, Service, Topic
from city.lifecycle import Refused, may

PUBLISHED, RETIRED = "published", "retired"
RESERVED = ("edit", "new")  # addresses of the editor's own
MOST = {"title": 200, "body": 20_000, "script": 2_000}  # letters
# A tag of HTML, or a link that is a program. Pages would show neither; who writes one means something else.
_MARKUP = re.compile(
    r"</?[a-z][a-z0-9-]*(?:\s[^<>]*)?/?>|<!--|\b(?:javascript|vbscript):|[(<]\s*data:", re.IGNORECASE
)


@dataclass(frozen=True)
class Text:
    """An answer in one language: `body` is Markdown, `script` is read aloud."""

    title: str
    body: str
    script: str


@dataclass(frozen=True)
class Draft:
    """What an editor hands over. `texts` by language; department, topic and services by their codes."""

    department: str
    topic: str
    review_on: date
    texts: Mapping[str, Text]
    services: tuple[str, ...] = ()


def publish(s: Session, slug: str, draft: Draft, *, by: Actor, at: datetime, origin: str = "live") -> Article:
    """A new answer under `slug`, which never changes: addresses and contacts name it.

    Raises Refused: `not_allowed`, `bad_slug`, `known_slug`, `unknown_department`, `unknown_topic`,
    `unknown_service`, `unknown_value` (lang), `empty_text`, `words_too_long`, `markup` (HTML).
    """
    may("answer", by.roles)
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", slug) or len(slug) > 80 or slug in RESERVED:
        raise Refused("bad_slug", slug=slug)
    _check(s, draft)
    answer = Article(slug=slug, state=PUBLISHED, version=1)
    _fill(answer, draft)
    try:
        with s.begin_nested():
            s.add(answer)
    except IntegrityError:
        raise Refused("known_slug", slug=slug) from None
    _save_version(s, answer, draft, "publish", by, at, origin)
    return answer


def revise(
    s: Session, answer: Article, draft: Draft, *, seen: int, by: Actor, at: datetime, origin: str = "live"
) -> bool:
    """Makes `draft` the answer's newest version and shows it; False where it is that already.

    `seen` is the version that the editor had before them. Raises Refused `changed_meanwhile` where it is
    not the newest any more, and what publish() raises for a draft.
    """
    may("answer", by.roles)
    _check(s, draft)
    _lock(s, answer)
    if answer.state == PUBLISHED and _draft_of(s, answer) == _plain(draft):
        return False
    if answer.version != seen:
        raise Refused("changed_meanwhile")
    answer.version += 1
    answer.state = PUBLISHED
    _fill(answer, draft)
    _save_version(s, answer, draft, "revise", by, at, origin)
    return True


def retire(s: Session, answer: Article, *, by: Actor, at: datetime) -> bool:
    """Shows the answer no more; contacts keep it, and revising brings it back."""
    may("answer", by.roles)
    _lock(s, answer)
    if answer.state == RETIRED:
        return False
    answer.state = RETIRED
    article_search.write(s, answer.id, {})
    events.record(s, events.of_answer(answer.id), "retire", by=by, at=at, facts={"slug": answer.slug})
    return True


def vote(s: Session, answer: Article, version: int, *, helpful: bool) -> None:
    """Counts whether a version helped somebody. That a browser says so once is the caller's to see."""
    row = {"answer_id": answer.id, "version": version, "helpful": int(helpful), "unhelpful": int(not helpful)}
    bulk_insert.put(s, ArticleVotes, [row], sums=True)


def votes(s: Session) -> dict[tuple[int, int], tuple[int, int]]:
    """How many were helped and how many were not, by the answer's id and version."""
    return {
        (row.answer_id, row.version): (row.helpful, row.unhelpful) for row in s.scalars(select(ArticleVotes))
    }


def by_slug(s: Session, slug: str) -> Article | None:
    """The answer of this name, also a retired one."""
    return s.scalars(select(Article).where(Article.slug == slug)).first()


def published(s: Session) -> list[Article]:
    """All answers that are shown, by slug."""
    return list(s.scalars(select(Article).where(Article.state == PUBLISHED).order_by(Article.slug)))


def texts(s: Session, answer: Article, version: int | None = None) -> dict[str, Text]:
    """What it says, by language; as an older `version` said it where one is named."""
    rows = s.scalars(
        select(ArticleText)
        .where(ArticleText.answer_id == answer.id, ArticleText.version == (version or answer.version))
        .order_by(ArticleText.lang)
    )
    return {row.lang: Text(row.title, row.body, row.script) for row in rows}


@dataclass(frozen=True)
class Heading:
    """An answer as lists show it: its title in the language that was asked for, or else in its first."""

    answer: Article
    title: str
    lang: str


def topics(s: Session) -> list[tuple[Topic, int]]:
    """The topics that have published answers, with how many, by code."""
    rows = s.execute(
        select(Topic, func.count())
        .join(Article, Article.topic_code == Topic.code)
        .where(Article.state == PUBLISHED)
        .group_by(Topic.code)
        .order_by(Topic.code)
    )
    return [(topic, count) for topic, count in rows]


def headings(
    s: Session,
    lang: str,
    *,
    topic: str = "",
    department: str = "",
    retired: bool = False,
    only: Sequence[int] | None = None,
    limit: int,
) -> tuple[list[Heading], int]:
    """The first answers of a topic or department, those due soonest first, and how many there are.

    Published ones, or those that are retired; `only` those with these ids.
    """
    wanted = select(Article.id, func.count().over()).where(
        Article.state == (RETIRED if retired else PUBLISHED)
    )
    if topic:
        wanted = wanted.where(Article.topic_code == topic)
    if department:
        wanted = wanted.where(Article.department_code == department)
    if only is not None:
        wanted = wanted.where(Article.id.in_(only))
    first = s.execute(wanted.order_by(Article.review_on, Article.slug).limit(limit)).all()
    rows = s.execute(
        select(Article, ArticleText.lang, ArticleText.title)
        .join(ArticleText, (ArticleText.answer_id == Article.id) & (ArticleText.version == Article.version))
        .where(Article.id.in_([row[0] for row in first]))
        .order_by(Article.review_on, Article.slug, ArticleText.lang)
    )
    found: dict[int, Heading] = {}
    for answer, text_lang, title in rows:
        if answer.id not in found or text_lang == lang:
            found[answer.id] = Heading(answer, title, text_lang)
    return list(found.values()), first[0][1] if first else 0


@dataclass(frozen=True)
class Version:
    """One version: what it said by language, who made it and when. `kind`: publish, revise or retire."""

    number: int
    kind: str
    actor: str
    at: datetime
    texts: Mapping[str, Text]
    review_on: str = ""


def history(s: Session, answer: Article) -> list[Version]:
    """Everything that was done to an answer, oldest first. A retirement says nothing new."""
    told: dict[int, dict[str, Text]] = {}
    for row in s.scalars(select(ArticleText).where(ArticleText.answer_id == answer.id)):
        told.setdefault(row.version, {})[row.lang] = Text(row.title, row.body, row.script)
    found: list[Version] = []
    for line, _words in events.of(s, events.of_answer(answer.id)):
        number = line.facts.get("version", found[-1].number if found else 0)
        words = told.get(number, {}) if line.kind != "retire" else {}
        found.append(Version(number, line.kind, line.actor, line.at, words, line.facts.get("review_on", "")))
    return found


def topic_of(s: Session, answer: Article) -> Topic:
    """What it is about."""
    return s.get_one(Topic, answer.topic_code)


def services_of(s: Session, answer: Article) -> list[Service]:
    """What it leads to, in the order of the city file; kinds that left that too."""
    wanted = select(Service).where(Service.code.in_(answer.services))
    return list(s.scalars(wanted.order_by(Service.position)))


def departments(s: Session) -> dict[str, dict[str, str]]:
    """Who may keep an answer true: names by language, by code."""
    return {row.code: row.names for row in s.scalars(select(Department).order_by(Department.code))}


def all_topics(s: Session) -> dict[str, dict[str, str]]:
    """What an answer may be about, whether one is: names by language, by code."""
    return {row.code: row.names for row in s.scalars(select(Topic).order_by(Topic.code))}


def all_services(s: Session) -> dict[str, dict[str, str]]:
    """What an answer may lead to: names by language, by code."""
    return {row.code: row.names for row in s.scalars(select(Service).order_by(Service.position))}


def checked_at(s: Session, answer: Article) -> datetime | None:
    """When somebody last made this what the city says."""
    return s.scalar(
        select(func.max(Event.at)).where(
            Event.subject == events.of_answer(answer.id), Event.kind.in_(("publish", "revise"))
        )
    )


def digest(text: Text) -> str:
    """The SHA-256 by which the log commits to a text."""
    return hashlib.sha256(json.dumps([text.title, text.body, text.script]).encode()).hexdigest()


def _lock(s: Session, answer: Article) -> None:
    s.flush()
    s.refresh(answer, with_for_update=True)


def _check(s: Session, draft: Draft) -> None:
    if s.get(Department, draft.department) is None:
        raise Refused("unknown_department", department=draft.department)
    if s.get(Topic, draft.topic) is None:
        raise Refused("unknown_topic", topic=draft.topic)
    if missing := [code for code in draft.services if s.get(Service, code) is None]:
        raise Refused("unknown_service", service=missing[0])
    if not draft.texts:
        raise Refused("empty_text")
    for lang, text in draft.texts.items():
        if not re.fullmatch("[a-z]{2,3}", lang):
            raise Refused("unknown_value", name="lang", value=lang)
        for part, most in MOST.items():
            words = getattr(text, part)
            if not words.strip():
                raise Refused("empty_text", lang=lang, part=part)
            if len(words) > most:
                raise Refused("words_too_long", lang=lang, part=part, most=most)
            if found := _MARKUP.search(words):
                raise Refused("markup", lang=lang, part=part, found=found[0][:40])


def _fill(answer: Article, draft: Draft) -> None:
    answer.department_code, answer.topic_code = draft.department, draft.topic
    answer.services, answer.review_on = list(draft.services), draft.review_on


def _save_version(
    s: Session, answer: Article, draft: Draft, kind: str, by: Actor, at: datetime, origin: str
) -> None:
    """The words of this version, and its line."""
    said = _plain(draft).texts
    s.add_all(
        ArticleText(answer_id=answer.id, version=answer.version, lang=lang, **vars(text))
        for lang, text in said.items()
    )
    article_search.write(
        s, answer.id, {lang: (text.title, text.script, text.body) for lang, text in said.items()}
    )
    facts = {
        "slug": answer.slug, "version": answer.version, "department": draft.department, "topic": draft.topic,
        "services": list(draft.services), "review_on": draft.review_on.isoformat(),
        "texts": {lang: digest(text) for lang, text in said.items()},
    }  # fmt: skip
    events.record(s, events.of_answer(answer.id), kind, by=by, at=at, facts=facts, origin=origin)


def _draft_of(s: Session, answer: Article) -> Draft:
    return Draft(
        answer.department_code, answer.topic_code, answer.review_on, texts(s, answer), tuple(answer.services)
    )


def _plain(draft: Draft) -> Draft:
    """The draft with its words as they are kept."""
    kept = {
        lang: Text(text.title.strip(), text.body.strip(), text.script.strip())
        for lang, text in sorted(draft.texts.items())
    }
    return Draft(draft.department, draft.topic, draft.review_on, kept, tuple(draft.services))

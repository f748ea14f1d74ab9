"""Questions that nothing was found for, or nothing helpful: what the knowledge base still owes people.

Nobody's: a question is kept once, with how often it was asked, and without what looks like somebody's number
or address.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from city.audit.events import Actor
from city.db.models import Article, FailedSearch
from city.lifecycle import may
from city.text import normalize

MOST_LETTERS: Final = 120  # of the column
MOST_KEPT: Final = (
    5_000  # a program that asks nonsense all night pushes out what was asked once, not what many asked
)
MOST_LISTED: Final = 200

_EMAIL: Final = re.compile(r"(?<!\S)\S+@\S+")
# Seven figures and more, however they are parted: telephones, cards, tax and social security numbers.
_NUMBER: Final = re.compile(r"\+?\(?\d(?:[\W_]{0,3}\d){6,}")


@dataclass(frozen=True)
class Question:
    """One that is open. `slug` names the answer that did not help, empty where nothing was found."""

    id: int
    words: str
    lang: str
    asked: int
    first_at: datetime
    last_at: datetime
    slug: str
    department: str


def record(s: Session, typed: str, lang: str, at: datetime, answer: Article | None = None) -> bool:
    """Counts a question; `answer` is the one that did not help. False where nothing of it may be kept."""
    words = redact_personal_data(typed)
    same = " ".join(sorted(set(normalize(words))))
    if not same:
        return False
    key = f"{lang} {answer.slug if answer else '-'} {same}"[:300]
    wanted = select(FailedSearch).where(FailedSearch.key == key).with_for_update()
    found = s.scalars(wanted).first()
    if found is None:
        new = FailedSearch(
            key=key, lang=lang, words=words, answer_id=answer.id if answer else None, asked=1,
            first_at=at, last_at=at, settled_at=None,
        )  # fmt: skip
        try:
            with s.begin_nested():
                s.add(new)
        except IntegrityError:  # somebody asked it in the same moment
            found = s.scalars(wanted).one()
        else:
            _make_room(s)
            return True
    found.asked, found.last_at, found.settled_at = found.asked + 1, at, None
    return True


def open_questions(s: Session, department: str = "") -> tuple[Sequence[Question], int]:
    """The first MOST_LISTED of what nobody has seen to, most asked first, and how many there are.

    Of one department: those that its answers did not help with, and all that nothing was found for.
    """
    still: list[ColumnElement[bool]] = [FailedSearch.settled_at.is_(None)]
    if department:
        still.append(FailedSearch.answer_id.is_(None) | (Article.department_code == department))
    rows = (
        select(FailedSearch, Article.slug, Article.department_code, func.count().over())
        .outerjoin(Article, Article.id == FailedSearch.answer_id)
        .where(*still)
        .order_by(FailedSearch.asked.desc(), FailedSearch.last_at.desc(), FailedSearch.id)
        .limit(MOST_LISTED)
    )
    found = s.execute(rows).all()
    listed = [
        Question(
            row.id, row.words, row.lang, row.asked, row.first_at, row.last_at, slug or "", code or ""
        )
        for row, slug, code, _ in found
    ]  # fmt: skip
    return listed, found[0][3] if found else 0


def resolve(s: Session, question_id: int, *, by: Actor, at: datetime) -> bool:
    """An owner has seen to it: it is listed no more until somebody asks it again. False: it was so before."""
    may("answer", by.roles)
    found = s.get(FailedSearch, question_id, with_for_update=True)
    if found is None or found.settled_at is not None:
        return False
    found.settled_at = at
    return True


def redact_personal_data(typed: str) -> str:
    """What of a question may be kept: a line, without numbers of people and e-mail addresses."""
    plain = _NUMBER.sub("…", _EMAIL.sub("…", typed[: MOST_LETTERS * 4]))
    return " ".join(plain.split())[:MOST_LETTERS].strip()


def _make_room(s: Session) -> None:
    over = (s.scalar(select(func.count()).select_from(FailedSearch)) or 0) - MOST_KEPT
    if over > 0:
        open_, often = FailedSearch.settled_at.is_(None), FailedSearch.asked > 1
        oldest = (
            select(FailedSearch.id).order_by(open_, often, FailedSearch.last_at, FailedSearch.id).limit(over)
        )
        s.execute(delete(FailedSearch).where(FailedSearch.id.in_(oldest)))

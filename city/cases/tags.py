"""Tags: words that staff put on a case to find it by. Residents never see them.

Verbs like those of transitions.py: each locks the case, checks who may, and writes tag and log together.
"""

import unicodedata
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from city.audit import events
from city.audit.events import Actor
from city.cases import locks
from city.cases.transitions import bump_version, subject
from city.db.models import Case, CaseTag
from city.lifecycle import Refused, may

MOST_LETTERS: Final = 40
MOST_TAGS: Final = 20  # a case with more has none that anybody looks for


def tag(s: Session, case: Case, word: str, *, by: Actor, at: datetime) -> bool:
    """Puts a tag on the case. Raises Refused `bad_tag`, or `too_many_tags` beyond MOST_TAGS."""
    may("tag", by.roles)
    word = folded(word)
    locks.lock(s, case)
    if word in of(case):
        return False
    if len(case.tags) >= MOST_TAGS:
        raise Refused("too_many_tags", most=MOST_TAGS)
    case.tags.append(CaseTag(tag=word))
    return _turned(s, case, "tag", word, by=by, at=at)


def untag(s: Session, case: Case, word: str, *, by: Actor, at: datetime) -> bool:
    """Takes a tag off the case. Raises Refused `bad_tag`."""
    may("tag", by.roles)
    word = folded(word)
    locks.lock(s, case)
    found = next((each for each in case.tags if each.tag == word), None)
    if found is None:
        return False
    case.tags.remove(found)
    return _turned(s, case, "untag", word, by=by, at=at)


def of(case: Case) -> list[str]:
    """The case's tags."""
    return [each.tag for each in case.tags]


def folded(word: str) -> str:
    """A tag as it is kept: small letters, single spaces. Raises Refused `bad_tag` where nothing is left,
    or more than MOST_LETTERS, or what nobody can read."""
    word = " ".join(unicodedata.normalize("NFKC", word).casefold().split())
    if not 1 <= len(word) <= MOST_LETTERS or not word.isprintable():
        raise Refused("bad_tag", most=MOST_LETTERS)
    return word


def _turned(s: Session, case: Case, kind: str, word: str, *, by: Actor, at: datetime) -> bool:
    # A tag is free text, so it stands where words may be deleted.
    events.record(s, subject(case), kind, by=by, at=at, words={"tag": word})
    bump_version(s, case)
    return True

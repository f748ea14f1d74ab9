"""Finding cases by words, address, number and people. Staff's alone: it knows who told and what was hidden.

One row a case holds all that it can be found by, folded into plain words by us, so that both databases see
the same ones; SQLite's FTS5 and PostgreSQL's GIN index are kept from that row. Which word may be the
beginning of a longer one is said in terms().
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Select,
    and_,
    cast,
    column,
    delete,
    literal,
    literal_column,
    select,
    table,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import Session, aliased

from city.channels import SEARCHABLE
from city.db import bulk_insert
from city.db.in_list import is_in
from city.db.models import Asset, Case, CaseWords, Imported, Report, Subscription
from city.lifecycle import OPEN, UNDONE
from city.places import streets
from city.text import LONGEST, normalize

MOST_TERMS = 8  # of what somebody types
AT_ONCE = 500  # cases in one statement
# Bytes of the different words of one case: a long novel has not more. PostgreSQL's index takes a megabyte.
MOST_BYTES = 200_000
# The beginning of a word is enough from so many letters on; of a figure later, since 55 is not 550.
_BEGINNING, _BEGINNING_OF_FIGURE = 2, 4
# The words as PostgreSQL's index has them. Written out: an index is used for its very expression only.
_LEXEMES: Final[Any] = literal_column("array_to_tsvector(string_to_array(case_words.words, ' '))")


class Term(NamedTuple):
    """A word that must stand there, or `begins` where a longer one may."""

    word: str
    begins: bool


def terms(typed: str) -> tuple[Term, ...]:
    """What somebody looks for: every word must stand in a case. Nothing but signs is no term at all."""
    found = dict.fromkeys(normalize(typed))
    return tuple(Term(word, _may_begin(word)) for word in list(found)[:MOST_TERMS])


def ids(s: Session, sought: Sequence[Term], *, live: bool) -> Select[Any]:
    """The ids of the open or the ended cases with all these terms, out of the index and in no order."""
    if s.get_bind().dialect.name == "postgresql":
        query = " & ".join(f"'{term.word}'{':*' if term.begins else ''}" for term in sought)
        about = CaseWords.open if live else ~CaseWords.open
        asked = _LEXEMES.op("@@")(cast(query, TSQUERY))
        return select(CaseWords.case_id).where(about, asked)
    name = "words_open" if live else "words_ended"
    query = " AND ".join(f'"{term.word}"{"*" if term.begins else ""}' for term in sought)
    index = table(name, column("rowid"), column(name))
    return select(index.c.rowid).where(index.c[name].op("MATCH")(query))


def at(s: Session, address: str, *, limit: int) -> list[int]:
    """The ids of the cases at this very address, the newest first."""
    there = select(CaseWords.case_id).where(
        CaseWords.open.in_((True, False)), CaseWords.street == _street(address)
    )
    return list(s.scalars(there.order_by(CaseWords.case_id.desc()).limit(limit)))


def matches(sought: Sequence[Term]) -> Any:
    """The same as a condition on one case after the other: for an order in which most of them fit."""
    row = aliased(CaseWords)
    whole = literal(" ").concat(row.words).concat(" ")
    stands = [whole.like(f"% {term.word}{'' if term.begins else ' '}%") for term in sought]
    # No EXISTS: PostgreSQL would look through all words first, and these are asked until a page is full.
    return select(and_(*stands)).where(row.case_id == Case.id).scalar_subquery()


def mark_changed(s: Session, *case_ids: int) -> None:
    """Notes that what these cases are found by may have changed: it is written as the transaction ends."""
    s.info.setdefault("to_find", set()).update(case_ids)
    s.info["index"] = write


def stand(s: Session, case_id: int) -> None:
    """Notes that the case was opened or has ended: its words stay, and are not read again."""
    s.info.setdefault("to_stand", set()).add(case_id)
    s.info["index"] = write


def forget(s: Session, *case_ids: int) -> None:
    """As mark_changed(), where words are to go for good: they leave the bytes of the index too."""
    mark_changed(s, *case_ids)
    if case_ids:
        s.info["forget"] = True


def write(s: Session) -> None:
    """Brings the rows of all cases that were noted up to date."""
    s.flush()
    noted = _with_roots(s, sorted(s.info.pop("to_find", ())))
    moved = sorted(s.info.pop("to_stand", set()).difference(noted))
    if moved:
        s.connection().execute(_STAND, {"ids": moved})
    for start in range(0, len(noted), AT_ONCE):
        _write(s, noted[start : start + AT_ONCE])
    if s.info.pop("forget", False):
        _forget(s)


def recompute(s: Session) -> int:
    """Writes the rows of all cases anew from facts; returns how many were wrong."""
    s.flush()
    last, wrong = 0, 0
    while part := list(s.scalars(select(Case.id).where(Case.id > last).order_by(Case.id).limit(AT_ONCE))):
        wrong += _write(s, part)
        last = part[-1]
    if wrong:  # a row may have held what was erased
        _forget(s)
    return wrong


def _with_roots(s: Session, case_ids: Sequence[int]) -> list[int]:
    """These cases and all that they lie merged into, ascending."""
    found = set(case_ids)
    for start in range(0, len(case_ids), AT_ONCE):
        merged = Case.merged_into_id.is_not(None)
        into = select(Case.merged_into_id.label("id")).where(
            is_in(Case.id, case_ids[start : start + AT_ONCE]), merged
        )
        above = into.cte("above", recursive=True)
        further = select(Case.merged_into_id).join(above, above.c.id == Case.id).where(merged)
        found.update(s.scalars(select(above.union(further).c.id)))
    return sorted(found)


def _write(s: Session, case_ids: Sequence[int]) -> int:
    # Two who tell of one case at once: the second reads what the first has written. Ascending, as all locks.
    held = select(CaseWords.__table__).where(is_in(CaseWords.case_id, case_ids))
    rows = s.execute(held.order_by(CaseWords.case_id).with_for_update()).mappings()
    there = {row["case_id"]: dict(row) for row in rows}
    wanted = _wanted(s, case_ids)
    gone = [case_id for case_id in there if case_id not in wanted]
    new = [row for case_id, row in wanted.items() if there.get(case_id) != row]
    bulk_insert.put(s, CaseWords, new, over=True)
    if gone:
        s.execute(delete(CaseWords).where(is_in(CaseWords.case_id, gone)))
    return len(gone) + len(new)


def _wanted(s: Session, case_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The rows of these cases; without those that an import's undoing took back.

    A case is found by all that was told of it, what lies merged into it included, after its own. What
    somebody looks for most comes first: of more than MOST_BYTES the last words are not found.
    """
    family = _family(case_ids)
    of, own_first = family.c.of, (family.c.of != family.c.id, family.c.id)
    # The sum hides the family's own ids from SQLite's planner. Where hardly anything is merged it takes a
    # family for a seventh of all cases, and asks of each case of the city whether it is one of them.
    one = family.c.id + 0
    cases = select(of, Case.id, Case.number, Case.state, Case.address, Asset.number)
    cases = cases.join(family, one == Case.id).outerjoin(Asset, Asset.id == Case.asset_id)
    told = select(of, Report.number, Report.address, Report.words)
    told = told.join(family, one == Report.case_id).order_by(*own_first, Report.id)
    people = select(of, Subscription.address).join(Report, Report.id == Subscription.report_id)
    people = people.where(Subscription.channel.in_(SEARCHABLE))
    people = people.join(family, one == Report.case_id).order_by(*own_first, Subscription.id)
    called = select(of, Imported.ref).join(family, one == Imported.case_id)
    found: dict[int, dict[str, Any]] = {}
    words: dict[int, dict[str, None]] = {case_id: {} for case_id in case_ids}
    for case_id, member, number, state, address, asset in s.execute(cases.order_by(*own_first)):
        words[case_id] |= dict.fromkeys((*_number(number), *_place(address), *_number(asset or "")))
        if member == case_id and state != UNDONE:
            found[case_id] = {
                "case_id": case_id, "open": state in OPEN, "words": "", "street": _street(address)
            }  # fmt: skip
    reported = s.execute(told).all()
    for case_id, number, _address, _said in reported:
        words[case_id] |= dict.fromkeys(normalize(number))
    for case_id, email in s.execute(people):
        words[case_id] |= dict.fromkeys(normalize(email))
    for case_id, ref in s.execute(called.order_by(Imported.ref)):
        words[case_id] |= dict.fromkeys(_number(ref))
    for case_id, _called, address, said in reported:
        words[case_id] |= dict.fromkeys((*_place(address), *normalize(said)))
    for case_id, row in found.items():
        row["words"] = _capped(" ".join(words[case_id]))
    return found


def _family(case_ids: Sequence[int]) -> Any:
    """These cases and all that lie merged into them, each as `id` with the one `of` which it is."""
    itself = select(Case.id.label("of"), Case.id.label("id")).where(is_in(Case.id, case_ids))
    family = itself.cte("family", recursive=True)
    merged = select(family.c.of, Case.id).join(family, family.c.id == Case.merged_into_id)
    return family.union_all(merged.where(Case.state != UNDONE))


def _capped(words: str) -> str:
    """As many whole words from the beginning as MOST_BYTES have room for."""
    told = words.encode()
    return words if len(told) <= MOST_BYTES else told[:MOST_BYTES].decode(errors="ignore").rpartition(" ")[0]


def _forget(s: Session) -> None:
    """Makes SQLite's indexes anew where its version, or the one that made them, cannot delete for good.

    FTS5's own `optimize` would at times leave the word in the mark of its deletion (decision 0016). The place
    of PostgreSQL's rows is freed as that of every other row is: with its next VACUUM.
    """
    if s.get_bind().dialect.name == "postgresql":
        return
    for name, is_open in (("words_open", True), ("words_ended", False)):
        secure = s.scalar(text(f"SELECT v FROM {name}_config WHERE k = 'secure-delete'"))  # noqa: S608
        if not secure:
            s.execute(text(f"INSERT INTO {name} ({name}) VALUES ('delete-all')"))  # noqa: S608
            held = f"SELECT case_id, words FROM case_words WHERE open = {int(is_open)}"  # noqa: S608
            s.execute(text(f"INSERT INTO {name} (rowid, words) {held} ORDER BY case_id"))


def _number(number: str) -> Iterator[str]:
    """A number in its parts, as one, and its figure without noughts: people type either."""
    parts = list(normalize(number))
    yield from parts
    if len(parts) > 1:
        yield "".join(parts)[:LONGEST]
    if parts and (figure := parts[-1].lstrip("0")) != parts[-1]:
        yield figure or "0"


def _place(address: str) -> Iterator[str]:
    """An address as it was written, and in long forms: "Main St" is found by "Main Street"."""
    yield from normalize(address)
    yield from normalize(streets.normal(address))


def _street(address: str) -> str:
    """What addresses are sorted by: the street, then the house number, so that 9 stands before 10."""
    figure, rest = re.match(r"(\d*)(.*)", streets.normal(address), re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{rest.strip()} {figure[:8]:0>8}" if figure else rest


def _may_begin(word: str) -> bool:
    has_figure = any(letter.isdigit() for letter in word)
    return len(word) >= (_BEGINNING_OF_FIGURE if has_figure else _BEGINNING)


_ROWS: Any = CaseWords.__table__
_STAND = (
    update(_ROWS)
    .where(is_in(_ROWS.c.case_id, "ids"))
    .values(open=select(Case.state.in_(OPEN)).where(Case.id == _ROWS.c.case_id).scalar_subquery())
)

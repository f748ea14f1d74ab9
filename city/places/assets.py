"""The registers of poles, trees and baskets: which thing is which, whose it is, and what was retired."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from city.db.models import Asset, Owner

AT_ONCE = 2000
COLUMNS = ("number", "owner", "source_id", "address", "lat", "lon", "cell")


@dataclass
class Difference:
    """What a register's rows change: new ones, known ones that differ, those that are as they were.

    `gone` are ids of things in use that the register has no more. `there` counts those that were in use,
    `returned` those that had been retired.
    """

    new: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    same: list[dict[str, Any]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    there: int = 0
    returned: int = 0


def compare(
    s: Session, kind: str, rows: Sequence[dict[str, Any]], *, unread: Collection[str] = ()
) -> Difference:
    """Finds each row's thing among those of this kind and of the owners that the rows name.

    A row has COLUMNS; no two have one `source_id`, or one owner and number. A thing is known by the
    register's own id, whatever else changed; where one of both has none, by owner and number, and then by
    the number alone. Things of the numbers `unread` are not gone: the register has them, in rows that could
    not be taken.
    """
    owners = {row["owner"] for row in rows}
    there = [
        dict(row)
        for row in s.execute(
            select(*(getattr(Asset, name) for name in ("id", "retired_at", *COLUMNS)))
            .where(Asset.kind == kind, Asset.owner.in_(owners))
            .order_by(Asset.retired_at.is_not(None), Asset.retired_at.desc(), Asset.id)  # in use first
        ).mappings()
    ]
    found = _matched(rows, there)
    difference = Difference(there=sum(one["retired_at"] is None for one in there))
    for n, row in enumerate(rows):
        if n not in found:
            difference.new.append(row)
            continue
        known = found[n]
        now = row | {"source_id": row["source_id"] or known["source_id"]}
        difference.returned += known["retired_at"] is not None
        if known["retired_at"] is None and all(known[name] == now[name] for name in COLUMNS):
            difference.same.append(row)
        else:
            difference.changed.append(now | {"id": known["id"], "was": _mark(known), "retired_at": None})
    kept = {known["id"] for known in found.values()}
    difference.gone = [
        one["id"]
        for one in there
        if one["retired_at"] is None and one["id"] not in kept and one["number"] not in unread
    ]
    return difference


def write(s: Session, kind: str, difference: Difference, *, at: datetime) -> Iterator[int]:
    """Writes what compare() found, and tells how many rows are written so far."""
    for gone in _pieces(difference.gone):
        s.execute(update(Asset).where(Asset.id.in_(gone)).values(retired_at=at))
    # Two things may have exchanged their numbers or owners, which together are unique at every moment.
    moved = [
        {"id": row["id"], "number": f"~{row['id']}"} for row in difference.changed if row["was"] != _mark(row)
    ]
    if moved:
        s.execute(update(Asset), moved)
    changed = [{name: value for name, value in row.items() if name != "was"} for row in difference.changed]
    done = 0
    for rows in _pieces(changed):
        s.execute(update(Asset), rows)
        yield (done := done + len(rows))
    for rows in _pieces(difference.new):
        s.execute(insert(Asset), [row | {"kind": kind} for row in rows])
        yield (done := done + len(rows))


def numbered(s: Session, number: str) -> list[Asset]:
    """Everything with this number on it, in capitals or as written: of every kind and owner, and retired ones
    last."""
    asked = select(Asset).where(Asset.number.in_({number, number.upper()}))
    is_retired = Asset.retired_at.is_not(None)
    return list(
        s.scalars(asked.order_by(is_retired, Asset.retired_at.desc(), Asset.kind, Asset.owner, Asset.id))
    )


def owner_of(s: Session, asset: Asset) -> Owner | None:
    """Whose it is, where that is not the city; None as well where the city file does not name the owner."""
    if not asset.owner:
        return None
    return next((owner for owner in s.scalars(select(Owner)) if asset.owner.casefold() in owner.names), None)


def owners(s: Session, kind: str) -> dict[str, int]:
    """Whose things of a kind in use are, as the register names them, and how many; not the city's own."""
    counted = select(Asset.owner, func.count()).where(Asset.owner != "", Asset.retired_at.is_(None))
    counted = counted.where(Asset.kind == kind)
    return {row[0]: row[1] for row in s.execute(counted.group_by(Asset.owner).order_by(Asset.owner))}


def _matched(rows: Sequence[dict[str, Any]], there: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The known thing of each row, by the row's place in the list."""
    found: dict[int, dict[str, Any]] = {}
    used: set[int] = set()

    def match(names: Collection[str], allowed: Any) -> None:
        known: dict[Any, dict[str, Any]] = {}
        for one in there:
            if one["id"] not in used:
                known.setdefault(tuple(one[name] for name in names), one)
        for n, row in enumerate(rows):
            mine = known.get(tuple(row[name] for name in names))
            if n not in found and mine and mine["id"] not in used and allowed(row, mine):
                found[n] = mine
                used.add(mine["id"])

    match(("source_id",), lambda row, _one: row["source_id"] is not None)
    for names in (("owner", "number"), ("number",)):
        match(names, lambda row, one: row["source_id"] is None or one["source_id"] is None)
    return found


def _mark(row: dict[str, Any]) -> tuple[str, str]:
    return row["owner"], row["number"]


def _pieces(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), AT_ONCE):
        yield rows[start : start + AT_ONCE]

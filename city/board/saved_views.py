"""Saved views: an address of the board under a name, one's own or everybody's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from city.audit.events import Actor
from city.db.models import Person, SavedView
from city.lifecycle import SUPERVISOR, Refused

LONGEST = 60  # letters of a name
# Each is counted whenever a board is opened: so many of one person, and so many that all share.
MOST = 20
MOST_SHARED = 20


def of(s: Session, person_id: int) -> Sequence[SavedView]:
    """The person's own views and the shared ones, by name."""
    asked = select(SavedView).where(or_(SavedView.person_id == person_id, SavedView.shared))
    return sorted(s.scalars(asked), key=lambda view: (view.name.casefold(), view.id))


def save(
    s: Session, person_id: int, name: str, args: dict[str, Any], *, shared: bool, at: datetime
) -> SavedView:
    """Saves a view under a name.

    Raises Refused `view_unnamed`, `view_name_long`, `too_many_views` and `too_many_shared`.
    """
    name = _checked(name)
    s.execute(select(Person.id).where(Person.id == person_id).with_for_update())  # one tab at a time
    own = select(func.count()).select_from(SavedView).where(SavedView.person_id == person_id)
    if (s.scalar(own) or 0) >= MOST:
        raise Refused("too_many_views", most=MOST)
    if shared:
        _check_shared(s)
    view = SavedView(person_id=person_id, name=name, args=args, shared=shared, made_at=at)
    s.add(view)
    s.flush()
    return view


def rename(s: Session, view: SavedView, name: str, *, shared: bool) -> None:
    """Gives it another name, or shares it or not. Raises Refused as save() does."""
    name = _checked(name)
    if shared and not view.shared:
        _check_shared(s)
    view.name, view.shared = name, shared


def remove(s: Session, view: SavedView) -> None:
    """Forgets a view; the cases in it stay what they are."""
    s.delete(view)


def owned_by(s: Session, person_id: int, view_id: int) -> SavedView | None:
    """The view with this id, where it is the person's: a shared one is changed by whoever made it."""
    view = s.get(SavedView, view_id)
    return view if view and view.person_id == person_id else None


def removable(s: Session, by: Actor, person_id: int, view_id: int) -> SavedView | None:
    """The view with this id, where they may remove it: a supervisor also what others share.

    Whoever shared it may have left the city.
    """
    view = s.get(SavedView, view_id)
    mine = view is not None and view.person_id == person_id
    return view if view and (mine or (view.shared and SUPERVISOR in by.roles)) else None


def _check_shared(s: Session) -> None:
    # Each of those who share in one moment may make it one more; so many more are no burden.
    if (s.scalar(select(func.count()).select_from(SavedView).where(SavedView.shared)) or 0) >= MOST_SHARED:
        raise Refused("too_many_shared", most=MOST_SHARED)


def _checked(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise Refused("view_unnamed")
    if len(name) > LONGEST:
        raise Refused("view_name_long", most=LONGEST)
    return name

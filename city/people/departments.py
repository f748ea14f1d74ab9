"""The departments that managers answer for, and what they may read outside of them."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from city.audit.events import Actor
from city.db.models import Case, Department, Service
from city.lifecycle import ADMINISTRATOR, CALL_TAKER, DISPATCHER, MANAGER, Refused

# Who reads every case, whatever its department: they take it in, give it out, or answer for the whole city.
READS_ALL = frozenset((DISPATCHER, CALL_TAKER, ADMINISTRATOR))


def known(s: Session, codes: Iterable[str]) -> list[Department]:
    """The departments with these codes, by code; raises Refused `unknown_value` where one is none's."""
    wanted = sorted(set(codes))
    found = list(s.scalars(select(Department).where(Department.code.in_(wanted)).order_by(Department.code)))
    if len(found) < len(wanted):
        raise Refused("unknown_value")
    return found


def own(by: Actor) -> frozenset[str]:
    """The codes of the departments whose figures `by` reads without suppression: a manager's own."""
    return by.departments if MANAGER in by.roles else frozenset()


def sealed(s: Session, by: Actor) -> tuple[str, ...]:
    """The codes of the private services whose cases `by` may count and not read; of managers alone.

    Those that left the city file are among them.
    """
    if MANAGER not in by.roles or by.roles & READS_ALL:
        return ()
    asked = select(Service.code).where(
        Service.private, Service.department_code.not_in(sorted(by.departments))
    )
    return tuple(s.scalars(asked.order_by(Service.code)))


def is_sealed(s: Session, by: Actor, case: Case) -> bool:
    """Whether `by` may not read this case: see sealed()."""
    return case.service.private and case.service_code in sealed(s, by)

"""Partners: crews of a contractor, a utility or a neighboring town, who work by links and have no log-in.

A partner is a crew, so that whatever knows crews knows it: the board, routing, figures, Undo (decision 0033).
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from city.audit import events
from city.audit.events import Actor
from city.db.models import Area, Case, Crew, CrewMember, Partner, PartnerLink, Service
from city.lifecycle import ADMINISTRATOR, PARTNER, Refused
from city.people import accounts

ONE_LASTS: Final = timedelta(days=30)  # a link to one job
LIST_LASTS: Final = timedelta(days=7)  # one to all that the partner has
_HALF: Final = 22  # letters of a token's half: 128 bits


def save(
    s: Session,
    crew: Crew | None,
    *,
    name: str,
    department: str | None,
    email: str,
    lang: str,
    services: Iterable[str] = (),
    areas: Iterable[str] = (),
    needs_acceptance: bool = True,
    is_active: bool = True,
    by: Actor,
    at: datetime,
) -> Partner:
    """A new partner, or one with everything changed. With another address, or turned off, its links end.

    `services` are codes and `areas` names, of none for whatever and wherever. Raises Refused `not_allowed`,
    `empty_name`, `known_crew`, `bad_email`, `partner_people` for a crew that has people, and `unknown_value`.
    """
    if ADMINISTRATOR not in by.roles:
        raise Refused("not_allowed", move="partner")
    email, services, areas = accounts.address(email), sorted(set(services)), sorted(set(areas))
    known = set(s.scalars(select(Service.code).where(Service.office.is_(False), Service.private.is_(False))))
    if set(services) - known or set(areas) - set(s.scalars(select(Area.name).where(Area.name.in_(areas)))):
        raise Refused("unknown_value")
    if crew is None:
        crew = accounts.add_crew(s, name, department=department, by=by, at=at)
    else:
        if s.scalar(select(CrewMember.person_id).where(CrewMember.crew_id == crew.id).limit(1)):
            raise Refused("partner_people")
        accounts.change_crew(s, crew, name=name, department=department, members=(), by=by, at=at)
    row = crew.partner
    if row is None:
        row = Partner(crew=crew, made_at=at)
        s.add(row)
    elif row.email != email or not is_active:
        revoke_all(s, row, at=at)
    row.email, row.lang, row.services, row.areas = email, lang, services, areas
    row.needs_acceptance, row.is_active = needs_acceptance, is_active
    s.flush()
    facts = {"services": services, "areas": areas, "needs_acceptance": needs_acceptance, "active": is_active}
    events.record(s, f"crew:{crew.id}", "partner", by=by, at=at, facts=facts)
    return row


def check(s: Session, partner: Partner, case: Case) -> None:
    """Raises Refused where the partner takes no such case: `partner_off`, `partner_private`,
    `partner_service`, `partner_area`."""
    name = partner.crew.name
    if not partner.is_active:
        raise Refused("partner_off", name=name)
    if case.service.private:
        raise Refused("partner_private")
    if partner.services and case.service_code not in partner.services:
        raise Refused("partner_service", name=name)
    if partner.areas:
        area = s.get(Area, case.area_id) if case.area_id else None
        if area is None or area.name not in partner.areas:
            raise Refused("partner_area", name=name)


def of_crew(s: Session, crew_id: int) -> Partner | None:
    """The partner whose crew it is; None for the city's own."""
    return s.get_one(Crew, crew_id).partner


def every(s: Session) -> list[Partner]:
    """All partners, by name."""
    asked = select(Partner).join(Crew).options(joinedload(Partner.crew)).order_by(Crew.name)
    return list(s.scalars(asked))


def actor(partner: Partner) -> Actor:
    """A partner as who acts, known by its link only."""
    return Actor(f"partner:{partner.crew_id}", frozenset({PARTNER}), crew_ids=frozenset({partner.crew_id}))


def make_link(s: Session, partner: Partner, case: Case | None, *, at: datetime) -> PartnerLink:
    """A link to one job, or to all that the partner has."""
    row = PartnerLink(
        crew_id=partner.crew_id, case_id=case.id if case else None, nonce=secrets.token_urlsafe(16),
        made_at=at, expires_at=at + (ONE_LASTS if case else LIST_LASTS),
    )  # fmt: skip
    s.add(row)
    s.flush()
    return row


def token_of(link: PartnerLink, secret: str) -> str:
    """What stands in the link's address."""
    told = hmac.new(secret.encode(), f"partner:{link.nonce}".encode(), hashlib.sha256).digest()
    return link.nonce + urlsafe_b64encode(told[:16]).decode().rstrip("=")


def by_token(s: Session, token: str, secret: str, *, at: datetime) -> tuple[Partner, PartnerLink] | None:
    """Whose link it is; None where it was never made, or is over, revoked, or of a partner turned off."""
    row = s.scalar(select(PartnerLink).where(PartnerLink.nonce == token[:_HALF]))
    if row is None or not hmac.compare_digest(token_of(row, secret).encode(), token.encode()):
        return None
    partner = s.get_one(Partner, row.crew_id)
    return (partner, row) if is_good(row, at) and partner.is_active else None


def is_good(link: PartnerLink, at: datetime) -> bool:
    """Whether it opens anything yet."""
    return link.revoked_at is None and at < link.expires_at


def links(s: Session, partner: Partner, at: datetime) -> list[PartnerLink]:
    """Those that still open something, the newest first."""
    rows = s.scalars(
        select(PartnerLink)
        .where(
            PartnerLink.crew_id == partner.crew_id, PartnerLink.revoked_at.is_(None),
            PartnerLink.expires_at > at,
        )
        .order_by(PartnerLink.id.desc())
    )  # fmt: skip
    return list(rows)


def revoke_all(s: Session, partner: Partner, *, case_id: int | None = None, at: datetime) -> int:
    """Ends the partner's links, with `case_id` those to this case alone; returns how many."""
    mine = (PartnerLink.crew_id == partner.crew_id) & PartnerLink.revoked_at.is_(None)
    if case_id is not None:
        mine &= PartnerLink.case_id == case_id
    done = s.execute(update(PartnerLink).where(mine).values(revoked_at=at))
    return int(getattr(done, "rowcount", 0))

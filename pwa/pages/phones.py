"""The crews' phones: which there are, what waits on them, codes for new ones, and shutting a lost one out."""

from datetime import UTC, datetime

from flask import Blueprint, Response, g, request, url_for
from sqlalchemy import func, select
from sqlalchemy.orm import Session, selectinload

from city.lifecycle import CREW, Refused
from city.schema import Device, Person, PersonRole
from pwa import access, errors
from pwa.fragments import go, render
from sync import devices, enrolment

bp = Blueprint("phones", __name__, url_prefix="/admin/phones")

MOST = 200  # rows of a list that only grows


@bp.get("")
def device_list() -> Response:
    """The crews' phones, the last one seen first."""
    return _page()


@bp.post("/codes")
def make_code() -> Response:
    """A code that makes a phone somebody's, shown this once."""
    number = request.form.get("person", "")
    try:
        with access.writing() as s:
            found = s.get(Person, int(number)) if number.isdecimal() and len(number) < 10 else None
            if found is None:
                raise Refused("not_crew")
            name = found.name
            code = enrolment.make_code(s, found, by=g.actor, at=access.now())
    except Refused as refused:
        return _page(refused=refused)
    return _page(code=code, name=name)


@bp.post("/<device_id>/revoked")
def revoke(device_id: str) -> Response:
    """A lost phone: it gets nothing any more, until somebody enrols on it again."""
    here = access.here()
    with access.writing() as s:
        crews = select(Device).where(Device.id == device_id, Device.person_id.is_not(None))
        found = access.or_404(s.scalars(crews).first())
        devices.revoke(s, here.settings.var, found, by=g.actor, at=access.now())
    return go(url_for("phones.device_list", said="revoked"))


def _page(code: str = "", name: str = "", refused: Refused | None = None) -> Response:
    asked = select(Device, Person).join(Person, Person.id == Device.person_id)
    with access.reading() as s:
        rows = s.execute(asked.order_by(Device.revoked_at.is_not(None), Device.seen_at.desc()).limit(MOST))
        return render(
            "admin/phones.html", rows=list(rows), total=_count(s),
            crew=_crew(s), code=f"{code[:4]} {code[4:]}".strip(), name=name, minutes=enrolment.CODE_MINUTES,
            since=_since, error=errors.words(refused) if refused else "", status=422 if refused else 200,
        )  # fmt: skip


def _count(s: Session) -> int:
    """The crews' phones; those of residents are nobody's."""
    return s.scalar(select(func.count(Device.id)).where(Device.person_id.is_not(None))) or 0


def _crew(s: Session) -> list[Person]:
    """Everybody whose phone it could be."""
    asked = select(Person).where(Person.disabled_at.is_(None))
    crew = asked.join(PersonRole, PersonRole.person_id == Person.id).where(PersonRole.role == CREW)
    return list(s.scalars(crew.options(selectinload(Person.crews)).order_by(Person.name)))


def _since(device: Device) -> datetime | None:
    """When the oldest thing that waits on a phone was entered, by that phone's clock."""
    told = device.waiting.get("oldest")
    # A clock far off the calendar is no reason not to show the page.
    return datetime.fromtimestamp(told, UTC) if isinstance(told, int) and 0 < told < 2**32 else None

"""The crews' phones: which there are, what waits on them, codes for new ones, and shutting a lost one out."""

from flask import Blueprint, Response, g, request, url_for

from city.db.models import Device, Person
from city.lifecycle import Refused
from city.people import accounts
from pwa.web import access, errors
from pwa.web.fragments import go, render
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
    here = access.current_city()
    with access.writing() as s:
        found = access.or_404(s.get(Device, device_id))
        access.or_404(found.person_id)  # a resident's phone is nobody's to shut out
        devices.revoke(s, here.settings.var, found, by=g.actor, at=access.now())
    return go(url_for("phones.device_list", said="revoked"))


def _page(code: str = "", name: str = "", refused: Refused | None = None) -> Response:
    with access.reading() as s:
        return render(
            "admin/phones.html", rows=devices.of_crews(s, MOST), total=devices.count(s),
            crew=accounts.crew(s), code=f"{code[:4]} {code[4:]}".strip(), name=name,
            minutes=enrolment.CODE_MINUTES, since=devices.waits_since,
            error=errors.words(refused) if refused else "", status=422 if refused else 200,
        )  # fmt: skip

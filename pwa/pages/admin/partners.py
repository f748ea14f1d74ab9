"""Partners: for administrators, who say what each takes, send it a list of its jobs, and revoke its links."""

from flask import Blueprint, Response, g, request, url_for
from sqlalchemy import select

from city.config.city_file import Service
from city.db.models import Area, Crew, Department
from city.lifecycle import Refused
from city.partners import telling
from city.people import partners
from city.places.areas import KINDS
from pwa.web import access, errors, forms
from pwa.web.fragments import go, render

bp = Blueprint("partners", __name__, url_prefix="/admin/partners")


@bp.get("")
def listed() -> Response:
    """Every partner."""
    return _list()


@bp.post("")
def add() -> Response:
    """A new one: its name and where its links go. What it takes is asked next."""
    try:
        with access.writing() as s:
            row = partners.save(
                s, None, name=forms.text(request.form, "name"), department=None,
                email=forms.text(request.form, "email"), lang=_lang(), by=g.actor, at=access.now(),
            )  # fmt: skip
            number = row.crew_id
    except Refused as refused:
        return _list(refused)
    return go(url_for(".one", number=number, said="saved"))


@bp.get("/<natural:number>")
def one(number: int) -> Response:
    """One partner, and its links."""
    return _one(number)


@bp.post("/<natural:number>")
def change(number: int) -> Response:
    """Saves what was changed."""
    try:
        with access.writing() as s:
            crew = access.or_404(s.get(Crew, number))
            access.or_404(crew.partner)
            partners.save(
                s, crew, name=forms.text(request.form, "name"), email=forms.text(request.form, "email"),
                department=_department(), lang=_lang(), services=request.form.getlist("service"),
                areas=request.form.getlist("area"), needs_acceptance=bool(request.form.get("acceptance")),
                is_active=bool(request.form.get("active")), by=g.actor, at=access.now(),
            )  # fmt: skip
    except Refused as refused:
        return _one(number, refused)
    return go(url_for(".one", number=number, said="saved"))


@bp.post("/<natural:number>/list")
def send_list(number: int) -> Response:
    """A letter with a link to all that the partner has now."""
    with access.writing() as s:
        crew = access.or_404(s.get(Crew, number))
        telling.send_list(s, access.or_404(crew.partner), at=access.now())
    return go(url_for(".one", number=number, said="sent"))


@bp.post("/<natural:number>/revoke")
def revoke(number: int) -> Response:
    """All of the partner's links end at once."""
    with access.writing() as s:
        crew = access.or_404(s.get(Crew, number))
        partners.revoke_all(s, access.or_404(crew.partner), at=access.now())
    return go(url_for(".one", number=number, said="revoked"))


def _list(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        return render(
            "admin/partners.html", status=422 if refused else 200, rows=partners.every(s),
            entered=request.form, error=errors.words(refused) if refused else "",
            fault_id="email" if refused and refused.code == "bad_email" else "name",
            lang_now=request.form.get("lang"),
        )  # fmt: skip


def _one(number: int, refused: Refused | None = None) -> Response:
    with access.reading() as s:
        crew = access.or_404(s.get(Crew, number))
        row = access.or_404(crew.partner)
        sent = request.form if refused else None
        areas = s.scalars(select(Area.name).where(Area.kind.in_(KINDS)).distinct().order_by(Area.name))
        return render(
            "admin/partner.html", status=422 if refused else 200, row=row, entered=sent or {},
            services=_services(), areas=list(areas), links=partners.links(s, row, access.now()),
            departments=list(s.scalars(select(Department).order_by(Department.code))),
            department=sent.get("department") if sent else crew.department_code,
            lang_now=sent.get("lang") if sent else row.lang,
            picked=set(sent.getlist("service")) if sent else set(row.services),
            picked_areas=set(sent.getlist("area")) if sent else set(row.areas),
            error=errors.words(refused) if refused else "",
            fault_id="email" if refused and refused.code == "bad_email" else "name",
        )  # fmt: skip


def _services() -> list[Service]:
    """What a partner may be given: no office's and nothing private."""
    return [each for each in access.current_city().city.for_residents if not (each.private or each.office)]


def _department() -> str | None:
    return request.form.get("department") or None


def _lang() -> str:
    known = access.current_city().city.languages
    given = request.form.get("lang", "")
    return given if given in known else known[0]

"""Other owners' Open311 endpoints: for administrators, who add one, test it, and say what goes there."""

from flask import Blueprint, Response, g, request, url_for

from city.config.city_file import Service
from city.db.models import Endpoint
from city.forwarding import endpoints
from city.forwarding.client import Client
from city.lifecycle import Refused
from city.settings import OUTWARD
from pwa.web import access, errors, forms
from pwa.web.fragments import go, render

SECONDS = 6.0  # that a person waits for an endpoint's answer

bp = Blueprint("endpoints", __name__, url_prefix="/admin/owners")


@bp.get("")
def listed() -> Response:
    """Every endpoint, and how it goes with it."""
    return _list()


@bp.post("")
def add() -> Response:
    """A new one, tested at once: what they take is chosen from then."""
    try:
        with access.writing() as s:
            row = endpoints.save(
                s, None, name=forms.text(request.form, "name"), url=forms.text(request.form, "url"),
                jurisdiction=forms.text(request.form, "jurisdiction"),
                api_key=forms.text(request.form, "api_key"), loopback=_loopback(), by=g.actor,
                at=access.now(),
            )  # fmt: skip
            number = row.id
    except Refused as refused:
        return _list(refused)
    return _tested(number)


@bp.get("/<natural:number>")
def one(number: int) -> Response:
    """One endpoint: where it is, and which types of problems go there as which of theirs."""
    return _one(number)


@bp.post("/<natural:number>")
def change(number: int) -> Response:
    """Saves what was changed. An empty key keeps the old one."""
    codes = {each.code: forms.text(request.form, f"service-{each.code}") for each in _services()}
    try:
        with access.writing() as s:
            endpoints.save(
                s, access.or_404(s.get(Endpoint, number)), name=forms.text(request.form, "name"),
                url=forms.text(request.form, "url"), jurisdiction=forms.text(request.form, "jurisdiction"),
                api_key=forms.text(request.form, "api_key") or None, services=codes,
                is_active=bool(request.form.get("active")), pulls=bool(request.form.get("pulls")),
                loopback=_loopback(), by=g.actor, at=access.now(),
            )  # fmt: skip
    except Refused as refused:
        return _one(number, refused)
    return go(url_for(".one", number=number, said="saved"))


@bp.post("/<natural:number>/test")
def test(number: int) -> Response:
    """Asks it what it takes."""
    return _tested(number)


def _tested(number: int) -> Response:
    with access.reading() as s:
        where = endpoints.address(access.or_404(s.get(Endpoint, number)))
    done = endpoints.try_out(Client(loopback=_loopback(), seconds=SECONDS), where)
    with access.writing() as s:
        good = endpoints.tested(access.or_404(s.get(Endpoint, number)), done, at=access.now())
    return go(url_for(".one", number=number, said="tested" if good else "failed"))


def _list(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        rows = s.query(Endpoint).order_by(Endpoint.name).all()
        return render(
            "admin/endpoints.html", status=422 if refused else 200, rows=rows, entered=request.form,
            error=errors.words(refused) if refused else "",
        )  # fmt: skip


def _one(number: int, refused: Refused | None = None) -> Response:
    with access.reading() as s:
        row = access.or_404(s.get(Endpoint, number))
        return render(
            "admin/endpoint.html", status=422 if refused else 200, row=row, services=_services(),
            entered=request.form if refused else {}, error=errors.words(refused) if refused else "",
        )  # fmt: skip


def _services() -> list[Service]:
    """The types that may be passed on: no office's and no private ones."""
    return [each for each in access.current_city().city.for_residents if not (each.private or each.office)]


def _loopback() -> bool:
    return access.current_city().settings.outward == OUTWARD[1]

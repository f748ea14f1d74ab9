"""For administrators: people, crews, keys, versions of the city file, and undelivered mail."""

import json
import re
import secrets
from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, g, request, url_for
from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from city.cases import queries
from city.db.models import (
    ApiKey,
    CityVersion,
    Crew,
    CrewMember,
    Department,
    ImportRun,
    Message,
    Person,
    Webhook,
)
from city.imports import runs as imports_runs
from city.lifecycle import Refused
from city.notifications import danger_alarm, outbox, webhooks
from city.people import accounts, duty, sessions
from city.reports import intake
from pwa.web import access, errors, forms, localization
from pwa.web.fragments import go, render

bp = Blueprint("admin", __name__, url_prefix="/admin")

MOST = 200  # rows of a list that only grows: versions, undelivered mail


@bp.get("")
def people_list() -> Response:
    """Everybody who works for the city."""
    return _people()


@bp.post("/people")
def add_person() -> Response:
    """Adds somebody, and shows the link that logs them in once."""
    email, name = forms.text(request.form, "email"), forms.text(request.form, "name")
    try:
        with access.writing() as s:
            person = accounts.add(
                s, email, name or email.partition("@")[0], request.form.getlist("role"),
                crews=_crews(s), departments=request.form.getlist("department"), lang=_lang(), by=g.actor,
                at=access.now(),
            )  # fmt: skip
            number, link = person.id, _link(sessions.make_link(s, person, access.now(), by=g.actor))
    except Refused as refused:
        return _people(refused)
    return _person(number, link=link)


@bp.get("/people/<natural:number>")
def person(number: int) -> Response:
    """One person."""
    return _person(number)


@bp.post("/people/<natural:number>")
def change_person(number: int) -> Response:
    """Another name, language, roles, crews or departments."""

    def change(s: Session, found: Person, at: datetime) -> None:
        if request.form.get("seen") != _seen(found):
            raise Refused("changed_meanwhile")
        accounts.change(
            s, found, name=forms.text(request.form, "name"), lang=_lang(), by=g.actor, at=at,
            roles=request.form.getlist("role"), crews=_crews(s),
            departments=request.form.getlist("department"),
        )  # fmt: skip

    return _do_person(number, change)


@bp.post("/people/<natural:number>/disabled")
def disable_person(number: int) -> Response:
    """Ends what somebody may do, their sessions too; or gives it back."""

    def change(s: Session, found: Person, at: datetime) -> None:
        if request.form.get("disabled") == "no":
            accounts.enable(s, found, by=g.actor, at=at)
        else:
            accounts.disable(s, found, by=g.actor, at=at)
            sessions.end_all(s, found)
            duty.end(s, found, by=g.actor, at=at)
            intake.forget_wishes(s, danger_alarm.wish_ids(s, found.id))

    return _do_person(number, change)


@bp.post("/people/<natural:number>/link")
def link_person(number: int) -> Response:
    """A link that logs somebody in once: for a system without mail, or a phone without a mailbox."""
    try:
        with access.writing() as s:
            found = access.or_404(s.get(Person, number))
            link = _link(sessions.make_link(s, found, access.now(), by=g.actor))
    except Refused as refused:
        return _person(number, refused)
    return _person(number, link=link)


@bp.get("/crews")
def crews() -> Response:
    """Every crew with its people."""
    return _crew_list()


@bp.post("/crews")
def add_crew() -> Response:
    """A new crew."""
    try:
        with access.writing() as s:
            name = forms.text(request.form, "name")
            made = accounts.add_crew(s, name, department=_department(s), by=g.actor, at=access.now())
            number = made.id
    except Refused as refused:
        return _crew_list(refused)
    return go(url_for("admin.crew", number=number))


@bp.get("/crews/<natural:number>")
def crew(number: int) -> Response:
    """One crew."""
    return _crew(number)


@bp.post("/crews/<natural:number>")
def change_crew(number: int) -> Response:
    """Another name, department or other people."""
    try:
        with access.writing() as s:
            found = access.or_404(_own_crew(s, number))
            s.refresh(found, with_for_update={"key_share": True})  # the other tab may save this very moment
            if request.form.get("seen") != _seen_crew(found, _members(s, found)):
                raise Refused("changed_meanwhile")
            accounts.change_crew(
                s, found, name=forms.text(request.form, "name"), department=_department(s), by=g.actor,
                at=access.now(), members={int(n) for n in _ids("member")},
            )  # fmt: skip
    except Refused as refused:
        return _crew(number, refused)
    return go(url_for("admin.crew", number=number, said="saved"))


@bp.get("/keys")
def keys() -> Response:
    """API keys of other programs."""
    return _keys()


@bp.post("/keys")
def make_key() -> Response:
    """A new key, shown this once."""
    try:
        name, hourly = forms.text(request.form, "name"), forms.text(request.form, "hourly")
        with access.writing() as s:
            key = accounts.make_key(
                s, name, key=_key_of_form(name), by=g.actor, at=access.now(), scopes=_scopes(),
                hourly=_whole_number(hourly) if hourly else accounts.HOURLY,
            )  # fmt: skip
    except Refused as refused:
        return _keys(refused)
    return _keys(key=key)


@bp.post("/keys/<natural:number>/revoked")
def revoke_key(number: int) -> Response:
    """The key opens nothing from now on."""
    with access.writing() as s:
        accounts.revoke_key(s, access.or_404(s.get(ApiKey, number)), by=g.actor, at=access.now())
    return go(url_for("admin.keys", said="revoked"))


@bp.get("/city-file")
def city_file() -> Response:
    """The versions of the city file, the newest first, each with what it changed."""
    with access.reading() as s:
        rows = list(s.scalars(select(CityVersion).order_by(CityVersion.number.desc()).limit(MOST)))
        names = queries.names(s, [row.applied_by for row in rows])
        return render(
            "admin/city_file.html",
            rows=rows,
            names=names,
            total=s.scalar(select(func.count()).select_from(CityVersion)) or 0,
        )


@bp.get("/imports")
def import_runs() -> Response:
    """What was taken over from another system, the newest run first."""
    with access.reading() as s:
        rows = imports_runs.newest(s, MOST)
        total = s.scalar(select(func.count()).select_from(ImportRun)) or 0
        return render("admin/imports.html", rows=rows, total=total, came_of=_came_of)


@bp.get("/mail")
def mail() -> Response:
    """Messages that could not be sent, with what the other end said."""
    asked = select(Message).where(Message.fault.is_not(None), Message.sent_at.is_(None))
    given_up = asked.where(Message.next_try_at.is_(None)).limit(1)
    with access.reading() as s:
        rows = s.scalars(
            asked.options(joinedload(Message.subscription)).order_by(Message.id.desc()).limit(MOST)
        )
        total = s.scalar(select(func.count()).select_from(asked.subquery())) or 0
        dead = s.scalar(given_up) is not None
        return render("admin/mail.html", rows=list(rows), total=total, dead=dead)


@bp.post("/mail/<natural:number>/again")
def send_again(number: int) -> Response:
    """Puts one message back into the outbox."""
    with access.writing() as s:
        message = access.or_404(s.get(Message, number))
        outbox.retry(s, message, at=access.now())
    return go(url_for("admin.mail", said="again"))


@bp.post("/mail/again")
def send_all_again() -> Response:
    """Puts all that was given up back into the outbox: the mail server was the fault, and is mended."""
    with access.writing() as s:
        outbox.retry_all(s, at=access.now())
    return go(url_for("admin.mail", said="again"))


@bp.get("/webhooks")
def hooks() -> Response:
    """Which other systems hear of what happens, and whether they do."""
    with access.reading() as s:
        return render("admin/webhooks.html", rows=list(s.scalars(select(Webhook).order_by(Webhook.id))))


@bp.post("/webhooks/<natural:number>/again")
def begin_webhook_again(number: int) -> Response:
    """Tells it at once what it missed."""
    with access.writing() as s:
        webhooks.begin_again(access.or_404(s.get(Webhook, number)), at=access.now())
    return go(url_for("admin.hooks", said="again"))


def _came_of(run: ImportRun) -> list[str]:
    """What a run did to cases, in words; the rest of its counts stands in the log."""
    words = {
        "imported": _("New: %(num)s"), "updated": _("Updated: %(num)s"),
        "unchanged": _("Unchanged: %(num)s"), "touched": _("Changed here, so left alone: %(num)s"),
        "rejected": _("Rejected: %(num)s"), "without_crew": _("Without a crew: %(num)s"),
    }  # fmt: skip
    counts = {name: run.counts[name] for name in words if run.counts.get(name)}
    return [words[name] % {"num": localization.figure(count)} for name, count in counts.items()]


def _people(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        rows = list(s.scalars(select(Person).order_by(Person.disabled_at.is_not(None), Person.name)))
        return _page(
            "admin/people.html", refused, rows=rows, crews=_all_crews(s), entered=request.form,
            chosen=set(request.form.getlist("role")), own={int(n) for n in _ids("crew")},
            departments=_departments(s), managed=set(request.form.getlist("department")),
        )  # fmt: skip


def _person(number: int, refused: Refused | None = None, link: str = "") -> Response:
    with access.reading() as s:
        found = access.or_404(s.get(Person, number))
        sent = bool(request.form) and refused is not None
        return _page(
            "admin/person.html", refused, person=found, crews=_all_crews(s), link=link,
            name=forms.text(request.form, "name") if sent else found.name,
            lang_now=_lang() if sent else found.lang, seen=_seen(found),
            chosen=set(request.form.getlist("role")) if sent else {role.role for role in found.roles},
            own={int(n) for n in _ids("crew")} if sent else {crew.id for crew in found.crews},
            departments=_departments(s),
            managed=set(request.form.getlist("department"))
            if sent
            else {each.code for each in found.departments},
        )  # fmt: skip


def _seen(person: Person) -> str:
    """What the form shows of somebody: another tab may have changed it since."""
    roles, crews = sorted(row.role for row in person.roles), sorted(crew.id for crew in person.crews)
    departments = sorted(each.code for each in person.departments)
    return json.dumps([person.name, person.lang, roles, crews, departments])


def _do_person(number: int, change: Callable[[Session, Person, datetime], None]) -> Response:
    try:
        with access.writing() as s:
            change(s, access.or_404(s.get(Person, number)), access.now())
    except Refused as refused:
        return _person(number, refused)
    return go(url_for("admin.person", number=number, said="saved"))


def _crew_list(refused: Refused | None = None) -> Response:
    with access.reading() as s:
        rows = s.execute(
            select(Crew, func.count(CrewMember.person_id))
            .outerjoin(CrewMember, CrewMember.crew_id == Crew.id)
            .where(~Crew.partner.has())  # they have a page of their own
            .group_by(Crew.id)
            .order_by(Crew.name)
        )
        return _page(
            "admin/crews.html", refused, rows=list(rows), departments=_departments(s), entered=request.form
        )


def _crew(number: int, refused: Refused | None = None) -> Response:
    with access.reading() as s:
        found = access.or_404(_own_crew(s, number))
        members = _members(s, found)
        staff = list(s.scalars(select(Person).where(Person.disabled_at.is_(None)).order_by(Person.name)))
        sent = refused is not None
        return _page(
            "admin/crew.html", refused, crew=found, people=staff, departments=_departments(s),
            name=forms.text(request.form, "name") if sent else found.name,
            department=request.form.get("department") if sent else found.department_code,
            members={int(n) for n in _ids("member")} if sent else members,
            seen=_seen_crew(found, members),
        )  # fmt: skip


def _own_crew(s: Session, number: int) -> Crew | None:
    return s.scalar(_OWN_CREWS.where(Crew.id == number))


def _members(s: Session, crew: Crew) -> set[int]:
    return set(s.scalars(select(CrewMember.person_id).where(CrewMember.crew_id == crew.id)))


def _seen_crew(crew: Crew, members: set[int]) -> str:
    """What the form shows of a crew, as _seen() tells of a person."""
    return json.dumps([crew.name, crew.department_code, sorted(members)])


def _keys(refused: Refused | None = None, key: str = "") -> Response:
    with access.reading() as s:
        rows = list(s.scalars(select(ApiKey).order_by(ApiKey.revoked_at.is_not(None), ApiKey.id.desc())))
        names = queries.names(s, [f"person:{row.made_by_id}" for row in rows if row.made_by_id])
        return _page(
            "admin/keys.html", refused, rows=rows, key=key, names=names, once=secrets.token_hex(16),
            usual=accounts.HOURLY, scopes=accounts.SCOPES, typed=request.form if refused else {},
        )  # fmt: skip


def _scopes() -> list[str]:
    """Every key made here may send reports; whether it may do more is asked."""
    return [accounts.REPORT, *([accounts.UPDATE] if request.form.get("update") else [])]


def _whole_number(text: str) -> int:
    """0 for what is none."""
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else 0


def _key_of_form(name: str) -> str:
    """The key that one showing of the form makes, however often it is sent: two taps must not make two."""
    told = json.dumps(["api key", g.actor.person_id, name, request.form.get("once")])
    return intake.token_for(access.current_city().settings.secret_key, told)


def _page(template: str, refused: Refused | None, /, **context: object) -> Response:
    error = errors.words(refused) if refused else ""
    status = 422 if refused else 200
    return render(template, error=error, status=status, staff_roles=accounts.STAFF, **context)


def _link(token: str) -> str:
    return access.current_city().settings.base_url + url_for("account.link", token=token)


def _lang() -> str:
    """The person's language; only one that this city speaks."""
    languages = access.current_city().city.languages
    wanted = request.form.get("lang", "")
    return wanted if wanted in languages else languages[0]


def _ids(name: str) -> list[str]:
    return [n for n in request.form.getlist(name) if n.isdecimal() and len(n) < 10]


_OWN_CREWS = select(Crew).where(~Crew.partner.has())  # nobody belongs to a partner's


def _crews(s: Session) -> list[Crew]:
    return list(s.scalars(_OWN_CREWS.where(Crew.id.in_([int(n) for n in _ids("crew")]))))


def _all_crews(s: Session) -> list[Crew]:
    return list(s.scalars(_OWN_CREWS.order_by(Crew.name)))


def _department(s: Session) -> str | None:
    found = s.get(Department, request.form.get("department", ""))
    return found.code if found else None


def _departments(s: Session) -> list[Department]:
    return list(s.scalars(select(Department).order_by(Department.code)))

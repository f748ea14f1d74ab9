"""Logging in by a code sent by e-mail, and out again."""

import logging
from email.message import EmailMessage
from smtplib import SMTPException

from flask import Blueprint, Response, request, url_for
from flask_babel import gettext as _

from city import delivery, people
from city.lifecycle import CREW, Refused
from city.schema import Person
from pwa import access, errors
from pwa.fragments import go, render

log = logging.getLogger("cityline.account")
bp = Blueprint("account", __name__)


@bp.get("/login")
def login() -> Response:
    """Asks for the address; with ?email= for the code."""
    return render("account/login.html", email="", wanted=_wanted(), error=None, code=None)


@bp.post("/login")
def send_code() -> Response:
    """Sends a code. The answer is the same for strangers."""
    email = request.form.get("email", "").strip()
    try:
        people.address(email)
        with access.writing() as s:
            code = people.ask_code(s, email, access.now())
            shown = code if access.here().settings.demo_codes and people.is_demo(s) else None
    except Refused as refused:
        return render(
            "account/login.html",
            email=email,
            wanted=_wanted(),
            error=errors.words(refused),
            code=None,
            status=422,
        )
    if code and not shown:
        _mail_code(email, code)
    return render("account/code.html", email=email, wanted=_wanted(), error=None, code=shown)


@bp.post("/login/code")
def use_code() -> Response:
    """Logs in with the code."""
    email, code = request.form.get("email", ""), request.form.get("code", "")
    person, refused = _used(email, code)
    if person is None:
        words = errors.words(refused) if refused else ""
        return render("account/code.html", email=email, wanted=_wanted(), error=words, code=None, status=422)
    access.log_in(person)
    return go(_wanted() or _first_page(person))


@bp.post("/logout")
def logout() -> Response:
    """Logs out. What a crew's phone has not sent yet stays on the phone."""
    access.log_out()
    return go(url_for("resident.home"))


@bp.get("/me")
@access.for_role(CREW, *access.BOARD)
def me() -> Response:
    """Who is logged in, and the way out."""
    with access.reading() as s:
        person = s.get_one(Person, access.person_id())
        return render("account/me.html", person=person)


def _used(email: str, code: str) -> tuple[Person | None, Refused | None]:
    """A wrong guess must be counted, so the transaction commits either way."""
    with access.writing() as s:
        try:
            return people.use_code(s, email, code, access.now()), None
        except Refused as refused:
            return None, refused


def _mail_code(email: str, code: str) -> None:
    settings = access.here().settings
    letter = EmailMessage()
    letter["From"], letter["To"] = settings.mail_from, email
    letter["Subject"] = _("%(code)s is your Cityline code", code=code)
    letter.set_content(_("Your code is %(code)s. It works once, for ten minutes.", code=code))
    try:
        delivery.open_mailer(settings.smtp_url).send(letter)
    except (OSError, SMTPException):  # a stranger's address gives no fault either
        log.exception("a log-in code was not sent")


def _first_page(person: Person) -> str:
    roles = {role.role for role in person.roles}
    if roles.intersection(access.BOARD):
        return url_for("dispatch.board")
    return url_for("crew.shell") if CREW in roles else url_for("account.me")


def _wanted() -> str:
    """Where the visitor wanted to go; only a path of this site."""
    wanted = request.values.get("next", "")
    return wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else ""

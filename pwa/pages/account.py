"""Logging in by a code sent by e-mail or by a one-time link, and out again."""

import logging
import secrets
from smtplib import SMTPException

from flask import Blueprint, Response, g, request, session, url_for
from flask_babel import gettext as _

from city import logins, mailers, people
from city.channels import Undeliverable
from city.lifecycle import ADMINISTRATOR, CALL_TAKER, CREW, DISPATCHER, SUPERVISOR, Refused
from city.schema import Person
from pwa import access, errors, letters, localization
from pwa.fragments import go, render

log = logging.getLogger("cityline.account")
bp = Blueprint("account", __name__)


@bp.get("/login")
def login() -> Response:
    """Asks for the address."""
    return _ask_address()


@bp.post("/login")
def send_code() -> Response:
    """Sends a code. The answer is the same for strangers."""
    email = request.form.get("email", "").strip()
    browser = session.setdefault("browser", secrets.token_urlsafe(16))
    try:
        email = people.address(email)  # as it is kept: never a look-alike of it
        with access.writing() as s:
            known = access.is_known(email)
            code = logins.ask_code(s, email, access.now(), browser=browser, known=known)
            shown = code if access.here().settings.demo_codes and people.is_demo(s) else None
    except Refused as refused:
        return _ask_address(email, refused)
    if code and not shown:
        _mail_code(email, code)
    return _ask_code(email, code=shown)


@bp.post("/login/code")
def use_code() -> Response:
    """Logs in with the code."""
    email = request.form.get("email", "")
    refused, token, person = None, "", None
    with access.writing() as s:  # a wrong guess must be counted, so the transaction commits either way
        try:
            person = logins.use_code(
                s, email, request.form.get("code", ""), access.now(), browser=session.get("browser", "")
            )
            token = logins.begin(s, person, access.now(), how="code")
        except Refused as fault:
            refused = fault
    return _logged_in(person, token) if person else _ask_code(email, refused)


@bp.get("/login/link/<token>")
def link(token: str) -> Response:
    """A page with one button: mail scanners open every link, so opening it changes nothing."""
    g.personal = True
    with access.reading() as s:
        person = logins.by_link(s, token, access.now())
    if person is None:
        return errors.page(404, _("This link has expired"), errors.words(Refused("wrong_link")))
    return render("account/link.html", person=person, token=token)


@bp.post("/login/link/<token>")
def use_link(token: str) -> Response:
    """Logs in with a one-time link."""
    g.personal = True
    with access.writing() as s:
        person = logins.use_link(s, token, access.now())
        session_token = logins.begin(s, person, access.now(), how="link")
    return _logged_in(person, session_token)


@bp.post("/logout")
def logout() -> Response:
    """Logs out. What a crew's phone has not sent yet stays on the phone."""
    access.log_out()
    return go(url_for("resident.home"))


@bp.get("/me")
def me() -> Response:
    """Who is logged in, and the way out."""
    return render("account/me.html", person=g.person)


@bp.post("/me/mornings")
def change_mornings() -> Response:
    """Begins or ends the letter about late cases; it comes in the language in which somebody asks for it."""
    with access.writing() as s:
        person = s.get_one(Person, g.person.id)
        person.wants_late = request.form.get("wanted") == "yes"
        if person.wants_late:
            person.lang = localization.lang()
    return go(url_for("account.me"))


def _ask_address(email: str = "", refused: Refused | None = None) -> Response:
    error = errors.words(refused) if refused else None
    status = 422 if refused else 200
    return render("account/login.html", email=email, wanted=_wanted(), error=error, status=status)


def _ask_code(email: str, refused: Refused | None = None, code: str | None = None) -> Response:
    g.personal = True
    error = errors.words(refused) if refused else None
    status = 422 if refused else 200
    return render("account/code.html", email=email, wanted=_wanted(), error=error, code=code, status=status)


def _logged_in(person: Person, token: str) -> Response:
    access.log_in(token)
    return access.remember_browser(go(_wanted() or _first_page(person)), person.email)


def _mail_code(email: str, code: str) -> None:
    settings = access.here().settings
    letter = letters.begin(email, _("%(code)s is your login code", code=code))
    letters.write(letter, "code", code=code)
    try:
        mailers.open_mailer(settings.smtp_url).send(letter)
    except (OSError, SMTPException, Undeliverable):  # a stranger's address gives no fault either
        log.exception("a login code wasn't sent")


def _first_page(person: Person) -> str:
    """Where somebody's work is."""
    roles = {role.role for role in person.roles}
    if roles == {ADMINISTRATOR}:
        return url_for("admin.people_list")
    if CALL_TAKER in roles and not roles.intersection((DISPATCHER, SUPERVISOR)):
        return url_for("desk.desk")
    if roles.intersection(access.BOARD):
        return url_for("dispatch.board")
    return url_for("crew.shell") if CREW in roles else url_for("account.me")


def _wanted() -> str:
    """Where the visitor wanted to go; only a path of this site.

    Browsers drop tabs and line ends from an address and read a backslash as a slash: none may hide "//".
    """
    wanted = request.values.get("next", "")
    is_path = wanted.startswith("/") and not wanted.startswith("//")
    return wanted if is_path and wanted.isprintable() and "\\" not in wanted else ""

"""Logging in by a code sent by e-mail or by a one-time link, and out again."""

import secrets

from flask import Blueprint, Response, g, request, session, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from city.db.models import LoginCode, Person
from city.lifecycle import ADMINISTRATOR, CALL_TAKER, CREW, DISPATCHER, NEW, Refused
from city.people import accounts, rate_limits, sessions
from pwa.board import on_duty
from pwa.web import access, errors, localization
from pwa.web.fragments import go, render
from sync import refused_requests

bp = Blueprint("account", __name__)


@bp.get("/login")
def login() -> Response:
    """Asks for the address."""
    return _ask_address()


@bp.post("/login")
def send_code() -> Response:
    """Asks for a code, which the worker mails: the answer, and its moment, are the same for strangers."""
    email = request.form.get("email", "").strip()
    browser = session.setdefault("browser", secrets.token_urlsafe(16))
    try:
        email = accounts.address(email)  # as it is kept: never a look-alike of it
        with access.writing() as s:
            code = sessions.ask_code(
                s, email, access.now(), browser=browser, known=access.is_known(email), source=_source(),
                lang=localization.lang(),
            )  # fmt: skip
            shown = _shown(s, code)
    except Refused as refused:
        if refused.code != "bad_email":
            refused_requests.refused(refused_requests.LOG_IN, refused.code)
        return _ask_address(email, refused)
    return _ask_code(email, code=shown)


@bp.post("/login/code")
def use_code() -> Response:
    """Logs in with the code."""
    email = request.form.get("email", "")
    refused, token, person = None, "", None
    with access.writing() as s:  # a wrong guess must be counted, so the transaction commits either way
        try:
            person = sessions.use_code(
                s, email, request.form.get("code", ""), access.now(), browser=session.get("browser", ""),
                known=access.is_known(email), secret=access.current_city().settings.secret_key,
            )  # fmt: skip
            token = sessions.begin(s, person, access.now(), how="code")
        except Refused as fault:
            refused = fault
            refused_requests.refused(refused_requests.LOG_IN, fault.code)
    return _logged_in(person, token) if person else _ask_code(email, refused)


@bp.get("/login/link/<token>")
def link(token: str) -> Response:
    """Asks whose it is. Mail scanners open every link, so opening it changes nothing."""
    g.personal = True
    with access.reading() as s:
        good = sessions.is_link(s, token, access.now())
    if not good:
        return errors.page(404, _("This link has expired"), errors.words(Refused("wrong_link")))
    return _ask_whose(token)


@bp.post("/login/link/<token>")
def use_link(token: str) -> Response:
    """Logs in whoever says whose the one-time link is."""
    g.personal = True
    refused, session_token, person, email = None, "", None, request.form.get("email", "")
    with access.writing() as s:  # a wrong address must be counted, so the transaction commits either way
        try:
            person, made_by = sessions.use_link(s, token, email, access.now())
            session_token = sessions.begin(s, person, access.now(), how="link", made_by=made_by)
        except Refused as fault:
            refused = fault
            refused_requests.refused(refused_requests.LOG_IN, fault.code)
    return _logged_in(person, session_token) if person else _ask_whose(token, email, refused)


@bp.post("/logout")
def logout() -> Response:
    """Logs out. What a crew's phone has not sent yet stays on the phone."""
    access.log_out()
    response = go(url_for("resident.home"))
    # The photos of before. Never "storage": there lies what a crew has not sent, and the app that sends it.
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


@bp.get("/me")
def me() -> Response:
    """Who is logged in, and the way out."""
    with access.reading() as s:
        return render("account/me.html", **on_duty.own_page(s))


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


def _ask_whose(token: str, email: str = "", refused: Refused | None = None) -> Response:
    """The page of a link. It does not say whose it is: whoever was given it knows."""
    error = errors.words(refused) if refused else None
    status = 422 if refused else 200
    return render("account/link.html", token=token, email=email, error=error, status=status)


def _logged_in(person: Person, token: str) -> Response:
    access.log_in(token)
    return access.remember_browser(go(_wanted() or _first_page(person)), person.email)


def _shown(s: Session, code: LoginCode) -> str | None:
    """A code for the page itself: in the demo city only, whose people have no mailboxes."""
    settings = access.current_city().settings
    if not (settings.demo_codes and accounts.is_demo(s) and accounts.by_email(s, code.email)):
        return None
    return sessions.code_of(code, settings.secret_key)


def _source() -> str:
    """What is kept of the network that somebody asks from."""
    return rate_limits.source(access.current_city().settings.secret_key, request.remote_addr)


def _first_page(person: Person) -> str:
    """Where somebody's work is."""
    roles = accounts.actor(person).roles
    if roles == {ADMINISTRATOR}:
        return url_for("admin.people_list")
    if CALL_TAKER in roles and DISPATCHER not in roles:
        return url_for("desk.desk")
    if DISPATCHER in roles:
        return url_for("dispatch.board", state=NEW)  # the inbox of the shift
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

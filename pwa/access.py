"""Who is here, what they may do, and how a page reaches the database. 404 and 403 are decided here."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Response, abort, current_app, g, redirect, request, session, url_for
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from city import cases, db, people, reports
from city.cityfile import CityFile
from city.events import Actor
from city.lifecycle import ADMINISTRATOR, CALL_TAKER, DISPATCHER, MANAGER, SUPERVISOR
from city.photos import Store
from city.schema import Case, Person, Report
from city.settings import Settings

T = TypeVar("T")

# Who may look at the board. What each may do there every verb decides by itself.
BOARD = (DISPATCHER, SUPERVISOR, CALL_TAKER, MANAGER, ADMINISTRATOR)
SECRET_DAYS = 180
HOURS_A_SESSION = 12


@dataclass
class Cityline:
    """What one running instance holds: its settings, its city, its database and its photos."""

    settings: Settings
    city: CityFile
    engine: Engine
    store: Store
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def here() -> Cityline:
    """The instance that serves this request."""
    return cast(Cityline, current_app.extensions["cityline"])


def now() -> datetime:
    """This moment, aware UTC."""
    return here().now()


def reading() -> AbstractContextManager[Session]:
    """A session for a page that only looks."""
    return db.reading(here().engine)


def writing() -> AbstractContextManager[Session]:
    """A transaction for a page that changes something."""
    return db.transaction(here().engine)


def log_in(person: Person) -> None:
    """Begins a session; whatever the browser held before is dropped, so that nobody can plant one."""
    session.clear()
    session["person"] = person.id
    session["until"] = now().timestamp() + HOURS_A_SESSION * 3600


def log_out() -> None:
    """Ends the session."""
    session.clear()


def person_id() -> int | None:
    """The id of whoever is logged in, or None; an old session counts as none."""
    if session.get("until", 0) < now().timestamp():
        return None
    return session.get("person")


def actor(s: Session) -> Actor:
    """Who acts in this request, read anew so that a disabled person stops at once."""
    found = s.get(Person, person_id()) if person_id() else None
    return people.actor(found) if found and not found.disabled_at else people.A_RESIDENT


def for_role(*roles: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Lets a page be seen by `roles` only: others are sent to log in, or told that they may not."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.personal = True
            with reading() as s:
                person = s.get(Person, person_id()) if person_id() else None
                if person is None or person.disabled_at:
                    return _to_login()
                g.person = person
                g.actor = people.actor(person)
            if not g.actor.roles.intersection(roles):
                abort(403)
            return view(*args, **kwargs)

        return guarded

    return decorate


def or_404(found: T | None) -> T:
    """The thing itself; nothing is 404."""
    if found is None:
        abort(404)
    return found


def remember_link(response: Response, number: str, token: str) -> Response:
    """Gives the browser the token of one report, out of reach of scripts and of the address."""
    response.set_cookie(
        _link_cookie(number), token, max_age=SECRET_DAYS * 86400, httponly=True, samesite="Lax",
        secure=here().settings.base_url.startswith("https"), path="/",
    )  # fmt: skip
    return response


def own_report(s: Session, case: Case) -> Report | None:
    """The visitor's own report at this case or at one merged into it, where a secret link was opened."""
    g.personal = True
    for name, token in request.cookies.items():
        if not name.startswith("cl_report_"):
            continue
        report = reports.by_token(s, token)
        if report and case.id in (report.case_id, cases.root_of(s, report.case).id):
            return report
    return None


def token_of(number: str) -> str | None:
    """The secret token that this browser holds for a report."""
    return request.cookies.get(_link_cookie(number))


def _link_cookie(number: str) -> str:
    return f"cl_report_{number}"


def _to_login() -> Response:
    if request.method != "GET":
        abort(401)
    return cast(Response, redirect(url_for("account.login", next=request.full_path.rstrip("?"))))

"""Who is here, what they may open, and how a page reaches the database. 401, 403 and 404 are decided here."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar, cast

from flask import Response, abort, current_app, g, redirect, request, session, url_for
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from city.audit.epochs import Watch
from city.audit.events import Actor
from city.cases import transitions
from city.config.city_file import CityFile
from city.db import engine as db
from city.db.models import Case, Report
from city.lifecycle import (
    ACTS,
    ADMINISTRATOR,
    CALL_TAKER,
    CREW,
    DESK_ROLES,
    DISPATCHER,
    MANAGER,
    MOVES,
)
from city.notifications import overdue_digest
from city.people import accounts, departments, duty, sessions
from city.photos.storage import Store
from city.reports import intake
from city.settings import Settings
from sync import refused_requests

T = TypeVar("T")

SECRET_DAYS = 180
KNOWN_DAYS = 180
MOST_KNOWN = 5  # people who log in in one browser by turns, as at a desk
HOST = "__Host-"  # how a cookie's name begins that this host alone can have set
MOST_LINKS = 200  # more than a browser keeps of one site's cookies; only a program sends as many
MOST_TOLD = 4_000  # bytes of what a browser says of itself

# Who may look at the board.
BOARD: Final = (DISPATCHER, CALL_TAKER, MANAGER, ADMINISTRATOR)
PUBLIC: Final = ("anybody",)

# Every door of the house: a blueprint, or one of its pages, and who may open it. A page that stands nowhere
# here opens for nobody. What is decided about a single case or photo is decided behind the door.
PAGE_ROLES: Final[dict[str, tuple[str, ...]]] = {
    "shell": PUBLIC,
    "openapi": PUBLIC,
    "resident": PUBLIC,
    "asset": PUBLIC,
    "case": PUBLIC,  # withdrawn by the report's own link
    "follow": PUBLIC,  # what is ended, by the code in a message
    "news": PUBLIC,  # by the code in a message, or the report's own link
    "verdict": PUBLIC,  # by the report's own link
    "place": PUBLIC,
    "picker": PUBLIC,
    "cases": PUBLIC,
    "collection": PUBLIC,
    "answers": PUBLIC,
    "editor": ACTS["answer"],
    "data": PUBLIC,
    "performance": PUBLIC,
    "value": PUBLIC,
    "photos": PUBLIC,  # each photo by its own rule
    "account": PUBLIC,
    "account.me": accounts.STAFF,
    "account.change_mornings": (overdue_digest.ROLE,),
    "duty": duty.ROLES,
    "partner": PUBLIC,  # by the link of a job
    "texts": PUBLIC,  # each by its gateway's signature
    "open311": PUBLIC,  # what is written, by the key that comes with it
    "sync": PUBLIC,  # by the phone's own token, and each operation by its author
    "crew": PUBLIC,  # a shell without anything personal: the phone keeps it for a start without signal
    "desk": ACTS["contact"],
    "inbox": ACTS["inbox"],
    "case_change": MOVES["reclassify"].roles,
    "dispatch": BOARD,
    "tiles": BOARD,
    "dispatch.accept": MOVES["accept"].roles,
    "dispatch.assign": MOVES["assign"].roles,
    "dispatch.unassign": MOVES["unassign"].roles,
    # Crews move their jobs from the phone; on the board these are the dispatcher's, and an office's cases the
    # call-taker's too.
    "dispatch.wait": DESK_ROLES,
    "dispatch.resume": DESK_ROLES,
    "dispatch.close": DESK_ROLES,
    "dispatch.reopen": DESK_ROLES,
    "dispatch.merge": MOVES["merge"].roles,
    "dispatch.unmerge": MOVES["unmerge"].roles,
    "dispatch.cancel": (DISPATCHER,),
    "dispatch.tell_apart": ACTS["tell apart"],
    "dispatch.one_again": ACTS["tell apart"],
    "dispatch.end_review": ACTS["review"],
    "dispatch.note": tuple(role for role in ACTS["note"] if role != CREW),
    "dispatch.forward": ACTS["forward"],
    "dispatch.settle_forward": ACTS["forward"],
    "dispatch.settle_handover": MOVES["assign"].roles,
    "dispatch.show": ACTS["show"],
    "dispatch.ask_erasure": ACTS["erase"],
    "dispatch.erase": ACTS["erase"],
    "dispatch.hold": ACTS["hold"],
    "dispatch.lift_hold": ACTS["hold"],
    "live": BOARD,
    "crews": BOARD,
    "place_history": BOARD,
    "view": (DISPATCHER, CALL_TAKER),
    "view.table": (DISPATCHER,),
    "view.printed": BOARD,
    "redaction": ACTS["redact"],
    # Each act by its own rule, which the verb knows.
    "batch": (DISPATCHER, CALL_TAKER),
    "fieldwork": ACTS["review"],
    "fieldwork.release": ACTS["release"],
    "fieldwork.count_as_done": (DISPATCHER,),
    "admin": (ADMINISTRATOR,),
    "endpoints": (ADMINISTRATOR,),
    "partners": (ADMINISTRATOR,),
    "records": ACTS["hold"],
    "stickers": (ADMINISTRATOR,),
    # Whoever gives jobs out must be able to help a crew with its phone at seven in the morning.
    "phones": (ADMINISTRATOR, DISPATCHER),
}


@dataclass
class Cityline:
    """What one running instance holds: its settings, its city, its database and its photos."""

    settings: Settings
    city: CityFile
    engine: Engine
    store: Store
    watch: Watch
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    version: int = 0  # of the city file; web/city_reload.py takes up newer ones
    looked_at: datetime | None = None

    @property
    def publish(self) -> str:
        """When strangers see words and photos: the setting wins over the city file."""
        return self.settings.publish or self.city.publish


def current_city() -> Cityline:
    """The instance that serves this request."""
    return cast(Cityline, current_app.extensions["cityline"])


def geocoder() -> str:
    """The setting GEOCODER of the instance that serves this request."""
    return current_city().settings.geocoder


def now() -> datetime:
    """This moment, aware UTC."""
    return current_city().now()


def reading() -> Session:
    """A session, for `with`, of a page that only looks; the first is the one where check() saw who it is."""
    begun: Session | None = g.pop("looked", None)
    return begun or db.read_session(current_city().engine)


@contextmanager
def writing() -> Iterator[Session]:
    """A transaction for a page that changes something. What it reads afterwards is read anew.

    It may have waited its turn: 401 for whoever was logged out or disabled meanwhile, 403 where a role went.
    """
    leave()
    with db.transaction(current_city().engine) as s:
        if "actor" in g:
            g.actor = actor(s)
            if g.actor == accounts.A_RESIDENT:
                abort(401)
            if not may_open(str(request.endpoint)):
                abort(403)
        yield s


def roles_for(endpoint: str) -> tuple[str, ...]:
    """Who may open a page: its own line of the table, or its blueprint's; nobody where there is neither."""
    return PAGE_ROLES.get(endpoint) or PAGE_ROLES.get(endpoint.partition(".")[0], ())


def may_open(endpoint: str) -> bool:
    """Whether whoever is logged in may open a page: what they may not is not offered to them."""
    roles = roles_for(endpoint)
    return roles == PUBLIC or ("actor" in g and bool(g.actor.roles.intersection(roles)))


def check() -> Response | None:
    """Before every request: foreign pages may change nothing, and a closed door stays closed.

    Whoever is not logged in is sent to log in, or told 401 where a form was sent; 403 without the role.
    """
    if request.endpoint is None:
        return None  # no such page: the router says so
    if request.method not in ("GET", "HEAD", "OPTIONS") and _is_foreign():
        refused_requests.refused(refused_requests.FORGED, "another site")
        abort(403)
    roles = roles_for(request.endpoint)
    if roles == PUBLIC:
        return None
    g.personal = True
    g.looked = db.read_session(current_city().engine)
    person = sessions.person_of(g.looked, session.get("login"), now())
    g.sealed = departments.sealed(g.looked, accounts.actor(person)) if person else ()
    if request.method not in ("GET", "HEAD"):
        leave()
    if person is None or person.disabled_at:
        return _to_login()
    g.person, g.actor = person, accounts.actor(person)
    if not g.actor.roles.intersection(roles):
        abort(403)
    return None


def leave(_fault: BaseException | None = None) -> None:
    """Ends the session of check() where no page has gone on in it."""
    if found := g.pop("looked", None):
        found.close()


def log_in(token: str) -> None:
    """Begins a session; whatever the browser held before is dropped, so that nobody can plant one."""
    session.clear()
    session["login"] = token


def log_out() -> None:
    """Ends the session, here and for whoever has copied its cookie."""
    with writing() as s:
        sessions.end(s, session.get("login"))
    session.clear()


def actor(s: Session) -> Actor:
    """Who acts in this request, read anew so that a disabled person stops at once."""
    found = sessions.person_of(s, session.get("login"), now())
    return accounts.actor(found) if found and not found.disabled_at else accounts.A_RESIDENT


def own_departments(s: Session) -> frozenset[str]:
    """The departments that the visitor manages; the page of whoever has any is theirs alone."""
    if "login" not in session:
        return frozenset()
    found = departments.own(actor(s))
    g.personal = bool(found) or g.get("personal", False)
    return found


def cookie(name: str) -> str | None:
    """What the browser keeps for us under that name; what it was given before the name had its prefix too."""
    return request.cookies.get(cookie_name(name, current_city().settings), request.cookies.get(name))


def set_cookie(response: Response, name: str, value: str, days: int) -> Response:
    """Gives the browser something to keep, out of reach of scripts."""
    settings = current_city().settings
    response.set_cookie(
        cookie_name(name, settings), value, max_age=days * 86400, httponly=True, samesite="Lax", path="/",
        secure=settings.is_https,
    )  # fmt: skip
    return response


def cookie_name(name: str, settings: Settings) -> str:
    """What a cookie is called. Under https the prefix keeps sisters of ours, below the same domain, from
    setting it (RFC 6265bis); without it no browser would take the prefix."""
    return f"{HOST}{name}" if settings.is_https else name


def is_known(email: str) -> bool:
    """Whether this address was logged in in this browser before."""
    return email.strip().lower() in _known_here()


def remember_browser(response: Response, email: str) -> Response:
    """Lets this browser be known again when this address asks for a code."""
    others = [each for each in _known_here() if each != email]
    told = str(_known().dumps([email, *others][:MOST_KNOWN]))
    return set_cookie(response, "cl_known", told, KNOWN_DAYS)


def or_404(found: T | None) -> T:
    """The thing itself; nothing is 404."""
    if found is None:
        abort(404)
    return found


def told_by_script() -> object:
    """The JSON that a page's script sends about its browser; None for what is none, 413 for too much."""
    if (request.content_length or 0) > MOST_TOLD:
        abort(413)
    return request.get_json(silent=True)


def remember_link(response: Response, number: str, token: str) -> Response:
    """Gives the browser the token of one report, out of reach of scripts and of the address."""
    return set_cookie(response, _link_cookie(number), token, SECRET_DAYS)


def own_report(s: Session, case: Case) -> Report | None:
    """The visitor's own report at this case or at one merged into it, where a secret link was opened."""
    for report in own_reports(s, MOST_LINKS):
        if case.id in (report.case_id, transitions.root_of(s, report.case).id):
            return report
    return None


def own_reports(s: Session, most: int) -> list[Report]:
    """The visitor's own reports, as far as this browser holds their links: at most so many."""
    g.personal = True
    held = request.cookies.items()
    tokens = [token for name, token in held if name.removeprefix(HOST).startswith("cl_report_")]
    return intake.by_tokens(s, tokens[-most:])


def token_of(number: str) -> str | None:
    """The secret token that this browser holds for a report."""
    return cookie(_link_cookie(number))


def _link_cookie(number: str) -> str:
    return f"cl_report_{number}"


def by_browser() -> bool:
    """Whether the browser vouches that no other site sent this: our own page did, or its person.

    No page can write Sec-Fetch-Site. A browser that shares a photo into the app has no page to name as
    Origin.
    """
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    return (site == "none" and origin in (None, "null")) or (site == "same-origin" and not _is_foreign())


def _is_foreign() -> bool:
    """Whether another site sent this, a sister of ours below the same domain included."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    ours = (request.host_url.rstrip("/"), current_city().settings.base_url)
    if site == "none" and origin == "null":
        return False  # by_browser() says why
    return site not in (None, "same-origin", "none") or origin not in (None, *ours)


def _known_here() -> list[str]:
    """Who was logged in in this browser before, the newest first."""
    try:
        found = _known().loads(cookie("cl_known") or "")
    except BadSignature:
        return []
    return found if isinstance(found, list) else [found]  # one alone, as it was written before


def _known() -> URLSafeSerializer:
    return URLSafeSerializer(current_city().settings.secret_key, salt="known browser")


def _to_login() -> Response:
    if request.method != "GET":
        abort(401)
    return cast(Response, redirect(url_for("account.login", next=request.full_path.rstrip("?"))))

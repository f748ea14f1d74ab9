"""The one blueprint of field sync: exchange, enrolment, residents' phones, photos; closed to other sites."""

import base64
import binascii
import json
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol, cast

import orjson
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    current_app,
    make_response,
    redirect,
    request,
    session,
)
from flask.blueprints import BlueprintSetupState
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from city.audit import epochs
from city.audit.events import Actor
from city.db.engine import read_session, transaction
from city.db.models import Device, Person, SyncOperation
from city.lifecycle import CREW, Refused
from city.people import accounts, rate_limits
from city.people import sessions as people_sessions
from city.photos import photos, processing, storage
from city.reports import intake
from city.settings import Settings
from sync import (
    devices,
    enrolment,
    expected_photos,
    protocol,
    pull,
    push,
    refused_requests,
    residents,
    server_epoch,
    uploads,
)
from sync.merge import rules_of
from sync.protocol import NOT_YET, RETRY, Exchange, Point, Unreadable, result
from sync.reporting import key_of

MAX_PIECE = 2_000_000  # bytes of a photo in one request
MAX_CODE = 1_000  # bytes
# Another try within the minute would meet the same crowd.
BUSY_SECONDS, FULL_SECONDS = 5, 3600
SOON_SECONDS = 1  # all is well again, but what was found out so far no longer holds

Marks = Mapping[int, str]

bp = Blueprint("sync", __name__, url_prefix="/sync/v1")
_booting = threading.Lock()


class Instance(Protocol):
    """What the application keeps for one running instance."""

    settings: Settings
    engine: Engine
    store: storage.Store
    now: Callable[[], datetime]
    watch: epochs.Watch


@bp.record_once
def _boot(state: BlueprintSetupState) -> None:
    """A server start is a new epoch, before anybody else can write. An empty disk has nothing to remember."""
    with suppress(DatabaseError):  # not migrated yet: the first exchange says it
        _start(cast(Flask, state.app))


@bp.before_request
def _guard() -> None:
    """Only our own pages: a form or image of another site can neither set this header nor come from here."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    site = request.headers.get("Sec-Fetch-Site")
    ours = request.headers.get("Origin") == request.host_url.rstrip("/")
    by_us = site == "same-origin" or (site is None and ours)
    if not by_us or request.headers.get("X-Cityline") != "1":
        refused_requests.refused(refused_requests.FORGED, "another site")
        abort(403)


@dataclass(frozen=True)
class Visit:
    """What a phone asks, and by what it shows whose it is: its token, and the session of its browser.

    `seen` is how far we had seen the log go when it came.
    """

    asked: Exchange
    at: datetime
    seen: tuple[int, int]
    token: str | None
    login: str | None
    settings: Settings


@dataclass(frozen=True)
class Caller:
    """Who calls: what they may, and as whom their work is taken (None: it stays on the phone)."""

    auth: str
    device: Device | None = None
    person: Person | None = None
    sender: push.Sender | None = None
    in_browser: bool = False  # somebody is logged in there
    signs_in: bool = False  # for the first time on this phone


@dataclass
class Written:
    """What an exchange left with us: results, photos to be stored, the phone's next token and session."""

    taken: push.Taken = field(default_factory=push.Taken)
    token: str | None = None
    login: str | None = None


@bp.post("/exchange")
def exchange() -> Response:
    """Both directions in one request: what the crew did, and what changed for them."""
    asked = _read()
    here, at = _instance(), _instance().now()
    _start(current_app)
    seen = here.watch.seen
    resident = _resident(asked, at)
    try:
        if resident:
            return _reports(asked, resident, at, seen)
        return _exchange(Visit(asked, at, seen, _token(), session.get("login"), here.settings))
    except server_epoch.WentBack:
        here.watch.went_back(seen)
        return _later(503, SOON_SECONDS)
    except push.Busy:
        return _later(503, BUSY_SECONDS)
    except push.QuarantineFull:
        return _later(429, FULL_SECONDS)


def _exchange(visit: Visit) -> Response:
    """The exchange of a crew's phone; one that brings nothing and has nothing new to say writes nothing."""
    here, asked = _instance(), visit.asked
    # Whoever made their token up holds no case by naming it, and stands in nobody's way.
    if not asked.ops or not devices.is_ours(visit.token, asked.device, here.settings.secret_key):
        with read_session(here.engine) as s:
            caller = _caller(s, visit)
            if not _must_write(s, caller, visit):
                told = _told(s, visit, caller) | {"results": _not_stored(asked)}
                return _named(_json(_answer(asked, visit.at, **told)), _next_token(caller, visit))
    written = push.in_transaction(here.engine, partial(_written, visit=visit))  # 1 to 9
    if written.login:
        session["login"] = written.login
    taken = written.taken
    with read_session(here.engine) as s:  # 10; who was shut out meanwhile hears no more
        told = _told(s, visit, _caller(s, visit))
    if taken.photos:
        photos.move_staged_to_storage(here.engine, here.store, here.settings.var, visit.at, only=taken.photos)
    return _named(_json(_answer(asked, visit.at, results=taken.results, **told)), written.token)  # 11


def _must_write(s: Session, caller: Caller, visit: Visit) -> bool:
    """Whether a phone brings work, waits for work, or says of itself what is worth a write."""
    device, sender = caller.device, caller.sender
    if device is None or sender is None:
        return False
    if visit.asked.ops:
        return True
    if device.revoked_at:
        return False
    if caller.auth == "ok" and (not caller.in_browser or push.deposited_for_login(s, sender)):
        return True
    changed = devices.reports_change(device, visit.asked, visit.at)
    return (
        changed
        or caller.signs_in
        or devices.must_rotate_token(device, visit.token, visit.settings.secret_key)
    )


def _written(s: Session, visit: Visit) -> Written:
    """Finds out who brings work (2), and takes it. Nobody shuts them out or signs them out before the end."""
    asked, at = visit.asked, visit.at
    point, marks = _point(s, visit, server_epoch.now(s))
    caller = _caller(s, visit, locked=True)
    if caller.sender is None:
        return Written(push.Taken(_not_stored(asked)))
    token, login = _next_token(caller, visit), _sign_in(s, caller, visit)
    _, back = _went_back(s, asked, point, marks)
    if asked.ops and asked.heard and back is not None:
        # What the phone sent before comes again, and comes first: its work takes effect in its order.
        taken = push.Taken([result(op.id, RETRY, "back") for op in asked.ops])
    else:
        taken = push.process(s, caller.sender, asked.ops, at)
    if caller.device and not caller.device.revoked_at:
        devices.record_exchange(
            caller.device, asked, at, arrived=sum(r["result"] not in NOT_YET for r in taken.results)
        )
    return Written(taken, token, login)


def _reports(asked: Exchange, device: Device, at: datetime, seen: tuple[int, int]) -> Response:
    """The exchange of a resident's phone: reports go up, what became of them comes down."""
    here = _instance()
    settings = here.settings
    sender = push.Sender(device.id, accounts.A_RESIDENT, secret=settings.secret_key)
    source = rate_limits.source(settings.secret_key, request.remote_addr)
    most = residents.Limits(
        settings.phone_reports_an_hour, settings.reports_an_hour, settings.all_phone_reports_an_hour
    )
    with read_session(here.engine) as s:
        point, heard = server_epoch.now(s), asked.heard or Point("", 0)
        _look_back(point, seen)
        back = server_epoch.went_back(
            s, point, heard, server_epoch.marks(s, {heard.upto} if heard.mark else ())
        )
    try:
        with transaction(here.engine) as s:
            new = residents.new_ones(s, device, [op.hash for op in asked.ops])
            residents.admit(s, s.get_one(Device, device.id), new, source, most, at)
            devices.record_exchange(s.get_one(Device, device.id), asked, at)
        taken = push.push(here.engine, sender, asked.ops, at)
    except residents.TooMany as many:
        return _later(429, many.seconds)
    except push.Busy:
        return _later(503, BUSY_SECONDS)
    except push.QuarantineFull:
        return _later(429, FULL_SECONDS)
    if taken.photos:
        photos.move_staged_to_storage(here.engine, here.store, settings.var, at, only=taken.photos)
    for told in taken.results:
        if told.get("report"):  # worked out anew each time: a link is stored nowhere
            told["link"] = f"/s/{intake.token_for(settings.secret_key, key_of(told['id']))}"
    with read_session(here.engine) as s:
        city_memory, want = server_epoch.read(s, at), expected_photos.wanted(s, device.id)
    _look_back(city_memory.point, seen)
    told = {
        "results": taken.results,
        "back": back,
        "want": want,
        "log": city_memory.log,
        "epoch": city_memory.epoch,
        "mark": city_memory.mark,
    }
    return _json(_answer(asked, at, auth="ok", **told))


@bp.post("/resident")
def begin_resident() -> Response:
    """Gives a resident's phone a token without an account, or says again which phone it is."""
    here, at = _instance(), _instance().now()
    source, token = rate_limits.source(here.settings.secret_key, request.remote_addr), None
    try:
        with transaction(here.engine) as s:
            device = residents.by_token(s, request.cookies.get(_cookie("resident")), at)
            if device is None:
                device, token = residents.begin(s, source, at)
            told = {"device": device.id}
    except residents.TooMany as many:
        return _later(429, many.seconds)
    return _named(_json(told), token, "resident")


@bp.get("/receipts/<operation_id>")
def receipt(operation_id: str) -> Response:
    """Turns a receipt that a resident's phone gave itself into the case: on that phone, once it was sent."""
    here, at = _instance(), _instance().now()
    with read_session(here.engine) as s:
        device = residents.by_token(s, request.cookies.get(_cookie("resident")), at)
        row = s.get(SyncOperation, operation_id) if protocol.is_id(operation_id) else None
        if device is None or row is None or row.device_id != device.id or not row.case_id:
            abort(404)
    link = intake.token_for(here.settings.secret_key, key_of(operation_id))
    response = redirect(f"/s/{link}", 303)
    response.headers["Cache-Control"] = "no-store"
    return cast(Response, response)


@bp.post("/device")
def name_device() -> Response:
    """Gives the phone of whoever is logged in its name and, once, the token it shows from now on."""
    here, at = _instance(), _instance().now()
    with transaction(here.engine) as s:
        devices.by_token(s, _token(), at, locked=True)  # the phone first, then the session: as everywhere
        is_open = people_sessions.is_open(s, session.get("login"), at, locked=True)
        person = people_sessions.person_of(s, session.get("login"), at) if is_open else None
        if person is None or CREW not in accounts.actor(person).roles:
            abort(401)
        device, token = devices.enrol(s, person, _token(), at, secret=here.settings.secret_key)
        people_sessions.sign_in(s, device, session.get("login"))
        told = _who(device, person)
    return _named(_json(told), token)


@bp.post("/enrol")
def enrol() -> Response:
    """Makes this phone somebody's by a code, logs them in on it, and gives it its name and token."""
    here, at, (code, attempt) = _instance(), _instance().now(), _code()
    source = rate_limits.source(here.settings.secret_key, request.remote_addr)
    with transaction(here.engine) as s:  # a wrong guess must be counted: the transaction commits either way
        try:
            person, device, token = enrolment.use_code(
                s, code, attempt, _token(), source, at, secret=here.settings.secret_key
            )
        except Refused as refused:
            fault = refused.code
        else:
            told, login = _who(device, person), people_sessions.begin(s, person, at, how="phone code")
            people_sessions.sign_in(s, device, login)
            fault = ""
    if fault:
        refused_requests.refused(refused_requests.LOG_IN, fault)
        return _later(429, FULL_SECONDS) if fault == "too_many_tries" else _refused(422, fault)
    session.clear()  # nothing of whoever used this browser before
    session["login"] = login
    return _named(_json(told), token)


def _who(device: Device, person: Person) -> dict[str, Any]:
    """What a phone is told of itself and its user; all that it knows of them without signal."""
    crews = [{"id": crew.id, "name": crew.name} for crew in sorted(person.crews, key=lambda crew: crew.id)]
    return {
        "device": device.id, "person": person.id, "name": person.name, "lang": person.lang, "crews": crews,
    }  # fmt: skip


def _named(response: Response, token: str | None, whose: str = "device") -> Response:
    """Gives the phone a token that it shows from now on."""
    if token:
        response.set_cookie(
            _cookie(whose), token, max_age=devices.TOKEN_DAYS * 86400, httponly=True, samesite="Strict",
            secure=_instance().settings.is_https, path="/sync",
        )  # fmt: skip
    return response


@bp.route("/photos/<photo_id>", methods=["HEAD"])
def photo_offset(photo_id: str) -> Response:
    """How far a photo has come."""
    with read_session(_instance().engine) as s:
        device_id, _by = _uploader(s, photo_id)
        here, complete = uploads.offset(s, _instance().settings.var, device_id, photo_id)
    return _offset(200, here, complete)


@bp.patch("/photos/<photo_id>")
def photo_piece(photo_id: str) -> Response:
    """The next piece of a photo; with the last one the whole is checked and given to its operation."""
    here = _instance()
    request.max_content_length = MAX_PIECE
    with read_session(here.engine) as s:
        device_id, by = _uploader(s, photo_id)
        at_byte, length, sha256 = _whole_number("Upload-Offset"), _whole_number("Upload-Length"), _digest()
        if uploads.offset(s, here.settings.var, device_id, photo_id)[1]:
            return _offset(200, length, True)
        waits = expected_photos.expected(s, device_id, photo_id)
        if waits and sha256 not in {row.sha256 for row in waits}:
            return _offset(422, 0, False, fault="digest")
    try:
        most = uploads.MAX_UNFINISHED if by.person_id else uploads.MAX_UNFINISHED_RESIDENT
        data = request.get_data()
        arrived = uploads.append(here.settings.var, device_id, photo_id, at_byte, data, length, most=most)
        if arrived == length:
            done = uploads.finish(
                here.engine, here.settings.var, device_id, photo_id, sha256, by=by, at=here.now(),
                first=lambda s: devices.photo_arrived(
                    s.get_one(Device, _uploader(s, photo_id, locked=True)[0])
                ),
            )  # fmt: skip
            photos.move_staged_to_storage(
                here.engine, here.store, here.settings.var, here.now(), only=[done or photo_id]
            )
    except uploads.WrongOffset as wrong:
        return _offset(409, wrong.offset, False)
    except uploads.WrongBytes:
        refused_requests.refused(refused_requests.UPLOAD, "digest")
        return _offset(422, 0, False, fault="digest")
    except uploads.TooMuch:
        return _offset(413, 0, False, fault="too_large")
    except uploads.Crowded:
        return _later(429, FULL_SECONDS)
    except processing.BadPhoto as bad:
        refused_requests.photo(bad.code)
        return _offset(422, 0, False, fault=bad.code)
    except processing.Busy:
        return _later(503, BUSY_SECONDS)
    return _offset(200, arrived, arrived == length)


def _resident(asked: Exchange, at: datetime) -> Device | None:
    """The resident's phone that asks, where it is the one that its body names."""
    if not (token := request.cookies.get(_cookie("resident"))):
        return None
    with read_session(_instance().engine) as s:
        device = residents.by_token(s, token, at)
    return device if device and device.id == asked.device else None


def _caller(s: Session, visit: Visit, *, locked: bool = False) -> Caller:
    """Who calls, by what their token and session say; where `locked`, nobody shuts the phone out or signs it
    out before the transaction ends. `auth` is "ok", "disabled" or "revoked"; "login" where nobody is signed
    in.

    Nothing may be sent under another user: the device in the body is the one whose outbox it is, the one
    in the cookie belongs to whoever signed in last, and neither helps somebody else who is logged in.
    """
    at, settings = visit.at, visit.settings
    # The phone first, then the session: as everywhere.
    device = devices.by_token(s, visit.token, at, locked=locked)
    logged_in, used_on = people_sessions.session_of(s, visit.login, at, locked=locked)
    if device is None or device.person_id is None or device.id != visit.asked.device:
        return Caller("login")
    person = s.get_one(Person, device.person_id)
    by = accounts.actor(person)
    if device.revoked_at:
        return Caller("revoked", device, person, push.Sender(device.id, by, "revoked"))
    if logged_in and logged_in.id != person.id:
        return Caller("login")
    may = CREW in by.roles
    if logged_in or devices.is_signed_in(device, at, settings.crew_days):
        auth = "ok" if may else "disabled"
        signs_in = bool(logged_in) and used_on is None
        sender = push.Sender(device.id, by, rules=rules_of(settings))
        return Caller(auth, device, person, sender, bool(logged_in), signs_in)
    deposit = "login" if may else "author"
    return Caller("login" if may else "disabled", device, person, push.Sender(device.id, by, deposit))


def _not_stored(asked: Exchange) -> list[dict[str, Any]]:
    """Nothing is stored and nothing is lost: the phone keeps its work until its own user signs in."""
    return [result(op.id, RETRY, "login") for op in asked.ops]


def _next_token(caller: Caller, visit: Visit) -> str | None:
    """What the phone should show from now on, where that is another; one that was shut out stays so."""
    device = caller.device
    if device is None or caller.sender is None or device.revoked_at:
        return None
    return devices.rotate_token(device, visit.token, visit.settings.secret_key, visit.at)


def _sign_in(s: Session, caller: Caller, visit: Visit) -> str | None:
    """Notes that somebody signs in on the phone; returns its new session, where it begins one."""
    device, at = caller.device, visit.at
    if device is None or caller.person is None or device.revoked_at:
        return None
    if caller.signs_in:
        people_sessions.sign_in(s, device, visit.login)
    if caller.auth == "ok" and not caller.in_browser:
        return people_sessions.begin(s, caller.person, at, how="phone", device=device)
    return None


def _told(s: Session, visit: Visit, caller: Caller) -> dict[str, Any]:
    """What the phone hears besides its results: missing photos, and what it may know."""
    asked, at = visit.asked, visit.at
    city_memory = server_epoch.read(s, at)
    _, marks = _point(s, visit, city_memory.point)
    if caller.sender is None or caller.device is None or caller.person is None:
        return {"auth": caller.auth, "epoch": city_memory.epoch}
    reset, back = _went_back(s, asked, city_memory.point, marks)
    told = {
        # Also for a phone that may hear nothing else: by `log` it can say later that work was lost.
        "want": expected_photos.wanted(s, caller.device.id), "safe": city_memory.safe,
        "log": city_memory.log, "epoch": city_memory.epoch, "mark": city_memory.mark, "auth": caller.auth,
        "back": back,
    }  # fmt: skip
    if caller.auth != "ok":
        return told
    scopes = pull.scopes_of(list(accounts.actor(caller.person).crew_ids), caller.person.id)
    horizon = city_memory.horizon
    anew = [scope for scope in scopes if reset is not None or 0 < asked.cursors.get(scope, 0) < horizon]
    cursors = {scope: seq for scope, seq in asked.cursors.items() if scope not in anew}
    reader = pull.Reader(scopes, cursors, asked.limit)
    changes = pull.changes(s, reader, now=city_memory.log, at=at)
    return told | {"scopes": scopes, "reset": anew, "changes": changes}


def _point(s: Session, visit: Visit, point: Point) -> tuple[Point, Marks]:
    """Where the log stands and what mark it has where this phone left it. Raises WentBack."""
    _look_back(point, visit.seen)
    heard = visit.asked.heard
    return point, server_epoch.marks(s, {heard.upto} if heard and heard.mark else ())


def _look_back(point: Point, seen: tuple[int, int]) -> None:
    """Raises WentBack where the log ends before where we had seen it end, and else remembers its end."""
    if seen[1] > point.upto:
        raise server_epoch.WentBack
    _instance().watch.saw(seen, point.upto)


def _went_back(s: Session, asked: Exchange, point: Point, marks: Marks) -> tuple[int | None, int | None]:
    """From where on the database lost what the phone has read of scopes, and what it heard of its work."""
    read = Point(asked.epoch, max(asked.cursors.values(), default=0))
    back = server_epoch.went_back(s, point, asked.heard or read, marks)
    reset = server_epoch.went_back(s, point, read, marks)
    return back if reset is None else reset, back


def _code() -> tuple[str, str]:
    """The code, and what only the phone knows, of `{"code": …, "attempt": …}`; "" for an older app's."""
    if request.mimetype != "application/json":
        abort(415)
    request.max_content_length = MAX_CODE
    told = request.get_json(silent=True)
    code, attempt = (told.get("code"), told.get("attempt", "")) if isinstance(told, dict) else (None, "")
    if not isinstance(code, str) or not (attempt == "" or protocol.is_id(attempt)):
        abort(400)
    return code[:40], attempt


def _read() -> Exchange:
    if request.mimetype != "application/json":
        abort(415)
    request.max_content_length = protocol.MAX_BODY
    try:
        return protocol.parse(_inflated(request.get_data()))
    except Unreadable as fault:
        status = 413 if fault.code in ("too_large", "too_many_operations") else 400
        response = _refused(status, fault.code)
        raise HTTPException(response=response) from fault


def _inflated(body: bytes) -> bytes:
    if request.headers.get("Content-Encoding", "identity") == "identity":
        return body
    try:
        unpack = zlib.decompressobj(wbits=31)
        data = unpack.decompress(body, protocol.MAX_BODY + 1)
    except zlib.error:
        raise Unreadable("encoding") from None
    if len(data) > protocol.MAX_BODY:
        raise Unreadable("too_large")
    if not unpack.eof:
        raise Unreadable("encoding")
    return data


def _answer(asked: Exchange, at: datetime, **told: Any) -> dict[str, Any]:
    return protocol.answer(asked, server_time=at, **told)


def _json(told: dict[str, Any]) -> Response:
    response = Response(_dumped(told), mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _dumped(told: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(told)
    except TypeError:  # of half a character, which is told as a question mark, or a number beyond 64 bits
        return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def _refused(status: int, fault: str) -> Response:
    response = _json({"error": fault, "protocol": protocol.PROTOCOL})
    response.status_code = status
    return response


def _later(status: int, seconds: int) -> Response:
    response = _refused(status, "later")
    response.headers["Retry-After"] = str(seconds)
    return response


def _offset(status: int, here: int, complete: bool, fault: str = "") -> Response:
    response = _json({"error": fault}) if fault else make_response("", status)
    response.status_code = status
    response.headers["Upload-Complete"] = "?1" if complete else "?0"
    if request.method != "HEAD" or not complete:
        response.headers["Upload-Offset"] = str(here)
    response.headers["Cache-Control"] = "no-store"
    return response


def _uploader(s: Session, photo_id: str, *, locked: bool = False) -> tuple[str, Actor]:
    """The device that sends a photo, and as whom; where `locked`, that stays so until the transaction ends.

    A phone that may do nothing now, or that nobody is signed in on, may still send what an operation of it
    declared, and nothing else. 404 for a resident's phone that is known, with a photo that nobody waits for:
    one that another phone declared may be its own, from before it lost its token.
    """
    if not protocol.is_id(photo_id):
        abort(404)
    here, at = _instance(), _instance().now()
    resident = residents.by_token(s, request.cookies.get(_cookie("resident")), at)
    if resident and _knows(s, resident, photo_id):
        return resident.id, accounts.A_RESIDENT
    unwanted = resident and not expected_photos.is_awaited(s, photo_id)
    refusal = _refused(404, "unknown") if unwanted else 401
    device = devices.by_token(s, _token(), at, locked=locked)
    if device is None:
        abort(refusal)
    by = accounts.actor(s.get_one(Person, device.person_id))
    signed_in = devices.is_signed_in(device, at, here.settings.crew_days)
    if not signed_in:
        logged_in = people_sessions.person_of(s, session.get("login"), at)
        signed_in = logged_in is not None and logged_in.id == device.person_id
    may = signed_in and CREW in by.roles and not device.revoked_at
    if not may and not _knows(s, device, photo_id):
        abort(refusal)
    return device.id, by


def _knows(s: Session, device: Device, photo_id: str) -> bool:
    """Whether an operation of this device declared the photo."""
    return bool(
        expected_photos.expected(s, device.id, photo_id) or expected_photos.sent(s, device.id, photo_id)
    )


def _whole_number(header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isdecimal() or len(text) > 12:
        abort(400, f"{header} is missing")
    return int(text)


def _digest() -> str:
    """SHA-256 in hex out of `Repr-Digest: sha-256=:…:` (RFC 9530)."""
    kind, _, told = request.headers.get("Repr-Digest", "").partition("=:")
    try:
        raw = base64.b64decode(told.rstrip(":"), validate=True)
    except binascii.Error:
        raw = b""
    if kind != "sha-256" or len(raw) != 32:
        abort(400, "Repr-Digest is missing")
    return raw.hex()


def _start(app: Flask) -> None:
    """Notes our own start, once, where the database was there to note it in."""
    instance = cast(Instance, app.extensions["cityline"])
    with _booting:
        if "cityline.booted" not in app.extensions:
            app.extensions["cityline.booted"] = epochs.start_epoch(instance.engine, instance.now())


def _token() -> str | None:
    return request.cookies.get(_cookie())


def _cookie(whose: str = "device") -> str:
    # Not "__Host-", which would send it along to every page: it is for /sync alone.
    return f"__Secure-cl_{whose}" if _instance().settings.is_https else f"cl_{whose}"


def _instance() -> Instance:
    return cast(Instance, current_app.extensions["cityline"])

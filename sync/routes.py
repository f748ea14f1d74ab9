"""The one blueprint of field sync: exchange, photos, the phone's own name; closed to other sites."""

import base64
import binascii
import json
import threading
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol, cast

from flask import Blueprint, Flask, Response, abort, current_app, make_response, request, session
from flask.blueprints import BlueprintSetupState
from sqlalchemy import Engine
from sqlalchemy.exc import DatabaseError
from werkzeug.exceptions import HTTPException

from city import boots, logins, people, photos
from city.db import reading, transaction
from city.lifecycle import CREW, Refused
from city.schema import Device, Person
from city.settings import Settings
from sync import devices, enrolment, protocol, pull, push, tries, uploads
from sync.protocol import RETRY, Exchange, Unreadable, result

MAX_PIECE = 2_000_000  # bytes of a photo in one request
MAX_CODE = 1_000  # bytes
DEVICE_DAYS = 90
# Another try within the minute would meet the same crowd.
BUSY_SECONDS, FULL_SECONDS = 5, 3600

bp = Blueprint("sync", __name__, url_prefix="/sync/v1")
_booting = threading.Lock()


class Held(Protocol):
    """What the application keeps for one running instance."""

    settings: Settings
    engine: Engine
    store: photos.Store
    now: Callable[[], datetime]


@bp.record_once
def _boot(state: BlueprintSetupState) -> None:
    """A server start is a new epoch, before anybody else can write. An empty disk has nothing to remember."""
    with suppress(DatabaseError):  # not migrated yet: the first exchange says it
        _epoch(cast(Flask, state.app))


@bp.before_request
def _guard() -> None:
    """Only our own pages: a form or image of another site can neither set this header nor come from here."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if request.headers.get("X-Cityline") != "1":
        abort(403)
    site = request.headers.get("Sec-Fetch-Site")
    ours = request.headers.get("Origin") == request.host_url.rstrip("/")
    if not (site == "same-origin" or (site is None and ours)):
        abort(403)


@bp.post("/exchange")
def exchange() -> Response:
    """Both directions in one request: what the crew did, and what changed for them."""
    asked = _read()
    here, at = _here(), _here().now()
    with reading(here.engine) as s:  # 1 who is it?
        device = devices.by_token(s, _token())
        person = logins.person_of(s, session.get("login"), at)
        auth = _auth(device, person, asked)
        reset = devices.went_back(s, asked.epoch, asked.cursors) if auth == "ok" else False
    if device is None or person is None or auth == "login":
        # Nothing is stored and nothing is lost: the phone keeps its work until somebody signs in.
        waiting = [result(op.id, RETRY, "login") for op in asked.ops]
        return _json(_answer(asked, at, auth=auth, results=waiting))
    _note_seen(device, asked, at)
    try:
        sender = push.Sender(device.id, person.id, here.settings.var)
        taken = push.push(here.engine, sender, asked.ops, at)  # 2 to 9
    except push.Busy:
        return _later(503, BUSY_SECONDS)
    except push.QuarantineFull:
        return _later(429, FULL_SECONDS)
    if taken.photos:
        photos.settle_all(here.engine, here.store, here.settings.var, at, only=taken.photos)
    told: dict[str, Any] = {"results": taken.results, "want": taken.want}
    if auth == "ok":
        told |= _news(asked, person.id, reset, at)
    return _json(_answer(asked, at, auth=auth, **told))  # 10 answer


@bp.post("/device")
def name_device() -> Response:
    """Gives the phone of whoever is logged in its name and, once, the token it shows from now on."""
    here, at = _here(), _here().now()
    with transaction(here.engine) as s:
        person = logins.person_of(s, session.get("login"), at)
        if person is None or CREW not in people.actor(person).roles:
            abort(401)
        device, token = devices.enrol(s, person, _token(), at)
        told = _who(device, person)
    return _enrolled(told, token)


@bp.post("/enrol")
def enrol() -> Response:
    """Makes this phone somebody's by a code, logs them in on it, and gives it its name and token."""
    here, at, code = _here(), _here().now(), _code()
    source = tries.source(here.settings.secret_key, request.remote_addr)
    with transaction(here.engine) as s:  # a wrong guess must be counted: the transaction commits either way
        try:
            person = enrolment.use_code(s, code, source, at)
        except Refused as refused:
            fault = refused.code
        else:
            device, token = devices.enrol(s, person, _token(), at)
            told, login = _who(device, person), logins.begin(s, person, at, how="phone code")
            fault = ""
    if fault:
        return _later(429, FULL_SECONDS) if fault == "too_many_tries" else _refused(422, fault)
    session.clear()  # nothing of whoever used this browser before
    session["login"] = login
    return _enrolled(told, token)


def _who(device: Device, person: Person) -> dict[str, Any]:
    """What a phone is told of itself and its user; all that it knows of them without signal."""
    crews = [{"id": crew.id, "name": crew.name} for crew in sorted(person.crews, key=lambda crew: crew.id)]
    return {
        "device": device.id, "person": person.id, "name": person.name, "lang": person.lang, "crews": crews,
    }  # fmt: skip


def _enrolled(told: dict[str, Any], token: str | None) -> Response:
    response, here = _json(told), _here()
    if token:
        secure = here.settings.base_url.startswith("https")
        response.set_cookie(
            _cookie(), token, max_age=DEVICE_DAYS * 86400, httponly=True, samesite="Strict", secure=secure,
            path="/sync",
        )  # fmt: skip
    return response


@bp.route("/photos/<photo_id>", methods=["HEAD"])
def photo_offset(photo_id: str) -> Response:
    """How far a photo has come."""
    device_id = _device_id(photo_id)
    with reading(_here().engine) as s:
        here, complete = uploads.offset(s, _here().settings.var, device_id, photo_id)
    return _offset(200, here, complete)


@bp.patch("/photos/<photo_id>")
def photo_piece(photo_id: str) -> Response:
    """The next piece of a photo; with the last one the whole is checked and staged."""
    here, device_id = _here(), _device_id(photo_id)
    request.max_content_length = MAX_PIECE
    at_byte, length, sha256 = _whole("Upload-Offset"), _whole("Upload-Length"), _digest()
    with reading(here.engine) as s:
        if uploads.offset(s, here.settings.var, device_id, photo_id)[1]:
            return _offset(200, length, True)
    try:
        arrived = uploads.append(here.settings.var, device_id, photo_id, at_byte, request.get_data(), length)
        if arrived == length:
            uploads.finish(here.engine, here.settings.var, device_id, photo_id, sha256, here.now())
    except uploads.WrongOffset as wrong:
        return _offset(409, wrong.offset, False)
    except uploads.WrongBytes:
        return _offset(422, 0, False, fault="digest")
    except uploads.TooMuch:
        abort(413)
    except photos.BadPhoto as bad:
        return _offset(422, 0, False, fault=bad.code)
    return _offset(200, arrived, arrived == length)


def _note_seen(device: Device, asked: Exchange, at: datetime) -> None:
    """Only phones with something new to say cost a write."""
    if devices.seen(device, asked.release, asked.waiting, at):
        with transaction(_here().engine) as s:
            devices.seen(s.get_one(Device, device.id), asked.release, asked.waiting, at)


def _news(asked: Exchange, person_id: int, reset: bool, at: datetime) -> dict[str, Any]:
    with reading(_here().engine) as s:
        by = people.actor(s.get_one(Person, person_id))
        scopes = pull.scopes_of(list(by.crew_ids), person_id)
        cursors = {} if reset else asked.cursors
        return {
            "scopes": scopes,
            "changes": pull.changes(s, scopes, cursors, limit=asked.limit, at=at),
            "reset": scopes if reset else [],
            "safe": devices.safe(s, at),
        }


def _auth(device: Device | None, person: Person | None, asked: Exchange) -> str:
    """ "ok", "disabled", or "login" where the phone, its user or the two together are not known.

    Nothing may be sent under another user: the device in the body is the one whose outbox it is, the one
    in the cookie belongs to whoever signed in last.
    """
    if device is None or person is None or device.person_id != person.id or device.id != asked.device:
        return "login"
    return "disabled" if person.disabled_at or CREW not in people.actor(person).roles else "ok"


def _code() -> str:
    """The code in `{"code": …}`."""
    if request.mimetype != "application/json":
        abort(415)
    request.max_content_length = MAX_CODE
    told = request.get_json(silent=True)
    code = told.get("code") if isinstance(told, dict) else None
    if not isinstance(code, str):
        abort(400)
    return code[:40]


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
    return protocol.answer(asked, epoch=_epoch(current_app), server_time=at, **told)


def _json(told: dict[str, Any]) -> Response:
    body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    response = Response(body, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


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


def _device_id(photo_id: str) -> str:
    if not protocol.is_id(photo_id):
        abort(404)
    at = _here().now()
    with reading(_here().engine) as s:
        device, person = devices.by_token(s, _token()), logins.person_of(s, session.get("login"), at)
        if device is None or person is None or person.id != device.person_id or person.disabled_at:
            abort(401)
        return device.id


def _whole(header: str) -> int:
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


def _epoch(app: Flask) -> str:
    """The newest start that this database knows of, whoever it was that started.

    Read after the changes: a cursor that belongs to it never lies beyond a start that was not named.
    """
    held = cast(Held, app.extensions["cityline"])
    with _booting:
        if "cityline.booted" not in app.extensions:
            app.extensions["cityline.booted"] = boots.boot(held.engine, held.now())
    with reading(held.engine) as s:
        newest = boots.newest(s)
        return newest.id if newest else app.extensions["cityline.booted"]


def _token() -> str | None:
    return request.cookies.get(_cookie())


def _cookie() -> str:
    return "__Secure-cl_device" if _here().settings.base_url.startswith("https") else "cl_device"


def _here() -> Held:
    return cast(Held, current_app.extensions["cityline"])

"""Everything here that answers JSON, as OpenAPI 3.1 describes it: what comes in, what goes out.

Open311 is described beside its own code and taken in here; a page that answers JSON gets its line below.
"""

from typing import Any, Final

from flask import Blueprint, Response, jsonify

from city.lifecycle import OPEN
from pwa.open311 import openapi as open311
from pwa.open311.openapi import VERSION
from pwa.web import access
from sync.protocol import MAX_OPERATIONS, PROTOCOL, RESULTS, TYPES

bp = Blueprint("openapi", __name__)

Schema = dict[str, Any]

_STRING: Final[Schema] = {"type": "string"}
_SOME: Final[Schema] = _STRING | {"minLength": 1}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": "number"}
_BYTES: Final[Schema] = {"type": "string", "format": "binary"}
_TRUE: Final[Schema] = {"const": True}
_FREE: Final[Schema] = {"type": "object"}
_UUID: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
# What a page says of a fault, for a person; field sync and the probes say it in JSON.
_PAGE: Final = {"text/html": {"schema": _STRING}}
FOR_STAFF: Final = (302, 403)  # to the log-in; not for this role
FORM: Final = (400, 403, 413)  # no token of a form, another site's page, too large
# How each status reads for whoever programs against it.
STATUSES: Final = {
    200: "OK.",
    204: "Done.",
    302: "Redirects to login.",
    303: "Redirects to the page.",
    304: "Not modified.",
    400: "Bad request, or the form token is missing.",
    401: "Not logged in, or this phone has no user.",
    403: "This account doesn't have access, or the request came from another site.",
    404: "Not found, or not public.",
    409: "Wrong offset. `Upload-Offset` has the right one.",
    413: "Too large.",
    415: "Unsupported content type.",
    422: "Refused. The body says why.",
    429: "Too many requests. See `Retry-After`.",
    503: "Busy. See `Retry-After`.",
}


@bp.get("/openapi.json")
def description() -> Response:
    """All that answers JSON, as OpenAPI describes it."""
    return jsonify(describe(access.current_city().settings.base_url))


def describe(base: str) -> dict[str, Any]:
    """The whole description; `base` is the address of the site."""
    host, secure = ("__Host-", "__Secure-") if base.startswith("https") else ("", "")
    theirs = {f"/open311{path}": told for path, told in open311.paths().items()}
    return {
        "openapi": VERSION,
        "info": {
            "title": "Cityline 311",
            "version": "1",
            "description": "JSON endpoints. Other programs should use Open311. The rest serves our own "
            "pages and phones, and can change at any time.",
        },
        "servers": [{"url": base}],
        "paths": _pages() | _board() | _phones() | theirs,
        "components": {
            "schemas": _schemas() | open311.schemas(),
            "securitySchemes": {
                "login": {"type": "apiKey", "in": "cookie", "name": f"{host}cl_session"},
                "token": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
                "phone": {"type": "apiKey", "in": "cookie", "name": f"{secure}cl_device"},
            },
        },
    }


_TOKEN: Final[Schema] = {"security": [{"login": [], "token": []}]}


def _pages() -> Schema:
    """What everybody's pages ask for."""
    where = [_query("lat", _NUMBER), _query("lon", _NUMBER), _query("accuracy", _NUMBER)]
    listed = [_query("state", _one_of("open", "closed")), _query("group")]
    return {
        "/openapi.json": {"get": _read("everything", "Description", None, 429)},
        "/manifest.webmanifest": {
            "get": _does(
                "manifest",
                _answers((200, "Manifest", "application/manifest+json"), 429),
                [_query("for", _one_of("public", "crew", "staff"))],
            )
        },
        "/readyz": {"get": _does("ready", _answers((200, "Readiness"), (503, "Readiness"), 429))},
        "/cases/points": {"get": _does("points", _answers((200, "Points"), (422, "Error"), 429), listed)},
        "/assets/around": {"get": _read("assetsAround", "Things", where, 429)},
        "/report/suggest": {"get": _read("suggest", "Suggestions", [_query("q"), *where], 429)},
        "/report/around": {"get": _read("around", "Around", [*where, _query("group")], 429)},
        "/report/photos": {
            "post": _does("addPhoto", _answers((200, "StagedPhoto"), (422, "Fault"), *FORM, 429))
            | _body("multipart/form-data", {"key": _SOME, "photo": _BYTES})
            | _TOKEN
        },
        "/data/dictionary.json": {"get": _read("dictionary", "Dictionary", None, 429)},
        **_rings("/follow/{kind}/{name}", "notifyOf", "stopNotifyingOf", "kind", "name"),
        **_rings("/trash-day/reminders/{zone}", "remind", "stopReminding", "zone"),
        **_rings("/sent/{number}", "notify", "stopNotifying", "number"),
        **_rings("/me/duty/{person}", "ring", "stopRinging", "person"),
    }


def _rings(path: str, begin: str, end: str, *names: str) -> Schema:
    """By which a browser asks for notifications of something, and stops them."""
    params = [_path(name) for name in names]
    stopped = _does(end, _answers((200, "Nothing"), *FORM, 404), params)
    return {
        f"{path}/notifications": {
            "post": _does(begin, _answers((200, "Nothing"), (422, "Fault"), *FORM, 404, 429), params)
            | _body("application/json", {"endpoint": _SOME, "keys": _FREE})
            | _TOKEN
        },
        f"{path}/notifications/stopped": {
            "post": stopped | _body("application/json", {"endpoint": _SOME}) | _TOKEN
        },
    }


def _board() -> Schema:
    """What a dispatcher's board asks for; each takes a view in its address."""
    view = [
        _query("state", _one_of(*OPEN)), _query("standing"), _query("group"), _query("service"),
        _query("words"), _query("age", _COUNT),
    ]  # fmt: skip
    staff: Schema = {"security": [{"login": []}]}
    spot = [_query("lat", _NUMBER), _query("lon", _NUMBER)]
    shapes = [_query(name) for name in ("polygon", "box", "near", "beside")]
    tile = [_path(name, {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}) for name in ("z", "x", "y")]
    told = (*FOR_STAFF, 404)
    return {
        "/dispatch/changes": {
            "get": _read("changes", "Changes", [_query("since"), _query("open"), *view], *told) | staff
        },
        "/dispatch/choose": {
            "get": _does(
                "choose",
                _answers((200, "Chosen"), (422, "Error"), *told),
                [*shapes, _query("metres", _COUNT), *view],
            )
            | staff
        },
        "/tiles/cases/{z}/{x}/{y}": {"get": _read("tile", "Tile", [*tile, *view], 304, *told) | staff},
        "/tiles/cases/count": {"get": _read("extent", "Extent", view, 304, *told) | staff},
        "/tiles/cases/ground": {
            "get": _read("ground", "Ground", [*spot, _query("metres", _NUMBER)], *told) | staff
        },
    }


def _phones() -> Schema:
    """Field sync, as /docs/reference/sync.md explains it; only our own pages may ask."""
    phone: Schema = {"security": [{"phone": []}, {}]}
    ours = [_header("X-Cityline", {"const": "1"}), _header("Sec-Fetch-Site", {"const": "same-origin"})]
    photo = _path("photo_id", _UUID)
    faults = (400, 403, 413, 415, 429, 503)
    piece = [
        _header("Upload-Offset", _COUNT),
        _header("Upload-Length", _COUNT),
        _header("Repr-Digest", _STRING),
    ]
    return {
        "/sync/v1/exchange": {
            "post": _does("exchange", _synced((200, "ExchangeAnswer"), *faults), ours)
            | {"requestBody": _json_body("Exchange")}
            | phone
        },
        "/sync/v1/resident": {
            "post": _does("beginResident", _synced((200, "Resident"), *faults), ours) | phone
        },
        "/sync/v1/device": {
            "post": _does("nameDevice", _synced((200, "Phone"), 401, *faults), ours)
            | {"security": [{"login": []}]}
        },
        "/sync/v1/enrol": {
            "post": _does("enrol", _synced((200, "Phone"), 422, *faults), ours)
            | _body("application/json", {"code": _SOME}, {"attempt": _STRING})
            | phone
        },
        "/sync/v1/photos/{photo_id}": {
            "head": _does("photoOffset", _bare(200, 401, 404), [photo]) | phone,
            "patch": _does(
                "photoPiece",
                _synced(400, 401, 404, 409, 422, *faults) | _bare(200, 409),
                [photo, *ours, *piece],
            )
            | {
                "requestBody": {
                    "content": {
                        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                    }
                }
            }
            | phone,
        },
        "/sync/v1/receipts/{operation_id}": {
            "get": _does("receipt", _bare(303) | _synced(404), [_path("operation_id")]) | phone
        },
    }


def _schemas() -> Schema:
    operation = {
        "id": _UUID, "n": _COUNT, "t": _one_of(*TYPES), "v": _COUNT | {"minimum": 1}, "case": _STRING,
        "assignment": {"type": ["integer", "null"]}, "cycle": {"type": ["integer", "null"]},
        "base": {"type": ["integer", "null"]}, "prev": {"type": ["string", "null"]},
        "device_time": {"type": "string", "format": "date-time"}, "accuracy": {"type": ["number", "null"]},
        "data": _FREE, "photos": _list(_FREE),
    }  # fmt: skip
    result = _object({"id": _STRING, "result": _one_of(*RESULTS)}) | {"additionalProperties": True}
    cluster = _row("latitude, longitude, how many, worst standing, {standing: how many}", 5)
    point = _row("number, latitude, longitude, standing, service", 5)
    thing = _row("number, latitude, longitude, label", 4)
    suggestion = _object({"words": _STRING, "place": _STRING, "pick": _STRING, "vague": {"type": "boolean"}})
    crew = _object({"id": _COUNT, "name": _STRING})
    return {
        "Description": _FREE,
        "Nothing": _object({}),
        "Dictionary": _object({"tables": {}}),
        "Fault": _object({"fault": _STRING}),
        "Error": _object({"error": _STRING}),
        "SyncError": _object({"error": _STRING}) | {"additionalProperties": True},
        "Manifest": {
            "type": "object",
            "required": ["name", "short_name", "id", "start_url", "scope", "lang", "dir", "shortcuts"],
        },
        "Readiness": _object(
            {"ready": {"type": "boolean"}, "faults": {"type": "object", "additionalProperties": _STRING}}
        ),
        "Points": _object({"points": _list(point)}),
        "Things": _object(
            {"things": _list({"type": "array", "description": "kind, number, latitude, longitude, name"})}
        ),
        "Suggestions": _object({"places": _list(suggestion)}),
        "Around": _object({"cases": _list(point), "things": _list(thing)}),
        "StagedPhoto": _object({"id": _UUID, "url": _STRING, "words": _STRING}),
        "Changes": _object(
            {
                "rev": _STRING, "at": _STRING, "reset": _TRUE, "many": _TRUE, "rows": _STRING,
                "fresh": _list(_STRING), "gone": {"type": "object", "additionalProperties": _STRING},
                "else": _list(_STRING), "n": {"type": ["integer", "null"]},
            },
            least=("rev", "at"),
        ),
        "Chosen": _object({"numbers": _list(_STRING), "total": _COUNT}),
        "Tile": _object(
            {"clusters": _list(cluster), "points": _list(point), "total": _COUNT, "placed": _COUNT}
        ),
        "Extent": _object(
            {
                "total": _COUNT, "unlocated": _COUNT, "hidden": _COUNT,
                "box": {"type": ["array", "null"], "items": _NUMBER, "minItems": 4, "maxItems": 4},
                "dangers": _list({"type": "array", "minItems": 5, "maxItems": 5}),
            }
        ),
        "Ground": _object(
            {
                "things": _list({"type": "array", "minItems": 4, "maxItems": 4}),
                "doors": _list({"type": "array", "minItems": 3, "maxItems": 3}),
            }
        ),
        "Exchange": _object(
            {
                "protocol": {"const": PROTOCOL},
                "nonce": {"type": "string", "minLength": 8, "maxLength": 64},
                "device": _STRING, "release": _STRING, "epoch": _STRING, "limit": _COUNT,
                "cursors": {"type": "object", "additionalProperties": _COUNT}, "device_time": _STRING,
                "heard": _object(
                    {"epoch": _STRING, "upto": _COUNT, "mark": _STRING}, least=("epoch", "upto")
                ),
                "waiting": _FREE, "pack": _FREE,
                "ops": _list(_object(operation, least=("id", "n", "t", "v", "case", "device_time")))
                | {"maxItems": MAX_OPERATIONS},
            },
            least=("protocol", "nonce"),
        ),
        "ExchangeAnswer": _object(
            {
                "protocol": {"const": PROTOCOL}, "nonce": _STRING, "epoch": _STRING, "server_time": _STRING,
                "auth": _one_of("ok", "login", "disabled", "revoked"), "scopes": _list(_STRING),
                "results": _list(result), "changes": _FREE, "reset": _list(_STRING), "want": _list(_STRING),
                "safe": _COUNT, "lowest": _COUNT, "log": _COUNT, "back": _COUNT,
                "mark": _STRING,
            },
            least=("protocol", "nonce", "epoch", "server_time", "auth", "results", "safe", "lowest"),
        ),
        "Resident": _object({"device": _UUID}),
        "Phone": _object(
            {"device": _UUID, "person": _COUNT, "name": _STRING, "lang": _STRING, "crews": _list(crew)}
        ),
    }  # fmt: skip


def _read(name: str, schema: str, parameters: list[Schema] | None = None, *faults: int) -> Schema:
    return _does(name, _answers((200, schema), *faults), parameters)


def _does(name: str, answers: Schema, parameters: list[Schema] | None = None) -> Schema:
    return {"operationId": name, "parameters": parameters or [], "responses": answers}


def _answers(*told: int | tuple[int, str] | tuple[int, str, str]) -> Schema:
    """By status: JSON of a schema, or of another type; a status alone is a page for people.

    400 is among them always: no argument may hold a NUL.
    """
    found: Schema = {}
    for each in (*told, 400):
        status, schema, kind = (*((each,) if isinstance(each, int) else each), "", "")[:3]
        content = _content(schema, kind) if schema else {}
        if status >= 400 and kind == "":
            content |= _PAGE if status != 503 else {}
        found[str(status)] = _status(int(status), content)
    return found


def _synced(*told: int | tuple[int, str]) -> Schema:
    """The same of field sync, which says its faults in JSON."""
    return {
        str(status): _status(status, _content(schema))
        for status, schema in ((each, "SyncError") if isinstance(each, int) else each for each in told)
    }


def _bare(*statuses: int) -> Schema:
    """Answers whose headers say it all."""
    return {str(status): _status(status, {}) for status in statuses}


def _status(status: int, content: Schema) -> Schema:
    return {"description": STATUSES[status]} | ({"content": content} if content else {})


def _content(schema: str, kind: str = "") -> Schema:
    return {kind or "application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _body(kind: str, properties: Schema, optional: Schema | None = None) -> Schema:
    """What must be sent, all but the optional; what is sent besides is passed over."""
    schema = _object(properties) | {"additionalProperties": True}
    schema["properties"] = properties | (optional or {})
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema}}}}


def _json_body(schema: str) -> Schema:
    return {"required": True, "content": _content(schema)}


def _query(name: str, schema: Schema | None = None) -> Schema:
    return {"name": name, "in": "query", "schema": schema or _STRING}


def _path(name: str, schema: Schema | None = None) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema or _SOME}


def _header(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "header", "required": True, "schema": schema}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _object(properties: Schema, *, least: tuple[str, ...] | None = None) -> Schema:
    """No other members; all of these are always there, or `least`."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties if least is None else least),
        "additionalProperties": False,
    }


def _row(words: str, long: int) -> Schema:
    """A row of a map: many of them go over the wire, so they have no names."""
    return {"type": "array", "minItems": long, "maxItems": long, "description": words}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}

"""The API as OpenAPI 3.1 describes it: every address of routes.py, what it takes and answers. Pure."""

from typing import Any, Final

from city.questions import DATATYPES
from pwa.open311.parse import MOST, STATUSES

VERSION: Final = "3.1.0"
_STRING: Final[dict[str, Any]] = {"type": "string"}
_SOME: Final[dict[str, Any]] = _STRING | {"minLength": 1}
_MAYBE: Final[dict[str, Any]] = {"type": ["string", "null"]}
_MOMENT: Final[dict[str, Any]] = {"type": "string", "format": "date-time"}
_NUMBER: Final[dict[str, Any]] = {"type": ["number", "null"]}


def describe(base: str) -> dict[str, Any]:
    """The whole description; `base` is the address of the site."""
    return {
        "openapi": VERSION,
        "info": {
            "title": "Open311 GeoReport v2",
            "version": "2.0",
            "description": "JSON as described here; the same addresses ending in .xml answer in XML.",
        },
        "servers": [{"url": f"{base}/open311"}],
        "paths": paths(),
        "components": {"schemas": schemas()},
    }


def paths() -> dict[str, Any]:
    """What each address below /open311 takes and answers."""
    jurisdiction = _query("jurisdiction_id", "The city's host name. Optional.")
    window = [
        _query("start_date", "Reported on or after.", _MOMENT),
        _query("end_date", "Reported on or before. The range can be up to 90 days.", _MOMENT),
    ]
    pages = [
        _query("page", "From 1.", {"type": "integer", "minimum": 0, "maximum": 999_999_999}),
        _query("page_size", "Results per page.", {"type": "integer", "minimum": 0, "maximum": MOST}),
    ]
    extensions = _query("extensions", "Include extra fields.", _one_of("true", "false"))
    listing = [
        jurisdiction,
        _query("service_request_id", "Request numbers, separated by commas. Overrides all other filters."),
        _query("service_code", "Service codes, separated by commas."),
        _query("status", "One status, or both separated by a comma.", _one_of(*STATUSES, "open,closed")),
        *window,
        _query("updated_after", "Changed on or after.", _MOMENT),
        _query("updated_before", "Changed on or before.", _MOMENT),
        *pages,
        extensions,
    ]  # fmt: skip
    return {
        "/discovery.json": {"get": _read("discovery", "Discovery", [])},
        "/v2/discovery.json": {"get": _read("discoveryBelow", "Discovery", [])},
        "/v2/services.json": {"get": _read("services", "Services", [jurisdiction], 400, 404)},
        "/v2/services/{code}.json": {
            "get": _read("definition", "Definition", [_path("code"), jurisdiction], 400, 404)
        },
        "/v2/requests.json": {
            "get": _read("requests", "Requests", listing, 400, 404),
            "post": _write("create", "Taken", "NewRequest"),
        },
        "/v2/requests/{number}.json": {
            "get": _read("one", "Requests", [_path("number"), jurisdiction, extensions], 400, 404)
        },
        "/v2/tokens/{token}.json": {
            "get": _read("token", "Tokens", [_path("token"), jurisdiction], 400, 404)
        },
        "/v2/servicerequestupdates.json": {
            "get": _read("updates", "Updates", [jurisdiction, *window, *pages], 400, 404),
            "post": _write("addUpdate", "UpdateTaken", "NewUpdate"),
        },
        "/openapi.json": {"get": _read("description", "Description", [])},
    }


def _read(name: str, schema: str, parameters: list[dict[str, Any]], *faults: int) -> dict[str, Any]:
    return {"operationId": name, "parameters": parameters, "responses": _answers(schema, *faults, 429)}


def _write(name: str, schema: str, body: str) -> dict[str, Any]:
    content = {"schema": {"$ref": f"#/components/schemas/{body}"}}
    return {
        "operationId": name,
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": content, "multipart/form-data": content},
        },
        "responses": _answers(schema, 400, 403, 404, 413, 415, 429),
    }


def _answers(schema: str, *faults: int) -> dict[str, Any]:
    def told(name: str) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}

    found: dict[str, Any] = {"200": {"description": "OK.", "content": told(schema)}}
    for status in faults:
        found[str(status)] = {"description": "Error details.", "content": told("Errors")}
    return found


def _query(name: str, words: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """An argument of a list; one without a value counts as absent."""
    told = {"name": name, "in": "query", "description": words, "schema": schema or _STRING}
    return told | {"allowEmptyValue": True}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _SOME}


def schemas() -> dict[str, Any]:
    """What the addresses name."""
    note = _object(dict.fromkeys(("type", "summary", "description"), _STRING) | {"datetime": _MOMENT})
    request = _object(
        {
            "service_request_id": _STRING, "status": _one_of(*STATUSES),
            "status_notes": _STRING, "service_name": _STRING, "service_code": _STRING, "description": _MAYBE,
            "agency_responsible": _STRING, "service_notice": _STRING, "requested_datetime": _MOMENT,
            "updated_datetime": _MOMENT, "expected_datetime": _MOMENT, "address": _MAYBE,
            "address_id": _MAYBE, "zipcode": _MAYBE, "lat": _NUMBER, "long": _NUMBER, "media_url": _MAYBE,
            "attributes": _list({"type": "object"}), "extended_attributes": {"type": "object"},
            "notes": _list(note),
        },
        but=("status_notes", "agency_responsible", "service_notice", "expected_datetime", "attributes",
             "extended_attributes", "notes"),
    )  # fmt: skip
    service = _object(
        dict.fromkeys(("service_code", "service_name", "description", "keywords", "group"), _STRING)
        | {"metadata": {"type": "boolean"}, "type": _one_of("realtime")}
    )
    endpoint = _object(
        dict.fromkeys(("specification", "url", "changeset"), _STRING)
        | {"type": _one_of("production", "test"), "formats": _list(_STRING)}
    )
    update = _object(
        dict.fromkeys(("update_id", "service_request_id", "status", "description"), _STRING)
        | {"updated_datetime": _MOMENT, "media_url": _MAYBE}
    )
    return {
        "Errors": _list(_object({"code": {"type": "integer"}, "description": _STRING}), least=1),
        "Discovery": _object(
            dict.fromkeys(("changeset", "contact", "key_service"), _STRING)
            | {"endpoints": _list(endpoint, least=2)}
        ),
        "Services": _list(service),
        "Definition": _object({"service_code": _STRING, "attributes": _list(_attribute())}),
        "Requests": _list(request),
        "Taken": _list(
            _object({"service_request_id": _STRING, "service_notice": _MAYBE, "account_id": _MAYBE}), least=1
        ),
        "Tokens": _list(
            _object({"service_request_id": _STRING, "token": _STRING}, but=("service_request_id",)), least=1
        ),
        "Updates": _list(update),
        "UpdateTaken": _list(_object({"update_id": _STRING}), least=1),
        "Description": {"type": "object"},
        "NewRequest": _new_request(),
        "NewUpdate": {
            "type": "object",
            "required": ["api_key", "service_request_id", "update_id", "status"],
            "properties": dict.fromkeys(("api_key", "service_request_id", "update_id", "status"), _SOME)
            | {"description": _STRING, "updated_datetime": _MOMENT},
        },
    }


def _attribute() -> dict[str, Any]:
    value = _object({"key": _STRING, "name": _STRING})
    return _object(
        dict.fromkeys(("code", "datatype_description", "description"), _STRING)
        | {
            "variable": {"type": "boolean"},
            "required": {"type": "boolean"},
            "order": {"type": "integer", "minimum": 1},
            "datatype": _one_of(*DATATYPES),
            "values": _list(value),
        }
    )


def _new_request() -> dict[str, Any]:
    """`attribute[CODE]` and files of any name come besides."""
    fields = (
        "api_key", "service_code", "jurisdiction_id", "address_string", "address_id", "email", "description",
        "token", "forwarded_from", "first_name", "last_name", "phone", "device_id", "account_id", "media_url",
    )  # fmt: skip
    return {
        "type": "object",
        "required": ["api_key", "service_code"],
        "properties": dict.fromkeys(fields, _STRING)
        | dict.fromkeys(("api_key", "service_code"), _SOME)
        | {
            "lat": {"type": "number", "minimum": -90, "maximum": 90},
            "long": {"type": "number", "minimum": -180, "maximum": 180},
        },
    }


def _one_of(*values: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


def _object(properties: dict[str, Any], *, but: tuple[str, ...] = ()) -> dict[str, Any]:
    """All members are always there, `but` for these."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in but],
        "additionalProperties": False,
    }


def _list(items: dict[str, Any], *, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": items, "minItems": least}

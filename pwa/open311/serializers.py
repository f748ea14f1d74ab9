"""Services and requests as GeoReport v2 names their members, in the reader's language. No database."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from flask import url_for
from flask_babel import gettext as _

from city.config.city_file import CityFile, Service
from city.lifecycle import CLOSED, OPEN, STATES, WAITING
from city.opendata.case_summaries import Change, Outline, Stop
from city.opendata.rows import BULK
from city.questions import Question
from pwa.open311.render import JSON, XML
from pwa.web import access, localization, questions
from pwa.web.outline_labels import OutlineLabels
from pwa.web.xml import moment

SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"  # by these very letters clients know it
# What a step means to whoever keeps a copy of a case; FixMyStreet's words for it.
STATUSES: Final = {
    "open": "open",
    "accept": "investigating",
    "assign": "action_scheduled",
    "start": "in_progress",
    "wait": "investigating",
    "needs parts": "action_scheduled",
    "resume": "in_progress",
    "make safe": "action_scheduled",
    "reopen": "open",
    "not fixed": "open",
    "fixed confirmed": "fixed",
    "cancel": "closed",
    "merge": "duplicate",
}
ENDINGS: Final = {
    "fixed": "fixed",
    "not found": "no_further_action",
    "not ours": "not_councils_responsibility",
    "no action": "no_further_action",
}
# These put a case back to where it was, and mean what led there.
_BACK: Final = ("take back", "undo batch", "restore")


def discovery(city: CityFile, changed: datetime, *, invented: bool) -> dict[str, Any]:
    """Where the API lies and whom to ask. `changed` is when the services last did."""
    when = moment(changed)
    base, languages = access.current_city().settings.base_url, city.languages
    # An endpoint for each language; two at least, since some clients cannot read a list of one.
    prefixes = ["", *(f"/{lang}" for lang in languages[1:])] if len(languages) > 1 else ["", ""]
    endpoints = [
        {
            "specification": SPECIFICATION,
            "url": f"{base}{prefix}/open311/v2",
            "changeset": when,
            "type": "test" if invented else "production",
            "formats": [XML.partition(";")[0], JSON.partition(";")[0]],
        }
        for prefix in prefixes
    ]
    return {
        "changeset": when,
        "contact": f"{city.name}, {city.phone}",
        "key_service": _(
            "To get a key, call the administrator for %(city)s: %(phone)s", city=city.name, phone=city.phone
        ),
        "endpoints": endpoints,
    }


def service(of: Service, city: CityFile) -> dict[str, Any]:
    """A kind of problem in the list of services."""
    group = next(each for each in city.groups if each.code == of.group)
    called = {word for names in (of.names, of.chips, group.names) for word in names.values()}
    return {
        "service_code": of.code,
        "service_name": localization.said(of.names),
        "description": localization.said(of.names),
        "metadata": bool(of.questions),
        "type": "realtime",
        "keywords": ", ".join(sorted(word.replace(",", "").lower() for word in called)),
        "group": localization.said(group.names),
    }


def definition(of: Service) -> dict[str, Any]:
    """What is asked about a kind of problem."""
    return {
        "service_code": of.code,
        "attributes": [_attribute(question, n) for n, question in enumerate(of.questions, start=1)],
    }


def _attribute(question: Question, order: int) -> dict[str, Any]:
    """The standard knows no condition: what is not always asked is not required there."""
    return {
        "variable": True,
        "code": question.code,
        "datatype": question.datatype,
        "required": question.required and question.only_if is None,
        "datatype_description": localization.said(question.hint or {}) or questions.takes(question.datatype),
        "order": order,
        "description": localization.said(question.words),
        "values": [{"key": each.code, "name": localization.said(each.words)} for each in question.choices],
    }


def requests(outlines: Iterable[Outline], *, extended: bool) -> list[dict[str, Any]]:
    """Cases and reports as a list of requests."""
    base = access.current_city().settings.base_url
    labels = OutlineLabels()
    return [_request(each, base, labels, extended) for each in outlines]


def _request(each: Outline, base: str, labels: OutlineLabels, extended: bool) -> dict[str, Any]:
    name, department = labels.names(each)
    running = each.state in OPEN
    ready = localization.said(each.reply) if each.reply else ""
    notes = ". ".join(filter(None, (labels.note(each), " ".join(filter(None, (ready, each.closing))))))
    told: dict[str, Any] = {"service_request_id": each.number, "status": "open" if running else "closed"}
    if notes:
        told["status_notes"] = notes
    told |= {
        "service_name": name,
        "service_code": each.kind.code,
        "description": each.words or None,
    }
    if department:
        told["agency_responsible"] = department
    told |= {
        "requested_datetime": moment(each.opened_at),
        "updated_datetime": moment(each.updated_at),
    }
    if running and each.state != WAITING:  # its clock stands while it waits
        told["expected_datetime"] = moment(each.rescheduled_to or each.due_at)
    told |= {
        "address": each.address or None,
        "address_id": None,
        "zipcode": None,
        "lat": each.point.lat if each.point else None,
        "long": each.point.lon if each.point else None,
        "media_url": _photo(base, each.photos[0]) if each.photos else None,
    }
    return told | _more(each, base, labels) if extended else told


def _photo(base: str, photo_id: str) -> str:
    return base + url_for("photos.photo", photo_id=photo_id, size="page")


def _more(each: Outline, base: str, labels: OutlineLabels) -> dict[str, Any]:
    """What the standard's extensions add, as Chicago, Boston and San Francisco name it."""
    answers = each.answers
    return {
        "attributes": [
            {
                "code": question.code,
                "label": labels.label(each, question),
                "value": answers[question.code],
            }
            for question in each.kind.questions
            if question.code in answers
        ],
        # By these another Cityline follows what it passed on, and sends nothing back.
        "extended_attributes": {
            "photos": [{"media_url": _photo(base, photo)} for photo in each.photos],
            "outcome": each.outcome if each.state == CLOSED else None,
            "forwarded_from": list(each.hops),
        },
        "notes": [_note(stop, labels) for stop in each.stops],
    }


def _note(stop: Stop, labels: OutlineLabels) -> dict[str, Any]:
    words = labels.step(stop.kind, stop.facts)
    return {
        "datetime": moment(stop.at),
        "type": stop.kind.replace(" ", "_"),
        "summary": words,
        "description": words,
    }


def updates(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """What has become of requests, step by step. A step that changes nothing for a copy is left out."""
    found, labels = [], OutlineLabels()
    for change in changes:
        if status := _status(change):
            found.append(
                {
                    "update_id": f"u{change.seq}-{change.number}",
                    "service_request_id": change.number,
                    "status": status,
                    "updated_datetime": moment(change.at),
                    "description": labels.step(change.kind, change.facts),
                    "media_url": None,
                }
            )
    return found


def _status(change: Change) -> str | None:
    if change.kind == "close":
        return ENDINGS.get(change.facts.get("outcome") or "", "closed")
    return STATUSES.get(_led_to(change.state) if change.kind in _BACK else change.kind)


def _led_to(state: str | None) -> str:
    return (STATES[state].step if state else "") or "open"


def bulk(outlines: Sequence[Outline]) -> Iterator[list[object]]:
    """The same requests as rows of GeoReport Bulk, its head first."""
    yield list(BULK)
    for each, told in zip(outlines, requests(outlines, extended=False), strict=True):
        row = told | {"closed_date": moment(each.closed_at), "status_description": told["status"]}
        yield [row.get(column) for column in BULK]

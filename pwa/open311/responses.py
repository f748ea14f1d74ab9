"""Answers and errors in the format that was asked for: by the end of the path, else by Accept, else XML."""

from collections.abc import Sequence
from typing import Final

from flask import Response, request

from pwa.open311 import render
from pwa.open311.parse import Fault

PREFIX: Final = "/open311/"


def answer(root: str, value: object, status: int = 200) -> Response:
    """The value under that outermost element of XML, or as JSON."""
    data, kind = render.body(root, value, xml=_wants_xml())
    return Response(data, status, content_type=kind)


def faults(found: Sequence[Fault]) -> Response:
    """The standard's list of errors, with the status of the first."""
    told = [{"code": each.status, "description": each.description} for each in found]
    return answer("errors", told, found[0].status)


def _wants_xml() -> bool:
    if request.path.endswith((".json", ".xml")):
        return request.path.endswith(".xml")
    best = request.accept_mimetypes.best_match(["text/xml", "application/xml", "application/json"])
    return best != "application/json"

"""Answers as other programs read them: the same Python values as JSON or as XML. Pure.

JSON is what the "Spark convention" makes of the XML: a list is an array, whatever its items are called there.
There are no namespaces and no attributes, which clients of the standard do not read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from xml.sax.saxutils import escape

import orjson

from pwa.web.xml import clean

JSON, XML = "application/json; charset=utf-8", "text/xml; charset=utf-8"

# What the items of a list are called in XML; https://wiki.open311.org/GeoReport_v2/.
ITEMS: Final = {
    "services": "service",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "attributes": "attribute",
    "values": "value",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
    "notes": "note",
    "photos": "photo",
    "forwarded_from": "hop",
}


def body(root: str, value: object, *, xml: bool) -> tuple[bytes, str]:
    """The answer's bytes and its type; `root` names the outermost element of XML."""
    if xml:
        return to_xml(root, value), XML
    return orjson.dumps(value, default=_plain), JSON


def to_xml(root: str, value: object) -> bytes:
    """A whole document with its declaration. A thousand requests are 18,000 elements: no tree is built."""
    parts = ["<?xml version='1.0' encoding='utf-8'?>\n"]
    _write(parts, root, value)
    return "".join(parts).encode()


def _write(parts: list[str], name: str, value: object) -> None:
    """One element; its name is always one of our own."""
    if value is None or value == "":
        parts.append(f"<{name} />")
    elif isinstance(value, str):
        parts.append(f"<{name}>{escape(clean(value))}</{name}>")
    elif isinstance(value, Mapping):
        parts.append(f"<{name}>")
        for each, inner in value.items():
            _write(parts, each, inner)
        parts.append(f"</{name}>")
    elif isinstance(value, Sequence):
        parts.append(f"<{name}>")
        for inner in value:
            _write(parts, ITEMS[name], inner)
        parts.append(f"</{name}>")
    else:
        told = ("true" if value else "false") if isinstance(value, bool) else str(value)
        parts.append(f"<{name}>{escape(told)}</{name}>")


def _plain(value: object) -> Any:
    """What JSON does not know of by itself: words that are translated when they are read."""
    return str(value)

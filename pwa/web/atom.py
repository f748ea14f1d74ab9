"""A list of cases as an Atom feed: https://www.rfc-editor.org/rfc/rfc4287. Asks no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as Tree

from flask import url_for

from city.opendata.case_summaries import Outline
from pwa.web import access, formatting, localization
from pwa.web.outline_labels import OutlineLabels
from pwa.web.xml import clean, moment

MIMETYPE: Final = "application/atom+xml"
_ATOM, _GEORSS = "http://www.w3.org/2005/Atom", "http://www.georss.org/georss"
_BEGAN = "1970-01-01T00:00:00+00:00"  # when a feed that has nothing yet was last changed
for _prefix, _name in (("", _ATOM), ("georss", _GEORSS)):
    Tree.register_namespace(_prefix, _name)


@dataclass(frozen=True)
class Feed:
    """What stands above the entries. `page` is the list that people read, `own` the feed's address."""

    title: str
    page: str
    own: str


def written(feed: Feed, outlines: Sequence[Outline]) -> bytes:
    """The feed's bytes.

    The permanent address of a list is its id, and that of a case the id of its entry, in whichever language.
    """
    root = Tree.Element(f"{{{_ATOM}}}feed", {"xml:lang": localization.lang()})
    changed = max((each.updated_at for each in outlines), default=None)
    city = access.current_city().city
    _add(root, "id", feed.own)
    _add(root, "title", feed.title)
    _add(root, "updated", moment(changed) or _BEGAN)
    _add(_add(root, "author"), "name", city.name)
    if city.licence:
        _add(root, "rights", city.licence)
    _link(root, "self", feed.own, MIMETYPE)
    _link(root, "alternate", feed.page, "text/html")
    labels, reported = OutlineLabels(), formatting.public_step("open")
    for each in outlines:
        _entry(root, each, labels.names(each)[0], labels.note(each) or reported)
    return Tree.tostring(root, encoding="utf-8", xml_declaration=True)


def _entry(root: Tree.Element, each: Outline, service: str, stage: str) -> None:
    base, path = access.current_city().settings.base_url, url_for("case.page", number=each.number)
    entry = _add(root, "entry")
    _add(entry, "id", f"{base}/case/{each.number}")
    _add(entry, "title", f"{service}, {each.address}" if each.address else service)
    _add(entry, "published", moment(each.opened_at))
    _add(entry, "updated", moment(each.updated_at))
    _link(entry, "alternate", f"{base}{path}", "text/html")
    _add(entry, "category").set("term", each.kind.code)
    told = (f"{each.number}: {stage}.", each.words, each.closing)
    _add(entry, "summary", " ".join(part for part in told if part))
    if each.point:
        point = Tree.SubElement(entry, f"{{{_GEORSS}}}point")
        point.text = f"{each.point.lat:.6f} {each.point.lon:.6f}"


def _add(parent: Tree.Element, name: str, words: str | None = None) -> Tree.Element:
    element = Tree.SubElement(parent, f"{{{_ATOM}}}{name}")
    element.text = clean(words) if words is not None else None
    return element


def _link(parent: Tree.Element, rel: str, href: str, mimetype: str) -> None:
    _add(parent, "link").attrib.update(rel=rel, href=href, type=mimetype)

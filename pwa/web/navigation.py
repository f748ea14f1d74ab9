"""The ways through the residents' app: a bar at the thumb on phones, in the head of wide screens."""

from dataclasses import dataclass

from flask import Flask, g, request, url_for
from flask_babel import lazy_gettext, lazy_pgettext
from flask_babel.speaklater import LazyString


@dataclass(frozen=True)
class Way:
    """The page it opens, its word, its icon, and the pages or blueprints that belong to it."""

    page: str
    name: LazyString
    icon: str
    belong: tuple[str, ...]

    @property
    def url(self) -> str:
        """Its address in the visitor's language."""
        return url_for(self.page)

    @property
    def is_here(self) -> bool:
        """Whether the page that is asked for belongs to it; a case of one's own is where those are."""
        if own := g.get("way"):
            return bool(own == self.page)
        endpoint = request.endpoint or ""
        return endpoint in self.belong or (request.blueprint or "") in self.belong


WAYS = (
    Way("resident.home", lazy_pgettext("what one does", "Report"), "camera", ("resident.home",)),
    Way("resident.mine", lazy_gettext("Mine"), "list", ("resident.mine", "resident.sent", "verdict", "news")),
    Way("cases.listed", lazy_gettext("Nearby"), "map-pin", ("cases", "case", "asset", "follow", "photos")),
    Way("answers.listed", lazy_gettext("Answers"), "book-open", ("answers", "collection")),
)


def init(app: Flask) -> None:
    """Gives the ways to every template."""
    app.jinja_env.globals["ways"] = WAYS

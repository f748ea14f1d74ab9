"""What makes the site an app and keeps it alive: style bundles, static files, manifest, worker, health."""

import gzip
import hashlib
import mimetypes
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import brotli
from babel import Locale
from flask import Blueprint, Flask, Response, abort, jsonify, render_template, request, send_from_directory
from flask_babel import get_locale
from flask_babel import gettext as _
from markupsafe import Markup
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.security import safe_join

from city import db, notices
from city.schema import Follower
from pwa import access, filters

STATIC = Path(__file__).parent / "static"
WORKER_LATE = timedelta(minutes=2)

_SHARED = ("tokens", "reset", "base")
_COMPONENTS = ("icon", "masthead", "button", "field", "tile", "card", "promise", "line", "notice")
# What each audience loads, in the order of the cascade. A component is listed where it is used.
BUNDLES = {
    "public": (*_SHARED, *[f"components/{c}" for c in (*_COMPONENTS, "shutter", "rows", "dock")],
               "screens/common", "screens/resident", "screens/small", "utilities"),
    "crew": (*_SHARED, *[f"components/{c}" for c in (*_COMPONENTS, "job", "sync", "dock", "drawer")],
             "screens/common", "screens/resident", "screens/crew", "screens/small", "utilities"),
    "staff": (*_SHARED,
              *[f"components/{c}" for c in (*_COMPONENTS, "rows", "queue", "view", "drawer", "map")],
              "screens/common", "screens/desks", "screens/small", "utilities"),
}  # fmt: skip

bp = Blueprint("shell", __name__)


def init(app: Flask) -> None:
    """Gives asset(), css() and the icons to every template."""
    app.jinja_env.globals.update(asset=asset, css=css, sprite=_sprite())


@cache
def release() -> str:
    """A name for this very set of static files; it changes when any of them does."""
    digest = hashlib.sha256()
    for file in sorted(p for p in STATIC.rglob("*") if p.is_file()):
        digest.update(str(file.relative_to(STATIC)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def asset(path: str) -> str:
    """The address of a static file, without language prefix, cacheable for ever."""
    return f"/static/{release()}/{path}"


def css(audience: str) -> str:
    """The address of an audience's style bundle."""
    return f"/static/{release()}/{audience}.css"


@bp.get("/static/<name>/<path:path>")
def static(name: str, path: str) -> Response:
    """A static file or style bundle. The release in the address only keeps caches apart."""
    audience = path.removesuffix(".css")
    if audience in BUNDLES:
        response = _packed(_bundle(audience), "text/css")
    elif path.endswith((".js", ".css", ".svg")):
        response = _packed(_text(path), mimetypes.guess_type(path)[0] or "text/plain")
    else:
        response = send_from_directory(STATIC, path)
    response.cache_control.no_cache = None
    response.cache_control.public = True
    response.cache_control.max_age = 31536000 if name == release() else 60
    if name == release():
        response.cache_control.immutable = True
    return response


@bp.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for it whatever the page says."""
    return send_from_directory(STATIC / "icons", "logo.svg", max_age=86400)


@bp.get("/sw.js")
def worker() -> Response:
    """The service worker, at the root so that it may serve every page."""
    response = Response(render_template("sw.js", release=release()), mimetype="text/javascript")
    response.cache_control.no_cache = True
    return response


@bp.get("/offline")
def offline() -> str:
    """What a page shows when there is neither network nor a copy of it."""
    return render_template("offline.html")


@bp.get("/manifest.webmanifest")
def manifest() -> Response:
    """The installed app's name and icons, in the visitor's language."""
    city = access.here().city
    response = jsonify(
        name=_("Cityline %(city)s", city=city.name),
        short_name="Cityline",
        description=_("Report a problem in %(city)s and see it fixed.", city=city.name),
        start_url=".",
        display="standalone",
        background_color="#f4f3ee",
        theme_color="#0e4a86",
        icons=[
            {"src": asset("icons/logo.svg"), "sizes": "any", "type": "image/svg+xml", "purpose": "any"},
            {
                "src": asset("icons/icon-maskable.svg"),
                "sizes": "any",
                "type": "image/svg+xml",
                "purpose": "maskable",
            },
        ],
    )
    response.mimetype = "application/manifest+json"
    return response


@bp.get("/basemap.pmtiles")
def basemap_file() -> Response:
    """The city's own map, read in ranges."""
    file = access.here().settings.basemap
    if not file.is_file():
        abort(404)
    return send_from_directory(
        file.parent, file.name, mimetype="application/octet-stream", conditional=True, max_age=3600
    )


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Whether everything that a report needs is there; names what is not."""
    faults = {name: fault for name, fault in _checks().items() if fault}
    return jsonify(ready=not faults, faults=faults), 503 if faults else 200


@cache
def _bundle(audience: str) -> str:
    return "\n".join((STATIC / "css" / f"{part}.css").read_text() for part in BUNDLES[audience])


@cache
def _text(path: str) -> str:
    file = safe_join(str(STATIC), path)
    if file is None or not Path(file).is_file():
        abort(404)
    return Path(file).read_text()


def _packed(text: str, mimetype: str) -> Response:
    """Static text, packed once and as small as it goes: it is fetched by everybody and never changes."""
    way = request.accept_encodings.best_match(("br", "gzip")) if request.accept_encodings else None
    response = Response(_squeezed(text, way), mimetype=mimetype)
    response.vary.add("Accept-Encoding")
    if way:
        response.content_encoding = way
    return response


@cache
def _squeezed(text: str, way: str | None) -> bytes:
    data = text.encode()
    if way == "br":
        return bytes(brotli.compress(data, quality=11))
    return gzip.compress(data, 9) if way == "gzip" else data


def _sprite() -> Markup:
    """All symbols, to stand once in every page: an icon never needs a request of its own."""
    symbols = (STATIC / "icons" / "icons.svg").read_text()
    inner = symbols.partition(">")[2].rpartition("</svg>")[0]
    return Markup(f"<svg hidden>{inner.strip()}</svg>")  # noqa: S704 our own file, not a visitor's


def _checks() -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    try:
        with access.reading() as s:
            s.execute(text("SELECT 1"))
            found["migrations"] = None if db.is_current(s) else "the schema is not the newest"
            follower = s.get(Follower, notices.NAME)
            late = follower is None or access.now() - follower.seen_at > WORKER_LATE
            found["worker"] = "has not been seen for two minutes" if late else None
    except SQLAlchemyError as fault:
        found["database"] = type(fault).__name__
    found["store"] = _store_fault()
    return found


def _store_fault() -> str | None:
    # Any fault of a store, whatever its kind, means that photos cannot be kept.
    try:
        access.here().store.check()
    except Exception as fault:
        return type(fault).__name__
    return None


def context() -> dict[str, Any]:
    """What every template may use."""
    return {
        "city": access.here().city,
        "has_basemap": access.here().settings.basemap.is_file(),
        "now": access.now(),
        "lang": filters.lang,
        "text_direction": _direction,
        "other_languages": _other_languages,
    }


def _direction() -> str:
    locale = get_locale()
    return str(locale.text_direction) if locale else "ltr"


def _other_languages() -> list[tuple[str, str, str]]:
    """Code, own name and address of this page in every other language."""
    query = request.query_string.decode()
    path = request.path + (f"?{query}" if query and request.method == "GET" else "")
    first, *_rest = access.here().city.languages
    return [
        (
            code,
            (Locale.parse(code).display_name or code).capitalize(),
            path if code == first else f"/{code}{path}",
        )
        for code in access.here().city.languages
        if code != filters.lang()
    ]

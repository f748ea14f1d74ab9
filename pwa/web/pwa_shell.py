"""What makes the site an app and keeps it alive: style bundles, static files, manifest, worker, health."""

import gzip
import hashlib
import mimetypes
import posixpath
import re
from functools import cache
from pathlib import Path
from typing import Any

import brotli
from babel import Locale
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    jsonify,
    make_response,
    render_template,
    request,
    send_from_directory,
    url_for,
)
from flask_babel import get_locale
from flask_babel import gettext as _
from markupsafe import Markup
from werkzeug.security import safe_join

from city.config.branding import ACCENT, PRIMARY, TINT, Look, at_night, mixed
from city.operations import doctor
from city.places import basemap
from city.settings import Settings
from pwa.web import access, line_hours, localization

STATIC, TEMPLATES, TRANSLATIONS = (
    Path(__file__).parents[1] / name for name in ("static", "templates", "translations")
)
LOGO_SIZE = "@layer components{.own-mark{inline-size:auto;block-size:1.875rem;max-inline-size:8rem}}"
CITY_LOGO = "city/logo.svg"  # among the static files' addresses only; it comes from the city file
# A module names another: from "./x.js", import "./x.js", import("./x.js"); types in comments are none.
IMPORTED = re.compile(r'^(?![ ]*(?://|/?\*)).*?(?:from|import)[ (]"(\.{1,2}/[\w./-]+\.js)"', re.MULTILINE)
# A map up to this size (bytes) is given whole: cutting it would spare little.
SMALL_MAP = 4_000_000
WIDEST = 2.0  # degrees
FONT = "fonts/public-sans.woff2"
# What map.js attaches to the page by itself.
MAP_FILES = (
    "css/screens/map.css", "vendor/leaflet.css", "vendor/leaflet.js", "vendor/protomaps-leaflet.js",
)  # fmt: skip

MANY_KINDS = "css/components/kinds.css"  # which the form of a city with many kinds of problem loads by itself
KEPT_PAGES = ("/", "/report", "/mine")  # of residents, for a phone without signal
MAP_SCRIPTS = ("js/map/map.js", "js/map/pins.js", "js/map/theme.js", "js/resident/map_picker.js")

_SHARED = ("tokens", "reset", "base")
_COMPONENTS = ("icon", "masthead", "button", "field", "tile", "card", "promise", "line", "notice")
# What each audience loads, in the order of the cascade. A component is listed where it is used.
BUNDLES = {
    "public": (*_SHARED, *[f"components/{c}" for c in (*_COMPONENTS, "places", "lines", "shutter", "near",
                                            "rows", "dock", "article", "thread")],
               "screens/common", "screens/resident", "screens/small", "utilities"),
    "figures": (*_SHARED, *[f"components/{c}" for c in (*_COMPONENTS, "places", "figure")],
                "screens/common", "screens/resident", "screens/figures", "screens/small", "utilities"),
    "crew": (*_SHARED, *[f"components/{c}" for c in (*_COMPONENTS, "job", "sync", "dock", "drawer")],
             "screens/common", "screens/resident", "screens/crew", "screens/small", "utilities"),
    "staff": (*_SHARED,
              *[f"components/{c}" for c in (*_COMPONENTS, "rows", "lines", "queue", "view", "drawer", "map",
                                            "cover", "article", "stickers", "thread")],
              "screens/common", "screens/desks", "screens/calls", "screens/office", "screens/history",
              "screens/small", "utilities"),
}  # fmt: skip

# What a file chooser offers; processing.py looks at the content. By name too: many computers know no HEIC.
PHOTO_FORMATS = "image/jpeg,image/heic,image/heif,image/avif,image/png,image/webp,.heic,.heif,.avif"

bp = Blueprint("shell", __name__)


def init(app: Flask) -> None:
    """Gives asset(), css(), logo(), the icons and what a photo may be to every template."""
    app.jinja_env.globals.update(
        asset=asset,
        css=css,
        font=FONT,
        logo=logo,
        own_logo=own_logo,
        sprite=_sprite(),
        photo_formats=PHOTO_FORMATS,
    )


def languages(settings: Settings) -> list[Path]:
    """The folders of translations: ours, and the city's own where it has one."""
    return [TRANSLATIONS, *([Path(settings.translations)] if settings.translations else [])]


def release() -> str:
    """A name for all that a kept page is made of; it changes when a file, a sentence or the city file does.

    A phone keeps its pages until it hears of another release, so nothing that they show may be left out.
    """
    held = access.current_city()
    spoken = tuple(languages(held.settings))
    return _release(held.city.look, held.version, held.settings.basemap.is_file(), spoken)


def asset(path: str) -> str:
    """The address of a static file, without language prefix, cacheable for ever."""
    return f"/static/{release()}/{path}"


def css(audience: str) -> str:
    """The address of an audience's style bundle."""
    return f"/static/{release()}/{audience}.css"


def of_release(response: Response) -> Response:
    """Marked as ours and of this release: the service worker keeps nothing else."""
    response.headers["X-Cityline-Release"] = release()
    return response


def to_keep() -> bool:
    """Whether the worker asks for a page to keep: without anything personal or soon out of date."""
    return request.headers.get("X-Cityline-Keep") == "1"


def crew_files() -> list[str]:
    """The addresses of all that the crew's shell loads, now or when the map is asked for."""
    scripts = _loaded("js/theme.js", "js/app.js", "js/crew/main.js")
    return [css("crew"), asset(FONT), logo(), *(asset(path) for path in (*scripts, *MAP_FILES))]


def resident_files() -> list[str]:
    """The addresses of all that home, the report and own reports load without signal: a map needs it."""
    loaded = _loaded(
        "js/app.js", "js/resident/report_start.js", "js/resident/report_form.js", "js/resident/my_reports.js"
    )
    scripts = [path for path in loaded if path not in MAP_SCRIPTS]
    return [
        css("public"),
        asset(FONT),
        logo(),
        asset("vendor/htmx.min.js"),
        *([asset(MANY_KINDS)] if access.current_city().city.has_many_kinds else []),
        *(asset(path) for path in scripts),
    ]


def own_logo() -> bool:
    """Whether the city has a logo of its own."""
    return bool(access.current_city().city.look.logo)


def logo() -> str:
    """The address of the city's logo; our own mark where it has none."""
    return asset(CITY_LOGO if own_logo() else "icons/logo.svg")


@bp.get("/static/<name>/<path:path>")
def static(name: str, path: str) -> Response:
    """A static file or style bundle. The release in the address only keeps caches apart."""
    audience, look = path.removesuffix(".css"), access.current_city().city.look
    if audience in BUNDLES:
        response = _packed(_bundle(audience, look), "text/css")
    elif path == CITY_LOGO and look.logo:
        response = _packed(look.logo, "image/svg+xml")
    elif path.endswith((".js", ".css", ".svg")):
        response = _packed(_text(path), mimetypes.guess_type(path)[0] or "text/plain")
    else:
        response = send_from_directory(STATIC, path)
    response.cache_control.no_cache = None
    response.cache_control.public = True
    response.cache_control.max_age = 31536000 if name == release() else 60
    if name == release():
        response.cache_control.immutable = True
    return of_release(response)


@bp.get("/favicon.ico")
def favicon() -> Response:
    """Browsers ask for it whatever the page says."""
    if drawn := access.current_city().city.look.logo:
        return _packed(drawn, "image/svg+xml")
    return send_from_directory(STATIC / "icons", "logo.svg", max_age=86400)


@bp.get("/sw.js")
def worker() -> Response:
    """The service worker, at the root so that it may serve every page."""
    worker = render_template(
        "sw.js",
        release=release(),
        offline=_everywhere("/offline"),
        shells=_everywhere("/crew"),
        files=crew_files(),
        forms=[address for path in KEPT_PAGES for address in _everywhere(path)],
        shares=_everywhere("/share"),
        form_files=resident_files(),
        icon=logo() if own_logo() else asset("icons/icon-192.png"),
    )
    response = Response(worker, mimetype="text/javascript")
    response.cache_control.no_cache = True
    return response


@bp.get("/offline")
def offline() -> Response:
    """What a page shows when there is neither network nor a copy of it."""
    # Kept on the phone, where the hours would grow old.
    return of_release(make_response(render_template("offline.html", line=None)))


@bp.get("/manifest.webmanifest")
def manifest() -> Response:
    """The installed app's name, colour and icons; one in each language, which it opens in.

    With ?for=crew or ?for=staff the app opens where their work is, and stands beside the residents' app. Only
    residents' takes photos that other apps share: a crew's belong to a job.
    """
    city, audience = access.current_city().city, request.args.get("for", "")
    starts = {"crew": "crew.shell", "staff": "dispatch.board"}
    start = url_for(starts.get(audience, "resident.home"))
    ours = {} if audience in starts else {"share_target": _share_target(), "screenshots": _pictures()}
    response = jsonify(
        name=_("Cityline %(city)s", city=city.name),
        short_name=city.name,
        description=_("Report a problem in %(city)s and follow the fix.", city=city.name),
        lang=localization.lang(),
        dir=_direction(),
        id=start,
        start_url=start,
        scope="/",
        display="standalone",
        background_color="#f4f3ee",
        theme_color=city.look.primary,
        icons=_app_icons(),
        shortcuts=_shortcuts(audience),
        **ours,
    )
    response.mimetype = "application/manifest+json"
    return response


def _app_icons() -> list[dict[str, str]]:
    icons = [{"src": logo(), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}]
    if own_logo():
        return icons
    # PNG for phones that draw no SVG on their home screen.
    icons += [{"src": asset(f"icons/icon-{px}.png"), "purpose": "any"} | _png(px, px) for px in (192, 512)]
    maskable = asset("icons/icon-maskable.svg")
    return [*icons, {"src": maskable, "sizes": "any", "type": "image/svg+xml", "purpose": "maskable"}]


def _shortcuts(audience: str) -> list[dict[str, Any]]:
    """What a long press on the app's icon offers: name, address and icon of each."""
    ways = {
        "crew": [
            (_("Today"), url_for("crew.shell", _anchor="today"), "list"),
            (_("Report a problem"), url_for("crew.shell", _anchor="report"), "camera"),
        ],
        "staff": [
            (_("Board"), url_for("dispatch.board"), "list"),
            (_("Calls"), url_for("desk.desk"), "phone"),
        ],
    }
    for_residents = [
        (_("Report a problem"), url_for("resident.report"), "camera"),
        (_("My reports"), url_for("resident.mine"), "list"),
        (_("Answers"), url_for("answers.listed"), "search"),
    ]
    return [
        {"name": name, "url": url, "icons": [{"src": asset(f"icons/way-{icon}.png")} | _png(192, 192)]}
        for name, url, icon in ways.get(audience, for_residents)
    ]


def _share_target() -> dict[str, Any]:
    """Where a photo goes that another app shares, and words with it; see share() of the residents' pages."""
    files = [{"name": "photo", "accept": ["image/*", *PHOTO_FORMATS.split(",")]}]
    params = {name: name for name in ("title", "text", "url")}
    return {
        "action": url_for("resident.share"), "method": "POST", "enctype": "multipart/form-data",
        "params": {**params, "files": files},
    }  # fmt: skip


def _pictures() -> list[dict[str, str]]:
    """What a browser shows before it installs: the form, in a language that it was photographed in."""
    path = f"icons/form-{localization.lang()}.png"
    if not (STATIC / path).is_file():
        return []
    return [{"src": asset(path), "form_factor": "narrow", "label": _("Your report")} | _png(720, 1480)]


def _png(width: int, height: int) -> dict[str, str]:
    return {"sizes": f"{width}x{height}", "type": "image/png"}


@bp.get("/basemap.pmtiles")
def basemap_file() -> Response:
    """The city's own map, read in ranges."""
    file = access.current_city().settings.basemap
    if not file.is_file():
        abort(404)
    return send_from_directory(
        file.parent, file.name, mimetype="application/octet-stream", conditional=True, max_age=3600
    )


@bp.get("/basemap/part.pmtiles")
def basemap_part() -> Response:
    """The part of the city's map around `box` (west,south,east,north, degrees), for a phone to keep."""
    file = access.current_city().settings.basemap
    corners = _corners(request.args.get("box", ""))
    if not file.is_file() or corners is None:
        abort(404)
    if file.stat().st_size <= SMALL_MAP:
        return send_from_directory(file.parent, file.name, mimetype="application/octet-stream", max_age=3600)
    return Response(basemap.part(file, corners), mimetype="application/octet-stream")


@bp.get("/healthz")
def healthz() -> Response:
    """The process answers."""
    return Response("ok\n", mimetype="text/plain")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    """Whether everything that a report needs is there; names what is not."""
    here = access.current_city()
    faults = doctor.unready(here.engine, here.store, access.now())
    return jsonify(ready=not faults, faults=faults), 503 if faults else 200


def _corners(told: str) -> tuple[float, float, float, float] | None:
    """Four finite degrees in their order, no wider than a city; None for anything else."""
    try:
        west, south, east, north = (float(word) for word in told.split(","))
    except ValueError:
        return None
    fits = -180 <= west <= east <= 180 and -85 <= south <= north <= 85
    return (west, south, east, north) if fits and max(east - west, north - south) <= WIDEST else None


def _everywhere(path: str) -> list[str]:
    """A page's address in every language."""
    return [path, *(f"/{code}{path}" for code in access.current_city().city.languages[1:])]


@cache
def _loaded(*scripts: str) -> tuple[str, ...]:
    """These scripts and all that they import, at once or later."""
    found: list[str] = []
    waiting = list(scripts)
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.append(path)
            here = posixpath.dirname(path)
            waiting += [posixpath.normpath(f"{here}/{name}") for name in IMPORTED.findall(_text(path))]
    return tuple(sorted(found))


@cache
def _release(look: Look, version: int, has_map: bool, spoken: tuple[Path, ...]) -> str:
    city = f"{_colours(look)}{look.logo} {version} {has_map}"
    return hashlib.sha256(f"{_written(spoken)}{city}".encode()).hexdigest()[:12]


@cache
def _written(spoken: tuple[Path, ...]) -> str:
    """The hash of everything that is shown: static files, templates, the sentences of these folders."""
    digest = hashlib.sha256()
    for folder, names in ((STATIC, "*"), (TEMPLATES, "*.*"), *((folder, "*.mo") for folder in spoken)):
        for file in sorted(path for path in folder.rglob(names) if path.is_file()):
            digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()


@cache
def _bundle(audience: str, look: Look) -> str:
    sheet = "\n".join((STATIC / "css" / f"{part}.css").read_text() for part in BUNDLES[audience])
    return sheet + _colours(look)


def _colours(look: Look) -> str:
    """The tokens that a city's own colours replace; nothing for a city that keeps ours. Sun has none."""
    own: dict[str, tuple[str, str, str]] = {}
    if look.primary != PRIMARY:
        night = at_night(look.primary)
        own |= {
            "brand": (look.primary, night, "#000"),
            "brand-tint": (
                mixed(look.primary, "#ffffff", TINT),
                mixed(look.primary, "#191f28", 0.72),
                "#fff",
            ),
            "panel": (look.primary, mixed(look.primary, "#10141a", 0.35), "#fff"),
            "act": (look.primary, night, "#fd0"),
            "act-press": (mixed(look.primary, "#000000", 0.25), mixed(night, "#ffffff", 0.4), "#fff"),
            "on-act": ("#fff", "#0b1016", "#000"),
        }
    if look.accent != ACCENT:
        own["lamp"] = (look.accent, look.accent, "#fd0")
    lines = "".join(
        f"--{name}:var(--day,{day}) var(--night,{night}) var(--sun,{sun});"
        for name, (day, night, sun) in own.items()
    )
    sheet = f"@layer tokens{{:root,[data-theme]{{{lines}}}}}" if own else ""
    return sheet + (LOGO_SIZE if look.logo else "")


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


def context() -> dict[str, Any]:
    """What every template may use."""
    return {
        "city": access.current_city().city,
        "kept": to_keep(),
        "line": None if to_keep() else line_hours.current_line(),
        "has_basemap": access.current_city().settings.basemap.is_file(),
        "now": access.now(),
        "may_open": access.may_open,
        "lang": localization.lang,
        "locale_tag": localization.tag,
        "text_direction": _direction,
        "plural_forms": _plural_forms,
        "other_languages": _other_languages,
    }


def _direction() -> str:
    locale = get_locale()
    return str(locale.text_direction) if locale else "ltr"


def _plural_forms() -> list[tuple[str, int]]:
    """What the language's numbers are told apart by, as CLDR names it, each with the first number of it."""
    rule = (get_locale() or Locale(localization.SOURCE)).plural_form
    found: dict[str, int] = {}
    for n in (*range(1, 200), 0, 1_000_000):
        found.setdefault(rule(n), n)
    return list(found.items())


def _other_languages() -> list[tuple[str, str, str]]:
    """Code, own name and address of this page in every other language."""
    query = request.query_string.decode()
    path = request.path + (f"?{query}" if query and request.method == "GET" else "")
    first, *_rest = access.current_city().city.languages
    return [
        (
            code,
            (Locale.parse(code).display_name or code).capitalize(),
            path if code == first else f"/{code}{path}",
        )
        for code in access.current_city().city.languages
        if code != localization.lang()
    ]

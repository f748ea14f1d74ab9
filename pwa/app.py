"""create_app(): the table of contents of the web server."""

import gc
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, g, request
from flask_compress import Compress
from flask_wtf.csrf import CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map, MapAdapter

from city.audit import epochs
from city.db import engine as db
from city.operations import restore
from city.photos import processing, storage
from city.settings import Settings, read
from pwa import openapi
from pwa.open311 import routes as open311_routes
from pwa.pages import account, duty, partner, texts
from pwa.pages import photos as photo_pages
from pwa.pages.admin import admin, endpoints, partners, retention, stickers
from pwa.pages.crew import shell
from pwa.pages.desk import answer_editor, case_change, desk, inbox
from pwa.pages.dispatch import (
    batch,
    board,
    crews,
    fieldwork,
    live,
    map_tiles,
    phones,
    place_history,
    redaction,
    saved_views,
)
from pwa.pages.resident import (
    answers,
    asset,
    case,
    cases,
    closing_feedback,
    follow,
    location_card,
    map_picker,
    news,
    open_data,
    performance,
    report,
    trash_day,
    value,
)
from pwa.resident import map_scene
from pwa.web import (
    access,
    city_reload,
    errors,
    formatting,
    fragments,
    localization,
    navigation,
    pwa_shell,
    questions,
    rate_limits,
    security,
)
from pwa.web.overload import RETRY, Gate, Headers, coded
from sync import routes as sync_routes

csrf = CSRFProtect()

# Leaflet and htmx set styles through the DOM, which this allows; no style or script stands in a page.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:{tiles}; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
MOST_OF_AN_ADDRESS = 32_000  # bytes; a thousand numbers, or a shape drawn with a thousand corners
YEAR = 365 * 86400  # seconds for which a browser asks this host over TLS only
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
MAX_FORM = 1_000_000  # bytes of one without photos; five thousand numbers of cases are a tenth of that
# Five photos of 20 MB at most. What is larger than may be is refused with 413, before any of it is read.
MAX_REQUEST = 5 * processing.MAX_UPLOAD + MAX_FORM
TAKE_PHOTOS = (
    "resident.send", "resident.share", "resident.add_photo", "verdict.not_fixed", "dispatch.close",
    "open311.create",
)  # fmt: skip


class Natural(IntegerConverter):
    """`<natural:…>` in an address: a number that a database can keep. Another is no page, however long."""

    regex = "[0-9]{1,10}"

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=2**31 - 1)


def create_app(settings: Settings | None = None, *, now: Callable[[], datetime] | None = None) -> Flask:
    """The application for one city. Reads the environment where no settings are given."""
    settings = settings or read()
    restore.refuse_unfinished(settings.var)
    app = Flask(__name__, static_folder=None)
    engine = db.connect(settings.database_url)
    watch = epochs.Watch(engine)
    version, city = city_reload.load_at_start(settings, engine)
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SESSION_COOKIE_NAME=access.cookie_name("cl_session", settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=MAX_REQUEST,
        MAX_FORM_MEMORY_SIZE=MAX_FORM,
        MAX_FORM_PARTS=100,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=False,
        BABEL_DEFAULT_TIMEZONE="UTC",
        BABEL_TRANSLATION_DIRECTORIES=";".join(str(folder) for folder in pwa_shell.languages(settings)),
        COMPRESS_ALGORITHM=["br", "gzip"],
    )
    store = storage.open_store(settings)
    held = access.Cityline(settings, city, engine, store, watch, version=version)
    if now:
        held.now = now
    held.looked_at = held.now()
    app.extensions["cityline"] = held
    app.url_map.converters["natural"] = Natural
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    localization.init(app, city.languages[0])
    app.before_request(_bound_forms)  # before anything reads one
    app.before_request(_refuse_odd)  # before the token is looked for, which takes every field to have a name
    csrf.init_app(app)
    Compress(app)
    fragments.init(app)
    formatting.init(app)
    questions.init(app)
    pwa_shell.init(app)
    navigation.init(app)
    map_scene.init(app)
    errors.init(app)
    app.context_processor(pwa_shell.context)
    app.before_request(_take_up)
    app.before_request(access.check)
    app.teardown_request(access.leave)
    app.after_request(_guard)
    security.init(app)

    app.register_blueprint(pwa_shell.bp)
    app.register_blueprint(openapi.bp)
    app.register_blueprint(report.bp)
    app.register_blueprint(case.bp)
    app.register_blueprint(news.bp)
    app.register_blueprint(follow.bp)
    app.register_blueprint(closing_feedback.bp)
    app.register_blueprint(location_card.bp)
    app.register_blueprint(map_picker.bp)
    app.register_blueprint(cases.bp)
    app.register_blueprint(asset.bp)
    app.register_blueprint(trash_day.bp)
    app.register_blueprint(answers.bp)
    app.register_blueprint(answer_editor.bp)
    app.register_blueprint(open_data.bp)
    app.register_blueprint(performance.bp)
    app.register_blueprint(value.bp)
    app.register_blueprint(photo_pages.bp)
    app.register_blueprint(account.bp)
    app.register_blueprint(duty.bp)
    app.register_blueprint(desk.bp)
    app.register_blueprint(inbox.bp)
    app.register_blueprint(case_change.bp)
    app.register_blueprint(board.bp)
    app.register_blueprint(saved_views.bp)
    app.register_blueprint(live.bp)
    app.register_blueprint(crews.bp)
    app.register_blueprint(place_history.bp)
    app.register_blueprint(map_tiles.bp)
    app.register_blueprint(batch.bp)
    app.register_blueprint(redaction.bp)
    app.register_blueprint(shell.bp)
    app.register_blueprint(admin.bp)
    app.register_blueprint(retention.bp)
    app.register_blueprint(endpoints.bp)
    app.register_blueprint(partners.bp)
    app.register_blueprint(partner.bp)
    app.register_blueprint(stickers.bp)
    app.register_blueprint(phones.bp)
    app.register_blueprint(fieldwork.bp)
    app.register_blueprint(open311_routes.bp)
    csrf.exempt(open311_routes.bp)  # what is written needs a key, which no browser sends by itself
    app.register_blueprint(texts.bp)
    csrf.exempt(texts.bp)  # each call is signed by its gateway
    app.register_blueprint(sync_routes.bp)
    csrf.exempt(sync_routes.bp)  # guarded by its own header and origin check instead
    rate_limits.init(app, settings.reports_an_hour, settings.reads_a_minute)

    app.wsgi_app = LanguagePrefix(app.wsgi_app, city.languages)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def serve() -> Gate:
    """create_app() behind its gate, for a process that does nothing else, as the web server's.

    What is there by now stays: Python's collector need not walk through all of it in the middle of a request.
    Without that a batch of 1,000 cases took a quarter longer.
    """
    settings = read()
    app = create_app(settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(4_000, 20, 20)  # to look through 20,000 objects at once keeps everybody waiting
    languages = app.extensions["cityline"].city.languages[1:]
    return Gate(
        app, partial(_refused, app, languages), languages=languages, proxies=settings.trusted_proxies,
        most=partial(_most, app.url_map.bind("")), threads=settings.threads,
    )  # fmt: skip


def _most(addresses: MapAdapter, path: str, method: str) -> int:
    """How many bytes a request to this address may have: so many are gathered before it is answered."""
    try:
        endpoint, _ = addresses.match(path, method)
    except HTTPException:
        return MAX_FORM
    if endpoint in TAKE_PHOTOS:
        return MAX_REQUEST
    return sync_routes.MAX_PIECE if endpoint.startswith("sync.") else MAX_FORM


def _refused(
    app: Flask, languages: tuple[str, ...], environ: dict[str, Any], status: int
) -> tuple[Headers, bytes]:
    """What the gate says of 503 and 408, in the form and language of the address."""
    path = environ["PATH_INFO"]
    lang = next((each for each in languages if f"{path}/".startswith(f"/{each}/")), "")
    kind = path if path in ("/healthz", "/readyz") else ""
    if path.startswith("/sync/"):
        kind = "/sync/"
    elif path.startswith("/open311/"):
        kind = f"/open311/errors{'.json' if path.endswith('.json') else ''}"
    return _refused_kind(app, kind or "/", lang, status, int(time.monotonic() // 60))


@lru_cache(64)
def _refused_kind(app: Flask, path: str, lang: str, status: int, _minute: int) -> tuple[Headers, bytes]:
    """Made once a minute at most: there is no time for more, and the page says whether the line is open."""
    told = {"cityline.lang": lang, "SCRIPT_NAME": f"/{lang}"} if lang else {}
    with app.test_request_context(path, environ_overrides=told):
        response = _guard(errors.refused(status))
        response.headers["Retry-After"] = RETRY
        return coded(list(response.headers)), response.get_data()


class LanguagePrefix:
    """Takes "/es" off the path, so that every page exists in every language and url_for() puts it back."""

    def __init__(self, app: Any, languages: tuple[str, ...]) -> None:
        self._app, self._first, self._others = app, languages[0], languages[1:]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        environ["cityline.lang"] = self._first
        for lang in self._others:
            if path == f"/{lang}" or path.startswith(f"/{lang}/"):
                environ["cityline.lang"] = lang
                environ["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + f"/{lang}"
                environ["PATH_INFO"] = path[len(lang) + 1 :] or "/"
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer


def _take_up() -> None:
    """That the process answers is asked without the database."""
    if request.endpoint != "shell.healthz":
        city_reload.reload_if_changed()


def _bound_forms() -> None:
    """Only photos are large, and those come in parts: of fields alone each costs more than its bytes.

    Werkzeug's own bound for forms holds for parts only.
    """
    if request.endpoint not in TAKE_PHOTOS or request.mimetype == FORMS[0]:
        request.max_content_length = min(MAX_FORM, request.max_content_length or MAX_FORM)


def _refuse_odd() -> None:
    """No keyboard types a NUL, and PostgreSQL keeps none; no form of ours has a field without a name.

    And no address of ours is as long. Whoever sends such is no visitor of ours.
    """
    if len(request.path) + len(request.query_string) > MOST_OF_AN_ADDRESS:
        abort(414)
    if "\0" in request.path:
        abort(404)
    pairs = [*request.args.items(multi=True)]
    if request.mimetype in FORMS:  # of any other body a page says how large it may be before it reads it
        pairs += request.form.items(multi=True)
    if any(name is None or "\0" in f"{name}{value}" for name, value in pairs):
        abort(400)


@cache
def _policy(tiles: str) -> str:
    """The one policy of all pages; only where a city sets raster tiles may pictures come from elsewhere."""
    parts = urlsplit(tiles.replace("{s}.", "*."))
    host = f" {parts.scheme}://{parts.netloc}" if parts.netloc else ""
    return CONTENT_SECURITY_POLICY.format(tiles=host)


def _guard(response: Response) -> Response:
    headers, settings = response.headers, access.current_city().settings
    headers.setdefault("Content-Security-Policy", _policy(settings.tiles))
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", "geolocation=(self), camera=(self), microphone=()")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    if settings.is_https and not settings.is_nameless:
        headers.setdefault("Strict-Transport-Security", f"max-age={YEAR}")
    if "retry_after" in g:
        headers["Retry-After"] = g.retry_after  # the limit of a page has written its own: up to an hour
    if response.mimetype == "text/html":
        headers.setdefault("Cache-Control", "private, no-cache")  # it holds this visitor's form token
    if g.get("personal"):
        headers["Cache-Control"] = "no-store"
        headers["X-Robots-Tag"] = "noindex"
    return response

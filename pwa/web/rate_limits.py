"""How often one network may do what costs others something: codes, guesses, reports, photos, and every read.

Counted in this process (Flask-Limiter); codes and guesses at them are counted in the database besides.
"""

import time
from typing import Final

from flask import Flask, Response, request, session
from flask_limiter import Limiter

from city.people import rate_limits
from pwa.web import access

# page → how often. Reports, their photos and whatever anybody may read follow the city's own settings.
LIMITS: Final = {
    "account.send_code": "600/hour",  # a city hall behind one address begins work at eight
    "account.use_code": "20/minute;60/hour",  # wrong ones only
    "account.use_link": "20/minute",
    "resident.ask_news": "20/hour",
    "news.notify": "60/hour",
    "follow.ask": "20/hour",
    "follow.notify": "60/hour",
    "follow.choose": "120/minute",
    "collection.remind": "20/hour",
    "collection.notify": "60/hour",
    "case.write": "60/hour",
    "verdict.fixed": "30/hour",
    "verdict.not_fixed": "30/hour",
    "verdict.rate": "30/hour",
    "partner.accept": "120/hour",
    "partner.refuse": "60/hour",
    "partner.done": "120/hour",
    "place.card": "120/minute",
    "place.suggest": "300/minute",  # one as often as somebody types
    "resident.near": "120/minute",
    "resident.kinds": "300/minute",  # one as often as somebody types
    "collection.trash_day": "120/minute",
    "answers.listed": "300/minute",  # one as often as somebody types
    "answers.vote": "60/hour",
    "answers.none_helps": "60/hour",
}
# Programs copy by these, a thousand rows at a time: a tenth of what a page may be asked for.
LISTS: Final = ("open311.requests", "open311.bulk", "open311.updates")
# Many of these belong to one page: ten times as often.
PIECES: Final = ("photos.photo", "resident.staged_photo", "shell.basemap_file")
# Out of memory, and what whoever watches us asks. Neither costs more than to count it would.
UNCOUNTED: Final = ("shell.static", "shell.healthz")
# What call-takers ask of the same pages, many of them behind one address, is not counted.
AT_DESKS: Final = ("place.suggest", "answers.listed")
# What a browser asks for somebody who was logged in there before is counted in the database alone: nobody
# else who is behind the same address can stop them.
AT_HOME: Final = ("account.send_code", "account.use_code")
FORMS_A_REPORT = 4  # its place found, sent, asked back about a place or a near case, and sent again
PHOTOS_A_REPORT = 10  # five, each chosen twice


def init(app: Flask, reports_an_hour: int, reads_a_minute: int) -> None:
    """Sets the limits. Both numbers are for one network, 0 for as many as they like."""
    limiter = Limiter(
        _network,
        app=app,
        storage_uri="memory://",
    )
    reads = _reads(app, reads_a_minute) if reads_a_minute else {}
    limits = reads | LIMITS
    if reports_an_hour:
        limits["resident.send"] = f"{reports_an_hour * FORMS_A_REPORT}/hour"
        limits["resident.share"] = limits["resident.send"]
        limits["case.join"] = f"{reports_an_hour}/hour"
        limits["resident.add_photo"] = f"{reports_an_hour * PHOTOS_A_REPORT}/hour"
    # All limits there are stand here: for others of a page, its blueprint or the whole app it need not look.
    limiter.request_filter(lambda: request.endpoint not in limits)
    for page, often in limits.items():
        free = _is_at_home if page in AT_HOME else None
        if page in reads or page in AT_DESKS:
            free = _is_logged_in
        counts = _is_refused if page == "account.use_code" else None
        limit = limiter.limit(often, exempt_when=free, deduct_when=counts)
        app.view_functions[page] = limit(app.view_functions[page])  # type: ignore[assignment]

    def say_when(answer: Response) -> Response:
        if answer.status_code == 429 and (over := limiter.current_limit):
            answer.headers.setdefault("Retry-After", str(max(1, int(over.reset_at - time.time()))))
        return answer

    app.after_request(say_when)


def _reads(app: Flask, a_minute: int) -> dict[str, str]:
    """How often whatever anybody may read may be read. Whoever is logged in reads as often as they like."""
    pages = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "GET" in (rule.methods or ()) and access.roles_for(rule.endpoint) == access.PUBLIC
    }
    often = dict.fromkeys(LISTS, max(1, a_minute // 10)) | dict.fromkeys(PIECES, a_minute * 10)
    return {page: f"{often.get(page, a_minute)}/minute" for page in sorted(pages.difference(UNCOUNTED))}


def _is_logged_in() -> bool:
    return "login" in session


def _is_at_home() -> bool:
    return access.is_known(request.form.get("email", ""))


def _is_refused(answer: Response) -> bool:
    return answer.status_code == 422


def _network() -> str:
    """The caller's network, as far as the proxies in front are trusted to say who it is."""
    return rate_limits.network(request.remote_addr)

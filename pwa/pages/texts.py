"""Where gateways bring texts: each call is signed, is kept before it is answered, and counts once."""

from typing import Final

from flask import Blueprint, Response, abort, request
from flask_babel import force_locale
from flask_babel import gettext as _

from city.inbox import reception, texts
from city.inbox.entries import Full
from city.inbox.reception import HELP, STARTED, STOPPED
from city.inbox.texts import ADAPTERS, Call, Unreadable
from pwa.messages import letters
from pwa.web import access, localization

bp = Blueprint("texts", __name__, url_prefix="/texts")

_LONGEST: Final = texts.MOST_BYTES


@bp.get("/<gateway>")
def verify(gateway: str) -> Response:
    """WhatsApp asks once whether the address is ours, with the word that the setting has after its secret."""
    _secret, verify_token = _secrets(gateway)
    if not verify_token or request.args.get("hub.verify_token") != verify_token:
        abort(404)
    return Response(request.args.get("hub.challenge", "")[:200], mimetype="text/plain")


@bp.post("/<gateway>")
def take(gateway: str) -> Response:
    """Keeps the texts of one call. 403 without its signature, 400 where it says nothing that a gateway says,
    503 where it may come again later."""
    secret, _verify = _secrets(gateway)
    if (request.content_length or 0) > _LONGEST:
        abort(413)
    adapter = ADAPTERS[gateway]
    heads = {name.lower(): value for name, value in request.headers}
    url = access.current_city().settings.base_url + request.full_path.removesuffix("?")
    call = Call(url, heads, request.get_data(cache=False, as_text=False))
    if not adapter.is_signed(call, secret):
        abort(403)
    try:
        told = adapter.read(call)
    except Unreadable as fault:
        return Response(f"This isn't a message we can read: {fault}\n", 400, mimetype="text/plain")
    city, at, said = access.current_city(), access.now(), ""
    here = reception.place(city.settings, city.engine, city.city)
    try:
        for each in told:
            said = _said(reception.take_text(here, each, at=at)) or said
    except Full:
        abort(503)
    body, mimetype = adapter.answer(said) if adapter.answer else ("", "text/plain")
    return Response(body, mimetype=mimetype)


def _said(done: reception.Outcome) -> str:
    """What goes back at once: only to the words that phone companies ask an answer to."""
    if done.what not in (STOPPED, STARTED, HELP):
        return ""
    city = access.current_city().city
    with force_locale(
        localization.locale_of(done.lang if done.lang in city.languages else city.languages[0])
    ):
        return {
            STOPPED: _(
                "You won't get any more texts from %(city)s 311. Text START to get them again.",
                city=city.name,
            ),
            STARTED: _("You'll get texts about your reports again. Text STOP to end them.", city=city.name),
            HELP: _(
                "%(city)s 311. Text us what's wrong and where, or report it at %(link)s."
                " Text STOP to end texts.",
                city=city.name, link=letters.link("resident.home"),
            ),
        }[done.what]  # fmt: skip


def _secrets(gateway: str) -> tuple[str, str]:
    for each in access.current_city().settings.texts_in:
        kind, _colon, rest = each.partition(":")
        if kind == gateway:
            secret, _colon, verify_token = rest.partition(":")
            return secret, verify_token
    return abort(404)

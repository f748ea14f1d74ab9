"""Page or fragment: the only file that knows htmx. One template serves both."""

from typing import Any

from flask import Flask, Response, make_response, render_template
from htmx_flask import Htmx
from htmx_flask import request as htmx_request

htmx = Htmx()


def init(app: Flask) -> None:
    """Teaches the app's requests to know htmx."""
    htmx.init_app(app)


def is_fragment() -> bool:
    """Whether only a part of the page is wanted. A restored history entry wants the whole page."""
    return bool(htmx_request.htmx) and not htmx_request.htmx.history_restore_request


def render(page: str, fragment: str | None = None, /, *, status: int = 200, **context: Any) -> Response:
    """The page, or for htmx the fragment that the page itself includes."""
    template = fragment if fragment and is_fragment() else page
    response = make_response(render_template(template, **context), status)
    response.vary.add("HX-Request")
    return response


def go(url: str) -> Response:
    """Sends the browser to another page, whether htmx asked or a plain form."""
    if is_fragment():
        response = make_response("", 200)
        response.headers["HX-Redirect"] = url
        return response
    response = make_response("", 303)
    response.headers["Location"] = url
    return response

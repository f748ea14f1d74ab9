"""Writes the security log: whatever was refused, of which network and person, and by which request.

No address of a page stands in it, since private links are addresses; no email, code or token either.
"""

import re
import secrets
from typing import Final

from flask import Flask, Response, g, request

from city import security_log
from city.people import rate_limits
from pwa.web import access
from sync import refused_requests

# What an answer says by its number alone, where nobody noted more.
BY_STATUS: Final = {
    400: "odd request",
    401: "not logged in",
    403: "forbidden",
    413: "too large",
    429: "limit hit",
}
# Whose pages' addresses hold a secret: a link that is none may be a guess.
LINKS: Final = ("resident", "case", "verdict", "news", "follow", "account")
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


def init(app: Flask) -> None:
    """Watches every answer."""
    app.after_request(_watch)


def request_id() -> str:
    """What this request is called in our logs: as the proxy in front calls it, where there is one."""
    if "request_id" not in g:
        told = request.headers.get("X-Request-Id", "")
        trusted = access.current_city().settings.trusted_proxies and _ID.fullmatch(told)
        g.request_id = told if trusted else secrets.token_hex(8)
    return str(g.request_id)


def _watch(response: Response) -> Response:
    what, reason = g.get("refused") or (BY_STATUS.get(response.status_code), "")
    if response.status_code == 404 and request.blueprint in LINKS:
        secret = {"token", "code"}.intersection(request.view_args or ())
        what = refused_requests.LINK if secret else what
    if what:
        told = {
            "time": access.now().isoformat(timespec="milliseconds"),
            "what": what,
            "reason": reason,
            "status": response.status_code,
            "page": request.endpoint or "",
            "method": request.method,
            "network": rate_limits.network(request.remote_addr),
            "person": g.actor.name if "actor" in g else "",
            "request": request_id(),
        }
        security_log.write(access.current_city().settings.var, told)
        response.headers["X-Request-Id"] = request_id()
    return response

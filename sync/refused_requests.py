"""What is noted of a request that is refused; pwa/web/security.py writes it down as its answer goes out."""

from typing import Final

from flask import g

(LOG_IN, UPLOAD, FORGED, KEY, LINK) = (
    "log-in refused", "odd upload", "forged request", "key refused", "unknown link",
)  # fmt: skip
# What no camera or browser sends by itself. Too many photos, or one that was sent before, is not odd.
ODD: Final = ("not_a_photo", "broken", "too_large", "too_many_pixels")


def refused(what: str, reason: str) -> None:
    """Says why this request is refused: a stable code, no words of whoever sent it."""
    g.refused = (what, reason)


def photo(code: str) -> None:
    """The same of a photo that was not taken, where it is odd."""
    if code in ODD:
        refused(UPLOAD, code)

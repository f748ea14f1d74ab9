"""Pictures from addresses that strangers name: so large and so long at most, each redirect checked too."""

import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urljoin, urlsplit

import requests
from urllib3.exceptions import HTTPError

from city.safe_http import Allowed, PrivateAddressError, SafeSession, is_public

MOST_SECONDS: Final = 15.0  # for all of it, redirects included
MOST_REDIRECTS: Final = 3
Fetch = Callable[[str, int], bytes]  # url, most bytes → the picture; raises NotFetched

HEADERS: Final = {"Accept": "image/*", "Accept-Encoding": "identity", "User-Agent": "Cityline"}


class NotFetched(Exception):
    """Why a file is not here: a stable `code`. `passing` where it may be here on the next try."""

    def __init__(self, code: str, *, passing: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.passing = passing


def open_fetch(*, allowed: Allowed = is_public, seconds: float = MOST_SECONDS) -> Fetch:
    """The way out to pictures: the bytes at an address, so many of them. It raises NotFetched.

    Its codes: `bad_url`, `private_address`, `no_answer`, `too_large`, `not_a_photo`, `too_many_redirects`.
    """
    session = SafeSession(allowed=allowed, plain=True)

    def picture(url: str, most: int) -> bytes:
        session.cookies.clear()  # they are whose picture was fetched before
        until = time.monotonic() + seconds
        for _ in range(MOST_REDIRECTS + 1):
            answer = _asked(session, url, most, until)
            if not answer.is_redirect:
                return _bytes_of(answer, most)
            url = urljoin(url, answer.headers["Location"])
        raise NotFetched("too_many_redirects")

    return picture


def _asked(session: SafeSession, url: str, most: int, until: float) -> requests.Response:
    """The answer, with its body where that is a picture: one byte more than `most` at most."""
    _check(url)
    try:
        return session.ask(
            "GET", url, seconds=_left(until), headers=HEADERS,
            reads=lambda answer: most + 1 if _is_picture(answer) else 0,
        )  # fmt: skip
    except PrivateAddressError:
        raise NotFetched("private_address") from None
    except (requests.RequestException, HTTPError, OSError, ValueError) as fault:
        raise NotFetched("no_answer", passing=True) from fault


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        asks = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise NotFetched("bad_url") from None
    if not asks or "@" in parts.netloc:
        raise NotFetched("bad_url")


def _bytes_of(answer: requests.Response, most: int) -> bytes:
    status = answer.status_code
    if status != 200:
        raise NotFetched("no_answer", passing=status >= 500 or status in (404, 408, 429))
    if not _is_picture(answer):
        raise NotFetched("not_a_photo")
    if len(answer.content) > most:
        raise NotFetched("too_large")
    return answer.content


def _is_picture(answer: requests.Response) -> bool:
    kind = answer.headers.get("Content-Type", "")
    return answer.status_code == 200 and kind.startswith(("image/", "application/octet-stream"))


def _left(until: float) -> float:
    """Seconds that remain; raises NotFetched where none do."""
    left = until - time.monotonic()
    if left <= 0:
        raise NotFetched("no_answer", passing=True)
    return left

"""Files from addresses that strangers name: only from the public internet, only so large, only so long.

Whoever names an address must not reach by it what stands behind our own wall: what a name leads to is looked
up once, refused where it is no public address, and connected to by that very address; so it is at each
redirect. Certificates are checked for the name.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

MOST_SECONDS: Final = 15.0  # for all of it, redirects included
MOST_REDIRECTS: Final = 3
PIECE: Final = 65_536  # bytes read at once
PORTS: Final = {"http": 80, "https": 443}
# Whatever is written so may be any IPv4 address behind a translator: RFC 6052, 3056, 4380.
TRANSLATED: Final = tuple(
    ip_network(net) for net in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)

Address = IPv4Address | IPv6Address
Allowed = Callable[[Address], bool]


class NotFetched(Exception):
    """Why a file is not here: a stable `code`. `passing` where it may be here on the next try."""

    def __init__(self, code: str, *, passing: bool = False) -> None:
        super().__init__(code)
        self.code = code
        self.passing = passing


def is_public(address: Address) -> bool:
    """Whether anybody on the internet reaches the same machine by it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if any(address in net for net in TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def picture(url: str, most: int, *, allowed: Allowed = is_public, seconds: float = MOST_SECONDS) -> bytes:
    """The bytes at the address, `most` of them. Raises NotFetched.

    Its codes: `bad_url`, `private_address`, `no_answer`, `too_large`, `not_a_photo`, `too_many_redirects`.
    """
    until = time.monotonic() + seconds
    for _ in range(MOST_REDIRECTS + 1):
        found = _asked(url, most, allowed, until)
        if isinstance(found, bytes):
            return found
        url = urljoin(url, found)
    raise NotFetched("too_many_redirects")


def _asked(url: str, most: int, allowed: Allowed, until: float) -> bytes | str:
    """The bytes, or the address that the answer leads on to."""
    parts = _parts(url)
    pool = _pool(parts, _resolved(parts, allowed), until)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    headers = {
        "Host": parts.netloc,
        "Accept": "image/*",
        "Accept-Encoding": "identity",
        "User-Agent": "Cityline",
    }
    try:
        answer = pool.request(
            "GET", path, headers=headers, redirect=False, retries=False, preload_content=False
        )
        with closing(answer):
            return answer.get_redirect_location() or _read(answer, most, until)
    except (HTTPError, OSError, ValueError) as fault:
        raise NotFetched("no_answer", passing=True) from fault
    finally:
        pool.close()


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme in PORTS and parts.hostname and parts.port != 0 and "@" not in parts.netloc:
            return parts
    except ValueError:
        pass
    raise NotFetched("bad_url")


def _resolved(parts: SplitResult, allowed: Allowed) -> str:
    """The address that the name leads to; every one that it has must be allowed."""
    try:
        rows = socket.getaddrinfo(parts.hostname, parts.port or PORTS[parts.scheme], type=socket.SOCK_STREAM)
        found = [ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
    except (OSError, UnicodeError, ValueError) as fault:
        raise NotFetched("no_answer", passing=True) from fault
    if not found or not all(allowed(address) for address in found):
        raise NotFetched("private_address")
    return str(found[0])


def _pool(parts: SplitResult, address: str, until: float) -> urllib3.HTTPConnectionPool:
    port, timeout = parts.port or PORTS[parts.scheme], urllib3.Timeout(total=_left(until))
    if parts.scheme == "http":
        return urllib3.HTTPConnectionPool(address, port, timeout=timeout)
    return urllib3.HTTPSConnectionPool(
        address,
        port,
        timeout=timeout,
        ssl_context=ssl.create_default_context(),
        server_hostname=parts.hostname,
        assert_hostname=parts.hostname,
    )


def _read(answer: urllib3.BaseHTTPResponse, most: int, until: float) -> bytes:
    if answer.status != 200:
        raise NotFetched("no_answer", passing=answer.status >= 500 or answer.status in (404, 408, 429))
    if not answer.headers.get("Content-Type", "").startswith(("image/", "application/octet-stream")):
        raise NotFetched("not_a_photo")
    data = bytearray()
    while piece := answer.read1(PIECE):
        data += piece
        if len(data) > most:
            raise NotFetched("too_large")
        _left(until)
    return bytes(data)


def _left(until: float) -> float:
    """Seconds that remain; raises NotFetched where none do: a trickle must not hold up all that waits."""
    left = until - time.monotonic()
    if left <= 0:
        raise NotFetched("no_answer", passing=True)
    return left

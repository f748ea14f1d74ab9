"""Requests to addresses that others have named: over TLS, to public machines, bounded.

A browser names the push service that its news go through, an administrator a webhook: neither may make the
city's own machine talk to what only that machine can reach (OWASP: server-side request forgery).
"""

import ipaddress
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from city.outside import is_public

MOST_SECONDS = 20.0  # for the whole of one request: an answer that trickles in holds up everybody's news
MOST_BYTES = 4_000  # of an answer; what more it says nobody reads
MOST_LETTERS = 1_000  # of an address


class NotPublic(Exception):
    """The address is none that strangers may send us to: not https, or within somebody's own network."""


def check(url: str, *, loopback: bool = False) -> str:
    """The address itself, if it may be asked as far as its words say; raises NotPublic.

    A name is looked up only as it is asked. `loopback` is for trying out: this very machine, without TLS too.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise NotPublic(url) from None
    schemes = ("https", "http") if loopback else ("https",)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MOST_LETTERS
    if not plain or parts.scheme not in schemes or not host or parts.username is not None:
        raise NotPublic(url)
    if not (_is_name(host) or (loopback and host == "localhost") or _may_ask(host, loopback)):
        raise NotPublic(url)
    return url


class Outward(requests.Session):
    """A session that asks only such addresses, follows no redirect and reads little of an answer.

    Where a name leads is seen at the connection itself, so that it cannot lead elsewhere a moment later.
    Raises NotPublic, requests' own faults, and its Timeout after MOST_SECONDS in all.
    """

    def __init__(self, *, loopback: bool = False) -> None:
        super().__init__()
        self._loopback = loopback
        self.trust_env = False  # a proxy would ask for us whatever we are told
        self.adapters.clear()
        self.mount("https://", _Adapter(loopback))
        if loopback:
            self.mount("http://", _Adapter(loopback))

    def request(self, method: str, url: str, **how: Any) -> requests.Response:  # type: ignore[override]
        check(url, loopback=self._loopback)
        how |= {"timeout": MOST_SECONDS, "allow_redirects": False, "stream": True}
        with _bounded() as is_late:
            try:
                response: requests.Response = super().request(method, url, **how)
                with response:
                    response._content = response.raw.read(MOST_BYTES, decode_content=False)
            except (requests.RequestException, HTTPError, OSError):
                if not is_late():
                    raise
            if is_late():
                raise requests.Timeout("it took too long")
        return response


class _Adapter(HTTPAdapter):
    def __init__(self, loopback: bool) -> None:
        self._loopback = loopback
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = _POOLS[self._loopback]


def _guarded(base: type[HTTPConnection], loopback: bool) -> type[HTTPConnection]:
    class Guarded(base):  # type: ignore[misc, valid-type]
        def _new_conn(self) -> socket:
            sock: socket = super()._new_conn()
            if not _may_ask(sock.getpeername()[0], loopback):
                sock.close()
                raise NotPublic(self.host)
            _watch(sock)
            return sock

        def request(self, *given: Any, **named: Any) -> None:
            if self.sock:  # also one that was kept open since the last request
                _watch(self.sock)
            super().request(*given, **named)

    return Guarded


def _pool(base: Any, connection: Any, loopback: bool) -> Any:
    return type("Guarded", (base,), {"ConnectionCls": _guarded(connection, loopback)})


_POOLS = {
    loopback: {
        "http": _pool(HTTPConnectionPool, HTTPConnection, loopback),
        "https": _pool(HTTPSConnectionPool, HTTPSConnection, loopback),
    }
    for loopback in (False, True)
}


def _is_name(host: str) -> bool:
    """Whether it is one that the whole world may know; "127.1" and "0x7f.1" are numbers in odd writing."""
    top = host.rstrip(".").rpartition(".")
    return bool(top[0]) and ":" not in host and top[2][0].isalpha()


def _may_ask(address: str, loopback: bool) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    return is_public(ip) or (loopback and ip.is_loopback)


class _Watched(threading.local):
    """The connections of the request that this thread makes, each as a second handle on the same socket."""

    handles: list[socket] | None = None


_watched = _Watched()


def _watch(sock: socket) -> None:
    if _watched.handles is not None:
        _watched.handles.append(socket(fileno=os.dup(sock.fileno())))


@contextmanager
def _bounded() -> Iterator[Any]:
    """Cuts the connections made meanwhile once MOST_SECONDS are over; gives what tells whether it did."""
    handles: list[socket] = []
    late = threading.Event()

    def cut() -> None:
        late.set()
        for handle in list(handles):
            with suppress(OSError):
                handle.shutdown(SHUT_RDWR)

    timer = threading.Timer(MOST_SECONDS, cut)
    timer.daemon = True
    timer.start()
    _watched.handles = handles
    try:
        yield late.is_set
    finally:
        timer.cancel()
        _watched.handles = None
        for handle in handles:
            handle.close()

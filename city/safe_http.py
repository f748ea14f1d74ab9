"""Requests to addresses that others have named: to public machines, bounded.

A browser names the push service that its news go through, an administrator a webhook, a report a picture.
None of them may make the city's own machine talk to what only that machine can reach (OWASP: server-side
request forgery).
What a name leads to is looked up once, refused where any of it is no public address, and connected to by that
very address. Certificates are checked for the name.

A host that does not answer is left alone for a while: whoever names a dead one holds up nobody else's news.
"""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError

MOST_SECONDS = 5.0  # for the whole of one request: an answer that trickles in holds up others' news
MOST_SILENCE = 5.0  # seconds, also of a request that may take longer
REST = 30.0  # seconds for which a host that gave no answer is not asked again
MOST_BYTES = 4_000  # of an answer; what more it says nobody reads
MOST_LETTERS = 1_000  # of an address
# All of IPv6 that machines of the internet were ever given (RFC 4291). What lies outside was site-local, or
# is any IPv4 address in another writing: fec0::1, ::127.0.0.1, ::ffff:0:127.0.0.1.
GIVEN: Final = ip_network("2000::/3")
# Within it, whatever is written so may be any IPv4 address behind a translator: RFC 3056, 4380.
TRANSLATED: Final = tuple(ip_network(net) for net in ("2002::/16", "2001::/32"))

Address = IPv4Address | IPv6Address
Allowed = Callable[[Address], bool]


class PrivateAddressError(Exception):
    """The address is none that strangers may send us to: not https, or within somebody's own network."""


class Resting(requests.ConnectionError):
    """Its host gave no answer a moment ago, so it was not asked."""


def is_public(address: Address) -> bool:
    """Whether anybody on the internet reaches the same machine by it."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return is_public(address.ipv4_mapped)
        if address not in GIVEN or any(address in net for net in TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def validate_url(url: str, *, loopback: bool = False) -> str:
    """The address itself, if it may be asked as far as its words say; raises NotPublic.

    A name is looked up only as it is asked. `loopback` is for trying out: this very machine, without TLS too.
    """
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname or "", parts.port
    except ValueError:
        raise PrivateAddressError(url) from None
    schemes = ("https", "http") if loopback else ("https",)
    plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= MOST_LETTERS
    if not plain or parts.scheme not in schemes or not host or parts.username is not None:
        raise PrivateAddressError(url)
    if not (_is_name(host) or (loopback and host == "localhost") or _is_allowed(host, loopback)):
        raise PrivateAddressError(url)
    return url


class SafeSession(requests.Session):
    """A session that asks public machines only, follows no redirect and reads little of an answer.

    post() and its like take only an address that check() takes. Raises NotPublic, requests' own faults, its
    Timeout after MOST_SECONDS in all, and Resting for REST after any of these but the first.
    """

    def __init__(
        self, *, loopback: bool = False, allowed: Allowed | None = None, plain: bool = False
    ) -> None:
        """`allowed` says to which addresses it may connect; `plain` lets it ask without TLS too."""
        super().__init__()
        self._loopback = loopback
        self._rests = dict[str, float]()  # host → until when, on time.monotonic()
        self.trust_env = False  # a proxy would ask for us whatever we are told
        self.adapters.clear()
        adapter = _Adapter(allowed or partial(_may_ask, loopback=loopback))
        self.mount("https://", adapter)
        if loopback or plain:
            self.mount("http://", adapter)

    def request(self, method: str, url: str, **how: Any) -> requests.Response:  # type: ignore[override]
        validate_url(url, loopback=self._loopback)
        return self.ask(method, url, seconds=MOST_SECONDS, reads=lambda _answer: MOST_BYTES, **how)

    def ask(
        self, method: str, url: str, *, seconds: float, reads: Callable[[requests.Response], int], **how: Any
    ) -> requests.Response:
        """The answer within `seconds`, with as much of its body as `reads` says by its head."""
        how |= {"timeout": min(seconds, MOST_SILENCE), "allow_redirects": False, "stream": True}
        host = "{0.scheme}://{0.hostname}:{0.port}".format(urlsplit(url))
        if self._rests.get(host, 0.0) > time.monotonic():
            raise Resting(host)
        try:
            with _bounded(seconds) as is_late:
                try:
                    response: requests.Response = super().request(method, url, **how)
                    with response:
                        response._content = response.raw.read(reads(response), decode_content=False)
                except (requests.RequestException, HTTPError, OSError):
                    if not is_late():
                        raise
                if is_late():
                    raise requests.Timeout("it took too long")
        except (requests.RequestException, HTTPError, OSError):
            self._leave_alone(host)
            raise
        return response

    def _leave_alone(self, host: str) -> None:
        now = time.monotonic()
        self._rests = {each: until for each, until in self._rests.items() if until > now}
        self._rests[host] = now + REST


class _Adapter(HTTPAdapter):
    def __init__(self, allowed: Allowed) -> None:
        self._pools = {
            "http": _pool(HTTPConnectionPool, HTTPConnection, allowed),
            "https": _pool(HTTPSConnectionPool, HTTPSConnection, allowed),
        }
        super().__init__()

    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _guarded(base: type[HTTPConnection], allowed: Allowed) -> type[HTTPConnection]:
    class Guarded(base):  # type: ignore[misc, valid-type]
        _dns_host: str

        def _new_conn(self) -> socket.socket:
            name, fault = self._dns_host, None
            for address in _resolved(self, allowed):
                self.timeout = _left(self)
                self._dns_host = address  # urllib3 connects to it, and checks the certificate for `host`
                try:
                    sock: socket.socket = super()._new_conn()
                except HTTPError as problem:
                    fault = problem
                else:
                    _watch(sock)
                    return sock
                finally:
                    self._dns_host = name
            raise fault or PrivateAddressError(name)

        def request(self, *given: Any, **named: Any) -> None:
            if self.sock:  # also one that was kept open since the last request
                _watch(self.sock)
            super().request(*given, **named)

    return Guarded


def _pool(base: Any, connection: Any, allowed: Allowed) -> Any:
    return type("Guarded", (base,), {"ConnectionCls": _guarded(connection, allowed)})


def _resolved(connection: HTTPConnection, allowed: Allowed) -> list[str]:
    """The addresses that the connection's name leads to; every one of them must be allowed."""
    name = connection._dns_host.strip("[]")
    try:
        rows = socket.getaddrinfo(name, connection.port, type=socket.SOCK_STREAM)
        found = [ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
    except socket.gaierror as fault:
        raise NameResolutionError(name, connection, fault) from fault
    except UnicodeError as fault:
        raise requests.exceptions.InvalidURL(name) from fault
    if not found or not all(allowed(address) for address in found):
        raise PrivateAddressError(name)
    return [str(address) for address in found]


def _is_name(host: str) -> bool:
    """Whether it is one that the whole world may know; "127.1" and "0x7f.1" are numbers in odd writing."""
    top = host.rstrip(".").rpartition(".")
    return bool(top[0]) and ":" not in host and top[2][0].isalpha()


def _is_allowed(host: str, loopback: bool) -> bool:
    """Whether it is an address, and one that may be asked."""
    try:
        return _may_ask(ip_address(host.partition("%")[0]), loopback=loopback)
    except ValueError:
        return False


def _may_ask(address: Address, *, loopback: bool) -> bool:
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return is_public(address) or (loopback and address.is_loopback)


class _Watch:
    """How long a request may take, and its connections, each as a second handle on the same socket."""

    def __init__(self, seconds: float) -> None:
        self.until = time.monotonic() + seconds
        self.late = threading.Event()
        self.handles = list[socket.socket]()

    def add(self, sock: socket.socket) -> None:
        self.handles.append(socket.socket(fileno=os.dup(sock.fileno())))
        if self.late.is_set():
            self.cut()

    def cut(self) -> None:
        self.late.set()
        for handle in list(self.handles):
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)


class _Watched(threading.local):
    """The request that this thread makes."""

    now: _Watch | None = None


_watched = _Watched()


def _watch(sock: socket.socket) -> None:
    if _watched.now:
        _watched.now.add(sock)


def _left(connection: HTTPConnection) -> float | None:
    """Seconds to connect to the next of a name's addresses: looking it up took some, and dead ones did."""
    if _watched.now is None:
        return connection.timeout
    if (left := _watched.now.until - time.monotonic()) <= 0:
        raise ConnectTimeoutError(connection, "it took too long")
    return left if connection.timeout is None else min(left, connection.timeout)


@contextmanager
def _bounded(seconds: float) -> Iterator[Any]:
    """Cuts the connections made meanwhile once the time is over; gives what tells whether it did."""
    watch = _Watch(seconds)
    timer = threading.Timer(seconds, watch.cut)
    timer.daemon = True
    timer.start()
    _watched.now = watch
    try:
        yield watch.late.is_set
    finally:
        timer.cancel()
        _watched.now = None
        for handle in watch.handles:
            handle.close()

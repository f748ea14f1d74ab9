"""A real web server with more to do than it can: it says so at once, and never stands still."""

import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from servers import serving
from sqlalchemy import event
from wording import shared

from pwa.app import _refused
from pwa.web.overload import RETRY

pytestmark = pytest.mark.both_databases

CLIENTS = 400
SLOW = 150
ALIVE = 1.0  # seconds within which /healthz answers, whatever else goes on


@dataclass(frozen=True)
class Heard:
    """What a client was answered, and after how many seconds."""

    status: int
    retry_after: str | None
    seconds: float


def ask(port: int, path: str, source: str = "127.0.0.1") -> Heard:
    """A request of its own connection, from an address of loopback."""
    line, began = HTTPConnection("127.0.0.1", port, timeout=60, source_address=(source, 0)), time.monotonic()
    try:
        line.request("GET", path)
        answer: HTTPResponse = line.getresponse()
        answer.read()
        return Heard(answer.status, answer.getheader("Retry-After"), time.monotonic() - began)
    finally:
        line.close()


def looked(port: int) -> float:
    """Seconds until /healthz answers, by a process of its own: all those clients keep this one busy."""
    program = (
        "import sys, time, urllib.request as r; began = time.monotonic(); r.urlopen(sys.argv[1], timeout=60);"
        "print(time.monotonic() - began)"
    )
    asked = [sys.executable, "-c", program, f"http://127.0.0.1:{port}/healthz"]
    return float(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)


@contextmanager
def slow_bodies(port: int, count: int) -> Iterator[None]:
    """So many forms of which a byte comes each second."""
    over = threading.Event()
    with ExitStack() as stack:
        lines = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for line in lines:
            line.sendall(
                b"POST /report HTTP/1.1\r\nHost: city\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                b"Content-Length: 5000\r\n\r\na"
            )

        def drip() -> None:
            while not over.wait(1):
                for line in lines:
                    line.send(b"a")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            yield
        finally:
            over.set()
            dripping.join()


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/cases", "text/html; charset=utf-8", shared.TAKING_TOO_LONG),
        ("/es/dispatch", "text/html; charset=utf-8", shared.TAKING_TOO_LONG.es),
        ("/sync/v1/exchange", "application/json", '"later"'),
        ("/open311/v2/requests.json", "application/json; charset=utf-8", '"code":503'),
        ("/open311/v2/requests.xml", "text/xml; charset=utf-8", "<code>503</code>"),
    ],
)
def test_a_refusal_comes_in_the_form_and_language_of_the_address(
    app: Flask, path: str, kind: str, said: str
) -> None:
    headers, body = _refused(app, ("es",), {"PATH_INFO": path}, 503)
    told = dict(headers)
    assert (told[b"content-type"].decode(), told[b"retry-after"].decode()) == (kind, RETRY)
    assert said in body.decode()
    # It is kept for everybody, so nothing in it may be anybody's.
    assert b"set-cookie" not in told
    assert "csrf" not in body.decode()
    assert _refused(app, ("es",), {"PATH_INFO": path}, 503)[1] is body


@pytest.mark.postgresql
def test_a_database_that_takes_nothing_is_told_as_busy(
    app: Flask, client: FlaskClient, token: Callable[[], str]
) -> None:
    """As one that another has taken over from: it is there, and only to be read."""
    form, engine = {"csrf_token": token(), "email": "ana@town.test"}, app.extensions["cityline"].engine

    def let_read_only(connection: Any, _record: object) -> None:
        connection.execute("SET default_transaction_read_only = on")
        connection.commit()

    event.listen(engine, "connect", let_read_only)
    engine.dispose()
    answer = client.post("/login", data=form)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")


@pytest.mark.one_database
@pytest.mark.slow
def test_bodies_that_come_a_byte_a_second_keep_nobody_waiting(environment: dict[str, str]) -> None:
    with serving(environment) as port, slow_bodies(port, SLOW):
        time.sleep(1)
        assert ask(port, "/healthz").seconds < ALIVE
        page = ask(port, "/cases")
        assert (page.status, page.seconds < 5) == (200, True)


@pytest.mark.one_database
@pytest.mark.slow
def test_whoever_comes_when_too_many_wait_is_told_so_at_once(environment: dict[str, str]) -> None:
    heard: list[Heard] = []
    with serving(environment) as port:
        gate = threading.Barrier(CLIENTS + 1)

        def come() -> None:
            gate.wait()
            heard.append(ask(port, "/cases"))

        clients = [threading.Thread(target=come) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        gate.wait()
        time.sleep(0.2)
        alive = looked(port)
        for client in clients:
            client.join()
    answers = Counter((each.status, each.retry_after) for each in heard)
    assert set(answers) == {(200, None), (503, "5")}
    assert answers.total() == CLIENTS
    assert answers[503, "5"] > CLIENTS / 2
    assert alive < ALIVE

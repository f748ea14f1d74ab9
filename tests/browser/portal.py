"""What lies between a phone and the city on a bad day: a hotel's log-in page, a broken proxy, a lossy mile.

A proxy of our own in front of the application: it answers in the city's stead, loses, delays and cuts.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

NOT_PASSED_ON = {"connection", "keep-alive", "transfer-encoding"}
HTML = b"<!doctype html><title>Guest Wi-Fi</title><h1>Welcome, please accept our terms</h1>"
REQUEST_LOST, ANSWER_LOST, CUT = "request lost", "answer lost", "cut"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # a browser comes with a dozen at once


class Portal:
    """`answer` is a name of ANSWERS, CUT, or "" for an honest road; `met` counts what became of requests."""

    def __init__(self, city: str) -> None:
        self.answer, self.met = "", Counter[str]()
        self._loss, self._delay, self._random = 0.0, 0.0, random.Random()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self, urlsplit(city).netloc))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def worsen(self, *, loss: float, delay: float, seed: int) -> None:
        """From now on so many requests of 1 are lost, or their answers, and each takes so many seconds."""
        self._loss, self._delay, self._random = loss, delay, random.Random(seed)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answers_itself(self, to: BaseHTTPRequestHandler, body: bytes) -> bool:
        """Whether the request was meant for the portal, and is answered."""
        return False

    def asks(self, headers: dict[str, str]) -> dict[str, str]:
        """What the city gets of the phone's headers."""
        return headers

    def passes_on(self, kind: str, told: bytes) -> bytes:
        """What the phone gets of the city's answer, whose media type is `kind`."""
        return told

    def fate(self) -> str:
        """What becomes of one request."""
        with self._lock:
            fate = self.answer
            if not fate and self._loss and self._random.random() < self._loss:
                fate = self._random.choice((REQUEST_LOST, ANSWER_LOST))
            self.met[fate] += 1
        if self._delay:
            time.sleep(self._delay)
        return fate


def _page(to: BaseHTTPRequestHandler) -> None:
    say(to, 200, HTML, "text/html")


def _elsewhere(to: BaseHTTPRequestHandler) -> None:
    to.send_response(302)
    to.send_header("Location", "/portal")
    to.send_header("Content-Length", "0")
    to.end_headers()


def _says(status: int, body: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda to: say(to, status, body, "application/json")


# The last is an answer such as the city gives, but not to this very request.
ANSWERS: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {
    "200 page": _page,
    "302": _elsewhere,
    "401": _says(401, b'{"error": "login"}'),
    "500": _says(500, b"Internal Server Error"),
    "200 json": _says(
        200, b'{"protocol": 1, "results": [], "want": [], "scopes": [], "reset": [], "changes": {}}'
    ),
}


def say(to: BaseHTTPRequestHandler, status: int, body: bytes, kind: str) -> None:
    to.send_response(status)
    to.send_header("Content-Type", kind)
    to.send_header("Content-Length", str(len(body)))
    to.end_headers()
    to.wfile.write(body)


def _handler(portal: Portal, city: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """One request a connection: a lost one is seen at once, and no browser repeats it by itself."""

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, TimeoutError):  # the phone went away
                super().handle_one_request()

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if portal.answers_itself(self, body):
                return
            fate = portal.fate()
            if fate == REQUEST_LOST:
                return
            if fate in ANSWERS:
                ANSWERS[fate](self)
                return
            self._pass_on(body, fate)

        do_POST = do_PATCH = do_HEAD = do_GET

        def _pass_on(self, body: bytes, fate: str) -> None:
            up = HTTPConnection(city, timeout=60)
            try:
                up.request(self.command, self.path, body or None, portal.asks(dict(self.headers)))
                answer = up.getresponse()
                told = portal.passes_on(answer.headers.get_content_type(), answer.read())
            finally:
                up.close()
            if fate == ANSWER_LOST:
                return
            length = answer.headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(told))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in NOT_PASSED_ON | {"content-length"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(told[: len(told) // 2] if fate == CUT else told)

        def log_message(self, *_words: object) -> None:
            pass

    return Handler

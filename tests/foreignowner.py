"""Another owner's Open311 server on loopback, as old, slow, forgetful or hostile as a test wants it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, bytes]


@dataclass
class Owner:
    """What it took, and how it answers. `lose` counts the answers to POSTs that never come."""

    url: str = ""
    taken: list[dict[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lose: int = 0
    refuse: tuple[int, str] | None = None
    hides_words: bool = False
    gives_token: bool = False
    numbered: bool = False
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    special: Callable[[str], Answer | None] = lambda _path: None

    def listed(self) -> list[dict[str, Any]]:
        rows = []
        for n, told in enumerate(self.taken, 1):
            number = f"R-{n}"
            row = {
                "service_request_id": number, "status": "open", "service_code": told.get("service_code"),
                "description": None if self.hides_words else told.get("description"),
                "lat": float(told["lat"]), "long": float(told["long"]),
                "requested_datetime": told.get("requested_datetime", "2026-05-12T12:00:00Z"),
            }  # fmt: skip
            rows.append(row | self.states.get(number, {}))
        return rows

    def answer(self, method: str, path: str, query: dict[str, list[str]], form: dict[str, str]) -> Answer:
        if special := self.special(path):
            return special
        if path.endswith("/services.json"):
            return _json([{"service_code": "SL", "service_name": "Street light"}])
        if method == "POST":
            return self._take(form)
        if "/tokens/" in path:
            return self._numbered(path)
        if path.endswith("/requests.json"):
            wanted = set(",".join(query.get("service_request_id", [])).split(",")) - {""}
            return _json([r for r in self.listed() if not wanted or r["service_request_id"] in wanted])
        return _json([{"code": 404, "description": "not found"}], 404)

    def _take(self, form: dict[str, str]) -> Answer:
        if self.refuse:
            status, words = self.refuse
            return _json([{"code": status, "description": words}], status)
        self.taken.append(form)
        if self.lose:
            self.lose -= 1
            return 0, b""
        if self.gives_token:
            return _json([{"token": f"T-{len(self.taken)}"}])
        return _json([{"service_request_id": f"R-{len(self.taken)}", "service_notice": None}])

    def _numbered(self, path: str) -> Answer:
        token = path.rpartition("/")[2].removesuffix(".json")
        if self.gives_token and token.startswith("T-"):
            known = {"service_request_id": token.replace("T", "R")} if self.numbered else {}
            return _json([{"token": token} | known])
        return _json([{"code": 404, "description": "no such token"}], 404)


@contextmanager
def running() -> Iterator[Owner]:
    """The server, until the test is over."""
    owner = Owner()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._do("GET", {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._do("POST", {name: values[0] for name, values in parse_qs(body).items()})

        def _do(self, method: str, form: dict[str, str]) -> None:
            parts = urlsplit(self.path)
            owner.asked.append(f"{method} {parts.path}")
            status, body = owner.answer(method, parts.path, parse_qs(parts.query), form)
            if not status:  # the line is cut after the work was done
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):
                self.wfile.write(body)

        def log_message(self, *_told: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    owner.url = f"http://127.0.0.1:{server.server_port}/v2"
    try:
        yield owner
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _json(rows: Any, status: int = 200) -> Answer:
    return status, json.dumps(rows).encode()

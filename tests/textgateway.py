"""A gateway for texts on loopback, which keeps what it took."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

GAPS = "?to={to}&text={text}&name={id}"  # what the setting SMS_URL has behind `url`


@dataclass
class FakeGateway:
    """What was posted: path with query, kind of body, body. `status` is what it answers."""

    url: str = ""
    status: int = 200
    taken: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str]]:
        """To which number, and what; where GAPS named them."""
        queries = [parse_qs(urlsplit(path).query) for path, _kind, _body in self.taken]
        return [(query["to"][0], query["text"][0]) for query in queries]


@contextmanager
def running() -> Iterator[FakeGateway]:
    """One that listens."""
    made = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if made.status == 200:
                made.taken.append((self.path, self.headers["Content-Type"], body))
            self.send_response(made.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}/send"
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        server.shutdown()

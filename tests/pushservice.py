"""A push service on loopback, and browsers that belong to it, which open what is sent to them."""

import base64
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

CREATED = 201


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


@dataclass(frozen=True)
class Browser:
    """What pushManager.subscribe() makes. `told` is what it would give to the city."""

    endpoint: str
    private: ec.EllipticCurvePrivateKey
    auth: bytes

    @property
    def told(self) -> dict[str, Any]:
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return {"endpoint": self.endpoint, "keys": {"p256dh": base64url(point), "auth": base64url(self.auth)}}

    def opens(self, body: bytes) -> dict[str, Any]:
        """The message as the browser reads it."""
        text = http_ece.decrypt(body, private_key=self.private, auth_secret=self.auth, version="aes128gcm")
        read: dict[str, Any] = json.loads(text)
        return read


@dataclass
class PushService:
    """Keeps what it took: path, headers, body. `answer` says with which status it answers a path."""

    port: int = 0
    answer: Callable[[str], int] = lambda _path: CREATED
    taken: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def browser(self, name: str) -> Browser:
        where = f"http://127.0.0.1:{self.port}/{name}"
        return Browser(where, ec.generate_private_key(ec.SECP256R1()), os.urandom(16))


class Server(ThreadingHTTPServer):
    def handle_error(self, *_request: Any) -> None:
        """Whoever was killed while they sent is no fault of ours."""


@contextmanager
def running() -> Iterator[PushService]:
    service = PushService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = service.answer(self.path)
            if status == CREATED:
                service.taken.append(
                    (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
                )
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_said: Any) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        service.port = server.server_address[1]
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield service
        server.shutdown()

"""A crew's phone without a screen: it speaks to the real server as the shipped engine does, and counts."""

import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import brotli

PACKED_FROM = 200  # characters: as pwa/static/js/sync/http.js
BATCH, LIMIT = 50, 250


@dataclass
class Count:
    """Requests, their bodies as they went over the line, and how long each took."""

    up: int = 0
    down: int = 0
    took: list[float] = field(default_factory=list)  # seconds
    cpu: float = 0.0  # seconds of the server's


class Phone:
    """Enrolled by a code; keeps cookies, cursors, epoch and jobs. One request at a time."""

    def __init__(self, url: str, code: str) -> None:
        parts = urlsplit(url)
        self.headers = {
            "Content-Type": "application/json", "X-Cityline": "1", "Origin": url,
            "Sec-Fetch-Site": "same-origin", "Accept-Encoding": "gzip, deflate, br",
        }  # fmt: skip
        self.line = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        self.cookies: dict[str, str] = {}
        self.count = Count()
        told = self._post("/sync/v1/enrol", {"code": code})
        self.device: str = told["device"]
        self.epoch, self.cursors, self.n, self.log = "", dict[str, int](), 0, 0
        self.jobs: dict[str, dict[str, Any]] = {}
        self.count = Count()

    def forget(self) -> None:
        """As a phone that was set up anew: it has heard of nothing."""
        self.epoch, self.cursors, self.jobs = "", {}, {}

    def pull(self) -> None:
        """Asks until there is no more."""
        while any(news["more"] for news in self.exchange()["changes"].values()):
            pass

    def push(self, ops: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Sends all, fifty a request; the results in the order given."""
        results = []
        for start in range(0, len(ops), BATCH):
            results += self.exchange(ops[start : start + BATCH], waiting=len(ops) - start)["results"]
        return results

    def exchange(self, ops: Sequence[dict[str, Any]] = (), waiting: int | None = None) -> dict[str, Any]:
        """One round, its news taken in."""
        nonce = str(uuid.uuid4())
        answer = self._post(
            "/sync/v1/exchange",
            {
                "protocol": 1,
                "nonce": nonce,
                "epoch": self.epoch,
                "device": self.device,
                "release": "0.1.0",
                "device_time": _now(),
                "cursors": self.cursors,
                "heard": {"epoch": self.epoch, "upto": self.log},
                "limit": LIMIT,
                "waiting": {
                    "ops": len(ops) if waiting is None else waiting,
                    "photos": 0,
                    "oldest": ops[0]["device_time"] if ops else None,
                },
                "ops": list(ops),
            },
        )
        if answer["nonce"] != nonce or answer["auth"] != "ok":
            raise RuntimeError(f"answered {answer}")
        self.epoch, self.log = answer["epoch"], answer["log"]
        for scope, news in answer["changes"].items():
            self.jobs |= {job["ref"]: job for job in news["set"]}
            for row in news["gone"]:
                self.jobs.pop(row["ref"], None)
            self.cursors[scope] = news["to"]
        return answer

    def op(self, t: str, job: dict[str, Any], **data: Any) -> dict[str, Any]:
        """An operation as the engine writes it."""
        self.n += 1
        return {
            "id": str(uuid.uuid4()), "n": self.n, "t": t, "v": 1, "case": job["ref"],
            "assignment": job["assignment"], "cycle": job["cycle"], "base": job["version"], "prev": None,
            "device_time": _now(), "accuracy": None, "data": data, "photos": [],
        }  # fmt: skip

    def _post(self, path: str, told: dict[str, Any]) -> Any:
        body, headers = written(told).encode(), dict(self.headers)
        if len(body) > PACKED_FROM:
            body, headers["Content-Encoding"] = gzipped(body), "gzip"
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        began = perf_counter()
        try:
            self.line.request("POST", path, body, headers)
            response = self.line.getresponse()
        except ConnectionError:  # a line that nobody used was closed: again, as browsers do
            self.line.close()
            self.line.request("POST", path, body, headers)
            response = self.line.getresponse()
        data = response.read()
        self.count.took.append(perf_counter() - began)
        self.count.up += len(body)
        self.count.down += len(data)
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {data[:300]!r}")
        for line in response.headers.get_all("Set-Cookie") or ():
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return json.loads(_unpacked(data, response.headers.get("Content-Encoding", "")))


def written(told: Any) -> str:
    """As JSON.stringify writes it."""
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False)


def gzipped(body: bytes) -> bytes:
    """As CompressionStream packs it."""
    packer = zlib.compressobj(6, wbits=31)
    return packer.compress(body) + packer.flush()


def _unpacked(data: bytes, encoding: str) -> bytes:
    if encoding == "br":
        return bytes(brotli.decompress(data))
    return zlib.decompress(data, wbits=31) if encoding == "gzip" else data


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

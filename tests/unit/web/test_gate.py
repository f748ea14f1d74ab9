"""Who is let in when too many come, and in which order, without a web server."""

import asyncio
import errno
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from wsgiref.validate import validator

import pytest

from city.settings import LEAST_THREADS, MOST_THREADS, THREADS
from pwa.web import overload
from pwa.web.overload import APART, SHARES, Gate, Share

MOST = 1_000
START = Callable[..., None]


@dataclass
class Caller:
    """One request, and what is said of it.

    `body` comes part by part; `...` is a part that never comes, and at None the caller hangs up.
    """

    path: str = "/cases"
    method: str = "GET"
    body: list[bytes | Any] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    source: str = "192.0.2.1"
    said: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    reads: asyncio.Event | None = None  # what is sent is not taken before

    async def receive(self) -> dict[str, Any]:
        if self.body:
            part = self.body.pop(0)
            if part is ...:
                await asyncio.sleep(60)
            if part is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": part, "more_body": bool(self.body)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if self.reads and message["type"] != "http.response.start":
            await self.reads.wait()
        self.said.append(message)

    def comes(self, gate: Gate) -> asyncio.Task[None]:
        scope = {
            "type": "http", "method": self.method, "raw_path": self.path.encode(), "query_string": b"",
            "scheme": "http", "server": ("127.0.0.1", "8311"), "client": (self.source, "5000"),
            "headers": [(name.encode(), value.encode()) for name, value in self.headers.items()],
        }  # fmt: skip

        async def come() -> None:
            await gate(scope, self.receive, self.send)

        return asyncio.ensure_future(come())

    @property
    def status(self) -> int | None:
        return next((each["status"] for each in self.said if "status" in each), None)

    @property
    def answer(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.said)


class House:
    """An application of which every request holds its thread until it is let go."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.held: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: START) -> Iterable[bytes]:
        name = environ["HTTP_X_NAME"]
        with self._lock:
            self.inside.append(name)
            held = self.held.setdefault(name, Future())
        held.result(30)
        start("200 OK", [("Content-Type", "text/plain")])
        return [name.encode()]

    def let_go(self, name: str) -> None:
        with self._lock:
            held = self.held.setdefault(name, Future())
        held.set_result(None)


def gate_of(app: Any, **more: Any) -> Gate:
    return Gate(app, lambda _environ, status: ([(b"retry-after", b"5")], str(status).encode()),
                **{"most": lambda *_: MOST} | more)  # fmt: skip


def small(monkeypatch: pytest.MonkeyPatch, share: Share) -> None:
    """All that is read has this share."""
    monkeypatch.setattr(overload, "SHARES", SHARES | {"reads": share})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def named(name: str, source: str = "192.0.2.1", path: str = "/cases") -> Caller:
    return Caller(path, headers={"x-name": name}, source=source)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60):
            await scene()

    with ThreadPoolExecutor(1) as apart:  # Playwright may keep a loop in this one
        apart.submit(asyncio.run, whole()).result()


def echo(environ: dict[str, Any], start: START) -> Iterable[bytes]:
    start("200 OK", [])
    return [environ["wsgi.input"].read(), b"|", environ["CONTENT_LENGTH"].encode()]


def test_all_shares_fit_into_the_connections_to_the_database() -> None:
    assert sum(share.threads for share in SHARES.values()) == THREADS
    for threads in range(LEAST_THREADS, MOST_THREADS + 1):
        parts = [overload._part(share, threads) for share in SHARES.values()]
        assert sum(part.threads for part in parts) <= threads
        assert all(0 < part.each <= part.threads for part in parts)
    assert all(0 < share.each <= share.threads for share in (SHARES | APART).values())


def test_whoever_finds_no_room_is_refused_at_once_and_the_next_is_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small(monkeypatch, Share(threads=1, waiting=2, each=1))

    async def scene() -> None:
        house = House()
        gate = gate_of(house)
        callers = [named(f"{n}", source=f"198.51.{n}.1") for n in range(5)]
        tasks = [caller.comes(gate) for caller in callers]
        await until(lambda: all(caller.status == 503 for caller in callers[3:]))
        assert [caller.status for caller in callers[:3]] == [None] * 3
        assert callers[4].said[0]["headers"] == [(b"retry-after", b"5")]
        for n in range(3):
            house.let_go(f"{n}")
        await asyncio.gather(*tasks)
        assert [caller.answer for caller in callers[:3]] == [b"0", b"1", b"2"]

    run(scene)


def test_what_waits_for_whoever_has_hung_up_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, Share(threads=1, waiting=10, each=1))

    async def scene() -> None:
        house = House()
        gate = gate_of(house)
        callers = [named(name) for name in ("first", "gone", "third")]
        tasks = [caller.comes(gate) for caller in callers]
        await until(lambda: house.inside == ["first"])
        callers[1].gone.set()
        await tasks[1]
        for name in ("first", "third"):
            house.let_go(name)
        await asyncio.gather(*tasks)
        assert (house.inside, callers[1].said) == (["first", "third"], [])

    run(scene)


def test_whoever_waits_too_long_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, Share(threads=1, waiting=10, each=1))

    async def scene() -> None:
        house = House()
        gate = gate_of(house, patience=0.05)
        first, second, third = named("first"), named("second"), named("third")
        going = first.comes(gate)
        await until(lambda: house.inside == ["first"])
        await second.comes(gate)
        assert second.status == 503
        house.let_go("first")
        await going
        house.let_go("third")
        await third.comes(gate)
        assert (house.inside, third.answer) == (["first", "third"], b"third")

    run(scene)


def test_whoever_waits_while_others_have_their_turns_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that moves slowly moves: only where threads hang nobody waits."""
    small(monkeypatch, Share(threads=1, waiting=10, each=1))

    async def scene() -> None:
        house = House()
        gate = gate_of(house, patience=0.5)
        callers = [named(f"{n}") for n in range(5)]
        tasks = [caller.comes(gate) for caller in callers]
        for n in range(5):
            await until(lambda n=n: f"{n}" in house.inside)  # type: ignore[misc]
            await asyncio.sleep(0.2)
            house.let_go(f"{n}")
        await asyncio.gather(*tasks)
        assert [caller.status for caller in callers] == [200] * 5

    run(scene)


def test_whoever_does_not_listen_is_refused_later_and_others_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small(monkeypatch, Share(threads=1, waiting=0, each=1))
    monkeypatch.setattr(overload, "REFUSALS", 20)

    async def scene() -> None:
        house = House()
        gate, now = gate_of(house), asyncio.get_running_loop().time
        going = named("first").comes(gate)
        await until(lambda: house.inside == ["first"])
        deaf = [named(f"{n}") for n in range(40)]
        tasks = [caller.comes(gate) for caller in deaf]
        began = now()
        other = named("other", source="198.51.100.1")
        await other.comes(gate)
        assert other.status == 503
        assert sum(caller.status == 503 for caller in deaf) < 40
        await asyncio.gather(*tasks)
        assert now() - began > 0.9
        assert {caller.status for caller in deaf} == {503}
        house.let_go("first")
        await going

    run(scene)


def test_one_network_keeps_no_other_from_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has half of the places to wait, some of the threads, and one turn where another has one."""
    small(monkeypatch, Share(threads=3, waiting=20, each=2))

    async def scene() -> None:
        house = House()
        gate = gate_of(house)
        greedy = [named(f"greedy {n}", source=f"192.0.2.{n}") for n in range(20)]
        tasks = [caller.comes(gate) for caller in greedy]
        await until(lambda: sum(caller.status == 503 for caller in greedy) == 8)
        others = [named(f"other {n}", source="198.51.100.1") for n in range(3)]
        tasks += [caller.comes(gate) for caller in others]
        await until(lambda: len(house.inside) == 3)
        assert sorted(house.inside) == ["greedy 0", "greedy 1", "other 0"]
        house.let_go("other 0")
        await until(lambda: "other 1" in house.inside)
        house.let_go("greedy 0")
        await until(lambda: "greedy 2" in house.inside)
        assert "other 2" not in house.inside
        house.let_go("greedy 1")
        await until(lambda: "other 2" in house.inside)
        for caller in (*greedy, *others):
            with_name = caller.headers["x-name"]
            if with_name not in ("other 0", "greedy 0", "greedy 1"):
                house.let_go(with_name)
        await asyncio.gather(*tasks)

    run(scene)


KINDS = {
    "reads": "GET /cases", "reads in Spanish": "GET /es/cases", "writes": "POST /report",
    "staff": "GET /es/dispatch/changes", "login": "POST /login", "sync": "POST /sync/v1/exchange",
    "ready": "GET /readyz", "files": "GET /static/1/app.js",
}  # fmt: skip


def test_whether_the_process_answers_is_said_while_all_threads_are_held() -> None:
    def app(environ: dict[str, Any], start: START) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/healthz":
            start("200 OK", [])
            return [b"ok"]
        return house(environ, start)

    house = House()

    async def scene() -> None:
        gate = gate_of(app, languages=("es",))
        crowd = [
            Caller(path, method, [], {"x-name": f"{path} {n}"}, f"198.18.{n}.1")
            for method, path in map(str.split, KINDS.values())
            for n in range(50)
        ]
        tasks = [caller.comes(gate) for caller in crowd]
        await until(lambda: len(house.inside) == THREADS + sum(share.threads for share in APART.values()))
        me = Caller("/healthz")
        await me.comes(gate)
        assert me.answer == b"ok"
        for caller in crowd:
            house.let_go(caller.headers["x-name"])
        await asyncio.gather(*tasks)

    run(scene)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_of_request_starves_another(kind: str) -> None:
    """All others hold all the threads that they may."""
    method, mine = KINDS[kind].split()

    async def scene() -> None:
        house = House()
        gate = gate_of(house, languages=("es",))
        crowd = [
            Caller(path, method, [], {"x-name": f"{path} {n}"}, f"198.18.{n}.1")
            for method, path in map(str.split, KINDS.values())
            if path.removeprefix("/es") != mine.removeprefix("/es")
            for n in range(50)
        ]
        tasks = [caller.comes(gate) for caller in crowd]
        shares = (SHARES | APART).items()
        held = sum(share.threads for name, share in shares if name != kind.split()[0])
        await until(lambda: len(house.inside) == held)
        me = Caller(mine, method, [], {"x-name": "me"})
        house.let_go("me")
        await me.comes(gate)
        assert me.answer == b"me"
        for caller in crowd:
            house.let_go(caller.headers["x-name"])
        await asyncio.gather(*tasks)

    run(scene)


def test_the_application_is_asked_as_the_standard_wants_it() -> None:
    """Python's own validator raises AssertionError for what is not so."""

    def app(environ: dict[str, Any], start: START) -> Iterable[bytes]:
        start("200 OK", [("Content-Type", "text/plain")])
        return [environ["wsgi.input"].read(3)]

    async def scene() -> None:
        gate = gate_of(validator(app))
        headers = {"content-type": "text/plain", "content-length": "3", "host": "city"}
        for caller in (Caller(), Caller("/report", "POST", [b"abc"], headers)):
            await caller.comes(gate)
            assert (caller.status, caller.answer) == (200, b"abc" if caller.method == "POST" else b"")

    run(scene)


def test_a_body_is_gathered_before_a_thread_is_taken() -> None:
    async def scene() -> None:
        gate = gate_of(echo)
        whole = Caller("/report", "POST", [b"a", b"", b"bc"], {"content-length": "3"})
        chunked = Caller("/report", "POST", [b"de", b"f"], {"transfer-encoding": "chunked"})
        for caller in (whole, chunked):
            await caller.comes(gate)
        assert (whole.answer, chunked.answer) == (b"abc|3", b"def|3")

    run(scene)


def test_of_a_body_that_is_too_long_the_application_hears_by_its_length_alone() -> None:
    async def scene() -> None:
        gate = gate_of(echo)
        told = Caller("/report", "POST", [...], {"content-length": "1001"})
        chunked = Caller("/report", "POST", [b"x" * 900, b"x" * 900, ...], {"transfer-encoding": "chunked"})
        for caller in (told, chunked):
            await caller.comes(gate)
        assert told.answer == b"|1001"
        assert chunked.answer.endswith(b"|1800")
        assert gate._bodies._bytes == 0

    run(scene)


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    async def scene() -> None:
        house = House()
        gate = gate_of(house, body_seconds=0.05)
        slow = Caller("/report", "POST", [b"a", ...], {"content-length": "900", "x-name": "slow"})
        await slow.comes(gate)
        assert (slow.status, house.inside) == (408, [])
        assert (gate._bodies._bytes, gate._bodies._coming.total()) == (0, 0)

    run(scene)


def test_a_body_that_ends_too_early_is_no_request() -> None:
    async def scene() -> None:
        house = House()
        cut = Caller("/report", "POST", [b"a", None], {"content-length": "900", "x-name": "cut"})
        await cut.comes(gate_of(house))
        assert (cut.said, house.inside) == ([], [])

    run(scene)


@pytest.mark.parametrize("what", ["bodies", "of one network", "bytes", "disk"])
def test_more_bodies_than_there_is_room_for_are_refused(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "bodies":
        monkeypatch.setattr(overload, "BODIES", 1)
    elif what == "of one network":
        monkeypatch.setattr(overload, "BODIES", 2)
    elif what == "bytes":
        monkeypatch.setattr(overload, "BODY_BYTES", 9)
    else:
        full = OSError(errno.ENOSPC, "No space left on device")

        def no_room(*_given: object) -> int:
            raise full

        monkeypatch.setattr(overload.SpooledTemporaryFile, "write", no_room)

    async def scene() -> None:
        gate = gate_of(echo)
        tasks = []
        if what in ("bodies", "of one network"):
            before = Caller("/report", "POST", [b"a", ...], {"content-length": "900"})
            tasks.append(before.comes(gate))
            await asyncio.sleep(0.01)
        source = "198.51.100.1" if what == "bodies" else "192.0.2.9"
        caller = Caller("/report", "POST", [b"0123456789"], {"content-length": "10"}, source)
        await caller.comes(gate)
        assert caller.status == 503
        for task in tasks:
            task.cancel()

    run(scene)


class Long:
    """An application with long answers; it notes of which it heard that they are over."""

    def __init__(self) -> None:
        self.closed: list[str] = []

    def __call__(self, environ: dict[str, Any], start: START) -> Iterable[bytes]:
        start("200 OK", [])
        return _Parts(self.closed, environ["PATH_INFO"])


class _Parts:
    PIECES = 8
    BYTES = PIECES * overload.PIECE

    def __init__(self, closed: list[str], path: str) -> None:
        self._closed, self._path = closed, path

    def __iter__(self) -> Iterator[bytes]:
        for _ in range(self.PIECES):
            yield b"x" * overload.PIECE

    def close(self) -> None:
        self._closed.append(self._path)


def test_while_a_caller_takes_a_long_answer_no_thread_waits_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, Share(threads=1, waiting=10, each=1))

    async def scene() -> None:
        app = Long()
        gate = gate_of(app)
        slow, quick = Caller("/slow", reads=asyncio.Event()), Caller("/quick")
        going = slow.comes(gate)
        await asyncio.sleep(0.05)
        await quick.comes(gate)
        assert (len(quick.answer), app.closed, slow.answer) == (_Parts.BYTES, ["/quick"], b"")
        assert slow.reads
        slow.reads.set()
        await going
        assert (len(slow.answer), app.closed) == (_Parts.BYTES, ["/quick", "/slow"])

    run(scene)


@pytest.mark.parametrize("how", ["hangs up", "takes nothing"])
def test_a_long_answer_ends_for_whoever_takes_no_more_of_it(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(overload, "PIECE_SECONDS", 0.05)

    async def scene() -> None:
        app = Long()
        caller = Caller()
        if how == "hangs up":
            caller.gone.set()
        else:
            caller.reads = asyncio.Event()
        await caller.comes(gate_of(app))
        assert len(caller.answer) < _Parts.BYTES
        assert app.closed == ["/cases"]

    run(scene)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "whose"),
    [
        (0, "198.51.100.7", "192.0.2.0/24"),
        (1, "203.0.113.1, 198.51.100.7", "198.51.100.0/24"),
        (2, "203.0.113.1, 198.51.100.7", "203.0.113.0/24"),
        (2, "198.51.100.7", "192.0.2.0/24"),
        (1, "", "192.0.2.0/24"),
    ],
)
def test_who_calls_is_told_by_as_many_proxies_as_are_trusted(
    proxies: int, forwarded: str, whose: str
) -> None:
    environ = {"HTTP_X_FORWARDED_FOR": forwarded, "REMOTE_ADDR": "192.0.2.1"}
    assert gate_of(echo, proxies=proxies)._network(environ) == whose


def test_a_header_that_passes_for_another_is_not_handed_on() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: START) -> Iterable[bytes]:
        seen.update(environ)
        start("200 OK", [])
        return []

    async def scene() -> None:
        headers = {"x_forwarded_for": "198.51.100.7", "cookie": "a=1", "accept": "text/html"}
        await Caller("/caf%C3%A9%2Fb", headers=headers).comes(gate_of(app))

    run(scene)
    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert (seen["HTTP_COOKIE"], seen["HTTP_ACCEPT"]) == ("a=1", "text/html")
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/café/b"

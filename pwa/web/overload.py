"""Who is let in, and when: what comes slowly holds no thread, and what is too much is refused at once.

It stands between the web server, which speaks ASGI, and Flask, which wants a thread for each request. All but
the answering itself happens in one thread, so that nothing here needs a lock. Why it is so is decision 0020.
"""

import asyncio
import contextvars
import sys
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from city.people.rate_limits import network
from city.settings import THREADS

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Environ = dict[str, Any]
Wsgi = Callable[[Environ, Any], Any]
Body = SpooledTemporaryFile[bytes]
Headers = list[tuple[bytes, bytes]]
Refuse = Callable[[Environ, int], tuple[Headers, bytes]]  # in words: headers and body


@dataclass(frozen=True)
class Share:
    """What one kind of request may take of the house, whatever the others do."""

    threads: int  # so many are answered at once
    waiting: int  # so many more wait for their turn; whoever comes then is refused
    each: int  # threads that one network may hold, so that the others have their turn


# Of THREADS in all. Phones' requests wait for each other's transactions; what is computed for pages only gets
# slower by more.
SHARES: Final = {
    "sync": Share(36, 400, 36),
    "reads": Share(8, 200, 2),
    "writes": Share(8, 200, 4),
    "staff": Share(8, 200, 8),
    "login": Share(4, 100, 2),
}
# Short, with hardly a question to the database: there is room for them besides.
APART: Final = {"files": Share(2, 200, 2), "ready": Share(1, 50, 1)}
HEALTH: Final = "/healthz"  # it asks nobody anything, so it needs no thread and no turn
# The first word of an address → its share; all others are reads or writes.
FIRST_WORDS: Final = {
    "sync": "sync",
    "readyz": "ready",
    "static": "files",
    "login": "login",
    "logout": "login",
    "me": "login",
    "dispatch": "staff",
    "desk": "staff",
    "admin": "staff",
    "tiles": "staff",
}
PATIENCE: Final = (
    20.0  # seconds: where so long nobody of a kind got a turn its threads hang, and nobody waits
)
RETRY: Final = "5"  # seconds after which whoever was refused may come again
# Refusals of one network a second, and so many at once besides. Whoever does not listen is told later: each
# costs a quarter of a millisecond that others need.
REFUSALS: Final = 500
BODIES: Final = 1_000  # that come in at the same time; of one network half of them
BODY_BYTES: Final = 1_000_000_000  # of all bodies, on their way and until they are answered
IN_MEMORY: Final = 100_000  # bytes of a body; what is longer lies in a file
# A body may take so many seconds, and one more for so many bytes.
BODY_SECONDS: Final = 20.0
BODY_RATE: Final = 1_000
PIECE: Final = 200_000  # bytes of an answer that are made at a time; most have no more
PIECE_SECONDS: Final = 60.0  # in which a caller takes a piece, or the answer ends there


class Full(Exception):
    """There is no room now."""


class Slow(Exception):
    """The body did not come in time."""


class Gone(Exception):
    """The caller has hung up."""


class Gate:
    """The application as the web server sees it: ASGI around WSGI.

    `proxies` in front may say who calls; an address may begin with one of `languages`. `most` says of an
    address without its language, and a method, how many bytes of a body are gathered: of more the application
    hears by Content-Length alone. `refuse` says 503 or 408 in words.
    """

    def __init__(
        self, app: Wsgi, refuse: Refuse, *, languages: tuple[str, ...] = (), proxies: int = 0,
        most: Callable[[str, str], int],
        threads: int = THREADS, body_seconds: float = BODY_SECONDS, patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._app, self._refuse, self._languages, self._proxies = app, refuse, languages, proxies
        self._most = most
        self._bodies, self._refusals = _Bodies(body_seconds), _Refusals()
        shares = {name: _part(share, threads) for name, share in SHARES.items()} | APART
        self._lanes = {name: _Lane(share, patience) for name, share in shares.items()}
        self._pool = ThreadPoolExecutor(sum(share.threads for share in shares.values()), "answers")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        environ = _environ(scope)
        if environ["PATH_INFO"] == HEALTH:
            await _answer_at_once(_Answer(self._app, environ | {"wsgi.input": BytesIO()}), send)
            return
        path, method = self._path(environ), environ["REQUEST_METHOD"]
        whose, lane = self._network(environ), self._lanes[_share(path, method)]
        caller = _Caller(receive)
        try:
            async with self._bodies.gathered(environ, whose, caller, self._most(path, method)):
                await self._answer(_Answer(self._app, environ), lane, whose, caller, send)
        except Gone:
            pass
        except (Full, Slow) as fault:
            await self._refusals.wait(whose)
            status = 503 if isinstance(fault, Full) else 408
            headers, body = self._refuse(environ, status)
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            caller.forget()

    async def _answer(
        self, answer: "_Answer", lane: "_Lane", whose: str, caller: "_Caller", send: Send
    ) -> None:
        """Piece by piece: while a caller takes one, no thread waits for them. Raises Full or Gone."""
        run = asyncio.get_running_loop().run_in_executor
        async with lane.turn(whose, caller):
            piece = await run(self._pool, answer.begin)
        try:
            await send(
                {"type": "http.response.start", "status": answer.status, "headers": coded(answer.headers)}
            )
            while not answer.is_whole:
                async with asyncio.timeout(PIECE_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                if caller.is_gone():
                    return
                async with lane.turn(whose, caller, is_begun=True):
                    piece = await run(self._pool, answer.more)
            await send({"type": "http.response.body", "body": piece})
        except (TimeoutError, Full, Gone):
            pass  # whoever still listens hears that it ends too early
        finally:
            if not answer.is_whole:
                await run(self._pool, answer.close)

    def _path(self, environ: Environ) -> str:
        path: str = environ["PATH_INFO"]
        lang = path.split("/")[1] if path.startswith("/") else ""
        return path.removeprefix(f"/{lang}") or "/" if lang in self._languages else path

    def _network(self, environ: Environ) -> str:
        """Who asks, as far as the proxies in front say it."""
        told = [each for each in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if each]
        is_told = 0 < self._proxies <= len(told)
        return _known(told[-self._proxies].strip() if is_told else environ["REMOTE_ADDR"])


class _Lane:
    """The turns of one share. Networks have theirs one after the other, however many wait of each."""

    def __init__(self, share: Share, patience: float) -> None:
        self._of, self._patience = share, patience
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._moved = 0.0  # when somebody last got a turn

    @asynccontextmanager
    async def turn(self, whose: str, caller: "_Caller", *, is_begun: bool = False) -> AsyncIterator[None]:
        """A thread's time. Raises Full, but never of what is begun, or Gone."""
        if whose in self._waiting or not self._has_room(whose):
            await self._wait(whose, caller, is_begun)
        else:
            self._enter(whose)
        try:
            yield
        finally:
            self._leave(whose)

    def _has_room(self, whose: str) -> bool:
        return self._running.total() < self._of.threads and self._running[whose] < self._of.each

    async def _wait(self, whose: str, caller: "_Caller", is_begun: bool) -> None:
        queue = self._waiting.get(whose, deque())
        waiting = sum(map(len, self._waiting.values()))
        if not is_begun and (waiting >= self._of.waiting or len(queue) >= self._of.waiting // 2):
            raise Full
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[whose] = queue
        queue.append(turn)
        try:
            while not turn.done():
                await caller.wait(turn, self._moved + self._patience)
        except BaseException:
            if turn.done():
                self._leave(whose)
            else:
                self._give_up(whose, turn)
            raise

    def _give_up(self, whose: str, turn: asyncio.Future[None]) -> None:
        self._waiting[whose].remove(turn)
        if not self._waiting[whose]:
            del self._waiting[whose]

    def _enter(self, whose: str) -> None:
        self._running[whose] += 1
        self._moved = asyncio.get_running_loop().time()

    def _leave(self, whose: str) -> None:
        _one_less(self._running, whose)
        following = next((each for each in self._waiting if self._has_room(each)), None)
        if following is None:
            return
        queue = self._waiting.pop(following)
        turn = queue.popleft()
        if queue:
            self._waiting[following] = queue  # behind all others
        self._enter(following)
        turn.set_result(None)


class _Refusals:
    """How fast a network is refused: whoever asks again at once waits as long as others' refusals take."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}  # network → when its last one would be told at that rate

    async def wait(self, whose: str) -> None:
        """Until this refusal may be told: nothing for nearly all."""
        now = asyncio.get_running_loop().time()
        if len(self._told) > 10 * REFUSALS:
            self._told = {each: told for each, told in self._told.items() if told > now}
        self._told[whose] = told = max(self._told.get(whose, now), now) + 1 / REFUSALS
        await asyncio.sleep(max(0.0, told - now - 1))


class _Caller:
    """Who waits for an answer, and whether they still do."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._leaving: asyncio.Task[None] | None = None

    async def part(self) -> tuple[bytes, bool]:
        """The next of the body as it comes, and whether it is the last. Raises Gone."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        return message.get("body", b""), not message.get("more_body")

    async def wait(self, turn: asyncio.Future[None], until: float) -> None:
        """For their turn. Raises Gone; Full where that moment is over already."""
        left = until - asyncio.get_running_loop().time()
        if left <= 0:
            raise Full
        await asyncio.wait({turn, self._hangs_up()}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if self.is_gone() and not turn.done():
            raise Gone

    def is_gone(self) -> bool:
        """Whether they have hung up, as far as is known: of whoever never waited it is not before the next
        time that this is asked."""
        return self._hangs_up().done()

    def forget(self) -> None:
        """Their answer is on its way."""
        if self._leaving:
            self._leaving.cancel()

    def _hangs_up(self) -> asyncio.Task[None]:
        if self._leaving is None:
            self._leaving = asyncio.ensure_future(self._until_gone())
        return self._leaving

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # that there is no body is told too


class _Bodies:
    """All bodies that are here. A slow one takes a place here, and no thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._coming: Counter[str] = Counter()
        self._bytes = 0

    @asynccontextmanager
    async def gathered(self, environ: Environ, whose: str, caller: _Caller, most: int) -> AsyncIterator[None]:
        """Puts the whole body into `environ`. Raises Full, Slow or Gone.

        Of one that is too long the application hears by its length alone.
        """
        told = int(environ.get("CONTENT_LENGTH") or 0)
        is_chunked = environ.pop("HTTP_TRANSFER_ENCODING", None) is not None
        with SpooledTemporaryFile[bytes](IN_MEMORY) as body:
            environ["wsgi.input"] = body
            if not is_chunked and not 0 < told <= most:
                yield
                return
            with self._place(whose):
                size = await self._gather(body, caller, most)
            environ["CONTENT_LENGTH"] = str(size)
            body.seek(0)
            try:
                yield
            finally:
                self._bytes -= size

    @contextmanager
    def _place(self, whose: str) -> Iterator[None]:
        if self._coming.total() >= BODIES or self._coming[whose] >= BODIES // 2:
            raise Full
        self._coming[whose] += 1
        try:
            yield
        finally:
            _one_less(self._coming, whose)

    async def _gather(self, body: Body, caller: _Caller, most: int) -> int:
        """All of it, or more than the most: its bytes."""
        now = asyncio.get_running_loop().time
        began, size, is_last = now(), 0, False
        try:
            while not is_last and size <= most:
                async with asyncio.timeout_at(began + self._seconds + size / BODY_RATE):
                    part, is_last = await caller.part()
                size += len(part)
                self._bytes += len(part)
                if self._bytes > BODY_BYTES:
                    raise Full
                body.write(part)
        except BaseException as fault:
            self._bytes -= size
            if isinstance(fault, TimeoutError):
                raise Slow from fault
            if isinstance(fault, OSError):  # no room on the disk
                raise Full from fault
            raise
        return size


class _Answer:
    """What the application answers, a piece at a time, each in whatever thread is free."""

    def __init__(self, app: Wsgi, environ: Environ) -> None:
        self._app, self._environ = app, environ
        self._context = contextvars.copy_context()  # Flask's knows no other thread
        self._parts: Any = ()
        self._rest: Iterator[bytes] = iter(())
        self.status, self.headers = 500, list[tuple[str, str]]()
        self.is_whole = False

    def begin(self) -> bytes:
        """Asks the application; the first piece."""
        return self._context.run(self._begin)

    def more(self) -> bytes:
        """The next piece; `is_whole` then says whether it is the last."""
        return self._context.run(self._more)

    def close(self) -> None:
        """No more is wanted."""
        self._context.run(self._close)

    def _begin(self) -> bytes:
        self._parts = self._app(self._environ, self._start)
        self._rest = iter(self._parts)
        return self._more()

    def _start(self, status: str, headers: list[tuple[str, str]], _fault: object = None) -> None:
        self.status, self.headers = int(status[:3]), headers

    def _more(self) -> bytes:
        parts, size = [], 0
        try:
            for part in self._rest:
                parts.append(part)
                size += len(part)
                if size >= PIECE:
                    return b"".join(parts)
        except BaseException:
            self._close()
            raise
        self._close()
        return b"".join(parts)

    def _close(self) -> None:
        self.is_whole = True
        if hasattr(self._parts, "close"):
            self._parts.close()


_known = lru_cache(1_000)(network)


def _share(path: str, method: str) -> str:
    word = path.split("/")[1] if path.startswith("/") else ""
    return FIRST_WORDS.get(word, "reads" if method in ("GET", "HEAD", "OPTIONS") else "writes")


def _part(share: Share, threads: int) -> Share:
    """The share where there are other than THREADS in all."""
    most = max(1, share.threads * threads // THREADS)
    return Share(most, share.waiting, max(1, share.each * most // share.threads))


def _one_less(counted: Counter[str], whose: str) -> None:
    """Networks of which nothing is here are not kept."""
    counted[whose] -= 1
    if not counted[whose]:
        del counted[whose]


async def _answer_at_once(answer: _Answer, send: Send) -> None:
    body = answer.begin()
    await send({"type": "http.response.start", "status": answer.status, "headers": coded(answer.headers)})
    await send({"type": "http.response.body", "body": body})


def coded(headers: list[tuple[str, str]]) -> Headers:
    """Headers as ASGI wants them."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def _environ(scope: Message) -> Environ:
    """The request as PEP 3333 wants it."""
    host, port = scope["server"]
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:  # it would pass for another's: X_Forwarded_For
            continue
        key = name.decode("latin-1").upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        told = value.decode("latin-1")
        if key in environ:
            told = f"{environ[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{told}"
        environ[key] = told
    return environ

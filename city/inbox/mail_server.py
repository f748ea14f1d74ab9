"""Takes mail by SMTP or LMTP from the city's own mail server, which stands in front of it.

"250" is said after the mail is kept, never before: whoever is killed in between says nothing, and the other
end sends it again. It relays nothing: mail to any other address is refused as it is named.
"""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from sqlalchemy.exc import SQLAlchemyError

from city.inbox import mail, reception, reply_address
from city.inbox.entries import Full
from city.inbox.reception import REFUSED, Place
from city.photos.processing import Busy

AT_ONCE: Final = 2  # mails that are read at the same time: each takes some times its own size of memory
MOST_CONNECTIONS: Final = 10
SECONDS: Final = 60  # of silence, after which a connection is closed
TAKEN: Final = "250 2.0.0 Thank you"
LEFT_ALONE: Final = "250 2.0.0 Nobody reads this: {}"  # a refusal would be answered by yet another letter
NOT_NOW: Final = "451 4.3.0 Please try again later"
FULL: Final = "452 4.3.1 The inbox is full. Please try again later"
NOT_OURS: Final = "550 5.1.1 There is no such mailbox here"

log = logging.getLogger("cityline.inbox")
logging.getLogger("mail.log").setLevel(logging.ERROR)  # the library's own, which notes every address


class MailServer:
    """Listens until stop(). `url` is smtp://host:port or lmtp://…; `here` is what it is taken with."""

    def __init__(self, url: str, here: Callable[[], Place]) -> None:
        parts = urlsplit(url)
        self._kind: type[SMTP] = _Lmtp if parts.scheme == "lmtp" else _Smtp
        self._where = parts.hostname or "127.0.0.1", parts.port or 0
        self._threads = ThreadPoolExecutor(AT_ONCE, "mail")
        self._handler, self._loop = _Handler(here, self._threads), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail", daemon=True)
        self._name = socket.gethostname()  # or each connection would ask the name servers for it
        self.port = 0  # where it listens; another one than asked for where that was 0

    def start(self) -> None:
        """Listens from here on. Raises OSError where it cannot."""
        self._thread.start()
        listening = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
        self._server = listening.result()
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Takes no more; what is being kept is finished, though nobody hears so."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(SECONDS)
        self._threads.shutdown()
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        host, port = self._where
        return await self._loop.create_server(self._protocol, host, port)

    def _protocol(self) -> SMTP:
        return self._kind(
            self._handler, loop=self._loop, data_size_limit=mail.MOST_BYTES, ident="Cityline",
            hostname=self._name, timeout=SECONDS, enable_SMTPUTF8=True,
        )  # fmt: skip


class _Few:
    """So many connections at once: each may hold a whole mail in memory."""

    open_now = 0
    line_length_limit = 1_000_000  # more than the standard has: some programs write a letter in one line

    def connection_made(self, transport: Any) -> None:
        """Says at once where there are too many."""
        _Few.open_now += 1
        if _Few.open_now > MOST_CONNECTIONS:
            transport.write(b"421 4.7.0 Too many connections. Please try again later\r\n")
            transport.close()
        super().connection_made(transport)  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        """Makes room for the next one."""
        _Few.open_now -= 1
        super().connection_lost(error)  # type: ignore[misc]


class _Smtp(_Few, SMTP):
    pass


class _Lmtp(_Few, LMTP):
    pass


class _Handler:
    def __init__(self, here: Callable[[], Place], threads: ThreadPoolExecutor) -> None:
        self._here, self._threads = here, threads

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Whether mail to this address is ours."""
        if not reply_address.is_ours(address, self._here().mailbox):
            return NOT_OURS
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keeps the mail; what is said then is true."""
        raw = envelope.original_content or b""
        to, sender = list(envelope.rcpt_tos), envelope.mail_from
        envelope.content = envelope.original_content = None  # of its bytes one copy is enough
        said = await asyncio.get_running_loop().run_in_executor(self._threads, self._take, raw, to, sender)
        return "\r\n".join([said] * len(to)) if isinstance(server, LMTP) else said

    def _take(self, raw: bytes, to: list[str], sender: str | None) -> str:
        try:
            done = reception.take_mail(
                self._here(), raw, to=to, envelope_from=(sender or "").strip("<>"), at=datetime.now(UTC)
            )
        except Full:
            return FULL
        except (Busy, SQLAlchemyError, OSError) as fault:
            log.warning("A mail will come again: %s", type(fault).__name__)
            return NOT_NOW
        except Exception:
            log.exception("A mail couldn't be taken")
            return NOT_NOW
        return LEFT_ALONE.format(done.reason) if done.what == REFUSED else TAKEN
